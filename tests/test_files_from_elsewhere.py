"""Files that others may have written: models, checkpoints and results are read without running anything, or refused."""

import ast
import inspect
import json
import os
import pickle
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from afl_helpers.__main__ import main
from afl_helpers.data import Corpus, load_corpus
from afl_helpers.errors import DataError, MissingFileError, UsageError
from afl_helpers.results import (
    CHECKSUMS,
    KEYS,
    SCHEMA,
    checksums,
    read_checksums,
    read_result,
    read_study,
    verify_checksums,
    write_checksums,
    write_result,
)
from afl_helpers.results.encoding import from_json, to_json
from afl_helpers.results.shared_parts import SHARED
from afl_helpers.training import embed, embedding, encoders, fine_tune, fine_tuning, load_predictor, packaged, probe
from afl_helpers.training.config import ProbeConfig, TrainingConfig
from afl_helpers.training.embedding import _cached
from afl_helpers.training.encoders import ENCODERS, load_classifier, load_encoder, load_tokenizer

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
CONFIG = TrainingConfig(encoder="tiny", max_length=16, epochs=2, learning_rate=1e-3)

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def parts() -> tuple[Corpus, Corpus, Corpus]:
    return load_corpus("toy").select_labels(top=4).select_documents(range(120)).split(0.6, 0.2, 0.2, seed=0)


