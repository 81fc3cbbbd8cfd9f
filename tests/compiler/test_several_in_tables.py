"""Several captions of a clip from a table: columns, rows, lists, and their weights."""

import json
from fractions import Fraction

import pyarrow as pa
import pytest
from pyarrow import parquet

from fakes_clips import make_clip, make_project
from recipe_compiler.cli.explain_clip import clip_text
from recipe_compiler.cli.explain_store import stocks
from recipe_compiler.passes.lower import lower
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.subject import of_recipe
from recipe_schema.ledger import ledger_digest
from recipe_schema.stored import text_facts


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module", autouse=True)
def _few_clips(project):
    for name in ("a", "b"):
        make_clip(project.parent / "few" / f"{name}.mp4", frames=12 + ord(name))


def write(project, name, rows):
    """Write rows as the ending says; CSV only where no field is a list."""
    file = project.parent / name
    if file.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    elif file.suffix == ".csv":
        fields = [list(rows[0]), *([json.dumps(value) for value in row.values()] for row in rows)]
        file.write_text("\n".join(",".join(map(str, field)) for field in fields).replace("null", ""))
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    return name


def look(project, name, keys="", strategy="csv", split="multiline: split, "):
    table = f"csv_file: {name}, csv_url_column: file" if strategy == "csv" else f"parquet: {{{name}}}"
    override = (
        f"data.datasets=[{{id: x, instance_data_dir: few, caption_strategy: {strategy}, {table}, {split}"
        f"video: {{num_frames: 9}}, {keys}}}]"
    )
    return compile_recipe(project, Options(overrides=[override]))


def drawn(compiled, clip="a.mp4"):
    """Return in which share of samples each caption of a clip is drawn; None where all are drawn alike."""
    assert not [d for d in compiled.found if d.severity == "error" and d.code != "R306"], compiled.found
    row = {row.path: row for row in compiled.survey.rows}[clip]
    texts = [text.removesuffix(" motion score: 30.") for text in row.texts]
    return dict(zip(texts, row.shares or [None] * len(texts), strict=True))


def one(compiled):
    (found,) = compiled.found
    return found.code, found.pointer.removeprefix("data.datasets.0."), found.message


COLUMNS = [{"file": f"{name}.mp4", "long": f"{name}, which is long", "short": name} for name in "ba"]
LISTS = [{"file": f"{name}.mp4", "caption": [f"{name}, which is long", name]} for name in "ab"]
ROWS = [
    {"file": "a.mp4", "caption": "one", "w": 3},
    {"file": "b.mp4", "caption": "only", "w": 7},
    {"file": "a.mp4", "caption": "two", "w": 1},
]
LONG = "csv_caption_column: [long, short]"


@pytest.mark.parametrize("name", ["columns.csv", "columns.jsonl", "columns.parquet"])
def test_columns_are_captions_of_their_own_with_a_weight_each(project, name):
    write(project, name, COLUMNS)

    assert drawn(look(project, name, LONG)) == {"a, which is long": None, "a": None}
    weighted = look(project, name, f"{LONG}, caption_weights: [95, 5]")
    assert drawn(weighted) == pytest.approx({"a, which is long": 0.95, "a": 0.05})
    assert drawn(weighted, "b.mp4") == pytest.approx({"b, which is long": 0.95, "b": 0.05})
    assert drawn(look(project, name, f"{LONG}, caption_weights: [0, 5]")) == {"a": None}


def test_columns_of_the_section_for_parquet_are_the_same(project):
    name = write(project, "same.parquet", COLUMNS)
    keys = f"path: {name}, filename_column: file, caption_column: [long, short]"

    compiled = look(project, keys, "caption_weights: [3, 1]", "parquet")

    assert drawn(compiled) == {"a, which is long": 0.75, "a": 0.25}
    assert compiled.found == ()


@pytest.mark.parametrize("name", ["lists.jsonl", "lists.parquet"])
def test_texts_of_a_list_are_captions_with_a_weight_each(project, name):
    write(project, name, LISTS)

    assert drawn(look(project, name)) == {"a, which is long": None, "a": None}
    assert drawn(look(project, name, "caption_weights: [95, 5]")) == pytest.approx(
        {"a, which is long": 0.95, "a": 0.05}
    )


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_rows_of_a_clip_are_captions_that_a_column_weighs(project, name):
    write(project, name, ROWS)

    assert drawn(look(project, name)) == {"one": None, "two": None}
    weighted = look(project, name, "csv_caption_weight_column: w")
    assert drawn(weighted) == {"one": 0.75, "two": 0.25}
    assert drawn(weighted, "b.mp4") == {"only": None}


