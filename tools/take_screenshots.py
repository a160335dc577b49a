"""Take the README's pictures of the built book: python tools/take_screenshots.py"""

import io
import sys

from make_pdf import HTML, ROOT, find_browser
from PIL import Image
from playwright.sync_api import sync_playwright

FOLDER = ROOT / ".github" / "screenshots"
#: Name -> page, theme, width and height in pixels, and what to scroll to.
SHOTS = {
    "front": ("book/index.html", "light", (1200, 760), None),
    "theory": ("book/focal-loss.html", "dark", (1200, 760), ".vega-chart"),
    "phone": ("book/adaptive-gamma.html", "light", (390, 760), ".vega-chart"),
}
COLOURS = 128


def main() -> int:
    browser_path = find_browser()
    if browser_path is None or not (HTML / "index.html").exists():
        print("This needs Chromium and a built book; install the one and run `make book`.", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name, (address, theme, (width, height), target) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
            page.goto((HTML / address).as_uri(), wait_until="networkidle")
            if target:
                page.locator(target).first.evaluate("e => window.scrollBy(0, e.getBoundingClientRect().top - 220)")
                page.wait_for_timeout(500)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
            picture.save(FOLDER / f"{name}.png", optimize=True)
            page.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