class Payload:
    """What, read as a pickle, leaves a file behind."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def one_sentence(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


# --- what the code calls --------------------------------------------------------------------------------------------


def calls(tree: ast.AST) -> list[tuple[str, ast.Call, dict[str, object]]]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    keywords = [{word.arg: getattr(word.value, "value", word.value) for word in call.keywords} for call in found]
    return [(ast.unparse(call.func), call, words) for call, words in zip(found, keywords)]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "afl_helpers").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_module_reads_pickles_or_runs_code_of_a_model(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    imported = {alias.name.split(".")[0] for statement in statements for alias in statement.names}
    assert not imported & {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "joblib", "dill", "cloudpickle"):
            assert [alias.name for alias in node.names] == ["UnpicklingError"]
    for name, call, words in calls(tree):
        if name.endswith(("np.load", "numpy.load")):
            assert words.get("allow_pickle") is False, call.lineno
        if name.endswith("torch.load"):
            assert words.get("weights_only") is True, call.lineno
        if name.endswith("yaml.load") or name in ("eval", "exec", "pd.read_pickle"):
            pytest.fail(f"line {call.lineno} calls {name}")
        if name.endswith("from_pretrained"):
            safely = {name: value for name, value in words.items() if name} | (
                encoders._SAFELY if None in words else {}  # **_SAFELY
            )
            assert safely.get("trust_remote_code") is False, call.lineno
            weights = "Model" in name
            assert not weights or safely.get("use_safetensors") is True, call.lineno
        assert words.get("trust_remote_code") is not True and words.get("allow_pickle") is not True


def test_weights_are_read_as_safetensors_and_code_is_not_trusted():
    expected = {"use_safetensors": True, "trust_remote_code": False, "dtype": torch.float32}
    assert expected == encoders._SAFELY


def test_what_trainer_reads_of_a_checkpoint_it_reads_as_weights_only():
    """Every ``torch.load`` of Trainer, which goes on from checkpoints for us."""
    source = inspect.getsource(inspect.getmodule(transformers.Trainer))
    loads = [words for name, _, words in calls(ast.parse(source)) if name == "torch.load"]
    assert loads and all(words.get("weights_only") is True for words in loads)


# --- checkpoints ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(parts, tmp_path_factory):
    """The folder of a run that was stopped after its first epoch."""

    class Stopped(BaseException):
        pass

    def stop(self, args, state, control, **kwargs):
        if state.global_step:
            raise Stopped

    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(fine_tuning.ProgressBar, "on_epoch_begin", stop)
        fine_tune(*parts, config=CONFIG, checkpoint_dir=folder, progress=False)
    return folder


@pytest.fixture
def checkpoints(stopped, tmp_path):
    return Path(shutil.copytree(stopped, tmp_path / "c"))


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))])
def test_a_hostile_checkpoint_runs_nothing(parts, checkpoints, tmp_path, name, write):
    [path] = checkpoints.glob(f"checkpoint-*/{name}")
    write(Payload(tmp_path / "marker"), path)
    with pytest.raises(DataError) as raised:
        fine_tune(*parts, config=CONFIG, checkpoint_dir=checkpoints, progress=False)
    sentence = one_sentence(raised.value)
    assert sentence.startswith(f"{path.parent} cannot be read (") and "delete it" in sentence
    assert not (tmp_path / "marker").exists()
    torch.load(path, weights_only=False) if write is torch.save else pickle.loads(path.read_bytes())
    assert (tmp_path / "marker").exists()  # it would have


def test_the_pickle_that_trainer_writes_beside_a_checkpoint_is_never_read(parts, checkpoints, tmp_path):
    [path] = checkpoints.glob("checkpoint-*/training_args.bin")
    torch.save(Payload(tmp_path / "marker"), path)
    torch.save(Payload(tmp_path / "marker"), path.with_name("pytorch_model.bin"))
    assert len(fine_tune(*parts, config=CONFIG, checkpoint_dir=checkpoints, progress=False).history) == 2
    assert not (tmp_path / "marker").exists()


def test_broken_weights_of_a_checkpoint_are_named(parts, checkpoints):
    [path] = checkpoints.glob("checkpoint-*/model.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="checkpoint-5 cannot be read"):
        fine_tune(*parts, config=CONFIG, checkpoint_dir=checkpoints, progress=False)


# --- models ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(parts, tmp_path_factory):
    """A saved classifier and a saved probe."""
    folder = tmp_path_factory.mktemp("saved")
    fine_tune(*parts, config=CONFIG, progress=False).save(folder / "fine_tune")
    probe(*parts, config=ProbeConfig(encoder="tiny", max_length=16, epochs=2), progress=False).save(folder / "probe")
    return folder


@pytest.fixture
def model(saved, tmp_path):
    shutil.copytree(saved / "fine_tune", tmp_path / "model")
    return tmp_path / "model"


def as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(Payload(folder / "marker"), folder / "pytorch_model.bin")


def with_code(name: str):
    def change(folder: Path) -> None:
        (folder / "evil.py").write_text(f"import os\nos.mkdir({str(folder / 'marker')!r})\n")
        content = json.loads((folder / name).read_text())
        kind = "AutoConfig" if name == "config.json" else "AutoTokenizer"
        classes = {kind: "evil.Evil", "AutoModelForSequenceClassification": "evil.Evil"}
        content |= {"auto_map": classes, "model_type": "evil"}
        (folder / name).write_text(json.dumps(content))

    return change


def change_text(name: str, text: str):
    return lambda folder: (folder / name).write_text(text)


BROKEN = [
    (as_pickle, "has no model.safetensors, and a pytorch_model.bin is not read"),
    (with_code("config.json"), "config.json asks for code that comes with the model (auto_map)"),
    (with_code("tokenizer_config.json"), "tokenizer_config.json asks for code that comes with the model"),
    (change_text("model.safetensors", "no weights"), "cannot be loaded"),
    (change_text("config.json", "{"), "config.json cannot be loaded"),
    (change_text("tokenizer.json", "{"), "cannot be loaded"),
]


@pytest.mark.parametrize("change, words", BROKEN)
def test_a_model_from_elsewhere_is_refused_in_one_sentence(model, change, words, capsys):
    change(model)
    with pytest.raises(DataError) as raised:
        load_predictor(model)
    assert words in one_sentence(raised.value) and str(model) in str(raised.value)
    assert not (model / "marker").exists()
    assert main(["predict", str(model), "a text"]) == 1
    assert capsys.readouterr().err == f"error: {raised.value}\n"


@pytest.mark.parametrize(
    "kind, name, text",
    [
        ("fine_tune", "afl_run.json", "{"),
        ("fine_tune", "afl_run.json", '{"method": "fine_tune"}'),
        ("fine_tune", "afl_run.json", "[]"),
        ("probe", "head.safetensors", "no weights"),
        ("probe", "afl_run.json", '{"method": "probe", "config": {}}'),
    ],
)
def test_a_broken_saved_run_is_refused_in_one_sentence(saved, tmp_path, kind, name, text):
    shutil.copytree(saved / kind, tmp_path / "model")
    (tmp_path / "model" / name).write_text(text)
    with pytest.raises(DataError) as raised:
        load_predictor(tmp_path / "model")
    assert one_sentence(raised.value).startswith(f"{tmp_path / 'model'} cannot be loaded (")


@pytest.mark.parametrize("change, words", BROKEN)
def test_an_encoder_from_elsewhere_is_refused_in_one_sentence(model, change, words):
    load_encoder(str(model))
    change(model)
    with pytest.raises(DataError) as raised:
        load_tokenizer(str(model))
        load_classifier(str(model), ["a"])
    assert words in one_sentence(raised.value) and not (model / "marker").exists()


def test_encoders_of_the_hub_are_pinned_and_loaded_at_their_revision(monkeypatch):
    hub = {name: encoder for name, encoder in ENCODERS.items() if encoder.repository}
    monkeypatch.setattr(encoders, "require", lambda *args: None)
    monkeypatch.setattr(encoders, "converted", lambda repository, revision: (repository, revision))
    assert hub and all(re.fullmatch("[0-9a-f]{40}", encoder.revision) for encoder in hub.values())
    seen = []

    def load(source, **words):
        seen.append((source, words))
        return SimpleNamespace(eval=lambda: None)

    monkeypatch.setattr(encoders, "require_hub_file", lambda *args: None)
    for kind in ("AutoTokenizer", "AutoModel", "AutoConfig", "AutoModelForSequenceClassification"):
        monkeypatch.setattr(getattr(encoders.transformers, kind), "from_pretrained", load)
    for name, encoder in [*hub.items(), ("some/model@abc", encoders.Encoder("", "some/model", "abc"))]:
        seen.clear()
        load_tokenizer(name), load_encoder(name), load_classifier(name, ["a"])
        place = (encoder.repository, encoder.revision)
        found = [source if isinstance(source, tuple) else (source, words["revision"]) for source, words in seen]
        assert found == [place] * 5
        assert sum(isinstance(source, tuple) for source, _ in seen) == (2 if encoder.pickled else 0)
        assert all(words["trust_remote_code"] is False for _, words in seen)


def test_tampered_weights_of_the_embedded_encoder_are_refused(tmp_path, monkeypatch):
    shutil.copytree(packaged.minilm_folder(), tmp_path / "model")
    with open(tmp_path / "model" / "model.safetensors", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01" if file.read(1) != b"\x01" else b"\x02")
    packaged.minilm_folder.cache_clear()
    try:
        monkeypatch.setattr(
            packaged, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
        )
        with pytest.raises(DataError, match="model.safetensors has sha256 .*, not 53aa51.*; install it again: pip"):
            load_encoder("minilm")
    finally:
        packaged.minilm_folder.cache_clear()


def test_a_broken_or_hostile_file_of_the_cache_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path))
    first = embed(["a text"], "tiny", 16, progress=False)["a text"]
    [path] = tmp_path.glob("embeddings/*.npy")
    whole = path.read_bytes()
    hostile = np.empty(1, dtype=object)
    hostile[0] = Payload(tmp_path / "marker")
    np.save(path, hostile, allow_pickle=True)
    for content in (path.read_bytes(), whole[:-100], b"", b"junk", pickle.dumps(Payload(tmp_path / "marker"))):
        path.write_bytes(content)
        assert _cached(path) is None
        np.testing.assert_array_equal(embed(["a text"], "tiny", 16, progress=False)["a text"], first)
        assert path.read_bytes() == whole
    assert not (tmp_path / "marker").exists() and not list(tmp_path.rglob("*.part"))


def test_a_text_that_was_embedded_with_others_is_not_embedded_again(tmp_path, monkeypatch):
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path))
    one = embed(["a text", "another", "more"], "tiny", 16, progress=False)
    embedded = []
    monkeypatch.setattr(
        embedding, "_embed", lambda texts, *_: embedded.extend(texts) or np.ones((len(texts), 128), np.float32)
    )
    two = embed(["new", "another", "more", "new"], "tiny", 16, progress=False)
    assert embedded == ["new"] and two["new"].tolist() == [1] * 128
    np.testing.assert_array_equal(two["another"], one["another"])
    assert embed(["a text", "new"], "tiny", 16, progress=False)["new"].tolist() == [1] * 128 and embedded == ["new"]
    assert embed([], "tiny", 16) == {}
    embed(["a text"], "tiny", 8, progress=False)  # another length is another embedding
    assert embedded == ["new", "a text"]


# --- result files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path) -> Path:
    """A copy of a committed study."""
    shutil.copytree(RESULTS / "provenance", tmp_path / "provenance", ignore=shutil.ignore_patterns(".locks"))
    return tmp_path / "provenance"


def runs_of(study: Path) -> list[Path]:
    return sorted((study / "runs").glob("*.json"))


def change_json(change):
    def edit(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


@pytest.mark.parametrize(
    "edit, words",
    [
        (change_json(lambda r: r.update(schema=SCHEMA + 1)), f"schema is {SCHEMA + 1}, .*; install a newer"),
        (change_json(lambda r: r.update(schema=0)), f"schema is 0, this version reads {SCHEMA}; run the study again"),
        (change_json(lambda r: r.update(schema="1")), "schema is '1'"),
        (change_json(lambda r: r.pop("schema")), "schema is None"),
        *((change_json(lambda r, key=key: r.pop(key)), f"misses {key};") for key in KEYS if key != "schema"),
        (change_json(lambda r: r.update(notes="x")), "has unknown notes"),
        (change_json(lambda r: r.update(metrics=[])), "metrics is list, not an object"),
        (change_json(lambda r: r["metrics"].update(test=None)), "metrics.test is NoneType, not an object"),
        (change_json(lambda r: r["metrics"]["validation"].pop("tuned_common")), "validation misses tuned_common"),
        (change_json(lambda r: r.update(data={"corpus": "toy"})), "data misses source, fingerprint"),
        (change_json(lambda r: r.update(config={"epochs": 5})), "config misses method"),
        (change_json(lambda r: r["labels"].pop("support")), "labels misses support"),
        (change_json(lambda r: r["labels"].update(support=["x"])), "a value is of the wrong kind"),
        (change_json(lambda r: r.update(summaries={"groups": {}})), "summaries misses labels"),
        (change_json(lambda r: r.update(seed=float("nan"))), "not valid JSON .it holds NaN"),
        (change_json(lambda r: r.update(seed=float("-inf"))), "it holds -Infinity"),
        (lambda path: path.write_text("[]"), "holds list, not an object"),
        (lambda path: path.write_text(path.read_text()[:5000]), "line 1: not valid JSON"),
        (lambda path: path.write_text(""), "line 1: not valid JSON"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not valid JSON"),
        (lambda path: path.write_text("[" * 200_000), "not valid JSON"),
    ],
)
def test_a_result_that_is_not_what_it_should_be_is_refused_by_its_field(study, edit, words):
    path = runs_of(study)[0]
    edit(path)
    write_checksums(study)  # so that the content is looked at
    for read in (lambda: read_result(str(path)), lambda: read_study("provenance", study.parent)):
        with pytest.raises(DataError, match=words) as raised:
            read()
        assert str(path) in one_sentence(raised.value)


def test_a_tampered_result_is_noticed_and_named(study):
    path = runs_of(study)[1]
    path.write_text(path.read_text().replace('"seed":0', '"seed":1', 1).replace("0.5", "0.6", 1))
    for check in (
        lambda: read_result(path),
        lambda: read_study("provenance", study.parent),
        lambda: verify_checksums(study),
    ):
        with pytest.raises(DataError, match="changed after it was written, by checksums.sha256; restore") as raised:
            check()
        assert str(path) in one_sentence(raised.value)
    write_checksums(study)
    verify_checksums(study)


@pytest.mark.parametrize("place", SHARED)
def test_what_runs_share_stands_once_per_study_and_a_change_of_it_is_noticed(study, place):
    path, shared = runs_of(study)[0], study / "shared.json"
    known = json.loads(shared.read_text())

    def keys(run):
        return {place: run[place] for place in ("data", "setting", "config", "environment")} | {
            f"labels.{name}": run["labels"][name] for name in ("name", "training_count", "support")
        }

    own = keys(json.loads(path.read_text()))
    key, expected = own[place], to_json(read_result(path))
    assert json.loads(json.dumps(keys(expected)[place])) == known[key]
    assert {k for p in runs_of(study) for k in keys(json.loads(p.read_text())).values()} == {*known}

    changed = [*known[key][1:], 7] if isinstance(known[key], list) else known[key] | {"source": "elsewhere"}
    for content, words in (
        (json.dumps({**known, key: changed}), f"'{key}' was changed after"),
        (json.dumps({**known, key: "Opera"}), f"'{key}' was changed after"),
        (json.dumps({k: part for k, part in known.items() if k != key}), f"its {place}, '{key}', is not in"),
        ("[]", "holds list, not an object"),
        ("{", "not valid JSON"),
    ):
        shared.write_text(content)
        for read in (lambda: read_result(path), lambda: read_study("provenance", study.parent)):
            with pytest.raises(DataError, match=words) as raised:
                read()
            assert str(shared) in one_sentence(raised.value)
    shared.unlink()
    with pytest.raises(DataError, match="its data, .* is not in"):
        read_result(path)
    with pytest.raises(DataError, match="data is a key of the study's shared.json; read the file with read_result"):
        from_json(json.loads(path.read_text()))
    write_checksums(study)
    path.write_text(json.dumps(expected))  # files of version 0.1 hold the parts themselves
    write_checksums(study)
    assert to_json(read_result(path)) == expected


def test_a_file_that_no_run_wrote_is_noticed_and_named(study):
    foreign = study / "runs" / "toy--bce--seed7.json"
    shutil.copy(runs_of(study)[0], foreign)
    for check in (lambda: read_study("provenance", study.parent), lambda: verify_checksums(study)):
        with pytest.raises(DataError, match="seed7.json is not listed in checksums.sha256; delete it, or look"):
            check()


def test_a_changed_study_and_a_lost_result_are_noticed_by_the_check_alone(study):
    """A study's file may be changed, to run more of it, and a result deleted, to run it again."""
    lost = runs_of(study)[0]
    lost.unlink()
    assert len(read_study("provenance", study.parent)) == len(runs_of(study))
    with pytest.raises(DataError, match=f"{lost.name} is listed in checksums.sha256 but missing; run"):
        verify_checksums(study)
    (study / "study.yaml").write_text((study / "study.yaml").read_text() + "# more\n")
    with pytest.raises(DataError, match="study.yaml was changed after it was written"):
        verify_checksums(study)


