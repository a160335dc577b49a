"""Threshold rules around a pipeline of scikit-learn, and a search."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from afl_helpers.data import load_corpus
from afl_helpers.estimators import ThresholdedClassifier

corpus = load_corpus("toy").select_labels(top=4).sample(300)
train, _, test = corpus.split(0.8, 0.0, 0.2, seed=0)

pipeline = make_pipeline(
    TfidfVectorizer(), OneVsRestClassifier(LogisticRegression()))
classifier = ThresholdedClassifier(pipeline, rule="tuned_proportional")
search = GridSearchCV(
    classifier,
    {"estimator__tfidfvectorizer__ngram_range": [(1, 1), (1, 2)]},
    scoring="f1_macro", cv=3)
search.fit(train.texts, train.dense_labels)
print(f"best of the search: {search.best_params_}")

for rule in ("at_0.5", "tuned_proportional"):
    model = ThresholdedClassifier(
        search.best_estimator_.estimator, rule=rule)
    model.fit(train.texts, train.dense_labels)
    decisions = model.predict(test.texts)
    value = f1_score(test.dense_labels, decisions, average="macro")
    print(f"{rule}: macro F1 {value:.3f}")
