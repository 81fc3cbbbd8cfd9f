"""The site is built as `make site` does, and looked at as files."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from fakes_docs import DOCS, ROOT, pages


pytest.importorskip("mkdocs", reason="the site is built with the group `docs`: run `make site` once")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def html(site) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_every_page_is_in_the_site(site):
    names = {"README.md": "index.html"}
    for page in [*pages(), *DOCS.rglob("reference/**/*.md")]:
        path = page.relative_to(ROOT).as_posix()
        name = names.get(path) or path.removeprefix("docs/").replace(".md", ".html")
        assert (site / (name.lower() if "/" not in name else name)).exists(), path


def test_nothing_is_loaded_from_elsewhere(site):
    for page in html(site):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=\"?([^\s\">]+)", text)
        for tag in re.findall(r"<link\b[^>]*>", text):
            if "canonical" not in tag:
                loaded += re.findall(r"href=\"?([^\s\">]+)", tag)
        elsewhere = [address for address in loaded if re.match(r"(https?:)?//", address)]
        assert elsewhere == [], page.name
    for file in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        assert not re.search(r"(@import|url\()\s*[\"']?https?:", file.read_text(encoding="utf-8")), file.name


def test_links_of_the_site_lead_to_files(site):
    for page in html(site):
        if page.name == "404.html":  # its links start at the root of a server
            continue
        targets = re.findall(r"(?:href|src)=\"?([^\s\">]+)", page.read_text(encoding="utf-8"))
        for target in targets:
            path = unquote(target.partition("#")[0])
            if path and not re.match(r"[a-z]+:", path):
                assert Path(page.parent, path).exists(), f"{page.relative_to(site)}: {target}"


def test_findings_are_in_the_navigation_by_their_sections(site):
    listing = (DOCS / "reference" / "findings.md").read_text(encoding="utf-8")
    menu = (site / "reference" / "findings.html").read_text(encoding="utf-8")
    for title in re.findall(r"^## (.+)$", listing, flags=re.MULTILINE):
        assert title in menu


def test_codes_of_findings_lead_to_their_pages_but_not_in_examples(site):
    page = (site / "es" / "tutorial.html").read_text(encoding="utf-8")
    assert re.search(r'<a href="?\.\./reference/findings/R503\.html"?>R503</a>', page)
    assert "recipe explain R303</code>" in page


def test_a_page_that_nobody_listed_comes_under_how_to(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import site_hooks

    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "findings.md").write_text("# x\n\n## Names\n\n| [R101](findings/R101.md) | `x` |\n")
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(f"# {name}\n")
    nav = [{"How-to": [{"Data": ["a.md"]}]}, {"Diagnostics": ["reference/findings.md"]}]

    site_hooks.on_config(SimpleNamespace(nav=nav, docs_dir=str(tmp_path)))

    assert nav[0]["How-to"] == [{"Data": ["a.md"]}, "b.md"]
    assert nav[1]["Diagnostics"] == ["reference/findings.md", {"Names": ["reference/findings/R101.md"]}]
