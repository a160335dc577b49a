"""The engine of studies: several processes, failures, locks, kills, time, studies that extend another."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from filelock import FileLock

from afl_helpers.__main__ import main
from afl_helpers.errors import DataError, StudyError
from afl_helpers.files import json_text
from afl_helpers.results import read_result, read_study
from afl_helpers.results.encoding import to_json
from afl_helpers.studies import (
    Primary,
    describe_seconds,
    estimate_seconds,
    execute,
    load_study,
    run_study,
    workers,
)

RESULTS = Path(__file__).resolve().parent.parent / "results"

STUDY = """
question: does it run?
method: probe
config: {encoder: tiny, max_length: 16, epochs: 3, patience: 2, batch_size: 64}
tune: {learning_rate: [0.001, 0.01]}
corpora: [{name: toy, top: 6, n_documents: 200}]
seeds: [0, 1]
settings:
  - {name: bce, loss: bce}
  - {name: afl, loss: afl}
  - {name: priors, method: priors}
"""


pytestmark = pytest.mark.usefixtures("own_cache")

#: Seconds to wait for what other processes do; a busy machine takes minutes to import torch.
PATIENCE = 500


def write(folder: Path, text: str = STUDY, name: str = "small"):
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "study.yaml").write_text(text)
    return load_study(name, folder)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The study, done in this process."""
    study = write(tmp_path_factory.mktemp("done"))
    assert len(list(run_study(study, progress=False))) == 6
    return study


def outcomes(study) -> dict[str, object]:
    """What must not depend on how the runs were done."""
    return {
        result.run: [json_text(to_json(result)[key]) for key in ("metrics", "labels", "summaries", "setting")]
        for result in read_study(study.name, study.folder.parent)
    }


def test_tasks_hold_every_run_once_and_all_seeds_of_a_tuned_setting(done, tmp_path):
    tasks = done.tasks(done.runs(), heads=1)
    assert [[run.name for run in task] for task in tasks] == [
        ["toy--bce--seed0", "toy--bce--seed1"],
        ["toy--afl--seed0", "toy--afl--seed1"],
        ["toy--priors--seed0"],
        ["toy--priors--seed1"],
    ]
    assert [len(task) for task in done.tasks(done.runs())] == [4, 1, 1]
    slow = write(tmp_path, STUDY.replace("method: probe", "method: fine_tune"))
    assert [len(task) for task in slow.tasks(slow.runs())] == [2, 2, 1, 1]


@pytest.mark.parametrize("failures, written", [(1, 6), (2, 5)])
def test_a_run_that_fails_is_tried_once_more_and_then_reported(tmp_path, monkeypatch, capsys, failures, written):
    study = write(tmp_path)
    left = [failures]

    def flaky(study, task):
        if task[0].setting.name == "priors" and task[0].seed == 0 and left[0]:
            left[0] -= 1
            raise RuntimeError("out of luck")
        return execute(study, task)

    monkeypatch.setattr(workers, "execute", flaky)
    runs, found = run_study(study, progress=False), []
    if failures == 1:
        found = list(runs)
    else:
        with pytest.raises(
            StudyError, match="1 of 6 runs failed and are missing: toy--priors--seed0: RuntimeError: out of l"
        ):
            for path in runs:
                found.append(path)
    assert len(found) == written
    assert "toy--priors--seed0 failed (RuntimeError: out of luck); it is tried once more" in capsys.readouterr().err


def test_wrong_input_is_not_tried_again(tmp_path, capsys):
    study = write(tmp_path, STUDY.replace("top: 6", "min_count: 100000"))
    with pytest.raises(StudyError, match="6 of 6 runs failed"):
        list(run_study(study, progress=False))
    assert "once more" not in capsys.readouterr().err


def test_a_run_of_another_process_is_left_to_it(done, tmp_path):
    study = write(tmp_path)
    lock = study.folder / ".locks" / "toy--priors--seed1.lock"
    lock.parent.mkdir()
    with FileLock(lock):
        assert len(list(run_study(study, progress=False))) == 5
    assert [run.name for run in study.missing()] == ["toy--priors--seed1"]
    assert len(list(run_study(study, progress=False))) == 1
    assert outcomes(study) == outcomes(done)


