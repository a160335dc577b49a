"""The GPU day: its order, its settings by card, its plan, and every stage at tiny size on the CPU."""

import json
import re
from dataclasses import replace
from pathlib import Path

import gpu_day
import pytest

from afl_helpers.claims.evidence import group_runs
from afl_helpers.errors import MissingFileError, UserError
from afl_helpers.results import read_study
from afl_helpers.studies import load_study

ROOT = Path(__file__).resolve().parent.parent
ONE_BY_ONE = gpu_day.CardSettings(16, 1)
GPU = re.compile("needs a GPU|run on a GPU", re.IGNORECASE)
STUDIES = [stage.name for stage in gpu_day.STAGES if not stage.command]


def test_measurements_come_first_then_the_papers_study_then_every_other_that_needs_a_gpu():
    names = [stage.name for stage in gpu_day.STAGES]
    assert names[:5] == ["checks", "losses", "training", "memory", "paper-cmu"]
    files = (ROOT / "results").glob("*/study.yaml")
    # The first line of such a study's file says so.
    assert set(STUDIES) == {path.parent.name for path in files if GPU.search(path.read_text().partition("\n")[0])}


def test_each_stage_is_on_a_page_that_knows_it():
    cells = json.loads((ROOT / "book" / "speed.ipynb").read_text(encoding="utf-8"))["cells"]
    speed = "".join("".join(cell["source"]) for cell in cells)
    assert "make gpu-day" in speed and "make gpu-day" in (ROOT / "article" / "article.typ").read_text()
    for stage in gpu_day.STAGES:
        assert not stage.page or (ROOT / "book" / f"{stage.page}.ipynb").is_file()
        assert stage.command or f'"{stage.name}"' in speed
        assert not stage.command or (ROOT / stage.command[-1]).is_file()


@pytest.mark.parametrize(
    ("gigabytes", "bf16", "expected", "divided"),
    [
        # In GB, half a GB for libraries included. bf16: 5.6 for 16 documents, 9.2 for 32, 16.4 for 64, 30.8 for 128.
        # float32: 2.6 for 2, 3.3 for 4, 4.7 for 8, 7.6 for 16, 13.4 for 32, 25.0 for 64, 48.2 for 128.
        (8, True, (16, 1), (16, 1)),
        (8, False, (8, 1), (8, 2)),
        (16, True, (32, 2), (16, 1)),
        (16, False, (16, 1), (16, 1)),
        (24, True, (64, 3), (16, 1)),
        (24, False, (32, 2), (16, 1)),
        (80, True, (128, 11), (16, 1)),
        (4, False, (2, 1), (2, 8)),
    ],
)
def test_settings_fit_the_card_with_a_fifth_of_it_free(gigabytes, bf16, expected, divided):
    card = gpu_day.settings_for(gigabytes, bf16)
    assert card == gpu_day.CardSettings(*expected) and card.divide(16) == divided


def test_a_batch_is_divided_evenly():
    assert gpu_day.CardSettings(8, 1).divide(12) == (6, 2)
    assert gpu_day.CardSettings(2, 1).divide(7) == (1, 7)


def test_a_card_that_is_too_small_is_refused_in_a_sentence():
    with pytest.raises(SystemExit, match="The card has 1 GB, too little for BERT base"):
        gpu_day.settings_for(1, True)


@pytest.mark.parametrize("name", STUDIES)
def test_the_batch_of_a_study_stays_on_a_small_card(name):
    committed = load_study(name, ROOT / "results")
    assert gpu_day.study_for(name, gpu_day.settings_for(80, True), ROOT / "results") == committed
    small = gpu_day.study_for(name, gpu_day.settings_for(8, False), ROOT / "results").config
    assert small.batch_size == 8 and small.batch_size * small.accumulation_steps == committed.config.batch_size
    assert replace(small, batch_size=committed.config.batch_size, accumulation_steps=1) == committed.config


def test_runs_with_summed_gradients_count_as_the_papers_conditions():
    run = read_study("paper-minilm")[0]
    config = load_study("paper-cmu", ROOT / "results").config.to_dict()
    data = replace(run.data, corpus="cmu", options={})

    def level(**changed):
        runs = [replace(run, data=data, encoder="bert-base-uncased", config=config | changed, seed=n) for n in (0, 1)]
        return group_runs(runs)[0].level

    assert level() == level(batch_size=8, accumulation_steps=2) == "the paper's"
    assert level(batch_size=8) == level(accumulation_steps=2) == "tuned encoder"


