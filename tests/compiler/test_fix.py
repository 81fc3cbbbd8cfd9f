import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from recipe_compiler.fixes.fix import fix
from recipe_compiler.pipeline import Options, compile_source
from recipe_compiler.source import Source, Span
from recipe_compiler.suggest import clear
from recipe_compiler.syntax.rewrite import new_text
from recipe_compiler.syntax.tree import to_plain
from recipe_compiler.syntax.yaml_tree import parse_yaml
from recipe_schema.definition import leaves


HEAD = "recipe: 1\ndata:\n  datasets:\n    - id: a\n      instance_data_dir: clips\n"
SHIPPED = [path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))]


def lint(source):
    return compile_source(source, Path("r.yaml"), Options(look_at_data=False)).found


def fixed(text, *, unsafe=False):
    return fix(Source("r.yaml", text), lint, unsafe=unsafe)


def after(text, **how):
    return fixed(text, **how).source.text


def body(text, **how):
    """Fix what comes behind the head, and return it without the head."""
    result = after(HEAD + textwrap.dedent(text), **how)
    assert result.startswith(HEAD)
    return result.removeprefix(HEAD)


def values(text):
    return to_plain(parse_yaml(Source("x", text))[0])


def same(text):
    """Say that nothing is fixed."""
    return body(text) == textwrap.dedent(text)


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        # keys
        ("trian: {max_steps: 3}\n", "train: {max_steps: 3}\n"),
        ("train:\n  'max-steps': 3  # three\n", "train:\n  'max_steps': 3  # three\n"),
        ('train: {"max_stepz":3}\n', 'train: {"max_steps":3}\n'),
        ("train:\n  ? max_stepz\n  : 3\n", "train:\n  ? max_steps\n  : 3\n"),
        ("train:\n  train_batch_size: 2\n", "train:\n  batch_size: 2\n"),
        ("trian:\n  bacth_size: 2\n", "train:\n  batch_size: 2\n"),
        # words and numbers
        ("ema: {enabled: yes}\n", "ema: {enabled: true}\n"),
        ("ema:\n  enabled: 'OFF'   # why\n", "ema:\n  enabled: false   # why\n"),
        ('ema: {"enabled":"True"}\n', 'ema: {"enabled":true}\n'),
        ("ema:\n  enabled:\n    yes\n", "ema:\n  enabled:\n    true\n"),
        ("train: {max_steps: '1e3', batch_size: \"2\"}\n", "train: {max_steps: 1e3, batch_size: 2}\n"),
        ("train:\n  max_steps: 1_000\n", "train:\n  max_steps: 1000\n"),
        # templates
        ("name: {{ 'a' }}\ndescription: {{ \"b\" }}\n", "name: \"{{ 'a' }}\"\ndescription: '{{ \"b\" }}'\n"),
        (
            "vars: {n: 3}\ntrain:\n  max_steps: {{ vars.n }}  # n\n",
            'vars: {n: 3}\ntrain:\n  max_steps: "{{ vars.n }}"  # n\n',
        ),
    ],
)
def test_what_leaves_no_doubt_is_put_right_and_nothing_around_it(before, wanted):
    assert body(before) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "optimizer: {beta: 0.5}\n",  # beta1, or beta2?
        "zebra: 1\n",
        "train:\n  max_steps: 3\n  max_stepz: 4\n",  # there is one already
        "train:\n  max_steps: 3\n  max_steps: 4\n",  # which one was meant?
        "train: {max_steps: '1.5'}\n",
        "train: {max_steps: 'inf'}\n",
        "train: {max_steps: '.inf'}\n",
        "train: {max_steps: 'true'}\n",
        "train: {max_steps: '0x'}\n",
        "train: {max_steps: true}\n",
        "train: {max_steps: 1.5}\n",
        "train:\n  max_steps: &n '3'\nvars: {n: *n}\n",  # others may want the text
        "train:\n  max_steps: |\n    3\n",
        "train:\n  max_steps: '3\n\n    '\n",
        "vars: {x: yes}\nema: {enabled: '{{ vars.x }}'}\n",
        "train: {max_steps: {{ vars.n }}-1}\n",
        "vars: {x: &y yes}\nema: {enabled: *y}\n",
        "train: {max_steps: {{\n  vars.n }} }\n",
        "train: {&k max_stepz: 3}\n",
        "train:\n  trian: [\n",
    ],
)
def test_where_there_is_doubt_nothing_is_done(text):
    assert same(text)


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("ema: {validation: emaonly}\n", "ema: {validation: ema_only}\n"),
        ("ema: {validation: 'emaonly'}\n", "ema: {validation: 'ema_only'}\n"),
        ("validation: {resolution: 850x480}\n", "validation: {resolution: 832x480}\n"),
        ("validation:\n  num_video_frames: 80\n", "validation:\n  num_video_frames: 81\n"),
        ("model: {pretrained_ae_model_name_or_path: v}\n", "model: {pretrained_vae_model_name_or_path: v}\n"),
        ("optimizer: {beta: 0.5}\n", None),  # beta1 is as near
        ("vars: {x: 80}\nvalidation: {num_video_frames: '{{ vars.x }}'}\n", None),
        ("ema: {validation: '{{ recipe.name }}'}\nname: emaonly\n", None),
        ("ema:\n  validation: &v emaonly\n", None),
        ("ema:\n  validation: >-\n    emaonly\n", None),
    ],
)
def test_suggestions_are_taken_only_on_demand_and_only_as_a_whole(before, wanted):
    assert same(before)
    assert body(before, unsafe=True) == (before if wanted is None else wanted)


