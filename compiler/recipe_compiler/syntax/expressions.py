"""Expressions inside templates: Jinja in a sandbox, and of its syntax only what is on a list."""

import math
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from recipe_compiler.syntax.errors import TemplateError
from recipe_compiler.syntax.scalars import LARGEST_INTEGER
from recipe_compiler.syntax.tree import Scalar


MAX_EXPRESSION = 1_000
MAX_RESULT = 10_000

_FILTERS = ("abs", "float", "int", "lower", "round", "string", "title", "trim", "upper")
_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Const,
    nodes.Filter,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Neg,
    nodes.Pos,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Concat,
)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Binary operators go through `call_binop`, which keeps results small."""

    intercepted_binops = frozenset({"*", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        for value in (left, right):
            if not isinstance(value, int | float):
                raise SecurityError(f"`{operator}` is for numbers")
        return super().call_binop(context, operator, left, right)


def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    return environment


_ENVIRONMENT = _environment()


def evaluate(expression: str, names: Mapping[str, Mapping[str, Any]], *, offset: int) -> Scalar:
    """Evaluate one expression.

    Args:
        expression: What stands between ``{{`` and ``}}``.
        names: What it may name: ``{"vars": {…}, "recipe": {…}}``.
        offset: Where it stands in its value, for messages.

    Raises:
        TemplateError: It is wrong, not allowed, or names something that does not exist.
    """
    start = offset + len(expression) - len(expression.lstrip())
    if len(expression) > MAX_EXPRESSION:
        raise TemplateError(f"an expression of more than {MAX_EXPRESSION} characters", start)
    try:
        _check(_ENVIRONMENT.parse("{{" + expression + "}}"), start)
        result = _ENVIRONMENT.compile_expression(expression.strip(), undefined_to_none=False)(**names)
        if isinstance(result, StrictUndefined):
            str(result)  # raises UndefinedError, with the name that is missing
    except TemplateSyntaxError as error:
        raise TemplateError(f"the template is wrong: {error.message}", start) from None
    except UndefinedError as error:
        raise TemplateError(_undefined(error, names), start) from None
    except SecurityError as error:
        raise TemplateError(str(error), start) from None
    except (ArithmeticError, TypeError, ValueError) as error:
        raise TemplateError(f"the template fails: {error}", start) from None
    return _scalar(result, start)


def _undefined(error: UndefinedError, names: Mapping[str, Mapping[str, Any]]) -> str:
    known = ", ".join(f"{group}.{name}" for group, values in names.items() for name in values)
    return f"{error.message} (there is {known or 'nothing'})"


def _check(tree: nodes.Template, start: int) -> None:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            raise TemplateError(f"templates can't use `{type(node).__name__.lower()}`", start)
        if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            raise TemplateError(f"there is no filter `{node.name}`; there is {', '.join(_FILTERS)}", start)


def _scalar(value: Any, start: int) -> Scalar:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and abs(value) <= LARGEST_INTEGER:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and len(value) <= MAX_RESULT:
        return str(value)
    raise TemplateError("a template has to give a text, a number of usual size, true, false or null", start)