def test_cards_lists_the_settings_of_four_sizes(capsys):
    assert gpu_day.main(["--cards"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[::2]] == [f"{size:>2} GB, bf16" for size in (8, 16, 24, 80)]
    assert lines[1] == " 8 GB, float32: 8 documents at once, gradients of 2 steps summed, one run at a time"


def test_without_a_gpu_nothing_is_run_and_no_time_is_named(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu_day.main([]) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("torch sees no GPU here; --rehearse")


def test_an_unknown_stage_is_refused(capsys):
    with pytest.raises(SystemExit):
        gpu_day.main(["--only", "paper-cmuu"])
    assert "did you mean 'paper-cmu'?" in capsys.readouterr().err


def test_what_is_done_on_this_card_is_not_done_again(tmp_path, monkeypatch, capsys):
    ran = tmp_path / "ran"
    stage = gpu_day.Stage("count", "", "", ("-c", f"open({str(ran)!r}, 'a').write('x')"))
    for card, times in (("one card", 1), ("one card", 1), ("another card", 2)):
        monkeypatch.setattr(gpu_day, "device_at_hand", lambda card=card: card)
        assert gpu_day.run_stages([stage], gpu_day.load_study, ONE_BY_ONE, tmp_path / "notes") == []
        assert ran.read_text() == "x" * times
    assert "done before" in capsys.readouterr().out


def test_a_stage_that_fails_stops_no_other_and_is_tried_again(tmp_path, capsys):
    ran = tmp_path / "ran"
    bad = gpu_day.Stage("bad", "", "speed", ("-c", "raise SystemExit(3)"))
    good = gpu_day.Stage("good", "", "speed", ("-c", f"open({str(ran)!r}, 'a').write('x')"))
    for _ in range(2):
        assert gpu_day.run_stages([bad, good], gpu_day.load_study, ONE_BY_ONE, tmp_path / "notes") == ["bad"]
    assert ran.read_text() == "x" and capsys.readouterr().out.count("ended with code 3") == 2


def test_the_plan_goes_on_past_a_study_that_cannot_run_yet(capsys, monkeypatch):
    def calibrate(study, seconds, progress):
        assert seconds == 4
        if study.name == "paper-cmu":
            raise MissingFileError("cannot download the plots")
        return Measured()

    class Measured:
        def parts(self):
            return {"the first complete comparison": [1], "everything": [1, 2]}

        def total(self, runs):
            return 3600.0 * len(runs), 7200.0 * len(runs)

    monkeypatch.setattr(gpu_day, "calibrate", calibrate)
    gpu_day.plan([load_study(name, ROOT / "results") for name in ("paper-cmu", "hoc-gpu", "frozen-encoder")][:2], 8)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        "paper-cmu: cannot run yet: cannot download the plots",
        "hoc-gpu, the first complete comparison: about 1 h 0 min to about 2 h 0 min",
        "hoc-gpu, everything: about 2 h 0 min to about 4 h 0 min",
        "all of these: about 2 h 0 min to about 4 h 0 min",
    ]


def test_a_day_that_is_stopped_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    run_study, stages = gpu_day.run_study, [stage for stage in gpu_day.STAGES if stage.name == "paper-cmu"]

    def stopped(study, jobs):
        yield next(iter(run_study(study, progress=False)))
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu_day, "run_study", stopped)
    with pytest.raises(KeyboardInterrupt):
        gpu_day.run_stages(stages, lambda name: gpu_day.tiny_study(name, tmp_path), ONE_BY_ONE, None)
    monkeypatch.setattr(gpu_day, "run_study", run_study)
    (first,) = tmp_path.glob("*/runs/*.json")
    before = first.read_bytes()
    assert gpu_day.run_stages(stages, lambda name: gpu_day.tiny_study(name, tmp_path), ONE_BY_ONE, None) == []
    assert len(list(tmp_path.glob("*/runs/*.json"))) == 2 and first.read_bytes() == before
    assert capsys.readouterr().out.rstrip().endswith("complete")


def rehearsed(only: list[str], capfd) -> str:
    """Rehearse some stages, or all; return what was printed."""
    names = [word for name in only for word in ("--only", name)]
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "results").rglob("*") if path.is_file()}
    assert gpu_day.main(["--rehearse", "--seconds", "2", *names]) == 0
    after = {path: path.stat().st_mtime_ns for path in (ROOT / "results").rglob("*") if path.is_file()}
    assert after == before, "a rehearsal keeps nothing"
    return capfd.readouterr().out


@pytest.mark.processes
def test_a_rehearsal_goes_from_the_plan_to_the_pages(capfd):
    told = rehearsed(["losses", "paper-cmu", "reuters-gpu"], capfd)
    order = [
        "The plan,",
        "paper-cmu, the first complete comparison: about",
        "[1/3] losses",
        "[2/3] paper-cmu",
        "[3/3] reuters",
    ]
    places = [told.index(words) for words in order]
    assert places == sorted(places) and told.count("complete\n") == 2
    assert len(re.findall(r"/runs/toy--.*\.json\n", told)) == 4
    assert "make book now shows what is there on book/speed and book/more-results" in told


@pytest.mark.slow
def test_a_rehearsal_of_the_whole_day(capfd):
    told = rehearsed([], capfd)
    assert f"[{len(gpu_day.STAGES)}/{len(gpu_day.STAGES)}] paper-gpu" in told and "failed" not in told


def test_an_error_for_users_is_one_line(tmp_path, capsys):
    def study_of(name):
        raise UserError("the weights of encoder 'legal-bert' cannot be downloaded")

    stages = [stage for stage in gpu_day.STAGES if stage.name == "unfair-tos-gpu"]
    assert gpu_day.run_stages(stages, study_of, ONE_BY_ONE, None) == ["unfair-tos-gpu"]
    assert "failed: the weights of encoder 'legal-bert'" in capsys.readouterr().out
