import json
import math

import pyarrow as pa
import pytest
from pyarrow import parquet

from fakes_clips import make_clip, make_project
from recipe_compiler.pipeline import Options, compile_recipe, make_plan


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    recipe = make_project(tmp_path_factory.mktemp("project"))
    for name in ("a", "sub/a", "sub/b", "sub/c"):
        make_clip(recipe.parent / "nested" / f"{name}.mp4", frames=12)
    return recipe


def compiled(project, folder="clips", strategy="parquet", **keys):
    sets = [f"data.datasets.0.{key.replace('__', '.')}={value}" for key, value in keys.items()]
    first = f"{{id: x, instance_data_dir: {folder}, caption_strategy: {strategy}, video: {{num_frames: 9}}}}"
    return compile_recipe(project, Options(overrides=[f"data.datasets=[{first}]", *sets]))


def write(project, name, records):
    """Write records in the way that the ending says. Returns the name."""
    file = project.parent / name
    columns = list(records[0])
    if file.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(records), file)
    elif file.suffix in (".csv", ".tsv"):
        separator = "," if file.suffix == ".csv" else "\t"
        lines = [separator.join(columns)]
        lines += [separator.join(json.dumps(row[c]) if row[c] else "" for c in columns) for row in records]
        file.write_text("\n".join(lines), encoding="utf-8-sig")
    else:
        file.write_text("\n\n".join(json.dumps(row) for row in records), encoding="utf-8")
    return name


def captions(done):
    assert done.survey is not None, done.found
    return {row.path: row.caption or row.reason for row in done.survey.rows}


FOUR = [{"filename": f"c{i}.mp4", "caption": f"row {i}", "other": None} for i in (3, 1, 0, 2)]


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.tsv", "t.jsonl", "t.ndjson"])
@pytest.mark.parametrize("strategy", ["parquet", "csv"])
def test_clips_find_their_rows_by_name_and_not_by_place(project, name, strategy):
    table = write(project, name, FOUR)
    keys = {"parquet__path": table} if strategy == "parquet" else {"csv_file": table, "csv_url_column": "filename"}

    done = compiled(project, strategy=strategy, **keys)

    assert done.found == ()
    assert captions(done) == {f"c{i}.mp4": f"row {i}" for i in range(4)}
    assert done.survey.rows[0].text == "row 0 motion score: 30."


def test_a_plan_says_which_table_it_was_made_from_and_follows_its_captions(project):
    plans = []
    for more in ("", " again"):
        table = write(project, "plan.csv", [{**row, "caption": row["caption"] + more} for row in FOUR])
        plans.append(make_plan(compiled(project, parquet__path=table)))

    sources = [plan.meta["sources"][-1] for plan in plans]
    assert [source["name"] for source in sources] == [str(project.parent / "plan.csv")] * 2
    assert len({source["sha256"] for source in sources}) == 2
    assert len({plan.plan_id for plan in plans}) == 2


def test_a_row_may_name_a_clip_in_many_ways(project):
    home = project.parent
    rows = [
        {"filename": "nested/a.mp4", "caption": "from the table's folder"},
        {"filename": str(home / "nested" / "sub" / "a.mp4"), "caption": "absolute"},
        {"filename": "./sub/b.mp4", "caption": "below the data folder"},
        {"filename": "c.mp4", "caption": " two\nlines "},
        {"filename": None, "caption": "for nothing"},
        {"filename": "elsewhere.mp4", "caption": "for nothing"},
    ]

    assert captions(compiled(project, "nested", parquet__path=write(project, "ways.jsonl", rows))) == {
        "a.mp4": "from the table's folder",
        "sub/a.mp4": "absolute",
        "sub/b.mp4": "below the data folder",
        "sub/c.mp4": "two lines",
    }