def test_the_other_seeds_wait_for_a_first_seed_of_another_process(done, tmp_path):
    study = write(tmp_path)
    lock = study.folder / ".locks" / "toy--bce--seed0.lock"
    lock.parent.mkdir()
    with FileLock(lock):
        assert len(list(run_study(study, progress=False))) == 4
    assert [run.name for run in study.missing()] == ["toy--bce--seed0", "toy--bce--seed1"]
    assert len(list(run_study(study, progress=False))) == 2
    assert outcomes(study) == outcomes(done)


@pytest.mark.processes
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_study_goes_on_and_ends_as_if_it_had_not_been(done, tmp_path, jobs):
    study = write(tmp_path)
    command = [sys.executable, "-m", "afl_helpers", "study", "small", "--results", str(tmp_path), "--jobs", str(jobs)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + PATIENCE
    while process.poll() is None and len(study.missing()) == 6 and time.monotonic() < limit:
        time.sleep(0.02)
    with suppress(ProcessLookupError):  # it may have ended meanwhile
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(study.missing()) < 6
    for path in (study.folder / "runs").glob("*.json"):
        read_result(path)  # whole
    while study.missing() and time.monotonic() < limit:  # the workers take a moment to die, and their locks with them
        list(run_study(study, progress=False))
    assert outcomes(study) == outcomes(done)


@pytest.mark.processes
def test_processes_side_by_side_write_the_same_files_and_one_that_dies_is_replaced(done, tmp_path, monkeypatch, capsys):
    study = write(tmp_path)
    start, killed = workers.multiprocessing.get_context("spawn").Process.start, []

    def start_and_kill(process):
        start(process)
        if not killed:
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)

    monkeypatch.setattr(workers.multiprocessing.get_context("spawn").Process, "start", start_and_kill)
    paths = list(run_study(study, progress=False, jobs=2))
    assert killed and "its process ended with code -9" in capsys.readouterr().err
    assert sorted(path.name for path in paths) == sorted(path.name for path in (done.folder / "runs").iterdir())
    assert outcomes(study) == outcomes(done)


def test_time_is_estimated_from_the_nearest_runs(done, tmp_path):
    results = read_study(done.name, done.folder.parent)
    seconds_of = {"bce": 10.0, "afl": 20.0, "priors": 1.0}
    results = [replace(run, time=replace(run.time, seconds=seconds_of[run.setting])) for run in results]
    # Two candidates on the first seed of what is tuned, then one.
    assert estimate_seconds(done, done.runs(), results) == (3 * 10.0 + 3 * 20.0 + 2 * 1.0, 0)
    assert estimate_seconds(done, done.runs(), []) == (0.0, 6)
    other = write(tmp_path, STUDY.replace("max_length: 16", "max_length: 32"), "longer")
    seconds, unknown = estimate_seconds(other, [run for run in other.runs() if run.setting.name == "bce"], results)
    per_token = [run.time.seconds / (run.time.epochs * 160 * 16) for run in results if run.setting != "priors"]
    assert unknown == 0 and seconds == pytest.approx(3 * 3 * 160 * 32 * sum(per_token) / 4, rel=0.05)
    assert describe_seconds(20) == "about 1 min" and describe_seconds(7800) == "about 2 h 10 min"


def test_only_runs_on_the_same_device_are_an_estimate(done):
    def on(device):
        return [replace(run, environment=run.environment | {"device": device}) for run in results]

    results = read_study(done.name, done.folder.parent)
    seconds, unknown = estimate_seconds(done, done.runs(), on("CPU, 8 threads"), "CPU")
    assert (seconds > 0, unknown) == (True, 0)
    assert estimate_seconds(done, done.runs(), on("CPU, 8 threads"), "NVIDIA H100") == (0.0, 6)
    assert estimate_seconds(done, done.runs(), on("NVIDIA H100"), "NVIDIA H100") == (seconds, 0)
    assert estimate_seconds(done, done.runs(), on("NVIDIA H100 PCIe"), "NVIDIA H100") == (0.0, 6)


