import pytest

from recipe_compiler.passes.expand import expand, render
from recipe_compiler.source import Source
from recipe_compiler.syntax.errors import TemplateError
from recipe_compiler.syntax.tree import to_plain
from recipe_compiler.syntax.yaml_tree import parse_yaml


NAMES = {"vars": {"size": 480, "token": "xy", "rate": 1.5, "on": True}, "recipe": {"name": "r"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ vars.size }}", 480),
        ("${{ vars.size // 2 }}", 240),
        ("{{ vars.size * 2 }}x{{ vars.size }}", "960x480"),
        ("{{ vars.rate }}", 1.5),
        ("{{ vars.on }}", True),
        ("is {{ vars.on }}", "is true"),
        ("{{ 'a' if vars.size > 3 else 'b' }}", "a"),
        ("{{ vars.token | upper }}", "XY"),
        ("{{ vars['token'] ~ recipe.name }}", "xyr"),
        ("{{ '1e10' }}", "1e10"),
        ("no template", "no template"),
    ],
)
def test_expressions_give_values_of_their_own_type(text, value):
    result = render(text, NAMES)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ vars.nope }}",
        "{{ nope }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 2 ** (2 ** 40) }}",
        "{{ vars.__class__ }}",
        "{{ ''.__class__.mro() }}",
        "{{ range(10) }}",
        "{{ [1, 2] }}",
        "{{ vars }}",
        "{{ 1 / 0 }}",
        "{{ vars.size",
        "{{ vars.size | center(10) }}",
        "{{ '%999999999d' % 3 }}",
        "{{ " + "1 + " * 400 + "1 }}",
        "{{ 10000000 * 10000000 * 10000000 }}",
        "{{ }}",
        "{{ 'a' | replace('a', 'b') }}",
        "{{ " + "(" * 450 + "1" + ")" * 450 + " }}",
        "{{ 1.5 | round(16) }}",
        "{{ 1.5 | round(0.5) }}",
        "{{ '1.5' | round }}",
    ],
)
def test_whatever_is_wrong_or_not_allowed_is_an_error_of_the_template(text):
    with pytest.raises(TemplateError):
        render(text, NAMES)


def expanded(text):
    root, found = parse_yaml(Source("x", text))
    assert found == []
    tree, errors = expand(root)
    return to_plain(tree), errors


def test_variables_see_those_above_them():
    value, errors = expanded('vars:\n  a: 4\n  b: "{{ vars.a * 2 }}"\nc: "{{ vars.b }}"\n')

    assert errors == ()
    assert value["c"] == 8


def test_an_error_points_at_the_expression_in_the_recipe():
    _, (finding,) = expanded('vars: {a: 4}\nname: "size-{{ vars.b }}"\n')

    assert finding.code == "R006"
    assert (finding.span.line, finding.span.column) == (2, 16)


def test_a_recipe_without_templates_does_not_load_jinja():
    import subprocess
    import sys

    code = (
        "import sys; from recipe_compiler.passes.expand import expand; from recipe_compiler.syntax.yaml_tree import "
        "parse_yaml; from recipe_compiler.source import Source; expand(parse_yaml(Source('x', 'a: 1'))[0]); "
        "sys.exit('jinja2' in sys.modules)"
    )

    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )


def test_a_variable_that_is_wrong_makes_one_finding_and_not_one_for_each_use():
    value, errors = expanded(
        'vars:\n  a: "{{ nope }}"\n  b: "{{ vars.a }}"\nc: "{{ vars.b }}"\nd: "{{ vars[\'a\'] }}"\n'
    )

    assert len(errors) == 1
    assert value == {"vars": {}}


def test_a_broken_name_that_is_computed_stays_silent_too():
    _, errors = expanded("vars:\n  a: '{{ nope }}'\n  which: a\nc: '{{ vars[vars.which] }}'\n")

    assert len(errors) == 1


def test_a_variable_that_is_no_scalar_is_left_to_validation():
    value, errors = expanded("vars: {a: [1]}\nc: '{{ vars.a }}'\n")

    assert errors == ()
    assert value == {"vars": {"a": [1]}}


def test_name_and_description_are_known_with_their_templates_evaluated():
    value, errors = expanded("vars: {x: 4}\nname: 'n{{ vars.x }}'\noutput_dir: 'runs/{{ recipe.name }}'\n")

    assert errors == ()
    assert value["output_dir"] == "runs/n4"


def test_names_of_methods_are_names_like_others():
    value, errors = expanded("vars: {items: 1, keys: 2}\nc: '{{ vars.items + vars.keys }}'\n")

    assert errors == ()
    assert value["c"] == 3


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("{{ vars.sizze }}", "there is no `vars.sizze`", "did you mean `vars.size`?"),
        ("{{ vars['zebra'] }}", "there is no `vars.zebra`", "there is vars.size; declare it at the top of the recipe"),
        ("{{ matrix.lr }}", "there is no `matrix.lr`", "declare it at the top of the recipe: `matrix: {lr: […]}`"),
        ("{{ recipe.variant }}", "there is no `recipe.variant`", "`variant` if it has a matrix"),
        ("{{ 'x' | int }}", "what it got is not a whole number", "there is vars.NAME"),
        ("{{ 'x' | float }}", "what it got is not a number", "there is vars.NAME"),
        ("{{ vars | int }}", "what it got is not a whole number", "there is vars.NAME"),
        ("{{ zebra.x }}", "'zebra' is undefined", "there is vars.NAME"),
        ("{{ vars[zebra] }}", "'zebra' is undefined", "there is vars.NAME"),
        ("{{ 'abc'['x'] }}", "", ""),
        ("{{ 'abc'.x }}", "", ""),
    ],
)
def test_an_error_says_what_there_is(text, message, advice):
    _, (finding,) = expanded(f'vars: {{size: 1}}\nc: "{text}"\n')

    assert message in finding.message
    assert advice in finding.help


@pytest.mark.parametrize(
    ("text", "value"),
    [("{{ '12' | int }}", 12), ("{{ '1e-4' | float }}", 1e-4), ("{{ 2.7 | int }}", 2), ("{{ 2.675 | round(1) }}", 2.7)],
)
def test_texts_become_numbers(text, value):
    assert render(text, NAMES) == value


def test_templates_in_lists_are_evaluated():
    value, errors = expanded("vars: {x: 4}\nlist: [1, '{{ vars.x }}', 'a{{ none }}b']\n")

    assert errors == ()
    assert value["list"] == [1, 4, "ab"]


def test_an_error_in_a_text_of_several_lines_points_at_its_start():
    _, (finding,) = expanded("c: |\n  one\n  {{ nope }}\n")

    assert (finding.span.line, finding.span.column) == (1, 4)
