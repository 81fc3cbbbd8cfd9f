"""An editor asks, and is answered. The server runs in a thread of the tests, and once as a process."""

import sys
from pathlib import Path

import pytest

from fakes_clips import make_project
from fakes_editor import ServerProcess, ServerThread
from recipe_compiler.cli import lsp
from recipe_compiler.cli.main import main
from recipe_compiler.lsp.describe import header
from recipe_compiler.lsp.positions import Positions
from recipe_compiler.lsp.server import make_server
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.source import Source, Span
from recipe_schema.definition import definition


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def editor():
    server = ServerThread(make_server(None))
    yield server.editor
    server.close()


@pytest.fixture
def mine(project):
    """Return what writes a recipe beside the clips, and gives its path."""
    made = []

    def write(text, name="mine.yaml"):
        file = project.parent / name
        file.write_text(text, encoding="utf-8")
        made.append(file)
        return file

    yield write
    for file in made:
        file.unlink()


def place(text, mark="|"):
    """Return a text without its mark, and the line and column of that."""
    before = text[: text.index(mark)]
    return text.replace(mark, "", 1), before.count("\n"), len(before) - before.rfind("\n") - 1


def codes(found):
    return {each["code"] for each in found}


def test_an_editor_is_shown_what_a_lint_finds(editor, project, mine):
    file = mine(
        project.read_text(encoding="utf-8")
        .replace("instance_data_dir: clips", "instance_data_dir: mixed")
        .replace("max_steps: 10", "max_steps: 10\n  batch_size: zero")
    )
    editor.open(file)

    found = editor.findings(file, lambda found: "R307" in codes(found))

    expected = compile_recipe(file, Options()).found
    assert {(d.code, d.span.line - 1, d.span.column - 1) for d in expected} == {
        (each["code"], each["range"]["start"]["line"], each["range"]["start"]["character"]) for each in found
    }
    wrong = next(each for each in found if each["code"] == "R102")
    assert wrong["severity"] == 1
    assert wrong["source"] == "recipe"
    assert "whole number" in wrong["message"]


def test_what_is_typed_is_linted_at_once_and_what_is_closed_has_no_findings(editor, project, mine):
    file = mine(project.read_text(encoding="utf-8"))
    editor.open(file)
    assert editor.findings(file, lambda found: found == []) == []

    editor.change(file, file.read_text(encoding="utf-8").replace("max_steps", "max_stepz"))
    assert codes(editor.findings(file, bool)) == {"R101"}

    editor.change(file, "recipe: [", version=3)
    assert codes(editor.findings(file, lambda found: codes(found) != {"R101"})) == {"R001"}

    editor.tell("textDocument/didClose", {"textDocument": {"uri": file.as_uri()}})
    assert editor.findings(file, lambda found: found == []) == []


def test_a_text_that_is_saved_is_linted_with_its_data(editor, project, mine):
    file = mine(project.read_text(encoding="utf-8"))
    editor.open(file)
    editor.change(file, file.read_text(encoding="utf-8").replace("dir: clips", "dir: nowhere"))
    editor.tell("textDocument/didSave", {"textDocument": {"uri": file.as_uri()}})

    assert codes(editor.findings(file, bool)) == {"R301"}


def test_findings_of_other_files_are_shown_there_and_taken_back(editor, project, mine):
    below = mine("recipe: 1\ntrain:\n  batch_size: none\n", "below.yaml")
    file = mine("extends: below.yaml\n" + project.read_text(encoding="utf-8"))
    editor.open(file)
    assert codes(editor.findings(below, bool)) == {"R102"}

    editor.change(file, project.read_text(encoding="utf-8"))
    assert editor.findings(below, lambda found: found == []) == []

    editor.change(file, "extends: below.yaml\n" + project.read_text(encoding="utf-8"), version=3)
    editor.findings(below, bool)
    editor.tell("textDocument/didClose", {"textDocument": {"uri": file.as_uri()}})
    assert editor.findings(below, lambda found: found == []) == []


def test_the_other_side_of_a_contradiction_is_a_link(editor, project, mine):
    text = project.read_text(encoding="utf-8") + "lr_schedule:\n  warmup_steps: 20\n"
    file = mine(text)
    editor.open(file)

    found = editor.findings(file, bool)[0]

    assert found["code"] == "R402"
    assert found["relatedInformation"][0]["message"] == "all of training"
    line = text.split("\n").index("  max_steps: 10")
    assert found["relatedInformation"][0]["location"]["range"]["start"] == {"line": line, "character": 13}


