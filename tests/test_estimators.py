"""The scikit-learn estimators: scikit-learn's own checks, its tools, and decisions that follow the rules."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

import afl_helpers
from afl_helpers.errors import UsageError
from afl_helpers.estimators import MultiLabelClassifier, ThresholdedClassifier
from afl_helpers.estimators.base import indicator
from afl_helpers.evaluation import THRESHOLD_RULES, TopK, evaluate, fit_thresholds
from afl_helpers.training import load_predictor

pytestmark = pytest.mark.usefixtures("own_cache")

FAST = {"min_count": 1, "ngrams": 1}


class _NumbersAsWords(MultiLabelClassifier):
    """Write each row of numbers out as words, because scikit-learn's checks pass numbers."""

    def fit(self, X, y):
        X, y = validate_data(self, X, y, multi_output=True)
        return super().fit(self._words(X), y)

    def predict_proba(self, X):
        check_is_fitted(self)
        return super().predict_proba(self._words(validate_data(self, X, reset=False)))

    def _words(self, X):
        return [
            " ".join(f"w{place}_{round(4 * value)}".replace("-", "m") for place, value in enumerate(row)) for row in X
        ]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = False
        tags.input_tags.two_d_array = True
        return tags


#: Checks that cannot hold, each with the reason; `afl_helpers.estimators` says so too.
CLASSES = "its y is one column of classes that are not 0 and 1; ours is one column of 0 and 1 per label"
NOT_FOR_SEVERAL_LABELS = {
    "check_estimators_dtypes": CLASSES,
    "check_classifier_data_not_an_array": CLASSES,
    "check_classifiers_classes": CLASSES,
    "check_fit2d_1feature": CLASSES,
    "check_classifiers_train": "it expects the probabilities of both classes, as for one label; ours has one per label",
    "check_classifier_not_supporting_multiclass": "it expects a sentence that only binary targets are taken, which is untrue",
    "check_classifier_multioutput": "it expects decisions at 0.5; the default rule is another",
}
OF_TEXTS = NOT_FOR_SEVERAL_LABELS | {
    "check_estimators_nan_inf": "it trains on five documents, of which a held-out part has no label",
}
OF_SCORES = NOT_FOR_SEVERAL_LABELS | {
    "check_complex_data": "its y is complex too, and y is looked at first",
    "check_estimator_sparse_array": CLASSES,
    "check_estimator_sparse_matrix": CLASSES,
}


def expected_failures(estimator):
    expected = OF_TEXTS if isinstance(estimator, MultiLabelClassifier) else OF_SCORES
    at_half = estimator.rule == "at_0.5"
    return {name: why for name, why in expected.items() if not (at_half and name == "check_classifier_multioutput")}


