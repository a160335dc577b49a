"""Every method that uses relations between labels by name, and the function that builds one."""

from typing import Any

from afl_helpers.errors import UsageError, check_choice
from afl_helpers.relations import (
    cooccurrence,
    heads,
    jaccard_contrast,
    label_attention,
    label_graph,
    per_parent,
    positive_view,
    recursive_regularization,
)
from afl_helpers.relations.base import Relation, RelationInfo

_MODULES = (
    heads,
    cooccurrence,
    label_attention,
    recursive_regularization,
    per_parent,
    label_graph,
    jaccard_contrast,
    positive_view,
)

#: Name of a method -> its entry.
RELATIONS: dict[str, RelationInfo] = {name: info for module in _MODULES for name, info in module.ENTRIES.items()}


def build_relation(name: str, **params: Any) -> Relation:
    """Build a method by its name in :data:`RELATIONS`.

    Args:
        name: a key of :data:`RELATIONS`.
        **params: parameters of the method; the others keep the values of the entry, or the defaults of its class.

    Raises:
        UsageError: an unknown name or parameter, or a parameter with a wrong value.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.relations import build_relation
        >>> labels = np.array([[1, 1], [1, 0], [0, 0], [0, 0]])
        >>> model = build_relation("cooccurrence_reranking", top_k=1, shrinkage=0).fit(None, labels)
        >>> model.scores([[0.8, 0.5]]).round(3).tolist()  # the logit of label 1 rises by .8 * (1/2 - 1/4)
        [[0.8, 0.55]]
    """
    check_choice("relation", name, RELATIONS)
    info = RELATIONS[name]
    try:
        return info.build(**{**info.fixed, **params})
    except TypeError as error:
        valid = ", ".join(info.build().get_params())
        raise UsageError(f"{name}: {error}; its parameters are: {valid}") from None
