"""The study paper-cmu the whole way at tiny size: downloaded from a stand-in, calibrated, trained, compared and drawn."""

import ast
import functools
import http.server
import io
import json
import shutil
import tarfile
import threading
from itertools import islice
from pathlib import Path

import matplotlib
import pytest

from afl_helpers.__main__ import main
from afl_helpers.chapters import figures
from afl_helpers.data.sources import cmu, download
from afl_helpers.data.sources.toy import toy_files
from afl_helpers.results import read_study, results_table, verify_checksums
from afl_helpers.studies import complete_blocks, load_study, run_study

ROOT = Path(__file__).resolve().parent.parent
PAPER = ["bce", "focal-1.5", "focal-2.0", "focal-2.5", "afl"]
N_DOCUMENTS = 160
#: What differs from the committed study: the size, and how many of the exploratory settings there are.
TINY = """
extends: committed
config: {encoder: tiny, max_length: 16, epochs: 1}
corpora: [{name: cmu, min_count: 15}]
blocks: 2
settings:
  - {name: afl-shuffled, loss: afl, params: {assignment: shuffled}, blocks: [1]}
  - {name: bce, loss: bce}
  - {name: focal-1.5, loss: focal, params: {gamma: 1.5}}
  - {name: focal-2.0, loss: focal, params: {gamma: 2.0}}
  - {name: focal-2.5, loss: focal, params: {gamma: 2.5}}
  - {name: afl, loss: afl}
"""

matplotlib.use("Agg")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def stand_in() -> dict[str, bytes]:
    """Return files in the layout of the CMU corpus: the first generated plots, and the metadata of all movies."""
    files = toy_files()
    plots = b"".join(files[cmu.PLOTS_FILE].splitlines(keepends=True)[:N_DOCUMENTS])
    return {cmu.METADATA_FILE: files[cmu.METADATA_FILE], cmu.PLOTS_FILE: plots}


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Serve the stand-in on this machine in place of the published archive. The cache is empty."""
    (tmp_path / "served").mkdir()
    with tarfile.open(tmp_path / "served" / cmu.ARCHIVE, "w:gz") as tar:
        for name, content in stand_in().items():
            member = tarfile.TarInfo(f"{cmu.FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    handler = functools.partial(Quiet, directory=tmp_path / "served")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("AFL_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(cmu, "URL", f"http://127.0.0.1:{server.server_port}/{cmu.ARCHIVE}")
    hashes = {name: download.git_blob_hash(content) for name, content in stand_in().items()}
    monkeypatch.setattr(cmu, "GIT_BLOB_HASHES", hashes)
    yield tmp_path / "cache" / cmu.ARCHIVE
    server.shutdown()
    thread.join()
    server.server_close()


def drawn_by_the_chapter() -> list[str]:
    """Run what the page "More results" draws the paper's figure with; return the figures' titles."""
    cells = {
        cell["id"]: "".join(cell["source"])
        for cell in json.loads((ROOT / "book" / "more-results.ipynb").read_text(encoding="utf-8"))["cells"]
    }
    names = {
        "complete_blocks": complete_blocks,
        "paper_comparison": figures.paper_comparison,
        "results_table": results_table,
        "read_study": lambda name: [],
    }
    titles = []
    for source in (cell for cell in cells.values() if "paper_comparison(results_table" in cell):
        *lines, last = ast.parse(source).body
        exec(compile(ast.Module(lines, []), "cell", "exec"), names)
        figure = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        figure.canvas.draw()
        titles.append(figure.axes[0].get_title(loc="left"))
    return titles


def test_the_whole_way_from_the_download_to_the_figures(published, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "results"
    for name in ("committed", "paper-cmu"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "results" / "paper-cmu" / "study.yaml", folder / "committed")
    (folder / "paper-cmu" / "study.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    study = load_study("paper-cmu")

    assert not published.exists()
    assert main(["study", "paper-cmu", "--calibrate", "0.1"]) == 0
    assert published.is_file() and "the first complete comparison, 5 runs: " in capsys.readouterr().out

    assert complete_blocks("paper-cmu", while_running=True) == []
    done = [path.stem for path in islice(run_study(study, progress=False), 7)]  # as if time were over then
    assert done == [f"cmu--{name}--block1" for name in PAPER] + ["cmu--bce--block2", "cmu--focal-1.5--block2"]
    assert {run.run for run in complete_blocks("paper-cmu", while_running=True)} == set(done[:5])
    assert drawn_by_the_chapter() == ["paper-cmu; cmu; tiny; block 1"] * 2  # Fig. 4 and Fig. 3
    assert main(["compare", "paper-cmu"]) == 0
    assert capsys.readouterr().out == "paper-cmu: running: 7 of 10 runs\n"

    assert main(["study", "paper-cmu"]) == 0
    results = read_study("paper-cmu")
    assert len(results) == 11 and study.to_do() == []
    verify_checksums(study.folder)
    for run in results:
        assert (run.encoder, run.method, run.config["learning_rate"]) == ("tiny", "fine_tune", 2e-5)
        assert run.data.source.startswith("CMU Movie Summary Corpus") and sum(run.data.sizes.values()) <= N_DOCUMENTS

    assert drawn_by_the_chapter() == ["paper-cmu; cmu; tiny; blocks 1, 2"] * 2
    capsys.readouterr()
    assert main(["compare", "paper-cmu"]) == 0
    compared = capsys.readouterr().out.splitlines()
    assert len(compared) == 8 + 2 and all("2 blocks" in line for line in compared[:8])
    assert "do not count as converged: the best epoch lies within the patience" in compared[-1]
    assert compared[0].startswith("cmu, f1_micro@at_0.5: afl minus bce ")
    assert main(["claims", "--results", str(folder)]) == 0
    assert "C12 " in capsys.readouterr().out


def test_what_is_rehearsed_is_the_committed_study_but_for_its_size(tmp_path):
    for name in ("committed", "tiny"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "results" / "paper-cmu" / "study.yaml", tmp_path / "committed")
    (tmp_path / "tiny" / "study.yaml").write_text(TINY)
    tiny, whole = load_study("tiny", tmp_path), load_study("committed", tmp_path)
    assert tiny.primary == whole.primary and tiny.question == whole.question and tiny.tune == whole.tune
    settings = {setting.name: setting for setting in whole.settings}
    assert all(setting == settings[setting.name] for setting in tiny.settings if setting.blocks is None)
    changed = {name for name, value in whole.config.to_dict().items() if tiny.config.to_dict()[name] != value}
    assert changed == {"encoder", "max_length", "epochs"}