def test_a_file_that_is_no_recipe_is_left_alone(editor, mine):
    file = mine("services:\n  web: {image: nginx}\n", "compose.yaml")
    editor.open(file)

    assert editor.findings(file, lambda found: found == []) == []
    assert editor.ask_at("hover", file, 0, 2) is None
    actions = {
        "range": {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}},
        "context": {"diagnostics": []},
    }
    assert editor.ask("textDocument/codeAction", {"textDocument": {"uri": file.as_uri()}, **actions}) == []


HOVERS = [
    (
        "train:\n  ma|x_steps: 30",
        ["`train.max_steps`", "Optimizer steps", "Here: `30`", "Default: `null`", "max_train_steps"],
    ),
    ("model:\n  ty|pe: full", ["one of full, lora", "Default: `full`"]),
    ("tr|ain:\n  max_steps: 30", ["**`train`**"]),
    ("data:\n  data|sets:\n    - id: a", ["`data.datasets`"]),
    ("optimizer: {learning_r|ate: 1e-3}", ["Default: the model family's, `5e-05`"]),
    ("model: {lora: {alp|ha: 3}}", ["Default: the same as model.lora.rank"]),
    ("train: {flow_schedule_shi|ft: 3}", ["Never applied:"]),
    ("va|rs: {a: 1}", ["Values of your own"]),
    ("ema: {ena|bled: true}", ["Default: `false`"]),
    ("data: {datasets: [{i|d: a}]}", ["`data.datasets.0.id`", "Default: none, it has to be given"]),
    ("train: 3\nema: {enabled: {a|: 1}}", None),
    ("model: {lora: {target_modules: [t|o_q]}}", ["a list, each value a text"]),
    ("hub: {no_such_|key: 1}", None),
    ("model:\n  lora:\n    target_modules: [to_|q]", ["target_modules", "The layers that get an adapter"]),
    ("\n|\nema: {enabled: true}", None),
]


@pytest.mark.parametrize(("text", "words"), HOVERS, ids=[text for text, _ in HOVERS])
def test_a_hover_explains_a_key(text, words, editor, mine):
    text, line, column = place("recipe: 1\n" + text)
    file = mine(text)
    editor.open(file)

    hover = editor.ask_at("hover", file, line, column)

    if words is None:
        assert hover is None
    else:
        assert all(word in hover["contents"]["value"] for word in words), hover


def test_a_hover_says_what_a_value_replaces(editor, project, mine):
    mine("recipe: 1\ntrain:\n  seed: 7\n", "below.yaml")
    text = "extends: below.yaml\n" + project.read_text(encoding="utf-8").replace(
        "max_steps: 10", "max_steps: 10\n  seed: 8"
    )
    file = mine(text)
    editor.open(file)
    line = text.split("\n").index("  seed: 8")

    assert "It replaces `7`" in editor.ask_at("hover", file, line, 3)["contents"]["value"]
    target = editor.ask_at("definition", file, line, 3)
    assert target["uri"].endswith("/below.yaml")
    assert target["range"]["start"] == {"line": 2, "character": 8}
    assert editor.ask_at("definition", file, text.split("\n").index("  max_steps: 10"), 3) is None


def test_a_hover_over_a_list_says_nothing(editor, mine):
    file = mine("- recipe: 1\n")
    editor.open(file)
    assert editor.ask_at("hover", file, 0, 4) is None


def test_a_hover_over_what_is_no_yaml_says_nothing(editor, mine):
    file = mine("recipe: 1\ntrain: {\n")
    editor.open(file)
    assert editor.ask_at("hover", file, 1, 2) is None
    assert editor.ask_at("definition", file, 1, 2) is None


COMPLETIONS = [
    ("train:\n  max|", {"max_steps", "max_grad_norm"}, set()),
    ("train:\n  max_steps: 3\n  max|\n", {"max_grad_norm"}, {"max_steps"}),
    ("train:\n  max|\n  max_steps: 3\nema:\n  enabled: true\n", {"max_grad_norm"}, {"max_steps"}),
    ("model:\n  ty|\n  lora:\n    rank: 3", {"type"}, {"rank"}),
    ("model:\n  type: |", {"full", "lora"}, set()),
    ("model:\n  type: l|", {"lora"}, {"full"}),
    ("model:\n  random_weights: |", {"tiny", "null"}, set()),
    ("ema:\n  enabled: t|", {"true"}, {"false"}),
    ("tr|", {"train", "tracking"}, {"model"}),
    ("e|", {"ema", "env", "extends", "evaluation"}, set()),
    ("data:\n  datasets:\n    - id: a\n      video:\n        win|", {"window"}, set()),
    ("data:\n  datasets:\n    - id: a\n      capt|", {"caption_strategy"}, {"id"}),
    ("data:\n  datasets:\n  - id: a\n  # a second one\n\n  - inst|", {"instance_data_dir"}, set()),
    ("data:\n  datasets:\n    - video:\n        win|", {"window"}, set()),
    ("data:\n  datasets:\n    - |", {"id", "video"}, set()),
    ("extends: builtin:sana_480p_|", {"builtin:sana_480p_lora"}, {"builtin:sana_480p"}),
    ('extends: [builtin:quickstart, "below|', {"below.yaml"}, set()),
    ("extends:\n  - builtin:frag|", {"builtin:fragments/compiled"}, set()),
    ("train: 3\n  max_steps: 10\n  zebra:\n    a|", set(), {"max_steps"}),
    ("train:\n  max_steps: |", set(), {"true"}),
    ("model:\n  lora:\n    target_modules: |", set(), {"true"}),
    ("model:\n  lora:\n    target_modules:\n      - t|", set(), {"to_q"}),
    ("# train\n\n|", {"train", "data"}, {"recipe"}),
    ("model: |", set(), {"type"}),
    (
        "data:\n  datasets:\n    - repeats: 2\n      i|\n\n      # more\n      id: a\n    - is_regularisation_data: true",
        {"instance_data_dir"},
        {"id"},
    ),
]