def test_a_space_that_is_missing_is_put_where_a_pair_can_stand():
    assert body("ema:\n  enabled:true\n") == "ema:\n  enabled: true\n"
    assert same("ema: enabled:true\n")


def test_a_fix_that_uncovers_another_mistake_goes_on_with_that():
    assert body("ema: {enabeld: yes}\n") == "ema: {enabled: true}\n"


def test_what_a_fix_uncovers_is_left_as_a_finding():
    result = fixed(HEAD + "train: {max_steps: 3, batch_size: '0'}\n")

    assert [d.code for d in result.applied] == ["R102"]
    assert [d.code for d in result.left] == ["R104"]


FLAT = """\
recipe: 1  # the version
--train_batch_size: 4   # from the old file
data:
  datasets:
    - id: a
      instance_data_dir: clips
      num_frames: 33  # two seconds

learning_rate: 1e-4
user_prompt_library:
  # both of them
  a: one

  b: >-
    two
    lines
# about the model
model:
  type: full
max_train_steps: 10
"""

MOVED = """\
recipe: 1  # the version
data:
  datasets:
    - id: a
      instance_data_dir: clips
      video:
        num_frames: 33  # two seconds

# about the model
model:
  type: full

train:
  batch_size: 4   # from the old file
  max_steps: 10

optimizer:
  learning_rate: 1e-4

validation:
  prompt_library:
    # both of them
    a: one

    b: >-
      two
      lines
"""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_flat_keys_move_into_their_sections_with_their_comments(ending):
    assert after(FLAT.replace("\n", ending)) == MOVED.replace("\n", ending)


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        # behind the key that the definition has before it
        (
            "train:\n  batch_size: 1  # one\n  # about steps\n  max_steps: 3\nseed: 7\n",
            "train:\n  batch_size: 1  # one\n  # about steps\n  max_steps: 3\n  seed: 7\n",
        ),
        ("train:\n    seed: 7\nmax_train_steps: 3\n", "train:\n    seed: 7\n    max_steps: 3\n"),
        # into a section without keys, or between braces
        ("train:  # later\nmax_train_steps: 3\n", "train:  # later\n  max_steps: 3\n"),
        ("max_train_steps: 3\ntrain: {seed: 7}  # x\n", "train: {seed: 7, max_steps: 3}  # x\n"),
        ("max_train_steps: 3\ntrain: { seed: 7, }\n", "train: { seed: 7, max_steps: 3 }\n"),
        # without a line break at the end
        ("train:\n  learning_rate: .inf\n", "optimizer:\n  learning_rate: .inf\n"),
        ("x: &n 3\nmax_train_steps: *n\n", "x: &n 3\ntrain:\n  max_steps: *n\n"),
        (
            "validation_prompt: |\n  one\n\nmodel:\n  type: full\n",
            "\nmodel:\n  type: full\n\nvalidation:\n  prompt: |\n    one\n",
        ),
        ("max_train_steps: 3", "train:\n  max_steps: 3"),
        ("train:\n  seed: 1\nmax_train_steps: 3", "train:\n  seed: 1\n  max_steps: 3\n"),
        # a section that nothing is left in goes
        ("train:\n  learning_rate: 0.1\n", "optimizer:\n  learning_rate: 0.1\n"),
        # to the top
        ("train:\n  seed: 7\n  output_dir: out\n", "output_dir: out\ntrain:\n  seed: 7\n"),
    ],
)
def test_a_key_moves_to_where_it_belongs(before, wanted):
    if "output_dir" in before:
        assert after("recipe: 1\n" + before + HEAD[10:]) == "recipe: 1\n" + wanted + HEAD[10:]
    else:
        assert body(before) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "train: {max_steps: 3}\nmax_train_steps: 4\n",  # given already
        "train: 3\nmax_train_steps: 4\n",
        "optimizer: {beta1: 0.5, max_train_steps: 4}\n",  # it shares its line
        "train: &t {seed: 7}\nmax_train_steps: 4\nvars: {a: *t}\n",
        "train:\n  seed: 1\nx: &n 3\nmax_train_steps: *n\n",  # it would stand above what it refers to
        "vars: &t {seed: 7}\ntrain: *t\nmax_train_steps: 3\n",  # the section stands elsewhere
        "num_frames: 33\n",  # of which data set?
        "train:\n  # why\n  learning_rate: 0.1\n",  # the comment would be lost
        "train:  # why\n  learning_rate: 0.1\n",
        "train: {seed: 7}\nmax_train_steps: 3  # a comment does not go between braces\n",
        "train: {seed: 7}\nmax_train_steps: [3]\n",
        "train: {seed: 7,\n  batch_size: 1}\nmax_train_steps: 3\n",
        "validation: {guidance: 3}\nuser_prompt_library: {a: one}\n",
        "max_train_steps: 3\n...\n",  # nothing may come behind
        "validation_prompt: |+\n  one\n\n\nmodel: {type: full}\n",  # its blank lines are part of it
        "max_train_steps: 3\nbad: {{ x }}-\n",
    ],
)
def test_a_key_that_can_not_move_alone_stays(text):
    assert same(text)