@pytest.mark.parametrize("card", [None, "NVIDIA H100"])
def test_a_dry_run_gives_hours_only_by_runs_on_the_same_device_and_names_it(card, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: card is not None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: card)
    study = "paper-gpu" if card else "start-and-stop"  # heads were recorded on a CPU
    (tmp_path / study / "runs").mkdir(parents=True)
    for name in ("study.yaml", "shared.json", "checksums.sha256"):
        if (RESULTS / study / name).is_file():
            shutil.copy(RESULTS / study / name, tmp_path / study)
    for path in (RESULTS / study / "runs").glob("cmu-leads--bce-*.json"):  # most runs are missing
        shutil.copy(path, tmp_path / study / "runs")
    folder = RESULTS if card else tmp_path
    assert main(["study", study, "--dry-run", "--results", str(folder)]) == 0
    found = capsys.readouterr().out
    if card is None:
        assert re.search(r"^estimated time on a CPU .*: about \d+ (h|min)", found, re.MULTILINE)
    else:
        assert "estimated time" not in found and not re.search(r"\d h\b", found)
        assert "because no similar run has been recorded on NVIDIA H100\n" in found
        assert f"python -m afl_helpers study paper-gpu --results {folder} --calibrate\n" in found


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/study.yaml")))
def test_the_time_of_every_committed_study_can_be_estimated(name):
    study = load_study(name, RESULTS)
    frozen = [f"frozen-encoder/runs/{corpus}--bce--block1" for corpus in ("cmu-leads", "cmu-leads-masked", "reuters")]
    results = [read_result(RESULTS / f"{name}.json") for name in frozen]
    # Fine-tuning, networks and word counts as if they had been recorded on a CPU.
    tuned = read_result(RESULTS / "paper-minilm/runs/cmu-leads--bce--block1.json")
    others = [replace(results[2], method=method, encoder=None) for method in ("cnn", "bilstm", "tfidf", "priors")]
    others += [
        replace(tuned, environment=results[0].environment, method=m) for m in ("fine_tune", "keyword_distillation")
    ]
    results += others
    seconds, unknown = estimate_seconds(study, study.runs(), results, "CPU")
    assert seconds >= 0
    # No run on these corpora or with this encoder is recorded.
    assert unknown <= sum(
        run.corpus.name in ("toy", "cmu", "hoc", "hoc-nodes", "hoc-sentences", "unfair-tos")
        or study.candidates(run.setting)[0].to_dict().get("encoder")
        in ("bert-base-uncased", "glove-50d", "all-mpnet-base-v2")
        for run in study.runs()
    )


def test_a_setting_may_have_fewer_seeds(tmp_path):
    study = write(tmp_path, STUDY.replace("loss: afl}", "loss: afl, n_seeds: 1}"))
    assert [run.name for run in study.runs() if run.setting.name == "afl"] == ["toy--afl--seed0"]
    assert len(study.runs()) == 5


