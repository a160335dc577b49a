"""Chapters in a real JupyterLab: rendered, run, restarted half-way, run again."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.book, pytest.mark.processes]

ROOT = Path(__file__).resolve().parents[2]
SLIDES, TRAINS = "focal-loss", "fine-tuning"
PATIENCE = 600_000  # milliseconds

# Collects the texts that a progress bar has shown, also while nobody looks.
WATCH = """() => {
    window.bars = new Set();
    const look = () => document.querySelectorAll("[data-mime-type='application/vnd.jupyter.stderr']").forEach(
        output => output.textContent.includes("step/s") && window.bars.add(output.textContent));
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""

# Whether all cells are there, and each Markdown cell is drawn.
RENDERED = """number => {
    const all = selector => document.querySelectorAll(`.jp-Notebook ${selector}`).length;
    return all(".jp-Cell") === number && all(".jp-MarkdownCell:has(.myst)") === all(".jp-MarkdownCell");
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A server on copies of the chapters, as `make lab` starts it; its address and folder."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (folder / "results").symlink_to(ROOT / "results")
    for _ in range(3):  # another process may take the free port before the server does
        server, address = start_lab(folder)
        try:
            if is_up(server, address):
                yield address, folder / "book"
                return
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE / 1000)
    pytest.fail((folder / "log.txt").read_text()[-2000:])


def start_lab(folder: Path) -> tuple[subprocess.Popen, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    environment = os.environ | {name: str(folder / value) for name, value in own.items()}
    environment.pop("AFL_BOOK", None)
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=", "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with (folder / "log.txt").open("w") as stream:
        server = subprocess.Popen(
            command, cwd=folder / "book", env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
    return server, f"http://127.0.0.1:{port}"


def is_up(server: subprocess.Popen, address: str) -> bool:
    """Wait until the server answers; False where it ended, or did not answer in time."""
    deadline = time.monotonic() + PATIENCE / 1000
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=10)
            return server.poll() is None
        except OSError:
            time.sleep(0.5)
    return False


class Notebook:
    """A notebook open in the lab, worked through the menus."""

    def __init__(self, page, address: str, path: Path):
        self.page, self.path = page, path
        self.number_of_cells = len(json.loads(path.read_text(encoding="utf-8"))["cells"])
        page.goto(f"{address}/lab/tree/{path.name}?reset", timeout=PATIENCE)
        page.wait_for_selector(".jp-Notebook .myst h1", timeout=PATIENCE)
        self.wait_idle()

    def wait_idle(self) -> None:
        self.page.wait_for_selector(
            ".jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=PATIENCE, state="attached"
        )

    def choose(self, menu: str, item: str) -> None:
        self.page.locator(".lm-MenuBar-itemLabel", has_text=menu).first.click()
        self.page.locator(f".lm-Menu-item:has(> .lm-Menu-itemLabel:text-is('{item}'))").click()

    def code_cells(self) -> list[dict]:
        """The code cells of the notebook as the lab last saved it."""
        self.page.keyboard.press("Control+s")
        deadline = time.monotonic() + PATIENCE / 1000
        while True:
            self.page.wait_for_timeout(700)
            try:
                cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
                return [cell for cell in cells if cell["cell_type"] == "code"]
            except ValueError:  # the lab is writing the file: it is empty, or ends early, perhaps within a character
                assert time.monotonic() < deadline, "the notebook is no JSON"

    def wait_for_runs(self, expected: int) -> list[dict]:
        """Returns the code cells once `expected` of them have run; what raised ends the wait."""
        deadline = time.monotonic() + PATIENCE / 1000
        while True:
            cells = self.code_cells()
            failed = [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
            assert failed == []
            if sum(cell["execution_count"] is not None for cell in cells) == expected:
                return cells
            assert time.monotonic() < deadline, f"{[cell['execution_count'] for cell in cells]}"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("chapter", [SLIDES, TRAINS])
def test_a_chapter_reads_well_and_runs_from_top_to_bottom(chromium, lab, chapter):
    address, folder = lab
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    notebook = Notebook(page, address, folder / f"{chapter}.ipynb")
    # The lab adds one cell after another, and hides the text of those out of view from `inner_text`.
    page.wait_for_function(RENDERED, arg=notebook.number_of_cells, timeout=PATIENCE)
    text = "\n".join(page.locator(".jp-MarkdownCell .myst").all_text_contents())
    assert "In this chapter" in text
    assert ":::" not in text
    assert page.locator(".jp-Notebook .myst-admonition").count()

    number = len(notebook.code_cells())
    if chapter == SLIDES:
        half = page.locator(".jp-CodeCell").nth(number // 4)
        half.scroll_into_view_if_needed()
        half.locator(".jp-InputArea-editor").click()
        notebook.choose("Run", "Run All Above Selected Cell")
        notebook.wait_for_runs(number // 4)

        notebook.choose("Kernel", "Restart Kernel…")
        page.locator(".jp-Dialog button", has_text="Restart").click()
        page.locator(".jp-Dialog").wait_for(state="detached")
        notebook.wait_idle()
    page.evaluate(WATCH)
    notebook.choose("Run", "Run All Cells")
    cells = notebook.wait_for_runs(number)
    if chapter == TRAINS:  # a bar that moved, in a cell that is not in view
        assert page.evaluate("window.bars.size") > 1

    assert [cell["execution_count"] for cell in cells] == list(range(1, number + 1))
    assert any(
        "image/svg+xml" in output.get("data", {}) or "image/png" in output.get("data", {})
        for cell in cells
        for output in cell["outputs"]
    )
    left = [output["text"] for cell in cells for output in cell["outputs"] if output.get("name") == "stderr"]
    assert "".join("".join(text) for text in left).strip() == ""
    if chapter == SLIDES:
        chart = page.locator(".vega-embed").first
        canvas = chart.locator("canvas").element_handle()
        slider = chart.locator("input[type=range]").first
        slider.evaluate("e => e.scrollIntoView({block: 'center'})")
        before = canvas.evaluate("e => e.toDataURL()")
        slider.fill("4")
        page.wait_for_function("([canvas, before]) => canvas.toDataURL() !== before", arg=[canvas, before])
        assert int(canvas.get_attribute("width")) > 400
        option = page.locator(".quiz details").first
        reason = option.locator("p, div, span").last
        option.scroll_into_view_if_needed()
        assert not reason.is_visible()
        option.locator("summary").click()
        assert reason.is_visible() and reason.inner_text().strip()
    page.close()
