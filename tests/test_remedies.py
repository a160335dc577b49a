"""Heads with one remedy: neutral ones change nothing, updates stay equal, and what a result says of the split is true."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from afl_helpers.augment import AUGMENTATIONS, build_augmentation
from afl_helpers.augment.trigram_model import TrigramModel
from afl_helpers.data import load_corpus
from afl_helpers.data.imbalance import mean_imbalance_ratio
from afl_helpers.errors import DataError, UsageError
from afl_helpers.relations import RELATIONS, Hierarchy, LinearHead
from afl_helpers.results import read_study
from afl_helpers.studies import compare_study, load_study, remedies, run_study
from afl_helpers.studies.remedies import RemedyConfig, remedy
from afl_helpers.training.fixed_features import text_vectors

RESULTS = Path(__file__).resolve().parent.parent / "results"
SPLITS = load_corpus("toy").select_labels(top=8).select_documents(range(300)).split(0.6, 0.2, 0.2, seed=0)
TINY = {"encoder": "tiny", "max_length": 16, "epochs": 4, "batch_size": 64, "learning_rate": 0.01}
STUDIES = ("remedies", "remedies-words")


def scores(**config):
    run = remedy(*SPLITS, config=RemedyConfig(**TINY | config), seed=3, progress=False)
    return run.scores["test"]


@pytest.fixture(scope="module")
def plain():
    return scores()


def neutral(registry):
    return [name for name, info in registry.items() if info.neutral and info.takes != "token states"]


@pytest.mark.parametrize("name", neutral(AUGMENTATIONS))
def test_a_neutral_augmentation_gives_the_head_without_one_bit_for_bit(name, plain):
    if name in ("eda", "floor_eda"):
        pytest.skip("needs WordNet")
    params = dict(AUGMENTATIONS[name].neutral)
    assert np.array_equal(scores(remedy=name, params=params), plain)


#: Parameters with which a method changes this small split.
ACTIVE = {
    "mlenn": {"threshold": 0.3},
    "mltl": {"threshold": 0.1},
    "remedial_mlenn": {"threshold": 0.3},
    "floor_oversampling": {"floor": 0.6},
    "floor_eda_without_synonyms": {"floor": 0.6},
    "generated_texts": {"longest_copy": 40, "tries": 20},  # its texts are made from templates
}


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name not in ("eda", "floor_eda")])
def test_every_augmentation_trains_and_changes_the_head(name, plain):
    if name == "kmeans_smote":
        pytest.importorskip("imblearn")
    params = ACTIVE.get(name, {})
    found = scores(remedy=name, params=params)
    assert found.shape == plain.shape and np.isfinite(found).all()
    assert not np.array_equal(found, plain), (
        f"{name} changes nothing in this small split; give it parameters with which it does, in ACTIVE in tests/test_remedies.py"
    )


def test_the_head_is_that_of_the_relations(plain):
    vectors = text_vectors("tiny", 16, SPLITS[0].texts, SPLITS[2].texts, progress=False)
    head = LinearHead(epochs=4, batch_size=64, learning_rate=0.01)
    model = head.fit(vectors(SPLITS[0].texts), SPLITS[0].dense_labels, 3)
    np.testing.assert_allclose(model.scores(vectors(SPLITS[2].texts)), plain, atol=1e-5)
    np.testing.assert_allclose(scores(remedy="linear_head"), plain, atol=1e-5)


def test_reranking_without_strength_changes_nothing_and_with_it_does(plain):
    assert np.array_equal(scores(remedy="cooccurrence_reranking", value=0), plain)
    assert not np.array_equal(scores(remedy="cooccurrence_reranking", value=1), plain)


def test_the_number_of_updates_does_not_depend_on_the_number_of_documents(monkeypatch):
    counted = {}

    def counting(layer, losses, n_steps, *rest):
        counted[name] = n_steps
        return remedies_train(layer, losses, n_steps, *rest)

    remedies_train = remedies.train_network
    monkeypatch.setattr(remedies, "train_network", counting)
    for name in ("ml_ros", "ml_rus"):
        scores(remedy=name, value=0.5)
    assert set(counted.values()) == {4 * int(np.ceil(len(SPLITS[0]) / 64))}


@pytest.mark.parametrize("encoder", ["tiny", "word-counts"])
def test_the_history_describes_the_documents_that_were_trained_on(encoder):
    config = RemedyConfig(**TINY | {"encoder": encoder}, remedy="ml_ros", value=0.5)
    row = remedy(*SPLITS, config=config, seed=3, progress=False).history[-1]
    n = len(SPLITS[0])
    step = build_augmentation("ml_ros", rate=0.5)
    step.fit_resample(SPLITS[0].texts, SPLITS[0].dense_labels, np.random.default_rng([3, 1]))
    rows = len(step.sample_indices_)
    assert n < rows == row["documents"] and row["dropped"] == 0
    assert row["added"] == pytest.approx((rows - n) / rows)
    before = mean_imbalance_ratio(SPLITS[0].label_counts)
    assert row["mean_ir"] < before
    untouched = remedy(*SPLITS, config=RemedyConfig(**TINY | {"encoder": encoder}), progress=False).history[-1]
    assert untouched["mean_ir"] == pytest.approx(before) and untouched["added"] == 0


@pytest.mark.parametrize("name", ["eda_without_synonyms", "generated_texts", "mlsmote"])
def test_a_control_adds_as_many_documents(name):
    rows = [
        remedy(*SPLITS, config=RemedyConfig(**TINY, remedy=name, control=control), seed=1, progress=False).history[-1]
        for control in (False, True)
    ]
    assert rows[0]["documents"] == rows[1]["documents"] >= len(SPLITS[0])


@pytest.mark.parametrize("name", [name for name, info in RELATIONS.items() if info.takes != "token states"])
def test_every_relation_trains(name, monkeypatch):
    parents = {label: "common" if i < 4 else "rare" for i, label in enumerate(SPLITS[0].label_names)}
    tree = Hierarchy.from_parents(SPLITS[0].label_names, parents)
    monkeypatch.setattr(remedies, "_hierarchy", lambda train: tree)
    found = scores(remedy=name)
    assert found.shape == (len(SPLITS[2]), 8) and np.isfinite(found).all()
    if RELATIONS[name].uses_hierarchy and "hierarchy" not in RELATIONS[name].fixed:
        assert scores(remedy=name, control=True).shape == found.shape


def test_a_marker_in_validation_and_test_is_never_seen(plain):
    """Features of word counts are fitted to the training texts, so other validation texts change no test score."""
    train, validation, test = SPLITS
    config = RemedyConfig(**TINY | {"encoder": "word-counts"}, remedy="generated_texts")
    one = remedy(train, validation, test, config=config, progress=False)
    other = remedy(train, test, test, config=config, progress=False)
    assert np.array_equal(one.scores["test"], other.scores["test"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"remedy": "mlsmot"}, "unknown remedy 'mlsmot' .did you mean 'mlsmote'"),
        ({"value": 1.0}, "remedy is 'none', which has no value"),
        ({"remedy": "ml_ros", "control": True}, "ml_ros makes no further documents, so it has no control"),
        ({"remedy": "hidden_head", "control": True}, "hidden_head has nothing to shuffle"),
        ({"remedy": "ml_ros", "value": -1.0}, "value is -1.0; pass a number at least 0"),
    ],
)
def test_a_wrong_configuration_is_named(config, message):
    with pytest.raises(UsageError, match=message):
        RemedyConfig(**config)


def test_a_relation_with_another_loss_is_refused():
    with pytest.raises(UsageError, match="hidden_head trains with cross-entropy"):
        remedy(*SPLITS, loss="asl", config=RemedyConfig(**TINY, remedy="hidden_head"), progress=False)


def test_trigrams_of_a_label_write_what_its_documents_say():
    rng = np.random.default_rng(0)
    texts = ["a b a c", "x y z"]
    writer = TrigramModel(discount=0)(texts, np.eye(2, dtype=bool), rng)
    assert {writer(1, rng) for _ in range(5)} == {"x y z"}
    # After "a" alone, half of the time "b" follows and half of the time "c"; after "b a" always "c".
    assert {writer(0, rng) for _ in range(20)} == {"a b a c"}
    free = TrigramModel(discount=1)(texts, np.eye(2, dtype=bool), rng)  # every step but the last gives all away
    words = [word for _ in range(400) for word in free(0, rng).split()]
    share = sum(word == "a" for word in words) / len(words)
    assert share == pytest.approx(2 / 7, abs=0.05)  # 7 words, two of them "a"


@pytest.mark.parametrize("name", STUDIES)
def test_the_registered_studies_ask_one_question(name):
    study = load_study(name, RESULTS)
    assert study.primary is not None and study.primary.margin == 0.02
    assert set(study.primary.endpoints) == {"average_precision_macro_tail", "f1_macro@tuned_proportional"}
    assert len(study.blocks) == 5 and [corpus.name for corpus in study.corpora if corpus.config is None] == []
    for setting in study.settings:
        if setting.name == "bce-at-0.003" or setting.name.endswith(
            "-default"
        ):  # added later: the value is the question
            continue
        tuned = study.tuned_fields(setting)
        assert setting.method == "tfidf" or (len(tuned) == 1 and len(next(iter(tuned.values()))) == 3), setting.name
    first = [run.setting.name for run in study.runs()[: len(study.primary.settings)]]
    assert set(first) == study.primary.settings, "the comparison that decides comes first"


def test_two_remedies_are_rehearsed_from_the_registered_file(tmp_path):
    content = yaml.safe_load((RESULTS / "remedies" / "study.yaml").read_text())
    names = ("bce", "mlsmote", "cooccurrence-reranking")
    settings = [setting for setting in content["settings"] if setting["name"] in names]
    content["primary"] |= {"setting": list(names[1:])}
    content["primary"].pop("convergence")
    content |= {
        "settings": settings,
        "config": content["config"] | TINY,
        "corpora": [{"name": "toy", "top": 8, "train": 150, "validation": 80, "config": {"learning_rate": 0.003}}],
        "blocks": 2,
    }
    (tmp_path / "remedies").mkdir()
    (tmp_path / "remedies" / "study.yaml").write_text(yaml.safe_dump(content))
    study = load_study("remedies", tmp_path)
    with pytest.raises(DataError, match="registered and not begun: 0 of 6 runs"):
        compare_study(study)
    paths = list(run_study(study, progress=False))
    assert len(paths) == 3 * (2 + 1)
    table = compare_study(study)
    assert len(table) == 2 * 2 and set(table["rival"]) == {"bce"}
    results = read_study("remedies", tmp_path)
    made = next(result for result in results if result.setting == "mlsmote")
    assert made.config["learning_rate"] == 0.003 and made.config["value"] in [row["value"] for row in made.tuned]
    assert made.time.history["documents"][0] >= made.data.sizes["train"] and made.time.converged
    assert all(path.stat().st_size < 40_000 for path in paths)


def test_the_control_of_the_contrastive_term_shuffles_its_labels():
    assert RemedyConfig(remedy="jaccard_contrast", control=True).build().shuffled
    assert not RemedyConfig(remedy="jaccard_contrast").build().shuffled