@pytest.mark.parametrize("name", ["each.jsonl", "each.parquet"])
def test_a_list_of_weights_weighs_each_text(project, name):
    write(project, name, [{**row, "w": [3.0, 1.0]} for row in LISTS])

    assert drawn(look(project, name, "csv_caption_weight_column: w")) == {"a, which is long": 0.75, "a": 0.25}


def test_first_a_row_is_drawn_and_then_one_of_its_captions(project):
    rows = [
        {"file": "a.mp4", "long": "first", "short": "1st", "w": 3},
        {"file": "a.mp4", "long": ["second", "2nd", ""], "short": None, "w": 1},
        {"file": "b.mp4", "long": None, "short": "brief", "w": 2},
    ]
    name = write(project, "deep.jsonl", rows)

    found = look(project, name, f"{LONG}, caption_weights: [2, 1], csv_caption_weight_column: w")

    assert drawn(found) == pytest.approx({"first": 1 / 2, "1st": 1 / 4, "second": 1 / 8, "2nd": 1 / 8})
    assert drawn(found, "b.mp4") == {"brief": None}, "an empty column leaves its number to the others"


def test_texts_that_say_the_same_add_their_weights_and_orders_share_them(project):
    rows = [
        {"file": "a.mp4", "caption": "red, big", "w": 1},
        {"file": "a.mp4", "caption": "plain", "w": 2},
        {"file": "a.mp4", "caption": "plain", "w": 1},
    ]
    name = write(project, "orders.csv", rows)
    keys = "csv_caption_weight_column: w, caption_shuffle: {enable: true}, instance_prompt: film, prepend_instance_prompt: true"

    assert drawn(look(project, name, keys)) == {"film red, big": 0.125, "film big, red": 0.125, "film plain": 0.75}


def test_lines_of_a_field_are_captions_where_captions_are_split(project):
    name = write(project, "lines.jsonl", [{"file": "a.mp4", "caption": "one\n\n two "}])

    assert drawn(look(project, name, "caption_weights: [3, 1]")) == {"one": 0.75, "two": 0.25}
    assert drawn(look(project, name, split="")) == {"one two": None}


def test_joined_captions_are_told_unless_that_is_what_is_meant(project):
    name = write(project, "joined.jsonl", COLUMNS)

    told, meant = look(project, name, LONG, split=""), look(project, name, LONG, split="multiline: whole, ")

    assert drawn(told) == drawn(meant) == {"a, which is long a": None}
    assert one(told)[::2] == ("R328", "2 of 2 captions of data set `x` have several lines: a.mp4, b.mp4")
    assert meant.found == ()


def test_a_fallback_is_used_where_no_column_has_a_text(project):
    rows = [{"file": f"{name}.mp4", "long": "", "short": name * (name == "a"), "tags": "some tags"} for name in "ab"]
    name = write(project, "fallback.parquet", rows)
    keys = f"path: {name}, filename_column: file, caption_column: [long, short], fallback_caption_column: tags"

    compiled = look(project, keys, "caption_weights: [3, 1]", "parquet")

    assert drawn(compiled) == {"a": None}
    assert drawn(compiled, "b.mp4") == {"some tags": None}


def test_weights_are_told_and_change_the_plan_but_not_what_is_encoded(project):
    name = write(project, "told.csv", ROWS)
    plain, weighted = look(project, name), look(project, name, "csv_caption_weight_column: w")
    bodies = [lower(compiled.settings, compiled.survey) for compiled in (plain, weighted)]

    assert ledger_digest(plain.survey.rows) != ledger_digest(weighted.survey.rows)
    assert [stage.id for stage in bodies[0].stages[1:3]] == ["encode-text", "encode-video"]
    assert [stage.key for stage in bodies[0].stages[1:3]] == [stage.key for stage in bodies[1].stages[1:3]]
    story = clip_text(of_recipe(weighted), weighted.survey.rows[0], {"x": Fraction(1)})
    assert "  encoded  one motion score: 30. (in 0.75 of samples)\n  or       two motion score: 30. (in 0.25" in story


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ("-1", "the weight `-1`"),
        ("much", "the weight `much`"),
        ("nan", "the weight `nan`"),
        ("inf", "the weight `inf`"),
        ("", "no weight"),
        ('"0,5"', "the weight `0,5`"),
    ],
)
def test_a_weight_that_is_none_is_told_at_its_line(project, weight, said):
    (project.parent / "odd.csv").write_text(f'file,caption,w\n\na.mp4,"one\nof two lines",1\nb.mp4,two,{weight}\n')

    code, key, message = one(look(project, "odd.csv", "csv_caption_weight_column: w"))

    assert (code, key) == ("R340", "csv_caption_weight_column")
    assert message == f"line 5 of `odd.csv` gives {said}, and a number of at least 0 was expected"


