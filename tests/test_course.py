"""What students and teachers get: predictions with answers, editions, sessions whose minutes fit, grades."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
PREDICT = re.compile(r"^:::\{admonition\} Predict first\n:class: predict\n", re.MULTILINE)
ANSWER = re.compile(r"^:::\{admonition\} Answer\n:class: dropdown\n(.+?)\n:::$", re.MULTILINE | re.DOTALL)


def unanswered(text: str) -> list[str]:
    """Return the questions that no folded answer follows before the next question."""
    boxes = PREDICT.split(text)[1:]
    return [box[:60] for box in boxes if not (answer := ANSWER.search(box)) or len(answer[1].split()) < 8]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_prediction_has_its_answer_folded_behind_it(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    if path.stem == "index":  # its box shows what such a box looks like
        text = text.replace(":::{admonition} Predict first", "")
    assert unanswered(text) == []


def test_what_the_test_of_predictions_would_find() -> None:
    box = ":::{admonition} Predict first\n:class: predict\nWhich?\n:::\n"
    answer = ":::{admonition} Answer\n:class: dropdown\nThe first one, because it is not the second.\n:::\n"
    assert unanswered(box + answer + box + answer) == []
    assert len(unanswered(box + box + answer)) == 1 and len(unanswered(answer + box)) == 1
