"""How soon an explorable can be used: from opening its page on disk to its controls, and from a change to the new picture.

    make book && python benchmarks/explorables.py

Medians of nine in headless Chromium. Training in the page is not in it.
"""

import sys
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

from afl_helpers.files import write_json
from afl_helpers.results import describe_environment

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from make_pdf import find_browser  # noqa: E402

SITE = ROOT / "_build" / "html" / "book"
RESULT = ROOT / "results" / "benchmarks" / "explorables.json"
PAGES = ("index", "film", "try", "train-in-the-page", "watch", "tug-of-war", "statcheck")

#: Notes when the goals, which an explorable adds last, stand in the page. Counted from the start of the navigation.
NOTE = """new MutationObserver(() => {
    if (!window.usable && document.querySelector(".explorable-goals li")) { window.usable = performance.now(); }
}).observe(document, {subtree: true, childList: true});"""
#: Moves the first slider or presses the first button, else takes the next choice, and waits for the frame after the change.
CHANGE = """async () => {
    const root = document.querySelector("[data-explorable]");
    const control = root.querySelector("input[type=range], button") || root.querySelector("select");
    const began = performance.now();
    if (control.type === "range") {
        control[Number(control.value) < Number(control.max) ? "stepUp" : "stepDown"]();
        control.dispatchEvent(new Event("input", {bubbles: true}));
    } else if (control.tagName === "BUTTON") {
        control.click();
    } else {
        control.selectedIndex = 1;
        control.dispatchEvent(new Event("change", {bubbles: true}));
    }
    await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    return performance.now() - began;
}"""


def measure(browser, name: str) -> dict[str, float]:
    """Return the medians of a page in milliseconds."""
    opened, changed = [], []
    for _ in range(9):
        page = browser.new_page()
        page.add_init_script(NOTE)
        page.goto((SITE / f"{name}.html").as_uri())
        page.wait_for_selector(".explorable-goals li", state="attached")
        opened.append(page.evaluate("window.usable"))
        changed.append(page.evaluate(CHANGE))
        page.close()
    return {"until it can be used": median(opened), "until a change is drawn": median(changed)}


def main() -> None:
    path = find_browser()
    if path is None or not SITE.is_dir():
        print("left out: it needs Chromium and the built book; install it, and run `make book`")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        found = {name: measure(browser, name) for name in PAGES}
        version = browser.version
        browser.close()
    print(f"{'page':20}{'usable after':>14}{'change drawn':>14}")
    for name, row in found.items():
        print(f"{name:20}" + "".join(f"{value:11.0f} ms" for value in row.values()))
    environment = describe_environment() | {"chromium": version}
    write_json(RESULT, {"environment": environment, "milliseconds": found})


if __name__ == "__main__":
    main()
