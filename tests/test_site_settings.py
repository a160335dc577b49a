"""A small site with the book's own settings, changed as a fork would: buttons, addresses, cards."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parent.parent
FORK = "https://github.com/somebody/their-book"
SITE = "https://somebody.example/their-book"


def build(source: Path, repository: str, published: str) -> Path:
    """Build two pages with the book's settings, this repository, a published address and a hub; warnings are errors."""
    (source / "book").mkdir()
    for folder in ("_ext", "_static"):
        shutil.copytree(ROOT / "book" / folder, source / "book" / folder)
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["repository"]["url"] = repository
    config["launch_buttons"]["jupyterhub_url"] = "https://hub.example"
    config["html"]["baseurl"] = published
    config["execute"]["execute_notebooks"] = "off"
    shutil.copy(ROOT / "references.bib", source)
    shutil.copy(ROOT / "CITATION.cff", source)
    (source / "_config.yml").write_text(yaml.safe_dump(config))
    (source / "_toc.yml").write_text("format: jb-book\nroot: book/start\nchapters:\n- file: book/chapter\n")
    start = "# Start\n\nWhat this site is about. How to cite: [CITATION.cff](../CITATION.cff).\n"
    (source / "book" / "start.md").write_text(start)
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": '# A chapter\n\nIts "first" sentence & no more.'}
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    chapter = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}
    (source / "book" / "chapter.ipynb").write_text(json.dumps(chapter))
    program = Path(sys.executable).parent / "jupyter-book"
    command = [program, "build", "-W", "--keep-going", "--path-output", source / "out", source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return source / "out" / "_build" / "html"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site of a fork: its repository, its published address."""
    return build(tmp_path_factory.mktemp("fork"), FORK, SITE)


@pytest.fixture(scope="module")
def chapter(site) -> BeautifulSoup:
    return BeautifulSoup((site / "book" / "chapter.html").read_text(encoding="utf-8"), "html.parser")


@pytest.mark.parametrize("host", ["mybinder.org", "colab.research.google.com", "hub.example"])
def test_the_buttons_follow_the_repository(chapter, host):
    links = [link["href"] for link in chapter.find_all("a", href=True) if host in link["href"]]
    assert len(links) == 1 and "somebody" in links[0] and "their-book" in links[0] and "chapter.ipynb" in links[0]


def test_repository_edit_and_issue_buttons_follow_it_too(chapter):
    links = {link["href"] for link in chapter.find_all("a", href=True) if link["href"].startswith(FORK)}
    assert FORK in links
    assert any(link.startswith(f"{FORK}/issues/new") for link in links)
    assert any(link.startswith(f"{FORK}/edit/main/") and link.endswith("book/chapter.ipynb") for link in links)
    assert chapter.find(class_="how-to-run") is None


def test_a_published_page_says_where_it_stands(chapter):
    assert chapter.find("link", rel="canonical")["href"] == f"{SITE}/book/chapter.html"
    cards = {tag["property"]: tag["content"] for tag in chapter.find_all("meta", property=True)}
    assert cards["og:url"] == f"{SITE}/book/chapter.html" and cards["og:title"] == "A chapter"
    assert cards["og:description"] == chapter.find("meta", attrs={"name": "description"})["content"]
    assert cards["og:description"].startswith("Its ") and cards["og:description"].endswith("sentence & no more.")


def test_the_card_has_a_picture_that_is_there(site, chapter):
    address = chapter.find("meta", property="og:image")["content"]
    assert address.startswith(f"{SITE}/") and (site / address.removeprefix(f"{SITE}/")).is_file()


def test_the_sitemap_lists_every_page(site):
    found = {element.text for element in ElementTree.parse(site / "sitemap.xml").iter() if element.tag.endswith("loc")}
    assert found == {f"{SITE}/book/{name}.html" for name in ("start", "chapter")}
    assert all((site / address.removeprefix(f"{SITE}/")).is_file() for address in found)


def test_without_an_address_no_page_points_to_a_repository(tmp_path):
    """The site before its owner has a repository: no launch button, no card with an address, no sitemap."""
    html = build(tmp_path, "", "")
    for name in ("start", "chapter"):
        page = BeautifulSoup((html / "book" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        links = [tag[key] for key in ("href", "content") for tag in page.find_all(attrs={key: True})]
        places = ("mybinder", "colab", "hub.example", "github", "gitlab")
        assert [link for link in links if any(place in link for place in places)] == []
        assert page.find("meta", property="og:url") is None and page.find("link", rel="canonical") is None
        assert page.find(class_="dropdown-launch-buttons") is None
        how = page.find(class_="how-to-run")
        assert how is None if name == "start" else "make lab" in how.text
    assert not (html / "sitemap.xml").exists()
    links = BeautifulSoup((html / "book" / "start.html").read_text(encoding="utf-8"), "html.parser").find_all("a")
    citation = next(link["href"] for link in links if link.get("href", "").endswith("CITATION.cff"))
    assert (html / "book" / citation).resolve().is_file()
