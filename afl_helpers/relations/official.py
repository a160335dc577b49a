"""Hierarchies that corpora have: the groups of the Reuters topics, and the tree of the hallmarks of cancer."""

import json
from collections.abc import Iterable
from importlib.resources import files

from afl_helpers.data.sources.hoc import PATH_SIGN, label_tree
from afl_helpers.errors import UsageError, check_choice
from afl_helpers.relations.hierarchy import Hierarchy, names_of_labels

#: The corpora that have an official hierarchy, with what it is.
OFFICIAL = {
    "reuters": "the six groups of topics in cat-descriptions_120396.txt of Reuters-21578, Distribution 1.0",
    "hoc-nodes": "the tree of hallmarks (Baker et al., 2016)",
}

#: The 37 nodes of that tree, each as the path from its root: their names alone, nothing of the texts or annotations.
HOC_NODES = tuple(
    line.strip()
    for line in """
    Activating invasion and metastasis
    Activating invasion and metastasis--Invasion
    Activating invasion and metastasis--Metastasis
    Avoiding immune destruction
    Avoiding immune destruction--Immune response
    Avoiding immune destruction--Immunosuppression
    Cellular energetics
    Cellular energetics--Glycolysis/Warburg effect
    Enabling replicative immortality
    Enabling replicative immortality--Immortalization
    Enabling replicative immortality--Senescence
    Evading growth suppressors
    Evading growth suppressors--By deregulating cell cycle checkpoints
    Evading growth suppressors--By deregulating cell cycle checkpoints--Cell cycle
    Evading growth suppressors--By evading contact inhibition
    Genomic instability and mutation
    Genomic instability and mutation--DNA damage
    Genomic instability and mutation--DNA damage--Adducts
    Genomic instability and mutation--DNA damage--Strand breaks
    Genomic instability and mutation--DNA repair mechanisms
    Genomic instability and mutation--Mutation
    Inducing angiogenesis
    Inducing angiogenesis--By deregulating angiogenesis
    Inducing angiogenesis--By deregulating angiogenesis--Angiogenic factors
    Resisting cell death
    Resisting cell death--Apoptosis
    Resisting cell death--Autophagy
    Resisting cell death--Necrosis
    Sustaining proliferative signaling
    Sustaining proliferative signaling--Cell cycle
    Sustaining proliferative signaling--Growth factors growth promoting signals
    Sustaining proliferative signaling--Growth factors growth promoting signals--Downstream signaling
    Sustaining proliferative signaling--Receptors
    Tumor promoting inflammation
    Tumor promoting inflammation--Immune response
    Tumor promoting inflammation--Inflammation
    Tumor promoting inflammation--Inflammation--Oxidative stress
    """.strip().splitlines()
)


def official_hierarchy(corpus: str, label_names: Iterable[str]) -> Hierarchy:
    """Return the official hierarchy of a corpus for its labels.

    Reuters: six groups (subject, economic indicator, currency, corporate, energy, commodity), of which no story carries
    one; below each of them the topics, all on one level. HoC: the tree of 37 nodes, all of them labels of `hoc-nodes`.

    Args:
        corpus: a name in :data:`OFFICIAL`.
        label_names: the labels of the corpus, or some of them.

    Raises:
        UsageError: the corpus has no official hierarchy, label_names is a set or a string, or a label is not in it.

    Example:
        >>> from afl_helpers.relations import official_hierarchy
        >>> official_hierarchy("reuters", ["wheat", "corn", "crude"])
        Hierarchy(3 labels, 2 groups, 3 edges)
    """
    check_choice("corpus with an official hierarchy", corpus, OFFICIAL)
    names = names_of_labels(label_names)
    if corpus == "hoc-nodes":
        for name in names:
            if name not in HOC_NODES:
                full = [node for node in HOC_NODES if node.endswith(f"{PATH_SIGN}{name}")]
                if full:
                    raise UsageError(
                        f"{name!r} is the end of a node's name; pass the full name, {' or '.join(map(repr, full))}"
                    )
                raise UsageError(f"{name!r} is no node of the hallmarks; pass the labels of the corpus hoc-nodes")
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
