"""A model notices that it is evaluated on texts that it was trained or tuned on."""

import numpy as np
import pytest

from afl_helpers.data import load_corpus
from afl_helpers.training import load_predictor
from afl_helpers.training.baselines import tfidf
from afl_helpers.training.seen_texts import SIZE, count_seen, sketch_of


def test_few_texts_are_all_judged_and_blanks_do_not_count():
    sketch = sketch_of(["a b", "c", "d"])
    assert count_seen(sketch, ["a  b\n", "e", "c", "c"]) == (3, 4)
    assert count_seen(sketch, []) == (0, 0)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_of_many_texts_the_share_is_estimated(share):
    seen = [f"text {i}" for i in range(40_000)]
    n_old = int(4_000 * share)
    mixed = seen[:n_old] + [f"other {i}" for i in range(4_000 - n_old)]
    found, judged = count_seen(sketch_of(seen), mixed)
    # About 4,000 x 2,048 / 40,000 texts can be judged; four standard errors.
    assert judged == pytest.approx(205, abs=60)
    assert found / judged == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / judged) + 1e-12)
    assert len(sketch_of(seen)) == SIZE


def test_the_report_says_so_also_after_saving_and_tuning(tmp_path):
    corpus = load_corpus("toy").select_labels(top=4)
    train, validation, test = corpus.split(0.6, 0.2, 0.2, seed=0)
    run = tfidf(train, validation, test, progress=False)
    predictor = load_predictor(run.save(tmp_path / "model"))
    new = (
        load_corpus("toy")
        .select_labels(top=4)
        .select_documents(np.isin(corpus.texts, list(set(test.texts) - set(train.texts) - set(validation.texts))))
    )
    assert "in training or tuning" not in str(predictor.evaluate(new))
    assert "about 100% of these texts were in training or tuning" in str(predictor.evaluate(train))
    assert "about 100% of these texts" in str(predictor.evaluate(validation))
    tuned = predictor.retune(new)
    assert "about 100% of these texts" in str(tuned.evaluate(new))
    tuned.save(tmp_path / "tuned")
    assert load_predictor(tmp_path / "tuned").seen == tuned.seen
