"""A Sphinx extension that makes the rendered book self-contained and light.

It copies MathJax (its TeX input, its HTML output and fonts) out of sphinx-mathjax-offline into
`_static/mathjax`, writes Vega, Vega-Lite and vega-embed as one script, loads these and the book's own interactive parts
on the pages alone that need them, leaves out the live-code script, which the book does not use, cuts the theme's icon fonts down to the icons in use,
and records how long each chapter took to run.
"""

import importlib.metadata
import json
import logging
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import vl_convert
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/", "input/tex/extensions/")
VEGA_SCRIPT = "vega-bundle.js"
#: Interactive part -> the scripts of _static/explorables that it needs beside its own.
NEEDS = {
    "film": ("losses", "data/leads"),
    "tug": ("losses",),
    "train": ("losses", "training"),
    "statcheck": ("intervals",),
    "watch": (),
    "try": ("losses", "words", "data/leads", "data/plainHeads"),
}
#: What a link, script or style of the icon fonts, of the live-code script and of MathJax can be told by.
ICONS, LIVE_CODE, FORMULAS = "vendor/fontawesome", re.compile("thebe", re.IGNORECASE), "mathjax/tex-chtml.js"
FONT_SOURCES = re.compile(r"src:url\(([^)]*)\.woff2\) format\(\"woff2\"\)(,url\([^)]*\) format\(\"truetype\"\))?")
ICON_RULE = re.compile(r"(\.fa-[^{}]*:before)\{content:\"\\([0-9a-f]+)\"\}")


def copy_mathjax(static: Path) -> None:
    """Copy the parts of MathJax that a page loads; the rest of the package is other inputs and outputs."""
    for file in importlib.metadata.files("sphinx-mathjax-offline"):
        name = str(file).partition("static/mathjax/")[2]
        if name.startswith(MATHJAX):
            target = static / "mathjax" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)


def vega_script() -> str:
    """Vega, Vega-Lite and vega-embed as a classic script (a module would not load from a file:// page)."""
    bundle = vl_convert.javascript_bundle(snippet="window.vegaEmbed = vegaEmbed;")
    return f"(() => {{{bundle}\n}})();\n"


