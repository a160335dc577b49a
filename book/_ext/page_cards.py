"""A Sphinx extension that tells search engines and link previews what a page is.

Every page gets a description, its first sentence or two, and Open Graph tags. Where `html_baseurl` is set, cards have a
picture and the site a `sitemap.xml`; Sphinx itself writes the canonical links then. Launch, repository, edit and issue
buttons need the address of the repository: without one they are left out, and each chapter says in a line how to run it.
"""

import html
from pathlib import Path
from urllib.parse import urljoin

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

NEED_ADDRESS = ("launch_buttons", "use_repository_button", "use_edit_page_button", "use_issues_button")
HOW_TO_RUN = (
    '<p class="how-to-run"><small>To run this page: <code>make lab</code> in a checkout of the book.</small></p>'
)
CARD = "_static/main-figure.png"
LONGEST = 200


def description(doctree: nodes.document | None) -> str:
    """The page's first paragraph, cut at a word."""
    paragraph = next(iter(doctree.findall(nodes.paragraph)), None) if doctree else None
    text = " ".join(paragraph.astext().split()) if paragraph else ""
    return text if len(text) <= LONGEST else text[:LONGEST].rpartition(" ")[0] + " ..."


def address(app: Sphinx, place: str) -> str:
    """Where a file of the site is published; nothing where the site's own address is not known."""
    base = app.config.html_baseurl
    return urljoin(base.rstrip("/") + "/", place) if base else ""


def tags(app: Sphinx, pagename: str, title: str, about: str) -> str:
    found = {
        "og:type": "website",
        "og:site_name": app.config.html_title or app.config.project,
        "og:title": title,
        "og:description": about,
        "twitter:card": "summary_large_image",
        "og:url": address(app, f"{pagename}.html"),
        "og:image": address(app, CARD),
    }
    lines = [f'<meta property="{name}" content="{html.escape(value)}" />' for name, value in found.items() if value]
    if about:
        lines.append(f'<meta name="description" content="{html.escape(about)}" />')
    return "\n".join(lines)


def add_tags(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    title = context.get("title") or app.config.project
    context["metatags"] = context.get("metatags", "") + tags(app, pagename, title, description(doctree))
    is_chapter = doctree is not None and str(app.env.doc2path(pagename)).endswith(".ipynb")
    if is_chapter and pagename != app.config.root_doc and not app.config.html_theme_options.get("repository_url"):
        context["body"] = context.get("body", "") + HOW_TO_RUN


def write_sitemap(app: Sphinx, error: Exception | None) -> None:
    """One address a page; nothing where the site's own address is not known."""
    if error or not app.config.html_baseurl:
        return
    addresses = sorted(address(app, f"{name}.html") for name in app.env.found_docs)
    lines = [f"<url><loc>{html.escape(page)}</loc></url>" for page in addresses]
    start = ['<?xml version="1.0" encoding="UTF-8"?>', '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">']
    text = "\n".join([*start, *lines, "</urlset>", ""])
    (Path(app.outdir) / "sitemap.xml").write_text(text, encoding="utf-8")


def drop_buttons(app: Sphinx, config: Config) -> None:
    """Leave out the buttons that need a repository if there is none; the theme fails on a page that should have one."""
    if not config.html_theme_options.get("repository_url"):
        for name in NEED_ADDRESS:
            config.html_theme_options.pop(name, None)


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", drop_buttons)
    app.connect("html-page-context", add_tags)
    app.connect("build-finished", write_sitemap)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
