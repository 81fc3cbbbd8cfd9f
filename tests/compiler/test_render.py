import json
from pathlib import Path

import jsonschema
import pytest

from recipe_compiler.diagnostics.diagnostic import Diagnostic, Note
from recipe_compiler.diagnostics.place import relative_path, uri
from recipe_compiler.diagnostics.render_github import render_github
from recipe_compiler.diagnostics.render_sarif import to_sarif
from recipe_compiler.pages import all_pages
from recipe_compiler.source import Source, Span


SCHEMA = json.loads((Path(__file__).parents[1] / "data/sarif-2.1.0/schema.json").read_text(encoding="utf-8"))

SOURCE = Source("dir/a b,c.yaml", "train:\n  max_stepz: 10\nname: |\n  x\n  y\n")
KEY = Span(SOURCE, 2, 3, 2, 12)
LONG = Span(SOURCE, 3, 7, 5, 4)
ARGUMENT = Span(Source("--set 1", "train.max_steps=ten"), 1, 17, 1, 20)


def finding(span=KEY, **more):
    fields = {"code": "R101", "name": "unknown-key", "severity": "error", "message": "unknown key"}
    return Diagnostic(**{**fields, **more}, span=span)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validated(*findings):
    log = json.loads(json.dumps(to_sarif(findings, all_pages())))
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(log)
    (run,) = log["runs"]
    return run


def test_github_gets_place_title_and_advice_in_one_line():
    text = render_github([finding(help="did you mean `max_steps`?")])

    assert text == (
        "::error file=dir/a b%2Cc.yaml,line=2,col=3,endColumn=12,endLine=2,title=R101 unknown-key"
        "::unknown key%0Ahelp: did you mean `max_steps`?\n"
    )


def test_github_gets_no_columns_for_a_stretch_of_several_lines():
    text = render_github([finding(LONG, severity="warning")])

    assert text.startswith("::warning file=dir/a b%2Cc.yaml,line=3,endLine=5,title=")


def test_github_gets_line_breaks_and_percent_signs_escaped_and_notes_with_their_place():
    text = render_github([finding(message="50 %\r\nmore", notes=(Note(LONG, "first given here"),))])

    assert text.endswith("::50 %25%0D%0Amore%0Afirst given here: dir/a b,c.yaml:3:7\n")
    assert text.count("\n") == 1


def test_github_gets_no_file_for_an_argument_of_the_command_line():
    assert render_github([finding(ARGUMENT)]) == "::error title=R101 unknown-key::unknown key (--set 1:1:17)\n"


def test_no_findings_are_an_empty_text_and_a_log_without_results():
    assert render_github([]) == ""
    assert validated()["results"] == []


def test_sarif_has_rules_results_and_regions_as_its_schema_wants_them():
    run = validated(finding(pointer="train.max_stepz", help="did you mean `max_steps`?"), finding(LONG, code="R405"))

    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["R101", "R405"]
    assert run["tool"]["driver"]["rules"][1]["shortDescription"]["text"] == (
        "A way of clipping is chosen, and clipping is off."
    )
    first, second = run["results"]
    assert first["message"]["text"] == "unknown key\nhelp: did you mean `max_steps`?"
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "dir/a%20b%2Cc.yaml"},
                "region": {"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 12},
            },
            "logicalLocations": [{"fullyQualifiedName": "train.max_stepz"}],
        }
    ]
    assert (second["ruleId"], second["ruleIndex"], second["level"]) == ("R405", 1, "error")
    assert "fixes" not in first
    assert "relatedLocations" not in first


def test_sarif_has_notes_as_related_locations_and_fixes_as_replacements():
    notes = (Note(LONG, "counted here"), Note(ARGUMENT, "and here"))
    (result,) = validated(finding(fix="max_steps", notes=notes))["results"]

    assert [location["id"] for location in result["relatedLocations"]] == [1, 2]
    assert [location["message"]["text"] for location in result["relatedLocations"]] == [
        "counted here",
        "and here: --set 1:1:17",
    ]
    (replacement,) = result["fixes"][0]["artifactChanges"][0]["replacements"]
    assert replacement["insertedContent"] == {"text": "max_steps"}
    assert replacement["deletedRegion"]["endColumn"] == 12


def test_sarif_has_the_place_of_an_argument_in_words_and_no_fix_of_it():
    (result,) = validated(finding(ARGUMENT, fix="10"))["results"]

    assert result["locations"] == [{"message": {"text": "--set 1:1:17"}}]
    assert "fixes" not in result


def test_every_page_makes_a_rule_that_the_schema_takes():
    run = validated(*(finding(code=code) for code in all_pages()))

    assert len(run["tool"]["driver"]["rules"]) == len(all_pages())


def test_paths_are_those_from_the_current_folder_or_whole(here, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x y.yaml"
    linked = here / "link"
    (here / "real").mkdir()
    linked.symlink_to(here / "real")

    assert relative_path(Source(str(here / "a.yaml"), "")) == "a.yaml"
    assert relative_path(Source("sub/../a.yaml", "")) == "a.yaml"
    assert relative_path(Source(str(linked / "a.yaml"), "")) == "link/a.yaml"
    assert relative_path(Source(str(outside), "")) == str(outside)
    assert uri(Source(str(outside), "")) == outside.as_uri()
