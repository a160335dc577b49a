"""A Sphinx extension that makes the rendered book self-contained.

It copies MathJax (its TeX input, its HTML output and fonts) out of sphinx-mathjax-offline into
`_static/mathjax`, writes Vega, Vega-Lite and vega-embed as one script, loads that script on pages with charts
only, and records how long each chapter took to run.
"""

import importlib.metadata
import json
import shutil
from pathlib import Path

import vl_convert
from sphinx.application import Sphinx

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/", "input/tex/extensions/")
VEGA_SCRIPT = "vega-bundle.js"


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
    app.connect("build-finished", record_times)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
