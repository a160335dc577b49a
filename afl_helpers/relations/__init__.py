"""Methods that use what labels have to do with each other: co-occurrence, hierarchies and shared labels of documents.

Every method is an object with ``fit(X, Y, rng)``, which returns a model with ``scores(X)``; :data:`RELATIONS` lists
them by name. They work on given features, such as frozen embeddings or word counts, or on the scores of another model.

>>> from afl_helpers.relations import build_relation
>>> build_relation("cooccurrence_reranking", beta=0.5)
CooccurrenceReranking(beta=0.5, top_k=5, shrinkage=5.0, shuffle_seed=None)
"""

from afl_helpers.relations.base import Model, Relation, RelationInfo
from afl_helpers.relations.cooccurrence import CooccurrenceReranking
from afl_helpers.relations.heads import HiddenHead, LinearHead
from afl_helpers.relations.hierarchy import Hierarchy, subsumption_hierarchy
from afl_helpers.relations.jaccard_contrast import JaccardContrast
from afl_helpers.relations.label_attention import LabelAttention
from afl_helpers.relations.label_graph import LabelGraph
from afl_helpers.relations.official import official_hierarchy
from afl_helpers.relations.per_parent import PerParent
from afl_helpers.relations.positive_view import PositiveView
from afl_helpers.relations.recursive_regularization import RecursiveRegularization
from afl_helpers.relations.registry import RELATIONS, build_relation
from afl_helpers.relations.tokens import token_states

__all__ = [
    "RELATIONS",
    "CooccurrenceReranking",
    "HiddenHead",
    "Hierarchy",
    "JaccardContrast",
    "LabelAttention",
    "LabelGraph",
    "LinearHead",
    "Model",
    "PerParent",
    "PositiveView",
    "RecursiveRegularization",
    "Relation",
    "RelationInfo",
    "build_relation",
    "official_hierarchy",
    "subsumption_hierarchy",
    "token_states",
]