def load_vega(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Load the chart scripts on a page that has a chart."""
    if 'class="vega-chart"' in context.get("body", ""):
        app.add_js_file(VEGA_SCRIPT, loading_method="defer")
        app.add_js_file("vega-charts.js", loading_method="defer")


def load_explorables(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Load the scripts of the interactive parts that stand on a page, in the order in which they need each other."""
    names = dict.fromkeys(re.findall(r'data-explorable="(\w+)"', context.get("body", "")))
    if names:
        app.add_css_file("explorables/explorables.css")
        scripts = ["widgets", *(needed for name in names for needed in (*NEEDS.get(name, ()), f"data/{name}", name))]
        for script in dict.fromkeys(scripts):
            app.add_js_file(f"explorables/{script}.js", loading_method="defer")


def leave_out(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Drop the live-code script, and MathJax from a page without formulas."""

    def text(file: object) -> str:
        return f"{getattr(file, 'filename', '') or ''} {getattr(file, 'attributes', {}).get('body', '')}"

    formulas = 'class="math' in context.get("body", "")
    context["css_files"] = [file for file in context["css_files"] if not LIVE_CODE.search(text(file))]
    context["script_files"] = [
        file
        for file in context["script_files"]
        if not LIVE_CODE.search(text(file)) and (formulas or not re.search(f"{FORMULAS}|window.MathJax", text(file)))
    ]


def used_icons(html: Path, rules: dict[str, str]) -> set[str]:
    """Code points of the icons that pages and scripts name by class, and styles by their code."""
    found: set[str] = set()
    for path in html.rglob("*"):
        if ICONS in path.as_posix() or path.suffix not in (".html", ".js", ".css"):
            continue
        content = path.read_text(encoding="utf-8", errors="ignore")
        if path.suffix == ".css":
            # Written as an escape, or as the character itself.
            found |= set(re.findall(r"\\(f[0-9a-f]{3})\b", content))
            found |= {f"{ord(character):x}" for character in re.findall("[\uf000-\uf8ff]", content)}
        else:
            found |= {rules[name] for name in set(re.findall(r"\bfa-[a-z0-9-]+", content)) if name in rules}
    return found


def cut_icons(html: Path) -> None:
    """Keep of the icon fonts what is in use, as fonts alone: their script draws the same icons again and is large."""
    for folder in (html / "_static" / ICONS).iterdir():
        style = folder / "css" / "all.min.css"
        content = style.read_text(encoding="utf-8")
        rules = {
            name[1:]: code
            for names, code in ICON_RULE.findall(content)
            for name in re.findall(r"\.fa-[a-z0-9-]+", names)
        }
        used = used_icons(html, rules)
        content = ICON_RULE.sub(lambda rule, used=used: rule[0] if rule[2] in used else "", content)
        content = FONT_SOURCES.sub(r"src:url(\1.woff)", content)
        style.write_text(content, encoding="utf-8")
        for font in (folder / "webfonts").glob("*.ttf"):
            subset_font(font, {int(code, 16) for code in used})
        for file in [*(folder / "webfonts").glob("*.ttf"), *(folder / "webfonts").glob("*.woff2")]:
            file.unlink()
        shutil.rmtree(folder / "js", ignore_errors=True)


# It reports each table of each font.
logging.getLogger("fontTools").setLevel(logging.WARNING)


def subset_font(font: Path, code_points: Iterable[int]) -> None:
    """Write the font with these characters alone beside it, as .woff."""
    opened = TTFont(font)
    subsetter = Subsetter(Options(notdef_outline=True))
    subsetter.populate(unicodes=code_points)
    subsetter.subset(opened)
    opened.flavor = "woff"
    opened.save(font.with_suffix(".woff"))


def finish_pages(html: Path) -> None:
    """Remove the icons' script and preloads, and a role that a list of references cannot have; box drawings."""
    for path in html.rglob("*.html"):
        content = path.read_text(encoding="utf-8")
        leaner = re.sub(rf'<script[^>]*{ICONS}[^>]*></script>|<link rel="preload"[^>]*{ICONS}[^>]*>', "", content)
        leaner = leaner.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
        # On a phone the drawing scrolls, the caption below it stays.
        leaner = re.sub(r"(<figure[^>]*>\s*)(<img[^>]*>)", r'\1<div class="figure-box">\2</div>', leaner)
        if leaner != content:
            path.write_text(leaner, encoding="utf-8")


def make_lean(app: Sphinx, error: Exception | None) -> None:
    """After the last page is written; a build from the cache copies the theme's files anew and comes here too."""
    html = Path(app.outdir)
    if error is None and (html / "_static" / ICONS).is_dir():
        finish_pages(html)
        cut_icons(html)


def copy_assets(app: Sphinx) -> None:
    """Put MathJax and Vega beside the theme's own files, before the pages are written."""
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    copy_mathjax(static)
    (static / VEGA_SCRIPT).write_text(vega_script(), encoding="utf-8")


def record_times(app: Sphinx, error: Exception | None) -> None:
    """Write the seconds that each chapter's code took, also where its outputs came from the cache."""
    executed = {
        name: metadata["exec_data"]["runtime"]
        for name, metadata in app.env.nb_metadata.items()
        if metadata.get("exec_data")
    }
    (Path(app.outdir).parent / "execution.json").write_text(json.dumps(executed, indent=1) + "\n")


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", copy_assets)
    app.connect("html-page-context", load_vega)
    app.connect("html-page-context", load_explorables)
    app.connect("html-page-context", leave_out, priority=900)
    app.connect("build-finished", record_times)
    app.connect("build-finished", make_lean, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
