"""What mkdocs.yml can't say: files that lie outside of docs/, pages that nobody listed, and the findings."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


ROOT = Path(__file__).parents[1]
RENAMED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the project's folder, and what they are called in the site."""

OUTSIDE = (*RENAMED, "Dockerfile", "recipes/**/*.yaml", "schema/*.json", "benchmarks/results/*.md")
"""What pages link to, and the site has, beside the folder of pages."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation: pages that it lacks come under How-to, findings under Diagnostics."""
    sections: dict[str, list[Any]] = {name: part for section in config.nav or [] for name, part in section.items()}
    folder = Path(config.docs_dir)
    listed = set(_pages(list(sections.values())))
    sections["How-to"] += sorted(path.name for path in folder.glob("*.md") if path.name not in listed)
    sections["Diagnostics"] += _findings((folder / "reference" / "findings.md").read_text(encoding="utf-8"))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside of the folder of pages."""
    for path in sorted(path for pattern in OUTSIDE for path in ROOT.glob(pattern)):
        files.append(File.generated(config, _in_site(path.relative_to(ROOT).as_posix()), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links that are right in the project lead to the same files in the site, and codes of findings to their pages."""
    del config
    here = Path(str(page.file.abs_src_path)).relative_to(ROOT).parent.as_posix()
    there = posixpath.dirname(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        path, mark, anchor = link[1].partition("#")
        if not path or "://" in path:
            return link[0]
        target = _in_site(posixpath.normpath(posixpath.join(here, path)))
        return f"]({posixpath.relpath(target, there or '.')}{mark}{anchor})"

    linked = re.sub(r"\]\(([^)\s]+)\)", moved, markdown)
    return linked if there.startswith("reference") else _with_findings(linked, there, files)


def _with_findings(markdown: str, there: str, files: Files) -> str:
    """Make links of the codes of findings, but for those in code, in headings and in other links."""

    def link(code: re.Match[str]) -> str:
        page = f"reference/findings/{code[0]}.md"
        return f"[{code[0]}]({posixpath.relpath(page, there or '.')})" if files.get_file_from_path(page) else code[0]

    parts = re.split(r"(^```.*?^```|`[^`]*`|^#.*?$|\[[^\]]*\]\([^)]*\))", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if place % 2 else re.sub(r"\bR[0-9]{3}\b", link, part) for place, part in enumerate(parts))


def _in_site(path: str) -> str:
    """Return where a file of the project lies in the site."""
    return RENAMED.get(path) or path.removeprefix("docs/")


def _pages(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            yield from _pages(entry if isinstance(entry, list) else list(entry.values()))


def _findings(listing: str) -> Iterator[dict[str, list[str]]]:
    """Return the sections of the list of findings, each with its pages."""
    for section in listing.split("\n## ")[1:]:
        title, _, rows = section.partition("\n")
        yield {title: [f"reference/{page}" for page in re.findall(r"\((findings/R[0-9]+\.md)\)", rows)]}