def test_broken_and_missing_checksums_are_named(study):
    with open(study / CHECKSUMS, "a") as file:
        file.write("<<<<<<< ours\n")
    n = len(runs_of(study)) + 2
    with pytest.raises(DataError, match=f"checksums.sha256, line {n}: expected a checksum and a file name"):
        read_study("provenance", study.parent)
    (study / CHECKSUMS).unlink()
    assert read_study("provenance", study.parent)  # of before there were checksums
    with pytest.raises(MissingFileError, match="checksums.sha256 does not exist; look at the files and list them with"):
        verify_checksums(study)


def test_the_first_result_written_takes_in_those_that_are_there(study):
    (study / CHECKSUMS).unlink()
    write_result(study / "runs" / "toy--new--seed0.json", read_result(runs_of(study)[0]))
    verify_checksums(study)
    assert len(read_checksums(study)) == len(runs_of(study)) + 1


def test_a_process_killed_between_checksum_and_result_leaves_a_missing_run(study, monkeypatch):
    class Killed(BaseException):
        pass

    def write(path, text):
        if path.suffix == ".json":
            raise Killed
        write_text(path, text)

    write_text, new = checksums.write_text, study / "runs" / "toy--new--seed0.json"
    content = read_result(runs_of(study)[0])
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checksums, "write_text", write)
        write_result(new, content)
    assert not new.exists() and "runs/toy--new--seed0.json" in read_checksums(study)
    assert len(read_study("provenance", study.parent)) == len(runs_of(study))
    write_result(new, replace(content, seed=5))
    assert read_result(new).seed == 5
    verify_checksums(study)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="coreutils are not installed")