@pytest.mark.parametrize("weight", [True, None, {"a": 1}, 10**400, [1, "x"]])
def test_a_value_that_is_no_number_is_no_weight(project, weight):
    rows = [{"file": "a.mp4", "caption": ["one", "two"], "w": weight}]

    code, _, message = one(look(project, write(project, "value.jsonl", rows), "csv_caption_weight_column: w"))

    assert code == "R340"
    assert message.startswith("line 1 of `value.jsonl` gives ")


def test_rows_of_parquet_are_counted_as_rows(project):
    name = write(project, "minus.parquet", [*ROWS, {"file": "b.mp4", "caption": "x", "w": -2}])

    assert (
        "row 4 of `minus.parquet` gives the weight `-2`" in one(look(project, name, "csv_caption_weight_column: w"))[2]
    )


def test_a_list_of_weights_has_one_for_each_text(project):
    name = write(project, "three.jsonl", [{**LISTS[0], "w": [1, 2, 3]}])

    assert one(look(project, name, "csv_caption_weight_column: w")) == (
        "R340",
        "csv_caption_weight_column",
        "line 1 of `three.jsonl` gives 3 weights, and has 2 captions",
    )


def test_weights_of_the_table_and_of_the_recipe_are_not_mixed_in_a_row(project):
    name = write(project, "both.jsonl", [{**LISTS[0], "w": [1, 2]}])

    assert one(look(project, name, "csv_caption_weight_column: w, caption_weights: [1, 2]")) == (
        "R340",
        "caption_weights",
        "line 1 of `both.jsonl` gives a weight to each caption, and `caption_weights` does so too",
    )


def test_a_clip_whose_captions_all_weigh_nothing_has_none(project):
    rows = [{**row, "w": 0 if row["file"] == "a.mp4" else 1} for row in ROWS]
    name = write(project, "nothing.csv", rows)

    compiled = look(project, name, "csv_caption_weight_column: w")

    assert one(compiled)[0] == "R306"
    assert compiled.survey.rows[0].reason == "no caption of it has a weight above 0 in lines 2 and 4 of `nothing.csv`"


def test_a_column_that_weighs_nothing_leaves_a_clip_without_others_out(project):
    name = write(project, "left.jsonl", [{**COLUMNS[1], "long": ""}, COLUMNS[0]])

    compiled = look(project, name, f"{LONG}, caption_weights: [1, 0]")

    assert compiled.survey.rows[0].reason == "no caption of it has a weight above 0 in line 1 of `left.jsonl`"
    assert drawn(compiled, "b.mp4") == {"b, which is long": None}


def test_numbers_of_the_recipe_never_stand_for_rows(project):
    name = write(project, "numbered.csv", ROWS)

    code, key, message = one(look(project, name, "caption_weights: [3, 1]"))

    assert (code, key) == ("R340", "caption_weights")
    assert message == (
        "lines 2 and 4 of `numbered.csv` are captions of `a.mp4`, and `caption_weights` can't say how often a row is drawn"
    )


def test_rows_that_say_the_same_need_no_weights(project):
    name = write(project, "alike.csv", [ROWS[0], ROWS[0], ROWS[1]])

    assert drawn(look(project, name, "caption_weights: [3, 1]")) == {"one": None}


def test_lists_have_as_many_texts_as_there_are_numbers(project):
    rows = [*LISTS, {"file": "a.mp4", "caption": ["x", "y", "z"]}]
    name = write(project, "uneven.jsonl", rows)

    assert one(look(project, name, "caption_weights: [3, 1]")) == (
        "R347",
        "caption_weights",
        "`caption_weights` has 2 numbers, and 1 of 2 captions of data set `x` has another number of lines: a.mp4 (3)",
    )


def test_a_missing_column_among_several_is_named_and_not_replaced(project):
    name = write(project, "misspelt.csv", COLUMNS)

    (found,) = look(project, name, "csv_caption_column: [long, shrt]").found

    assert (found.code, found.message, found.fix) == ("R340", "`misspelt.csv` has no column `shrt`", None)
    assert found.help.startswith("did you mean `short`?")
    (found,) = look(project, name, f"{LONG}, csv_caption_weight_column: lng").found
    assert (found.pointer, found.fix) == ("data.datasets.0.csv_caption_weight_column", "long")


def test_a_column_that_a_table_has_twice_is_not_guessed(project):
    (project.parent / "twice.csv").write_text("file,caption,caption\na.mp4,one,two\n")

    assert one(look(project, "twice.csv"))[2] == "`twice.csv` has 2 columns `caption`"