def test_names_without_endings_may_be_meant(project):
    rows = [{"filename": f"c{i}", "caption": f"row {i}"} for i in range(3)] + [{"filename": "c3.mp4", "caption": "x"}]
    table = write(project, "stems.csv", rows)

    without = captions(compiled(project, parquet__path=table, parquet__identifier_includes_extension="false"))
    with_them = captions(compiled(project, parquet__path=table))

    assert without == {
        **{f"c{i}.mp4": f"row {i}" for i in range(3)},
        "c3.mp4": "no row of `stems.csv` is for it, only one for `c3.mp4`",
    }
    assert with_them["c0.mp4"] == "no row of `stems.csv` is for it, only one for `c0`"
    assert with_them["c3.mp4"] == "x"


def test_what_is_not_clear_is_a_reason_and_no_guess(project):
    rows = [
        {"filename": "a.mp4", "caption": "which one"},
        {"filename": "sub/b.mp4", "caption": "one"},
        {"filename": "b.mp4", "caption": "not asked"},
        {"filename": "sub/b.mp4", "caption": "two"},
        {"filename": "sub/c.mp4", "caption": " "},
    ]
    table = write(project, "unclear.jsonl", rows)

    assert captions(compiled(project, "nested", parquet__path=table)) == {
        "a.mp4": "which one",
        "sub/a.mp4": "`a.mp4` in `unclear.jsonl` may be any of 2 clips; write paths below the data folder",
        "sub/b.mp4": "lines 3 and 7 of `unclear.jsonl` give it different captions; `multiline: split` takes all",
        "sub/c.mp4": "its caption is empty in line 9 of `unclear.jsonl`",
    }


def test_a_clip_without_a_row_has_no_caption(project):
    table = write(project, "three.csv", FOUR[:3])

    done = compiled(project, parquet__path=table)

    assert captions(done)["c2.mp4"] == "no row of `three.csv` is for it"
    assert [d.code for d in done.found] == ["R306"]


def test_one_name_without_ending_for_two_files_is_not_clear(project):
    table = write(project, "twins.csv", [{"filename": "a", "caption": "a bar"}])

    found = captions(compiled(project, "twins", parquet__path=table, parquet__identifier_includes_extension="false"))

    assert set(found) == {"a.mov", "a.mp4"}
    assert set(found.values()) == {"`a` in `twins.csv` may be any of 2 clips; write paths below the data folder"}


def test_the_same_caption_twice_is_one_caption(project):
    assert captions(compiled(project, parquet__path=write(project, "twice.csv", [*FOUR, *FOUR])))["c0.mp4"] == "row 0"


@pytest.mark.parametrize("name", ["fallback.parquet", "fallback.csv"])
def test_another_column_may_fill_empty_captions(project, name):
    rows = [{"filename": f"c{i}.mp4", "caption": "" if i else "own", "tags": i + 7} for i in range(4)]
    if name.endswith("csv"):
        rows = [{**row, "tags": str(row["tags"])} for row in rows]

    done = compiled(project, parquet__path=write(project, name, rows), parquet__fallback_caption_column="tags")

    assert list(captions(done).values()) == ["own", "8", "9", "10"]


def test_a_number_that_is_none_is_an_empty_caption(project):
    rows = [{"filename": f"c{i}.mp4", "caption": math.nan if i == 1 else float(i)} for i in range(4)]

    assert captions(compiled(project, parquet__path=write(project, "nan.parquet", rows)))["c1.mp4"] == (
        "its caption is empty in row 2 of `nan.parquet`"
    )


def test_missing_columns_are_named_with_those_that_are_there(project):
    table = write(project, "columns.parquet", [{"file": "c0.mp4", "captions": "a"}])

    done = compiled(project, parquet__path=table, parquet__caption_column="captoins")

    assert [(d.code, d.pointer, d.message, d.help) for d in done.found] == [
        (
            "R340",
            "data.datasets.0.parquet.filename_column",
            "`columns.parquet` has no column `filename`",
            "its columns are `file`, `captions`",
        ),
        (
            "R340",
            "data.datasets.0.parquet.caption_column",
            "`columns.parquet` has no column `captoins`",
            "did you mean `captions`? its columns are `file`, `captions`",
        ),
    ]
    assert done.survey.looked == ()
    assert not done.ok


