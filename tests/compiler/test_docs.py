import runpy
from pathlib import Path
from typing import get_args

import pytest

from recipe_compiler import docs
from recipe_compiler.docs.__main__ import all_files, main, stale
from recipe_compiler.docs.findings import finding_page
from recipe_compiler.docs.language import language_page
from recipe_compiler.docs.markdown import cell, escaped
from recipe_compiler.docs.simpletuner import simpletuner_page
from recipe_compiler.pages import Page, all_pages
from recipe_schema.definition import leaves
from recipe_schema.events import Event


REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_the_reference_pages_are_fresh():
    assert stale(REFERENCE) == [], "run `make docs` and commit"


def test_every_key_and_every_finding_has_its_place():
    files = all_files()

    for leaf in leaves():
        assert f"### `{leaf.path}`" in files["recipe.md"]
        if leaf.key.aka is not None:
            assert f"`{leaf.key.aka}`" in files["recipe.md"]
    for code in all_pages():
        assert f"[{code}](findings/{code}.md)" in files["findings.md"]
        assert files[f"findings/{code}.md"].splitlines()[2].startswith(f"# {code} ")


def test_a_key_tells_type_unit_default_impact_readers_and_other_names():
    page = language_page()

    story = page[page.index("### `data.framerate`") :].split("\n### ")[0]
    assert "- Type: a number, more than 0, at most 240" in story
    assert "- Unit: fps" in story
    assert "- Default: `16` of sana-video-480p" in story
    assert "- Impact: *result*" in story
    assert "- Read by: survey, encode-video" in story
    assert "- SimpleTuner: `framerate`" in story
    assert "- Default: none, it has to be given" in page
    assert "- Default: the same as num_frames" in page
    assert "- Not `fp16`: the Wan VAE overflows in fp16" in page
    assert "- Read by: nothing; it is accepted and never applied" in page
    assert "`896x448`, `832x480`" in page
    assert "- **`extends`**: " in page


def test_every_event_has_its_level_and_its_fields():
    page = all_files()["events.md"]

    story = page[page.index("### `step`") :].split("\n### ")[0]
    assert "Level `info`. One optimizer step." in story
    assert "| `grad_norm` | number | Norm of all gradients before clipping. |" in story
    assert "| `stage` | `survey`, `build-model`," in page
    assert "| `clip` | object or null | " in page
    assert "| `mp4_base64` | string or null | " in page
    assert "| `event` | object | " in page
    assert "| `version` | `1` | " in page
    for event in get_args(Event):
        assert f"### `{event.kind}`" in page


def test_links_of_the_language_page_lead_to_headings_of_it():
    page = language_page()
    headings = {line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")}
    anchors = {h.lower().replace(" ", "-").replace(".", "").replace("*", "").replace("\\", "") for h in headings}
    links = {part.split(")")[0] for part in page.split("](#")[1:]}

    assert links <= anchors


def test_every_flat_name_leads_to_ours():
    page = simpletuner_page()

    assert "| `train_batch_size` | `train.batch_size` |" in page
    assert "`video.num_frames`" in page
    assert "`fp16`: activations of Sana overflow" in page


def test_examples_become_yaml_and_titles_bold():
    text = "One.\n\nWhat it does: a <b> `<<` c.\n\nExample:\n    a:\n      - 1\n\n    b: 2\n\nUse instead:\n    a: 2\n"
    page = finding_page(Page(code="R999", name="x", severity="warning", text=text))

    assert "warning · [all findings](../findings.md)" in page
    assert "**What it does:** a &lt;b> `<<` c." in page
    assert "**Example:**\n\n```yaml\na:\n  - 1\n\nb: 2\n```\n\n**Use instead:**\n\n```yaml\na: 2\n```" in page


def test_marks_are_escaped_outside_of_code():
    assert escaped("2**53 and `a*b` [x]") == r"2\*\*53 and `a*b` \[x\]"
    assert cell("a|b `c|d`") == r"a\|b `c\|d`"


def test_stale_pages_are_named_written_and_removed(tmp_path, capsys):
    assert main(["--check", str(tmp_path)]) == 1
    assert "recipe.md is stale; run `make docs`" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

    assert main([str(tmp_path)]) == 0
    (tmp_path / "findings" / "R998.md").write_text("gone", encoding="utf-8")
    (tmp_path / "recipe.md").write_text("old", encoding="utf-8")
    assert stale(tmp_path) == ["findings/R998.md", "recipe.md"]
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    assert not (tmp_path / "findings" / "R998.md").exists()


def test_the_module_can_be_run(monkeypatch):
    monkeypatch.setattr("sys.argv", ["docs", "--check", str(REFERENCE)])
    with pytest.raises(SystemExit) as exit_code:
        runpy.run_path(docs.__main__.__file__, run_name="__main__")

    assert exit_code.value.code == 0


@pytest.mark.parametrize("code", list(all_pages()))
def test_every_page_has_a_first_sentence(code):
    assert all_pages()[code].text.split("\n\n")[0].endswith(".")