@pytest.mark.parametrize(
    "text, words",
    [
        (STUDY.replace("loss: afl}", "loss: afl, n_seeds: 3}"), "'afl' has n_seeds 3; pass a whole number from 1 to 2"),
        ("extends: nowhere", "extends 'nowhere', which is not another study"),
        ("extends: small", "extends 'small', which is not another study"),
        ("question: [", "line 2: not valid YAML"),
        ("- a", "holds no fields"),
        (STUDY.replace("method: priors", "method: prior"), "did you mean 'priors'"),
        (
            STUDY.replace("method: priors", "method: priors, config: {encoder: tiny}"),
            "unknown field of PriorsConfig: 'encoder'; there is none to choose",
        ),
        (STUDY.replace("name: bce, ", ""), "name of a setting is missing; add it"),
        (STUDY.replace("loss: afl}", "loss: afl, params: 2.0}"), "params of a setting is 2.0; give an object"),
        (
            STUDY.replace("  - {name: priors, method: priors}", "  - priors"),
            "'priors' is not a setting; give its fields",
        ),
        (STUDY.replace("top: 6", "top: 6, min_count: 10"), "'toy' has both min_count and top; give one of the two"),
        (STUDY.replace("seeds: [0, 1]", "seeds: [0, 0]"), "stands twice; list each corpus and each seed once"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, words):
    with pytest.raises(DataError, match=words) as refused:
        write(tmp_path, text + "\n")
    assert "\n" not in str(refused.value)


def test_studies_that_extend_each_other_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "study.yaml").write_text("extends: small")
    with pytest.raises(DataError, match="extends 'small', which is not another study"):
        write(tmp_path, "extends: other")


# --- the primary comparison -----------------------------------------------------------------------------------------

PRIMARY = """
primary:
  setting: afl
  against: [bce, priors]
  endpoints: [f1_macro at tuned_common, average_precision_macro_tail]
  margin: 0.01
"""


def test_the_primary_comparison_is_read(tmp_path):
    assert write(tmp_path).primary is None
    assert write(tmp_path, STUDY + PRIMARY).primary == Primary(
        setting="afl",
        against=("bce", "priors"),
        endpoints=("f1_macro@tuned_common", "average_precision_macro_tail"),
        margin=0.01,
    )
    text = PRIMARY.replace("setting: afl", "setting: [afl, bce]").replace("bce, priors", "bce@tuned_per_label, priors")
    text += "  unit: block\n  family: rare labels\n  outcomes: {above margin: it helps, else: not shown}\n"
    assert write(tmp_path, STUDY + text).primary == Primary(
        setting=("afl", "bce"),
        against=("bce@tuned_per_label", "priors"),
        endpoints=("f1_macro@tuned_common", "average_precision_macro_tail"),
        margin=0.01,
        unit="block",
        family="rare labels",
        outcomes={"above margin": "it helps", "else": "not shown"},
    )


def test_a_study_that_extends_another_has_its_primary_comparison_or_says_that_it_has_none(tmp_path):
    primary = write(tmp_path, STUDY + PRIMARY).primary
    assert write(tmp_path, "extends: small\nseeds: [2]", "longer").primary == primary
    assert write(tmp_path, "extends: small\nprimary: null", "other").primary is None


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("setting: afl", "setting: alf", "unknown setting in primary 'alf' .did you mean 'afl'"),
        ("setting: afl", "sitting: afl", "unknown field of primary 'sitting' .did you mean 'setting'"),
        ("setting: afl", "setting: [afl, 2]", "setting of primary is .*; give a list of names"),
        ("[bce, priors]", "[bce, prior]", "unknown setting in primary 'prior' .did you mean 'priors'"),
        ("[bce, priors]", "[bce, afl]", "against of primary is .*; give each setting once"),
        ("[bce, priors]", "[bce, bce]", "against of primary is .*; give each setting once"),
        ("[bce, priors]", "[bce@tuned_comon]", "unknown threshold rule 'tuned_comon' .did you mean 'tuned_common'"),
        ("[bce, priors]", "[]", "against of primary is .*; give a list of at least one"),
        ("f1_macro at", "f1_marco at", "unknown metric 'f1_marco' .did you mean 'f1_macro'"),
        ("at tuned_common", "at tuned", "unknown threshold rule 'tuned'"),
        ("f1_macro at tuned_common", "f1_macro", "endpoint 'f1_macro' depends on thresholds; name the rule"),
        ("margin: 0.01", "margin: -0.01", "margin of primary is -0.01; give a number from 0 to 1"),
        ("margin: 0.01", "margin: small", "margin of primary is 'small'; give a number from 0 to 1"),
        ("margin: 0.01", "margin: .nan", "margin of primary is nan; give a number from 0 to 1"),
        ("  margin: 0.01", "", "margin of primary is missing; add it"),
        ("margin: 0.01", "margin: 0.01\n  unit: label", "unknown unit in primary 'label'"),
        ("margin: 0.01", "margin: 0.01\n  outcomes: {better: 1}", "better of outcomes in primary is 1; give some text"),
    ],
)
def test_a_wrong_primary_comparison_is_refused_in_one_sentence(tmp_path, old, new, words):
    assert old in PRIMARY
    with pytest.raises(DataError, match=words) as refused:
        write(tmp_path, STUDY + PRIMARY.replace(old, new))
    assert "\n" not in str(refused.value) and str(tmp_path / "small" / "study.yaml") in str(refused.value)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/study.yaml")))
