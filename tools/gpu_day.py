"""Do all that needs a GPU, the most worthwhile first: checks, measurements, studies. Stopped, it goes on where it was.

First it measures a few steps of each study on the card at hand, for two minutes in all, and prints how long each takes.
A study lies in results/STUDY, run by run; a measurement in results/benchmarks. `make book` then shows what is there: the
table STAGES names the page.

Usage: python tools/gpu_day.py [--plan | --cards | --rehearse] [--only STAGE ...]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from afl_helpers.errors import UserError, unknown_name
from afl_helpers.studies import (
    Study,
    StudyCorpus,
    calibrate,
    describe_progress,
    describe_seconds,
    device_at_hand,
    load_study,
    run_study,
)

ROOT = Path(__file__).resolve().parent.parent
#: Cards that --cards prints settings for, in GB.
CARDS = (8, 16, 24, 80)
SECONDS = 120
#: The paper's batch.
BATCH = 16
#: More runs of a small encoder side by side gain little: on an H100, 14 made six times the steps of one.
MOST_JOBS = 12


@dataclass(frozen=True)
class Stage:
    """One part of the day.

    Args:
        name: of the stage; of the study, unless there is a command.
        buys: what is known once it is done.
        page: the page of the book that shows it; empty where the terminal alone does.
        command: what Python runs, from the root of the repository; empty for a study.
        tiny: the same at the smallest size, which writes nothing.
    """

    name: str
    buys: str
    page: str
    command: tuple[str, ...] = ()
    tiny: tuple[str, ...] = ()


#: In the order in which they are done.
STAGES = (
    Stage(
        "checks",
        "every loss has the value and gradient on the card that it has on the CPU",
        "",
        ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_losses_gpu.py"),
        ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_losses_gpu.py", "-k", "bce"),
    ),
    Stage(
        "losses",
        "time and memory of every loss on the card",
        "speed",
        ("benchmarks/losses.py",),
        ("benchmarks/losses.py", "--memory", "16", "363", "cpu"),
    ),
    Stage(
        "training",
        "documents per second, share of the card's peak, and which optimizations help",
        "speed",
        ("benchmarks/training.py",),
        ("benchmarks/training.py", "--one", "fine_tune", "tiny", "leads", "4", "--documents", "16"),
    ),
    Stage(
        "memory",
        "which batch fits into how much memory, tried",
        "speed",
        ("benchmarks/memory.py",),
        ("benchmarks/memory.py", "--one", "1"),
    ),
    Stage(
        "paper-cmu",
        "the paper's comparison on its texts, encoder and training: most verdicts rest on it",
        "more-results",
    ),
    Stage(
        "paper-cmu-tuned", "the same with tuned rates and annealed schedules: is the answer one of the budget?", "speed"
    ),
    Stage("tuned-to-the-end-gpu", "does AFL rank rare genres better with BERT base, over ten splits?", "speed"),
    Stage("tuned-to-the-end-minilm", "the same with a small encoder, which downloads no weights", "speed"),
    Stage(
        "tuned-for-longer",
        "does the order of its losses stay when they train two and four times as long?",
        "more-results",
    ),
    Stage("paper-minilm", "the paper's five settings with a small encoder, tuned until the rate annealed", "results"),
    Stage("reuters-gpu", "the published Reuters table beside fine-tuned losses of ours", "speed"),
    Stage("hoc-gpu", "the paper's question on medical abstracts, with an encoder for them", "speed"),
    Stage("unfair-tos-gpu", "the paper's question on terms of service, with an encoder for them", "speed"),
    Stage("paper-gpu", "the paper's question with a small encoder, which downloads no weights", "speed"),
)


@dataclass(frozen=True)
class CardSettings:
    """How training fits a card.

    Attributes:
        at_once: the largest batch whose gradients fit at once, a power of two.
        jobs: runs of a small encoder side by side; larger encoders run one by one.
    """

    at_once: int
    jobs: int

    def divide(self, batch: int) -> tuple[int, int]:
        """Return a batch as documents at once and steps whose gradients are summed; their product is the batch."""
        at_once = next(n for n in range(min(batch, self.at_once), 0, -1) if batch % n == 0)
        return at_once, batch // at_once

    def __str__(self) -> str:
        at_once, steps = self.divide(BATCH)
        summed = f", gradients of {steps} steps summed" if steps > 1 else ""
        jobs = f"{self.jobs} runs of a small encoder side by side" if self.jobs > 1 else "one run at a time"
        return f"{at_once} documents at once{summed}, {jobs}"


def settings_for(gigabytes: float, bf16: bool) -> CardSettings:
    """Return the settings for a card, from the memory that `benchmarks/memory.py` counted for BERT base on 512 tokens.

    A fifth of the card stays free, because an allocator cannot use every byte; the GPU's libraries take half a gigabyte.

    Raises:
        SystemExit: not even one document fits.
    """
    counted = json.loads((ROOT / "results" / "benchmarks" / "memory.json").read_text("utf-8"))["counted_gb"]
    needed = {row["documents"]: row["bf16" if bf16 else "float32"] + 0.5 for row in counted}
    free = 0.8 * gigabytes
    fitting = [n for n, needs in needed.items() if needs <= free]
    if not fitting:
        raise SystemExit(f"The card has {gigabytes:.0f} GB, too little for BERT base; use one with at least 4 GB.")
    return CardSettings(max(fitting), min(MOST_JOBS, max(1, int(free // needed[BATCH]))))


def card_at_hand() -> CardSettings:
    """Return the settings for the GPU at hand."""
    gigabytes = torch.cuda.get_device_properties(0).total_memory / 1e9
    card = settings_for(gigabytes, torch.cuda.is_bf16_supported(including_emulation=False))
    return replace(card, jobs=min(card.jobs, max(1, (os.cpu_count() or 1) - 2)))  # each keeps a core busy


def study_for(name: str, card: CardSettings, results: Path) -> Study:
    """Return a study with as many documents at once as fit the card; the batch that the weights see stays."""
    study = load_study(name, results)
    fields = study.config.to_dict()
    at_once, steps = card.divide(fields["batch_size"])
    fields |= {"batch_size": at_once, "accumulation_steps": steps * fields["accumulation_steps"]}
    return replace(study, config=type(study.config).from_dict(fields))


def tiny_study(name: str, results: Path) -> Study:
    """Return two settings of a study on one block of generated texts, with a random encoder: seconds, not hours."""
    study = load_study(name, ROOT / "results")
    first = study.primary.settings if study.primary else {setting.name for setting in study.settings}
    settings = [replace(setting, blocks=None, config={}) for setting in study.settings if setting.name in first][:2]
    fields = study.config.to_dict() | {"encoder": "tiny", "max_length": 16, "epochs": 1, "patience": 1}
    return replace(
        study,
        folder=results / name,
        config=type(study.config).from_dict(fields),
        corpora=[StudyCorpus("toy", top=4, n_documents=160)],
        settings=settings,
        blocks=study.blocks[:1],
        seeds=study.seeds[:1],
        tune={},
        pilot=None,
    )


def plan(studies: Sequence[Study], seconds: float) -> None:
    """Measure a few steps of each study that lacks runs, and print how long each part of it takes."""
    to_do = [study for study in studies if study.to_do()]
    print(f"The plan, from about {seconds:.0f} seconds of measuring on {device_at_hand()}:", flush=True)
    total = [0.0, 0.0]
    for study in to_do:
        try:
            found = calibrate(study, seconds=seconds / len(to_do), progress=False)
        except (UserError, OSError) as error:
            print(f"  {study.name}: cannot run yet: {error}", flush=True)
            continue
        for part, runs in found.parts().items():
            low, high = found.total(runs)
            print(f"  {study.name}, {part}: {_span(low, high)}", flush=True)
        total = [total[0] + low, total[1] + high]
    print(f"  all of these: {_span(*total)}" if to_do else "  every study is complete", flush=True)


def _span(low: float, high: float) -> str:
    """Return the fewest and the most seconds in words."""
    low_text, high_text = describe_seconds(low), describe_seconds(high)
    return low_text if low_text == high_text else f"{low_text} to {high_text}"


def run_command(stage: Stage, notes: Path | None) -> None:
    """Run a stage's command, unless a note says that it ended well on this card."""
    note = notes / stage.name if notes else None
    if note and note.is_file() and note.read_text("utf-8") == device_at_hand():
        print("  done before")
        return
    done = subprocess.run([sys.executable, *(stage.command if note else stage.tiny)], cwd=ROOT)
    if done.returncode:
        raise UserError(f"{stage.command[-1]} ended with code {done.returncode}; its messages above say why")
    if note:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(device_at_hand(), "utf-8")