@pytest.mark.parametrize(("text", "offered", "not_offered"), COMPLETIONS, ids=[text for text, *_ in COMPLETIONS])
def test_keys_and_values_are_offered(text, offered, not_offered, editor, mine):
    mine("recipe: 1\n", "below.yaml")
    text, line, column = place("recipe: 1\n" + text)
    file = mine(text)
    editor.open(file)

    items = editor.ask_at("completion", file, line, column)

    labels = {item["label"] for item in items}
    assert offered <= labels
    assert not not_offered & labels
    if not offered:
        assert items == []


def test_what_is_offered_takes_the_place_of_what_was_typed(editor, mine):
    text, line, column = place("recipe: 1\ndata:\n  data|")
    file = mine(text)
    editor.open(file)
    (tables,) = (i for i in editor.ask_at("completion", file, line, column) if i["label"] == "datasets")

    assert tables["textEdit"] == {
        "range": {"start": {"line": 2, "character": 2}, "end": {"line": 2, "character": 6}},
        "newText": "datasets:\n    - ",
    }

    text, line, column = place("recipe: 1\nmem|")
    editor.change(file, text)
    (section,) = (i for i in editor.ask_at("completion", file, line, column) if i["label"] == "memory")
    assert section["textEdit"]["newText"] == "memory:\n  "
    assert section["detail"] == "a section"


def test_a_cursor_behind_the_last_line_is_at_the_top_of_the_recipe(editor, mine):
    file = mine("recipe: 1\n")
    editor.open(file)
    assert "train" in {item["label"] for item in editor.ask_at("completion", file, 1, 0)}
    assert "train" in {item["label"] for item in editor.ask_at("completion", file, 9, 0)}


def test_files_that_are_named_are_found(editor, project, mine):
    mine("{}", "prompts.yaml")
    below = mine("recipe: 1\n", "below.yaml")
    text = project.read_text(encoding="utf-8").replace("  prompt: a bar moves", "  prompt_library: prompts.yaml")
    text = text.replace("or_path: tiny", 'or_path: "a\\0b"')
    file = mine(f"extends: [builtin:quickstart, below.yaml, nowhere.yaml]\n{text}")
    editor.open(file)
    lines = file.read_text(encoding="utf-8").split("\n")

    def leads(line, word):
        row = next(i for i, each in enumerate(lines) if line in each)
        return editor.ask_at("definition", file, row, lines[row].index(word) + 2)

    assert leads("extends", "below")["uri"] == below.as_uri()
    assert leads("extends", "builtin")["uri"].endswith("recipes/quickstart.yaml")
    assert leads("extends", "nowhere") is None
    assert leads("prompt_library", "prompts")["uri"].endswith("/prompts.yaml")
    assert leads("or_path", "0b") is None
    assert leads("instance_data_dir", "clips") is None  # a folder is nothing to open
    assert leads("recipe: 1", "recipe") is None


def fixes(editor, file, line):
    where = {"start": {"line": line, "character": 0}, "end": {"line": line, "character": 99}}
    params = {"textDocument": {"uri": file.as_uri()}, "range": where, "context": {"diagnostics": []}}
    return editor.ask("textDocument/codeAction", params)


def test_fixes_are_offered_where_their_findings_are(editor, project, mine):
    text = project.read_text(encoding="utf-8").replace(
        "  max_steps: 10", "  max_stepz: 10\n  train_batch_size: 2\n  zebra: 1"
    )
    file = mine(text)
    editor.open(file)
    lines = text.split("\n")

    (renamed,) = fixes(editor, file, lines.index("  max_stepz: 10"))
    assert renamed["title"] == "R101: write `max_steps`"
    assert renamed["isPreferred"]
    assert renamed["diagnostics"][0]["code"] == "R101"
    (edit,) = renamed["edit"]["changes"][file.as_uri()]
    line = lines.index("  max_stepz: 10")
    assert edit["range"] == {"start": {"line": line, "character": 2}, "end": {"line": line, "character": 11}}
    assert edit["newText"] == "max_steps"

    assert fixes(editor, file, lines.index("  zebra: 1")) == []
    assert fixes(editor, file, 0) == []


