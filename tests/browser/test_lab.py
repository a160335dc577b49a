"""Two chapters in a real JupyterLab: rendered, run, restarted half-way, run again."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.book, pytest.mark.processes]

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ("focal-loss", "what-reproduces")
PATIENCE = 180_000  # milliseconds


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A server on copies of the chapters, which find the results beside them; its address and folder."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (folder / "results").symlink_to(ROOT / "results")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder / 'book'}", "--ServerApp.port_retries=0",
    ]  # fmt: skip
    log = (folder / "log.txt").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=2)
            break
        except OSError:
            assert server.poll() is None, (folder / "log.txt").read_text()[-2000:]
            time.sleep(0.5)
    yield address, folder / "book"
    server.send_signal(signal.SIGINT)
    server.terminate()
    server.wait(timeout=30)


def choose(page, menu: str, item: str) -> None:
    page.locator(".lm-MenuBar-item", has_text=menu).first.click()
    page.locator(".lm-Menu-item", has_text=item).first.click()


def executed(path: Path) -> list[bool]:
    """Which code cells of the saved notebook ran."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell["execution_count"] is not None for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]


def wait_until(page, path: Path, condition) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while not condition(executed(path)):
        assert time.monotonic() < deadline, f"{sum(executed(path))} of {len(executed(path))} cells ran"
        page.wait_for_timeout(1000)
        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_run_all_restart_and_run_all_again(chromium, lab, chapter):
    address, folder = lab
    path = folder / f"{chapter}.ipynb"
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    page.goto(f"{address}/lab/tree/{chapter}.ipynb?reset", timeout=PATIENCE)
    page.wait_for_selector(".jp-Notebook .jp-MarkdownOutput", timeout=PATIENCE)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=PATIENCE)
    page.wait_for_selector(".jp-MarkdownOutput :is(aside, .myst-admonition)", timeout=PATIENCE)
    assert ":::{admonition}" not in page.locator(".jp-Notebook").inner_text()

    page.locator(".jp-CodeCell:not(.jp-mod-outputsScrolled) .jp-InputArea-editor").nth(2).click()
    choose(page, "Run", "Run All Above Selected Cell")
    wait_until(page, path, lambda ran: any(ran) and not all(ran))

    choose(page, "Kernel", "Restart Kernel…")
    page.get_by_role("button", name="Restart").click()
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=PATIENCE)
    choose(page, "Run", "Run All Cells")
    wait_until(page, path, all)

    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert any("image/svg+xml" in output.get("data", {}) for output in outputs)
    page.close()