def test_a_flat_key_beside_its_twin_moves_once():
    text = body("max_train_steps: 3\n--max_train_steps: 4\n")

    assert text == "--max_train_steps: 4\ntrain:\n  max_steps: 3\n"


def test_a_recipe_between_braces_is_left_as_it_is():
    text = '{"recipe": 1,\n"data": {"datasets": [{"id": "a", "instance_data_dir": "c"}]},\n"max_train_steps": 3\n}\n'

    assert after(text) == text


def test_what_a_fragment_has_wrong_is_not_fixed_from_above(tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text(HEAD + "max_train_steps: 3\ntrian: {seed: 1}\n", encoding="utf-8")
    source = Source(str(tmp_path / "r.yaml"), "extends: base.yaml\nema: {enabled: yes}\n")

    def lint_there(text):
        return compile_source(text, tmp_path / "r.yaml", Options(look_at_data=False)).found

    result = fix(source, lint_there, unsafe=True)

    assert result.source.text == "extends: base.yaml\nema: {enabled: true}\n"
    assert len(result.left) == 2


def test_the_only_key_of_a_data_set_stays():
    text = "recipe: 1\ndata:\n  datasets:\n    -\n      num_frames: 33\n"

    assert after(text) == text


def test_so_many_findings_are_fixed_and_no_more(monkeypatch):
    monkeypatch.setattr("recipe_compiler.fixes.fix.MOST", 2)

    assert body("ema: {enabeld: yes, decya: 0.5}\n") == "ema: {enabled: true, decya: 0.5}\n"


@pytest.mark.parametrize(
    ("written", "text", "wanted"),
    [
        ("a", "b", "b"),
        ("'a'", "b", "'b'"),
        ('"a"', "b", '"b"'),
        ("a", "12", '"12"'),
        ("a", ".inf", '".inf"'),
        ("a", "null", '"null"'),
        ("'a'", "12", "'12'"),
        ("&x a", "b", None),
        ("*x", "b", None),
        ("! a", "b", None),
        ("|", "b", None),
        ("", "b", None),
    ],
)
def test_a_text_gets_the_quotes_that_it_had_or_needs(written, text, wanted):
    source = Source("x", written)

    assert new_text(Span(source, 1, 1, 1, len(written) + 1), text) == wanted


def test_a_place_beyond_the_text_or_of_several_lines_has_no_text():
    source = Source("x", "a\nb")

    assert Span(source, 3, 1, 3, 2).text is None
    assert Span(source, 1, 1, 2, 2).text is None


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029"])
def test_lines_are_those_of_libyaml(line_end):
    source = Source("x", f"a: 1{line_end}b: 2")

    assert source.lines == ("a: 1", "b: 2")
    assert source.text[source.line_starts()[1] :] == "b: 2"
    root, _ = parse_yaml(source)
    assert root.entries["b"].key_span.line == 2


def test_a_recipe_in_order_is_not_touched():
    for text in SHIPPED:
        assert fixed(text).applied == ()


@pytest.mark.parametrize(
    ("word", "meant", "known", "wanted"),
    [
        ("max_stepz", "max_steps", ["max_steps", "seed"], True),
        ("beta", "beta1", ["beta1", "beta2"], False),
        ("Max-Steps", "max_steps", ["max_steps"], True),
        ("frames", "num_frames", ["num_frames", "min_frames", "max_frames"], False),
    ],
)
def test_a_word_is_clear_if_no_other_is_as_near(word, meant, known, wanted):
    assert clear(word, meant, known) is wanted


# Properties


FLAT_NAMES = sorted({leaf.key.aka for leaf in leaves() if leaf.key.aka and "*" not in leaf.path})


def misspelt(draw, name):
    """Return a name with two letters swapped, one left out, or one twice."""
    at = draw(st.integers(1, len(name) - 2))
    return draw(
        st.sampled_from(
            [
                name[: at - 1] + name[at] + name[at - 1] + name[at + 1 :],
                name[:at] + name[at + 1 :],
                name[:at] + name[at - 1 :],
            ]
        )
    )


@st.composite
def spoilt(draw, *, flat):
    """Take a shipped recipe, and misspell keys, quote numbers, and maybe add flat keys, with comments all around."""
    lines = draw(st.sampled_from(SHIPPED)).split("\n")
    for index, line in enumerate(lines):
        key, colon, value = line.partition(": ")
        name = key.strip()
        if not colon or not name.replace("_", "").isalnum() or len(name) < 4 or "#" in key:
            continue
        what = draw(st.integers(0, 9))
        if what == 0:
            lines[index] = f"{key.replace(name, misspelt(draw, name))}: {value}"
        elif what == 1 and value.split() and value.split()[0].isdigit():
            lines[index] = f"{key}: {value.replace(value.split()[0], repr(value.split()[0]), 1)}"
        elif what == 2:
            lines[index] = f"{line}  # a comment"
    for name in draw(st.lists(st.sampled_from(FLAT_NAMES), max_size=3 if flat else 0, unique=True)):
        lines.append(f"{draw(st.sampled_from(['', '--']))}{name}: {draw(st.integers(1, 9))}  # flat")
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    return newline.join(lines) + draw(st.sampled_from(["", newline]))


def comments(text):
    return sorted(line[line.index("#") :].strip() for line in text.splitlines() if "#" in line)


@settings(max_examples=60, deadline=None)
@given(spoilt(flat=True))
def test_fixing_twice_is_fixing_once_and_no_comment_or_other_line_is_lost(text):
    once = fixed(text)

    assert fixed(once.source.text).source.text == once.source.text
    assert comments(once.source.text) == comments(text)
    touched = {d.span.line for d in lint(Source("r.yaml", text)) if d.fix is not None or d.move}
    kept = [line for number, line in enumerate(text.splitlines(), 1) if number not in touched]
    written = iter(once.source.text.splitlines())
    assert all(line in written for line in kept), "the lines that were not wrong are there, in their order"


@settings(max_examples=60, deadline=None)
@given(spoilt(flat=False))
def test_what_is_found_after_fixes_was_found_before(text):
    before = lint(Source("r.yaml", text))
    result = fixed(text)

    assert result.left == lint(result.source)
    assert {(d.code, d.pointer, d.message) for d in result.left} <= {(d.code, d.pointer, d.message) for d in before}
    assert len(result.left) == len(before) - len(result.applied)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="train:max_steps {}[]'\"#&*-|\n\r\u2028\u00e9", max_size=80))
def test_any_text_is_fixed_without_a_fault(text):
    result = fixed(HEAD + text)

    assert fixed(result.source.text).source.text == result.source.text
