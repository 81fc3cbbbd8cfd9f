"""The site is built as `make site` does, and looked at as files."""

import os
import re
import subprocess
import sys
from pathlib import Path
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
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?https?:", sheet.read_text(encoding="utf-8")), sheet.name


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