def test_a_misspelt_column_can_be_put_right(project):
    write(project, "right.csv", FOUR)
    overlay = project.parent / "overlay.yaml"
    overlay.write_text(
        """\
data:
  datasets:
    - id: x
      instance_data_dir: clips
      caption_strategy: csv
      csv_file: right.csv
      csv_url_column: flename
      video: {num_frames: 9}
""",
        encoding="utf-8",
    )

    (found,) = compile_recipe(project, Options(overlays=[overlay])).found

    assert (found.code, found.fix, found.span.line) == ("R340", "filename", 7)


def test_of_many_columns_some_are_named(project):
    table = write(project, "many.csv", [{f"column {i}": "x" for i in range(20)}])

    (found, _) = compiled(project, parquet__path=table).found

    assert found.help.endswith("`column 11`, …")
    assert found.fix is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, "can't be read: No such file or directory"),
        ("table.xlsx", b"", "`table.xlsx` can't be read: its ending is none of .parquet, .csv, .tsv, .jsonl, .ndjson"),
        ("bytes.csv", b"filename,caption\nc0.mp4,caf\xe9\n", "is not what its ending says: 'utf-8' codec can't decode"),
        (
            "commas.csv",
            b"filename,caption\nc0.mp4,a bar\nc1.mp4,a bar, which moves\n",
            "line 3 has more fields than the",
        ),
        ("quotes.csv", b'filename,caption\nc0.mp4,"a" bar\n', "line 2: ',' expected after '\"'"),
        ("empty.csv", b"", "`empty.csv` has no column `filename`"),
        ("text.jsonl", b'{"filename": "a"}\nhello\n', "is not what its ending says: line 2: Expecting value"),
        ("list.jsonl", b"[1]\n", "line 1 is no JSON object"),
        (
            "deep.jsonl",
            b'{"filename": "c0.mp4", "caption": ["a", {"b": 1}]}',
            "column `caption` in line 1 of `deep.jsonl` holds a dict, and no text",
        ),
        ("fake.parquet", b"PAR1", "is not what its ending says: Parquet"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error_that_says_why(project, name, content, message):
    if content is not None:
        (project.parent / name).write_bytes(content)

    done = compiled(project, parquet__path=name)

    assert {d.code for d in done.found} == {"R340"}
    assert message in done.found[0].message
    assert done.found[0].pointer.startswith("data.datasets.0.parquet.")


def test_the_other_data_sets_are_looked_at_all_the_same(project):
    more = "data.datasets+=[{id: y, instance_data_dir: mixed, video: {num_frames: 9, min_frames: 5}}]"
    first = "data.datasets=[{id: x, instance_data_dir: clips, caption_strategy: csv, csv_file: gone.csv}]"

    done = compile_recipe(project, Options(overrides=[first, more]))

    assert [d.code for d in done.found] == ["R340"]
    assert {row.dataset for row in done.survey.rows} == {"y"}


@pytest.mark.parametrize(("strategy", "file"), [("parquet", "parquet.path"), ("csv", "csv_file")])
def test_a_table_has_to_be_named(project, strategy, file):
    (found,) = compiled(project, strategy=strategy).found

    assert (found.code, found.message) == (
        "R319",
        f"`caption_strategy: {strategy}` needs `{file}`",
    )
    assert compiled(project, strategy=strategy, instance_prompt="a", only_instance_prompt="true").found == ()


def test_nobody_misses_the_table_of_a_data_set_that_is_not_used_or_not_there(project):
    off = "{id: x, instance_data_dir: clips, caption_strategy: csv, disabled: true}"
    gone = "{id: x, instance_data_dir: gone, caption_strategy: csv, csv_file: gone.csv}"

    for table, codes in ((off, []), (off.replace("csv,", "csv, csv_file: gone.csv,"), []), (gone, ["R301"])):
        more = "{id: y, instance_data_dir: clips, video: {num_frames: 9}}"
        done = compile_recipe(project, Options(overrides=[f"data.datasets=[{table}, {more}]"]))
        assert [d.code for d in done.found] == codes


def test_captions_of_a_hub_data_set_are_not_looked_for(project):
    assert [d.code for d in compiled(project, strategy="huggingface").found] == ["R319"]