def test_sha256sum_reads_the_checksums(study):
    command = ["sha256sum", "--check", "--strict", CHECKSUMS]
    assert subprocess.run(command, cwd=study, capture_output=True).returncode == 0
    runs_of(study)[0].write_text("{}")
    assert subprocess.run(command, cwd=study, capture_output=True).returncode == 1


def test_the_command_writes_checksums_anew(study, capsys):
    before = (study / CHECKSUMS).read_text()
    (study / CHECKSUMS).unlink()
    for command in (["study", "provenance"], ["study"]):
        assert main([*command, "--checksums", "--results", str(study.parent)]) == 0
        assert capsys.readouterr().out == f"{study / CHECKSUMS}\n" and (study / CHECKSUMS).read_text() == before
    assert main(["study", "nowhere", "--checksums", "--results", str(study.parent)]) == 1


def test_a_mistaken_study_is_told_from_a_hostile_one(study):
    """YAML is read without Python's own types."""
    from afl_helpers.studies import load_study

    marker = study / "marker"
    (study / "study.yaml").write_text(f"question: !!python/object/apply:os.mkdir ['{marker}']\n")
    with pytest.raises((DataError, UsageError), match="not valid YAML"):
        load_study("provenance", study.parent)
    assert not marker.exists()


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/study.yaml")))
def test_committed_results_are_as_they_were_written(name):
    verify_checksums(RESULTS / name)
