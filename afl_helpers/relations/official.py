"""Hierarchies that corpora have: the groups of the Reuters topics, and the tree of the hallmarks of cancer."""

import json
from collections.abc import Iterable
from importlib.resources import files

from afl_helpers.data.sources.hoc import label_tree
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.relations.hierarchy import Hierarchy

#: The corpora that have an official hierarchy, with what it is.
OFFICIAL = {
    "reuters": "the six groups of topics in cat-descriptions_120396.txt of Reuters-21578, Distribution 1.0",
    "hoc-nodes": "the tree of hallmarks (Baker et al., 2016)",
}


def official_hierarchy(corpus: str, label_names: Iterable[str]) -> Hierarchy:
    """Return the official hierarchy of a corpus for its labels.

    Reuters: six groups (subject, economic indicator, currency, corporate, energy, commodity), of which no story carries
    one; below each of them the topics, all on one level. HoC: the tree of 37 nodes, all of them labels of `hoc-nodes`.

    Args:
        corpus: a name in :data:`OFFICIAL`.
        label_names: the labels of the corpus, or some of them.

    Raises:
        UsageError: the corpus has no official hierarchy, or a label is not in it.

    Example:
        >>> from afl_helpers.relations import official_hierarchy
        >>> official_hierarchy("reuters", ["wheat", "corn", "crude"])
        Hierarchy(3 labels, 2 groups, 3 edges)
    """
    names = list(label_names)
    if corpus not in OFFICIAL:
        raise unknown_name("corpus with an official hierarchy", corpus, OFFICIAL)
    if corpus == "hoc-nodes":
        parents = label_tree(names)
    else:
        group_of = reuters_groups()
        for name in names:
            if name not in group_of:
                raise UsageError(f"{name!r} is no topic of Reuters-21578; pass the labels of the corpus reuters")
        parents = {name: group_of[name] for name in names}
    return Hierarchy.from_parents(names, parents, f"official: {OFFICIAL[corpus]}")


def reuters_groups() -> dict[str, str]:
    """Return topic -> group for all 135 topics of Reuters-21578."""
    content = files("afl_helpers.relations").joinpath("reuters_groups.json").read_text(encoding="utf-8")
    return {topic: group for group, topics in json.loads(content)["groups"].items() for topic in topics}
