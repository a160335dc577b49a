"""Classical classifiers on fixed vectors: each against its own formula or against scikit-learn used label by label."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from afl_helpers.data import load_corpus
from afl_helpers.errors import UsageError
from afl_helpers.training.fixed_features import WORD_COUNTS, text_vectors
from afl_helpers.training.vector_classifiers import CLASSIFIERS, VectorClassifierConfig, vector_classifier

SPLITS = load_corpus("toy").select_labels(top=5).select_documents(range(300)).split(0.6, 0.2, 0.2, seed=0)

pytestmark = pytest.mark.usefixtures("own_cache")


def scores(classifier, **options):
    config = VectorClassifierConfig(**{"encoder": WORD_COUNTS, "classifier": classifier} | options)
    return vector_classifier(*SPLITS, config=config, seed=2, progress=False).scores["test"]


@pytest.fixture(scope="module")
def standardized():
    vectors = text_vectors(WORD_COUNTS, 16, SPLITS[0].texts, [])
    scaler = StandardScaler().fit(vectors(SPLITS[0].texts))
    return [scaler.transform(vectors(split.texts)) for split in SPLITS]


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_scores_are_probabilities_that_rank_better_than_chance(classifier):
    run = vector_classifier(
        *SPLITS, config=VectorClassifierConfig(encoder=WORD_COUNTS, classifier=classifier, n_trees=30), progress=False
    )
    found = run.scores["test"]
    assert found.shape == SPLITS[2].dense_labels.shape and found.min() >= 0 and found.max() <= 1
    assert run.metrics["test"]["at_0.5"]["roc_auc_macro"] > 0.55
    assert run.converged is None and run.encoder == WORD_COUNTS


def test_neighbours_vote(standardized):
    train, _, test = standardized
    distances = ((test[:, None] - train[None]) ** 2).sum(2)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :7]
    expected = SPLITS[0].dense_labels[nearest].mean(axis=1)
    np.testing.assert_allclose(scores("nearest_neighbours", n_neighbours=7), expected, atol=1 / 7 + 1e-9)
    assert np.mean(np.isclose(scores("nearest_neighbours", n_neighbours=7), expected)) > 0.99  # equal distances apart


def test_the_margin_of_the_svm_is_that_of_scikit_learn(standardized):
    svm = LinearSVC(C=0.5, random_state=2).fit(standardized[0], SPLITS[0].dense_labels[:, 0])
    margin = np.log(
        scores("linear_svm", regularisation=0.5)[:, 0] / (1 - scores("linear_svm", regularisation=0.5)[:, 0])
    )
    np.testing.assert_allclose(margin, svm.decision_function(standardized[2]), atol=1e-6)


def test_another_loss_is_refused():
    with pytest.raises(UsageError, match="has its own loss, so it cannot use 'focal'"):
        vector_classifier(*SPLITS, loss="focal", progress=False)