def test_a_key_in_the_wrong_place_is_moved(editor, project, mine):
    text = project.read_text(encoding="utf-8") + "max_grad_norm: 1.0\n"
    file = mine(text)
    editor.open(file)

    (move,) = fixes(editor, file, text.count("\n") - 1)

    assert move["title"] == "R101: move it to `train.max_grad_norm`"
    (edit,) = move["edit"]["changes"][file.as_uri()]
    assert edit["range"]["start"] == {"line": 0, "character": 0}
    assert "  max_steps: 10\n  max_grad_norm: 1.0\n" in edit["newText"]


def test_findings_of_other_files_have_no_fixes_here(editor, project, mine):
    mine("recipe: 1\ntrain:\n  max_stepz: 3\n", "below.yaml")
    file = mine("extends: below.yaml\n" + project.read_text(encoding="utf-8"))
    editor.open(file)
    assert fixes(editor, file, 2) == []


def test_a_text_without_a_file_is_linted(editor):
    document = {"uri": "untitled:Untitled-1", "languageId": "yaml", "version": 1, "text": "recipe: 1\ntrain: {a: 1}\n"}
    editor.tell("textDocument/didOpen", {"textDocument": document})
    end = {"textDocument": {"uri": "untitled:Untitled-1"}, "position": {"line": 1, "character": 2}}
    assert "`train`" in editor.ask("textDocument/hover", end)["contents"]["value"]
    assert "R101" in codes(editor.found["untitled:Untitled-1"])


def test_a_text_that_was_never_opened_is_read_from_its_file(editor, mine):
    file = mine("recipe: 1\nema: {enabled: true}\n", "unopened.yaml")
    assert "`ema`" in editor.ask_at("hover", file, 1, 1)["contents"]["value"]


@pytest.mark.parametrize(("encoding", "column"), [("utf-8", 19), ("utf-16", 14), ("utf-32", 12)])
def test_columns_are_counted_as_the_editor_does(encoding, column):
    source = Source("a", "# 😀\r\nname: {'🦦é🦦': 1}\rb: 2\n")
    positions = Positions(source, encoding)

    end = positions.range(Span(source, 2, 8, 2, 13)).end
    assert (end.line, end.character) == (1, column)
    assert positions.offset(end) == source.text.index("': 1") + 1
    assert positions.position(source.text.index("b: 2")).line == 2
    assert positions.offset(type(end)(line=1, character=999)) == source.text.index("\rb")
    assert positions.offset(type(end)(line=9, character=0)) == len(source.text)
    assert positions.whole().end.line == 3


def test_every_key_of_the_header_is_known():
    assert set(header()) == {"recipe", "extends", "vars", "env", "matrix"}
    assert not set(header()) & set(definition().children)


def test_a_process_answers_over_its_pipes_and_ends_well(project, tmp_path):
    server = ServerProcess(tmp_path, encodings=("utf-8",))
    editor = server.editor
    assert editor.abilities["capabilities"]["completionProvider"]["triggerCharacters"] == [" ", ":", "-"]
    editor.open(project)
    assert editor.findings(project, lambda found: found == []) == []
    assert server.close() == 0


def test_without_pygls_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(lsp, "find_spec", lambda _: None)
    assert main(["lsp"]) == 2
    assert "pip install 'sana-recipes[lsp]'" in capsys.readouterr().err


def test_the_command_serves_the_pipes_of_the_process(monkeypatch, tmp_path):
    served = []

    class Server:
        def start_io(self, asks, answers):
            answers.write(b"an answer")
            sys.stdout.write("printed by mistake\n")
            sys.stdout.flush()
            served.append(asks.read())
            asks.close()
            answers.close()

    monkeypatch.setattr("recipe_compiler.lsp.server.make_server", lambda _: Server())
    (tmp_path / "in").write_bytes(b"a question")
    with (tmp_path / "in").open() as asks, (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        for name, stream in (("stdin", asks), ("stdout", out), ("stderr", err)):
            monkeypatch.setattr(f"sys.{name}", stream)
        assert main(["lsp"]) == 0
        monkeypatch.undo()

    assert served == [b"a question"]
    assert (tmp_path / "out").read_bytes() == b"an answer"
    assert (tmp_path / "err").read_text() == "printed by mistake\n"
    assert Path(tmp_path / "in").is_file()