def run_stages(
    stages: Sequence[Stage], study_of: Callable[[str], Study], card: CardSettings, notes: Path | None
) -> list[str]:
    """Do the stages one after the other; return the names of those that failed. A failed stage stops no other."""
    failed = []
    for number, stage in enumerate(stages, 1):
        print(f"\n[{number}/{len(stages)}] {stage.name}: {stage.buys}", flush=True)
        try:
            if stage.command:
                run_command(stage, notes)
                continue
            study = study_of(stage.name)
            small = getattr(study.config, "encoder", "") in ("minilm", "tiny")
            for path in run_study(study, jobs=card.jobs if small and notes else 1):
                print(f"  {path}", flush=True)
            print(f"  {describe_progress(study) or 'complete'}", flush=True)
        except (UserError, OSError) as error:
            print(f"  failed: {error}", flush=True)
            failed.append(stage.name)
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="measure for two minutes, print how long all takes, and stop")
    what.add_argument(
        "--cards", action="store_true", help="print the settings for cards of 8, 16, 24 and 80 GB, and stop"
    )
    what.add_argument(
        "--rehearse", action="store_true", help="do every stage at tiny size, on any device; nothing of it is kept"
    )
    parser.add_argument("--only", action="append", metavar="STAGE", help="do this stage only; can be repeated")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long to measure (default: {SECONDS})")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", help="folder of the studies (default: results)"
    )
    given = parser.parse_args(arguments)
    names = [stage.name for stage in STAGES]
    for name in given.only or []:
        if name not in names:
            parser.error(str(unknown_name("stage", name, names)))
    stages = [stage for stage in STAGES if not given.only or stage.name in given.only]
    if given.cards:
        for gigabytes in CARDS:
            for precision in ("bf16", "float32"):
                print(f"{gigabytes:>2} GB, {precision}: {settings_for(gigabytes, precision == 'bf16')}")
        return 0
    if given.rehearse:
        with tempfile.TemporaryDirectory() as folder:
            return day(stages, lambda name: tiny_study(name, Path(folder)), CardSettings(BATCH, 1), given, None)
    if not torch.cuda.is_available():
        print("torch sees no GPU here; --rehearse does every stage at tiny size without one.", file=sys.stderr)
        return 1
    card = card_at_hand()
    print(f"{device_at_hand()}: {card}")
    return day(stages, lambda name: study_for(name, card, given.results), card, given, ROOT / "_build" / "gpu-day")


def day(
    stages: Sequence[Stage],
    study_of: Callable[[str], Study],
    card: CardSettings,
    given: argparse.Namespace,
    notes: Path | None,
) -> int:
    """Print the plan, do the stages, and say what to look at."""
    studies = [study_of(stage.name) for stage in stages if not stage.command]
    if studies:
        plan(studies, given.seconds)
    if given.plan:
        return 0
    failed = run_stages(stages, study_of, card, notes)
    pages = dict.fromkeys(f"book/{stage.page}" for stage in stages if stage.page and stage.name not in failed)
    if pages:
        print(
            f"\nmake book now shows what is there on {' and '.join(pages)}; make article brings the article up to date."
        )
    if failed:
        print(f"Failed: {', '.join(failed)}. The same command tries them again.", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped. What is done is kept; the same command goes on.")