@parametrize_with_checks(
    [
        _NumbersAsWords(config=FAST),
        _NumbersAsWords(config=FAST, rule="at_0.5"),
        ThresholdedClassifier(MultiOutputClassifier(LogisticRegression())),
        ThresholdedClassifier(MultiOutputClassifier(LogisticRegression()), rule="at_0.5"),
    ],
    expected_failed_checks=expected_failures,
    xfail_strict=True,
)
def test_the_checks_of_scikit_learn(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.fixture(scope="module")
def texts(parts):
    return [text for part in parts for text in part.texts]


@pytest.fixture(scope="module")
def labels(parts):
    return np.vstack([part.labels for part in parts])


@pytest.fixture(scope="module")
def fitted(texts, labels):
    return MultiLabelClassifier(config=FAST).fit(texts, labels)


class TestMultiLabelClassifier:
    def test_it_is_a_name_of_the_package(self):
        assert afl_helpers.MultiLabelClassifier is MultiLabelClassifier
        assert afl_helpers.ThresholdedClassifier is ThresholdedClassifier
        with pytest.raises(AttributeError, match="no attribute 'MultiLabelClasifier'"):
            afl_helpers.MultiLabelClasifier  # noqa: B018

    def test_the_package_alone_loads_nothing(self):
        code = "import sys, afl_helpers; sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'numpy')))"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0

    def test_decisions_are_those_of_the_run_under_each_rule(self, fitted, texts):
        scores = fitted.predict_proba(texts)
        np.testing.assert_array_equal(scores, fitted.run_.predictor.predict_scores(texts))
        for rule in ("at_0.5", "tuned_common", "tuned_proportional", "tuned_top_k"):
            predicted = clone(fitted).set_params(rule=rule)
            predicted.run_, predicted.classes_ = fitted.run_, fitted.classes_
            expected = fitted.run_.predict(texts, rule)
            names = np.array(fitted.run_.predictor.label_names)
            assert [set(names[row == 1]) for row in predicted.predict(texts)] == [set(row) for row in expected]

    def test_labels_may_be_lists_arrays_frames_or_sparse(self, fitted, texts, labels, parts):
        names = np.array(parts[0].label_names)
        lists = [names[row == 1].tolist() for row in labels]
        expected = fitted.predict(texts)
        for y in (labels.tolist(), sparse.csr_array(labels), labels.astype(float)):
            np.testing.assert_array_equal(clone(fitted).fit(texts, y).predict(texts), expected)
        frame = clone(fitted).fit(pd.Series(texts), pd.DataFrame(labels, columns=names))
        assert frame.classes_.tolist() == names.tolist()
        np.testing.assert_array_equal(frame.predict(np.array(texts)), expected)
        named = clone(fitted).fit(texts, lists)
        assert named.classes_.tolist() == sorted(names)
        order = np.argsort(names)
        np.testing.assert_array_equal(named.predict(texts), expected[:, order])
        assert named.predict_labels(texts[:3]) == [sorted(names[row == 1].tolist()) for row in expected[:3]]
        assert named.score(texts, lists) == pytest.approx(fitted.score(texts, labels))

    def test_the_score_is_micro_f1_and_a_label_never_seen_is_missed(self, fitted, texts, labels):
        predicted = fitted.predict(texts)
        by_hand = 2 * (predicted * labels).sum() / (predicted.sum() + labels.sum())
        assert fitted.score(texts, labels) == pytest.approx(by_hand)
        named = MultiLabelClassifier(config=FAST).fit(texts, [[f"l{c}" for c in np.flatnonzero(row)] for row in labels])
        lists = [[f"l{c}" for c in np.flatnonzero(row)] for row in labels]
        lists[0] = [*lists[0], "new"]
        found = named.predict(texts)
        by_hand = 2 * (found * labels).sum() / (found.sum() + labels.sum() + 1)
        assert named.score(texts, lists) == pytest.approx(by_hand)

    def test_columns_with_numbers_for_names_are_matched_by_name(self, texts, labels):
        numbers = list(range(labels.shape[1]))[::-1]
        frame = pd.DataFrame(labels, columns=numbers)
        classifier = MultiLabelClassifier(config=FAST).fit(texts, frame)
        assert classifier.classes_.tolist() == numbers
        assert classifier.score(texts, frame[sorted(numbers)]) == pytest.approx(classifier.score(texts, frame))
        assert classifier.score(texts, labels) == pytest.approx(classifier.score(texts, frame))
        with pytest.raises(UsageError, match="y has the labels 'a', .* and none of them was there in training"):
            classifier.score(texts, frame.set_axis([*"abcdefghijklmnop"][: labels.shape[1]], axis=1))

    def test_the_random_state_is_one_of_scikit_learn(self, texts, labels):
        def fitted(state):
            return MultiLabelClassifier(config=FAST, random_state=state).fit(texts, labels).predict_proba(texts)

        np.testing.assert_array_equal(fitted(np.random.RandomState(5)), fitted(np.random.RandomState(5)))
        assert fitted(None).shape == labels.shape

    def test_it_survives_a_clone_a_pickle_and_a_save(self, fitted, texts, tmp_path):
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(again.predict(texts), fitted.predict(texts))
        with pytest.raises(NotFittedError):
            clone(fitted).predict(texts)
        loaded = load_predictor(fitted.run_.save(tmp_path / "model"))
        np.testing.assert_allclose(loaded.predict_scores(texts), fitted.predict_proba(texts), atol=1e-7)

    def test_it_works_in_scikit_learns_tools(self, texts, labels):
        classifier = MultiLabelClassifier(config=FAST)
        pipeline = make_pipeline(FunctionTransformer(lambda rows: [text.lower() for text in rows]), classifier)
        scores = cross_val_score(pipeline, texts, labels, cv=KFold(2, shuffle=True, random_state=0))
        assert scores.shape == (2,) and (scores > 0.3).all()
        by_precision = cross_val_score(classifier, texts, labels, cv=2, scoring="average_precision")
        assert (by_precision > labels.mean()).all()
        out_of_sample = cross_val_predict(classifier, texts, labels, cv=2, method="predict_proba")
        assert out_of_sample.shape == labels.shape and out_of_sample.std() > 0
        lists = [[f"l{c}" for c in np.flatnonzero(row)] for row in labels]
        assert cross_val_score(classifier, texts, lists, cv=KFold(2)).shape == (2,)
        grid = GridSearchCV(classifier, {"config": [FAST, FAST | {"regularisation": 10.0}], "rule": ["at_0.5"]}, cv=2)
        grid.fit(texts, labels)
        assert grid.best_params_["config"]["regularisation"] == 10.0  # a stronger C finds more at 0.5
        assert grid.score(texts, labels) > 0.5

    def test_an_encoder_is_trained_with_any_loss(self, texts, labels):
        config = {"encoder": "tiny", "max_length": 16, "epochs": 2, "learning_rate": 0.01}
        classifier = MultiLabelClassifier("probe", loss="focal", loss_params={"gamma": 1.5}, config=config)
        classifier.fit(texts, labels)
        assert classifier.run_.loss == {"name": "focal", "params": {"gamma": 1.5}} and classifier.run_.encoder == "tiny"
        again = pickle.loads(pickle.dumps(classifier))
        np.testing.assert_allclose(again.predict_proba(texts[:9]), classifier.predict_proba(texts[:9]), atol=1e-6)

    @pytest.mark.parametrize(
        "params, words",
        [
            ({"method": "tfdif"}, "did you mean 'tfidf'"),
            ({"rule": "tuned_smooth"}, "did you mean 'tuned_smoothed'"),
            ({"loss": "focal"}, "tfidf has its own loss"),
            ({"config": {"min_cout": 1}}, "did you mean 'min_count'"),
            ({"validation_size": 3}, "validation_size is 3; pass a share"),
        ],
    )
    def test_wrong_parameters_are_named(self, params, words, texts, labels):
        with pytest.raises(UsageError, match=words):
            MultiLabelClassifier(**params).fit(texts, labels)

    @pytest.mark.parametrize(
        "X, y, words",
        [
            ("a text", [[1]], "texts is one string"),
            (["a", None], [[1], [0]], r"texts\[1\] is None"),
            (pd.DataFrame({"a": ["x"], "b": ["y"]}), [[1]], "X has 2 columns"),
            (["a", "b"], [[1]], "X has 2 texts and y 1 rows"),
            (["a", "b"], ["x", "y"], r"y\[0\] is 'x', one class for a document"),
            (["a", "b"], [[], []], "y holds no label"),
            (["a", "b"], [[0.5, 1], [0, 1]], "y holds 0.5, and not only 0 and 1"),
            (["a", "b"], np.array([[np.nan], [1.0]]), "y holds NaN"),
        ],
    )
    def test_wrong_data_is_named(self, X, y, words):
        with pytest.raises(UsageError, match=words):
            MultiLabelClassifier().fit(X, y)


def test_lists_of_numbers_of_one_length_are_zeros_and_ones():
    matrix, names = indicator([[1, 0], [1, 1]])
    assert matrix.tolist() == [[1, 0], [1, 1]] and names.tolist() == [0, 1]
    matrix, names = indicator([{"b", "a"}, (), ["b"]])
    assert matrix.tolist() == [[1, 1], [0, 0], [0, 1]] and names.tolist() == ["a", "b"]


class _Constant(BaseEstimator):
    """Score by the first column of X, without learning; count how often each row was seen in training."""

    def fit(self, X, y):
        self.seen_ = set(np.asarray(X)[:, 1])
        self.classes_ = np.arange(y.shape[1])
        return self

    def predict_proba(self, X):
        X = np.asarray(X)
        # 1 for a row that was seen: such a score would spoil the thresholds.
        return np.where(np.isin(X[:, 1], list(self.seen_)), 1.0, X[:, 0])[:, None] * np.ones(2)


class TestThresholdedClassifier:
    X, y = make_multilabel_classification(400, n_classes=5, n_labels=1, random_state=0)
    y[:, 4] &= X[:, 0] > 3

    @pytest.mark.parametrize("cv", [None, 3, 0.25, KFold(4)])
    def test_thresholds_come_from_rows_that_were_not_seen(self, cv):
        generator = np.random.default_rng(0)
        scores = generator.random(200)
        y = np.column_stack([scores > 0.7, scores > 0.5]).astype(int)
        X = np.column_stack([scores, np.arange(200)])
        found = ThresholdedClassifier(_Constant(), rule="tuned_common", cv=cv).fit(X, y)
        assert 0.4 < found.thresholds_ < 0.8 and found.estimator_.seen_ == set(range(200))
        if cv == 0.25:
            part = ThresholdedClassifier(_Constant(), rule="tuned_common", cv=cv, refit=False).fit(X, y)
            assert len(part.estimator_.seen_) == pytest.approx(150, abs=5) and part.thresholds_ == found.thresholds_

    def test_all_rules_equal_the_rules_on_out_of_fold_scores(self):
        estimator, folds = OneVsRestClassifier(LogisticRegression()), KFold(4)
        scores = cross_val_predict(estimator, self.X, self.y, cv=folds, method="predict_proba")
        expected = fit_thresholds(self.y, scores, self.y.mean(0))
        for rule in THRESHOLD_RULES:
            found = ThresholdedClassifier(estimator, rule=rule, cv=folds).fit(self.X, self.y)
            assert isinstance(found.thresholds_, TopK) or np.allclose(found.thresholds_, expected[rule])
            assert not isinstance(found.thresholds_, TopK) or found.thresholds_ == expected[rule]

    @pytest.mark.parametrize(
        "estimator",
        [
            OneVsRestClassifier(LogisticRegression()),
            OneVsRestClassifier(LinearSVC()),
            MultiOutputClassifier(LogisticRegression()),
            ClassifierChain(LogisticRegression()),
            RandomForestClassifier(20, random_state=0),
            make_pipeline(FunctionTransformer(), OneVsRestClassifier(LogisticRegression())),
        ],
        ids=lambda estimator: type(estimator).__name__,
    )
    def test_any_classifier_with_scores_will_do(self, estimator):
        found = ThresholdedClassifier(estimator, cv=3).fit(self.X, self.y)
        scores = found.predict_proba(self.X)
        assert scores.shape == self.y.shape and scores.min() >= 0 and scores.max() <= 1
        np.testing.assert_array_equal(found.predict(self.X), scores >= found.thresholds_)
        assert found.score(self.X, self.y) == pytest.approx(evaluate(self.y, found.predict(self.X))["f1_micro"])

    def test_decision_values_become_scores_by_the_sigmoid(self):
        svm = OneVsRestClassifier(LinearSVC()).fit(self.X, self.y)
        found = ThresholdedClassifier(svm, cv="prefit", rule="tuned_per_label").fit(self.X, self.y)
        np.testing.assert_allclose(found.predict_proba(self.X), expit(svm.decision_function(self.X)))
        assert found.estimator_ is svm

    def test_the_cut_finds_the_rare_label(self):
        half = slice(0, 200), slice(200, 400)
        plain = OneVsRestClassifier(LogisticRegression()).fit(self.X[half[0]], self.y[half[0]])
        cut = ThresholdedClassifier(clone(plain)).fit(self.X[half[0]], self.y[half[0]])
        rates = cut.predict(self.X[half[1]]).mean(0)
        np.testing.assert_allclose(rates, self.y[half[0]].mean(0), atol=0.08)
        macro = [evaluate(self.y[half[1]], model.predict(self.X[half[1]]))["f1_macro"] for model in (plain, cut)]
        assert macro[1] > macro[0]

    def test_a_label_that_a_fold_lacks_scores_zero(self):
        y = self.y.copy()
        y[:, 4] = 0
        y[7, 4] = 1
        found = ThresholdedClassifier(RandomForestClassifier(5, random_state=0), cv=KFold(2)).fit(self.X, y)
        assert found.predict_proba(self.X).shape == y.shape

    def test_it_takes_texts_sparse_rows_and_lists_of_labels(self, texts, labels):
        lists = [[f"l{c}" for c in np.flatnonzero(row)] for row in labels]
        words = make_pipeline(TfidfVectorizer(), OneVsRestClassifier(LogisticRegression()))
        found = ThresholdedClassifier(words, cv=3).fit(texts, lists)
        assert found.classes_.tolist() == ["l0", "l1", "l2", "l3"] and found.score(texts, lists) > 0.5
        rows = TfidfVectorizer().fit_transform(texts)
        direct = ThresholdedClassifier(OneVsRestClassifier(LogisticRegression()), cv=3).fit(rows, labels)
        assert direct.predict(rows).shape == labels.shape and direct.__sklearn_tags__().input_tags.sparse
        assert ThresholdedClassifier(MultiLabelClassifier()).__sklearn_tags__().input_tags.string

    @pytest.mark.parametrize(
        "params, words",
        [
            ({"rule": "cut"}, "unknown rule 'cut'"),
            ({"response_method": "proba"}, "unknown response_method 'proba'"),
            ({"cv": 1}, "cv is 1 for 400 samples"),
            ({"cv": 1.5}, "cv is 1.5; pass a share"),
            ({"refit": False}, "refit is False, but there are several folds"),
            ({"estimator": FunctionTransformer(), "cv": 2}, "has no predict_proba and no decision_function"),
        ],
    )
    def test_wrong_parameters_are_named(self, params, words):
        params = {"estimator": OneVsRestClassifier(LogisticRegression())} | params
        with pytest.raises(UsageError, match=words):
            ThresholdedClassifier(**params).fit(self.X, self.y)

    def test_an_estimator_that_is_not_trained_is_no_prefit_one(self):
        with pytest.raises(NotFittedError):
            ThresholdedClassifier(OneVsRestClassifier(LogisticRegression()), cv="prefit").fit(self.X, self.y)


def test_rows_of_pandas_in_another_order_are_refused():
    index = list(range(20))
    X, y = pd.DataFrame({"x": np.arange(20.0)}, index), pd.DataFrame(np.eye(2, dtype=int)[np.arange(20) % 2], index)
    texts = pd.Series([f"text {i}" for i in index], index)
    for estimator, rows in (
        (MultiLabelClassifier(method="tfidf"), texts),
        (ThresholdedClassifier(OneVsRestClassifier(LogisticRegression())), X),
    ):
        with pytest.raises(UsageError, match=r"same index in another order; rows go by position, so pass y.loc"):
            estimator.fit(rows, y.sample(frac=1, random_state=0))


def test_an_index_of_several_types_is_compared_too():
    index = [*range(10), *"abcdefghij"]
    X, y = pd.DataFrame({"x": np.arange(20.0)}, index), pd.DataFrame(np.eye(2, dtype=int)[np.arange(20) % 2], index)
    with pytest.raises(UsageError, match="same index in another order"):
        ThresholdedClassifier(OneVsRestClassifier(LogisticRegression())).fit(X, y[::-1])
