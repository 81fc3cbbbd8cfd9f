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
