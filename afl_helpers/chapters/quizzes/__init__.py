"""The questions of each chapter, for its page and for JupyterLab: ``quiz("focal-loss")``.

One file per chapter, ``<chapter>.yaml`` beside this module, is a list of questions::

    - ask: The question.
      options:
        - text: An answer.
          why: Why it is right.
          right: true
        - text: Another answer.
          why: The slip behind it.

Texts may hold `` `code` ``, ``*emphasis*``, a ``~subscript~`` and a ``^superscript^``. They hold no formulas, because a page
does not typeset those in the output of a cell.
"""

import html
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml
from IPython.display import HTML

from afl_helpers.errors import unknown_name

LETTERS = "abcdefgh"
_MARKUP = re.compile(r"`([^`]+)`|\*([^*]+)\*|~([^~\s]+)~|\^([^^\s]+)\^")
_TAGS = ("code", "em", "sub", "sup")


@dataclass(frozen=True)
class Option:
    """One answer to a question.

    Attributes:
        text: The answer.
        why: Why it is right, or which slip leads to it.
        right: Whether it is the right one.
    """

    text: str
    why: str
    right: bool = False


@dataclass(frozen=True)
class Question:
    """A question with one right answer."""

    ask: str
    options: tuple[Option, ...]

    @property
    def key(self) -> str:
        """Return the letter of the right answer."""
        return LETTERS[[option.right for option in self.options].index(True)]


def quiz_names() -> tuple[str, ...]:
    """Return the names of all quizzes: one per chapter, and ``course`` for the whole book."""
    return tuple(sorted(path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml")))


@cache
def read_quiz(name: str) -> tuple[Question, ...]:
    """Return the questions of a chapter.

    Raises:
        UsageError: If no quiz has this name.
    """
    if name not in quiz_names():
        raise unknown_name("quiz", name, quiz_names())
    entries = yaml.safe_load((_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    return tuple(
        Question(entry["ask"], tuple(Option(**{"right": False} | option) for option in entry["options"]))
        for entry in entries
    )


def quiz(name: str) -> HTML:
    """Return the quiz of a chapter. Each answer that the reader opens says whether it is right, and why.

    It works without scripts, by keyboard, and in JupyterLab as on the page.

    Raises:
        UsageError: If no quiz has this name.
    """
    return HTML(as_html(name))


def as_html(name: str) -> str:
    """Return the quiz of a chapter as HTML, with its style."""
    style = (_folder() / "quiz.css").read_text(encoding="utf-8")
    questions = "\n".join(f"<li>{_question(question)}</li>" for question in read_quiz(name))
    return f'<div class="quiz"><style>{style}</style>\n<ol>\n{questions}\n</ol>\n</div>'


def inline(text: str) -> str:
    """Return a text of a quiz as HTML."""

    def tagged(match: re.Match[str]) -> str:
        tag, content = next((tag, part) for tag, part in zip(_TAGS, match.groups()) if part is not None)
        return f"<{tag}>{content}</{tag}>"

    return _MARKUP.sub(tagged, html.escape(" ".join(text.split()), quote=False))


def _question(question: Question) -> str:
    options = "\n".join(
        f'<li><details class="{"right" if option.right else "wrong"}"><summary><span>{inline(option.text)}</span></summary>'
        f"<p><strong>{'Right.' if option.right else 'No.'}</strong> {inline(option.why)}</p></details></li>"
        for option in question.options
    )
    return f'<p class="ask">{inline(question.ask)}</p>\n<ol type="a">\n{options}\n</ol>'


def _folder() -> Traversable:
    return files(__name__)
