"""Links between the pages lead somewhere, and pictures are there."""

import re
from pathlib import Path

import pytest

from fakes_docs import DOCS, ROOT, anchors, pages, prose


_ITEM = re.compile(r"\s*([-*] |[0-9]+\. |\|)")
LINKING = [*pages(), *sorted(DOCS.glob("reference/*.md"))]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = page if not path else Path(page.parent, path).resolve()
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(file), target


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_list_or_table_has_an_empty_line_before_it(page):
    """GitHub doesn't mind; the site would make one paragraph of all."""
    before = ""
    for line in prose(page).splitlines():
        if _ITEM.match(line) and before.strip():
            assert _ITEM.match(before) or before.startswith("  "), line
        before = line
