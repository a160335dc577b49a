"""Checks of the names of the labels: joined or doubled labels, words for "missing", leftovers of lists."""

from collections import Counter
from collections.abc import Iterator

from afl_helpers.data import Corpus
from afl_helpers.data.columns import shown
from afl_helpers.data.label_cells import (
    MISSING_LABELS,
    is_number,
    labels_with_entities,
    labels_with_scores,
    one_space,
    similar_labels,
    suspected_separator,
)
from afl_helpers.doctor.finding import Finding, named, number

#: What may separate labels in a name.
_SEPARATORS = (",", ";", "|", "/", "\n", "\t")
#: "/" separates labels if at least this share of all names is made of others by it; fewer are names such as "Action/Adventure".
_MANY_SLASHES = 0.1


def check_label_names(corpus: Corpus, separator: str | None = None) -> Iterator[Finding]:
    """Yield what the names of the labels show.

    Args:
        corpus: the corpus.
        separator: what the table was read with, if it was given: it is then not doubted, and only names that are made of
            other names are.
    """
    counts = Counter(dict(zip(corpus.label_names, corpus.label_counts.tolist())))
    yield from _joined(corpus, counts, separator)
    yield from _similar(counts)
    missing = [name for name in counts if name.strip().lower() in MISSING_LABELS]
    if missing:
        yield Finding(
            "missing_as_label",
            "fix",
            f"{number(len(missing), 'label is a word', 'labels are words')} for a missing value.",
            "Leave the cell of a document without a label empty.",
            named(missing, (counts[name] for name in missing)),
            sum(counts[name] for name in missing) / len(corpus),
        )
    escaped = labels_with_entities(counts)
    yield from _to_fix(
        "entities_in_labels",
        escaped,
        counts,
        f"{number(len(escaped), 'label holds', 'labels hold')} an HTML entity.",
        "Write entities as characters: & for &amp;. html.unescape of Python does it.",
    )
    scored = labels_with_scores(counts)
    yield from _to_fix(
        "scores_in_labels",
        scored,
        counts,
        f"{len(scored)} labels end in a score, so that each score makes a label of its own.",
        'Take the scores off: "Drama", not "Drama (0.93)".',
    )
    quoted = [name for name in counts if _is_leftover(name)]
    yield from _to_fix(
        "leftover_signs",
        quoted,
        counts,
        f"{number(len(quoted), 'label has', 'labels have')} the brackets or quotes of a list.",
        'Write several labels as a|b or as a JSON list, ["a", "b"].',
    )
    if corpus.n_labels > 1 and all(is_number(name) for name in counts):
        yield Finding(
            "numbers_as_labels",
            "note",
            "All labels are numbers.",
            "Name them with label_names= (--label-names FILE), so that tables and predictions can be read.",
            named(list(counts)),
        )


def _to_fix(kind: str, found: list[str], counts: Counter[str], sentence: str, advice: str) -> Iterator[Finding]:
    """Yield the finding about some names, if there are any; its share is that of the names."""
    if found:
        yield Finding(
            kind, "fix", sentence, advice, named(found, (counts[name] for name in found)), len(found) / len(counts)
        )


def _is_leftover(name: str) -> bool:
    """Return whether the whole name is in quotes, or a bracket at one of its ends has no partner in it."""
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
        return True
    closed = {"[": "]", "(": ")", "{": "}"}
    if name[:1] in closed:
        return closed[name[0]] not in name
    return any(name.endswith(right) and left not in name for left, right in closed.items())


def _joined(corpus: Corpus, counts: Counter[str], given: str | None) -> Iterator[Finding]:
    """Find names that are several labels: made of other labels, or with parts that recur."""
    single = int(corpus.label_counts.sum()) <= len(corpus) and corpus.labels.sum(axis=1).max() <= 1
    suspected = suspected_separator(counts) if single and given is None else None
    if suspected is not None:
        names = [name for name, _ in counts.most_common() if suspected in name]
        yield Finding(
            "separator",
            "fix",
            f"Labels seem to be separated by {suspected!r}, but {number(len(names), 'cell is', 'different cells are')} "
            "read as one label each.",
            f"Read the table with separator={suspected!r} (--separator {suspected!r}), or with '' if they are single labels.",
            named(names, (counts[name] for name in names), 3),
            sum(counts[name] for name in names) / len(corpus),
        )
        return
    if given == "":
        return
    known = {one_space(name).casefold() for name in counts}
    for separator in _SEPARATORS:
        made = [name for name in counts if _is_made_of(name, separator, known)]
        if made and (separator != "/" or len(made) >= max(3, _MANY_SLASHES * len(counts))):
            yield Finding(
                "joined_labels",
                "fix",
                f"{number(len(made), 'label is', 'labels are')} made of other labels, with {separator!r} between them.",
                "Use one separator in the whole table.",
                named(made, (counts[name] for name in made)),
                sum(counts[name] for name in made) / len(corpus),
            )


def _is_made_of(name: str, separator: str, known: set[str]) -> bool:
    parts = [one_space(part).casefold() for part in name.split(separator)]
    return len(parts) > 1 and all(part in known for part in parts)


def _similar(counts: Counter[str]) -> Iterator[Finding]:
    groups = similar_labels(counts)
    if groups:
        examples = tuple(" and ".join(f"{shown(name)!r} ({counts[name]:,})" for name in group) for group in groups[:3])
        more = (f"and {len(groups) - 3:,} more",) if len(groups) > 3 else ()
        concerned = sum(len(group) for group in groups)
        yield Finding(
            "similar_labels",
            "fix",
            f"{number(concerned, 'label differs', 'labels differ')} from another one in case, blanks, hyphens or Unicode "
            "form only.",
            "Write each label in one way.",
            examples + more,
            concerned / len(counts),
        )