@pytest.mark.parametrize(
    ("keys", "code", "message"),
    [
        (
            f"{LONG}, caption_weights: [1, 2, 3]",
            "R780",
            "`caption_weights` has 3 numbers, and captions come from 2 columns: `long`, `short`",
        ),
        (
            "csv_caption_column: [long, long, short], caption_weights: [1, 2, 3]",
            "R781",
            "the column `long` is named 2 times, and its text would be taken as often",
        ),
    ],
)
def test_columns_and_numbers_go_together(project, keys, code, message):
    found = look(project, write(project, "together.csv", COLUMNS), keys).found

    assert [(d.code, d.message) for d in found if d.code.startswith("R78")] == [(code, message)]


@pytest.mark.parametrize(
    "keys",
    [
        f"{LONG}, caption_weights: [1, 2]",
        "csv_caption_column: long, caption_weights: [1, 2]",
        "caption_weights: [1, 2, 3], caption_strategy: textfile, csv_file: null",
    ],
)
def test_columns_and_numbers_that_go_together_are_left_alone(project, keys):
    override = f"data.datasets=[{{id: x, instance_data_dir: few, video: {{num_frames: 9}}, multiline: split, csv_file: t.csv, caption_strategy: csv, {keys}}}]"
    if "textfile" in keys:
        override = override.replace("csv_file: t.csv, caption_strategy: csv, ", "").replace(", csv_file: null", "")
    found = compile_recipe(project, Options(overrides=[override], look_at_data=False)).found

    assert found == ()


@pytest.mark.parametrize("key", ["csv_caption_weight_column", "parquet.caption_weight_column"])
def test_weights_of_what_is_joined_have_no_effect(project, key):
    strategy = "csv, csv_file: t.csv" if key.startswith("csv") else "parquet, parquet: {path: t.csv}"
    base = f"data.datasets=[{{id: x, instance_data_dir: few, video: {{num_frames: 9}}, caption_strategy: {strategy}}}]"
    compiled = compile_recipe(project, Options(overrides=[base, f"data.datasets.0.{key}=w"], look_at_data=False))

    assert one(compiled)[:2] == ("R208", key)


def test_a_weight_column_without_a_table_has_no_effect(project):
    override = "data.datasets=[{id: x, instance_data_dir: few, video: {num_frames: 9}, multiline: split, csv_caption_weight_column: w}]"
    compiled = compile_recipe(project, Options(overrides=[override], look_at_data=False))

    assert one(compiled)[:2] == ("R319", "csv_caption_weight_column")


def test_one_changed_caption_is_one_text_to_encode_and_no_clip(project):
    name = write(project, "changed.csv", ROWS)
    before = look(project, name, "csv_caption_weight_column: w")
    write(project, name, [*ROWS[:2], {**ROWS[2], "caption": "another"}])
    after = look(project, name, "csv_caption_weight_column: w")

    texts = [{text for row in compiled.survey.rows for text in row.texts} for compiled in (before, after)]
    keys = [{s.id: s.key for s in lower(c.settings, c.survey).stages} for c in (before, after)]

    assert texts[1] - texts[0] == {"another motion score: 30."}
    assert [stage for stage in keys[0] if keys[0][stage] != keys[1][stage]] == ["encode-text", "train", "export"]


def test_explain_says_how_many_of_a_clips_texts_the_store_has(project, tmp_path):
    name = write(project, "stored.csv", ROWS)
    override = f"data.store_dir={tmp_path}"
    table = f"{{id: x, instance_data_dir: few, caption_strategy: csv, csv_file: {name}, csv_url_column: file"
    sets = [f"data.datasets=[{table}, multiline: split, video: {{num_frames: 9}}}}]", override]
    subject = of_recipe(compile_recipe(project, Options(overrides=sets)))
    row = subject.rows[0]
    assert [stock.text() for stock in stocks(subject, row)] == ["not in the store yet"] * 2

    facts = text_facts(
        row.texts[1], instruction=subject.plan.body.facts["instruction"], dtype="bf16", precision="no_change"
    )
    facts = {**facts, "dtype": subject.value("model.text_encoder_dtype")}
    file = tmp_path / "text" / "aa" / f"{'a' * 64}.safetensors"
    file.parent.mkdir(parents=True)
    header = json.dumps({"__metadata__": facts}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)

    _, found = stocks(subject, row)
    assert found.text().startswith("1 of 2 texts are in the store")
    assert found.values() == {"there": False, "differs": {}, "texts": {"there": 1, "of": 2}}