def test_every_committed_study_has_the_primary_comparison_that_it_declares(name):
    """What its file says, or the nearest file that it extends, and nothing that is typed here."""
    primary, owner = load_study(name, RESULTS).primary, name
    while "primary" not in (content := yaml.safe_load((RESULTS / owner / "study.yaml").read_text())):
        if "extends" not in content:
            assert primary is None
            return
        owner = content["extends"]
    declared = content["primary"]
    if declared is None:
        assert primary is None
        return
    setting = primary.setting if isinstance(primary.setting, str) else list(primary.setting)
    assert (setting, list(primary.against), primary.margin) == tuple(
        declared[key] for key in ("setting", "against", "margin")
    )
    assert list(primary.endpoints) == [endpoint.replace(" at ", "@") for endpoint in declared["endpoints"]]


@pytest.mark.processes
def test_two_processes_train_as_one(tmp_path):
    """Data-parallel over gloo: the same loss curve and scores as one process with the same global batch."""
    from transformers import AutoModel

    from afl_helpers.studies import StudyCorpus, corpus_splits
    from afl_helpers.training.encoders import _tiny_config, load_tokenizer

    config = _tiny_config()
    config.update({"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    encoder = tmp_path / "encoder"
    AutoModel.from_config(config).save_pretrained(encoder)
    load_tokenizer("tiny").save_pretrained(encoder)

    n_documents = 320  # parts of 256, 32 and 32: no last batch is to be filled up
    assert [len(part) % 32 for part in corpus_splits(StudyCorpus("toy", top=6, n_documents=n_documents), 0)[1]] == [
        0,
        0,
        0,
    ]
    text = f"""
question: does it scale?
method: fine_tune
config: {{encoder: {encoder}, max_length: 16, epochs: 2, learning_rate: 0.001}}
corpora: [{{name: toy, top: 6, n_documents: {n_documents}}}]
seeds: [0]
settings: [{{name: afl, loss: afl}}]
"""
    alone, together = write(tmp_path / "alone", text), write(tmp_path / "together", text)
    list(run_study(alone, progress=False))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "afl_helpers", "study", "small", "--results", str(tmp_path / "together")]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=2 * PATIENCE)
    [first], [second] = (read_study("small", study.folder.parent) for study in (alone, together))
    one, two = first.time.history, second.time.history
    for name in ("epoch", "loss", "validation_loss", "average_precision_micro", "average_precision_macro"):
        assert one[name] == pytest.approx(two[name], rel=1e-4), name
    assert first.config == second.config


@pytest.fixture(scope="module")
def cluster():
    """A local Ray cluster of two workers."""
    ray = pytest.importorskip("ray", reason="the optional extra ray is not installed")
    for attempt in range(3):  # a node has 30 s to start, whatever else the machine does
        try:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
            break
        except Exception:
            ray.shutdown()
            if attempt == 2:
                raise
    yield ray
    ray.shutdown()


@pytest.mark.processes
def test_ray_writes_the_same_files_and_replaces_a_killed_worker(done, tmp_path, cluster):
    from afl_helpers.studies.cluster import run_study_on_ray

    study = write(tmp_path, STUDY)
    runs = run_study_on_ray(study, progress=False)
    killed = []

    def kill_one():
        """Kill the first worker of ours that is doing a task."""
        while not killed and not done_without.is_set():
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    if process.cmdline()[:1] == ["ray::_work"]:
                        process.kill()
                        killed.append(process.pid)
                        return
            time.sleep(0.01)

    done_without = threading.Event()
    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        paths = list(runs)
    finally:
        done_without.set()
        killer.join()
    assert killed and len(paths) == 6 and study.missing() == []
    assert outcomes(study) == outcomes(done)
    assert list(run_study_on_ray(study, progress=False)) == []


@pytest.mark.processes
def test_ray_reports_what_failed(tmp_path, cluster):
    from afl_helpers.studies.cluster import run_study_on_ray

    study = write(tmp_path, STUDY.replace("top: 6", "min_count: 100000"))
    with pytest.raises(StudyError, match="6 of 6 runs failed and are missing: .*toy--bce--seed0.*: .*100000"):
        list(run_study_on_ray(study, progress=False))
