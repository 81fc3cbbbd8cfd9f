"""Expressions inside templates: Jinja in a sandbox, and of its syntax only what is on a list."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from recipe_compiler.suggest import near
from recipe_compiler.syntax.errors import BROKEN, BrokenNameError, TemplateError
from recipe_compiler.syntax.scalars import LARGEST_INTEGER
from recipe_compiler.syntax.tree import Scalar


MAX_EXPRESSION = 1_000
MAX_RESULT = 10_000
MAX_PRECISION = 15

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

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look into a group of names, never at the methods of its mapping: ``vars.items`` is a variable."""
        return self.getitem(obj, attribute) if isinstance(obj, Mapping) else super().getattr(obj, attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        for value in (left, right):
            if not isinstance(value, int | float):
                raise SecurityError(f"`{operator}` is for numbers")
        return super().call_binop(context, operator, left, right)


def _round(value: Any, precision: Any = 0) -> float:
    """Round as Python does. Jinja's own filter takes minutes for a precision of millions."""
    if not isinstance(value, int | float) or precision not in range(MAX_PRECISION + 1):
        raise SecurityError(f"`round` takes a number and a precision from 0 to {MAX_PRECISION}")
    rounded: float = round(float(value), precision)
    return rounded


def _number(value: Any, kind: Callable[[Any], int | float], meaning: str) -> int | float:
    """Make a number of a text, or fail. Jinja's own filters make 0 of whatever is none."""
    if isinstance(value, int | float | str):
        try:
            return kind(value)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"what it got is not {meaning}")  # without the value: it may come from the environment


def _int(value: Any) -> int | float:
    return _number(value, int, "a whole number")


def _float(value: Any) -> int | float:
    return _number(value, float, "a number")


def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    own = {"int": _int, "float": _float, "round": _round}
    environment.filters = {name: environment.filters[name] for name in _FILTERS} | own
    return environment


_ENVIRONMENT = _environment()


def evaluate(expression: str, names: Mapping[str, Mapping[str, Any]], *, offset: int) -> Scalar:
    """Evaluate one expression.

    Args:
        expression: What stands between ``{{`` and ``}}``.
        names: What it may name: ``{"vars": {…}, "env": {…}, "matrix": {…}, "recipe": {…}}``.
        offset: Where it stands in its value, for messages.

    Raises:
        TemplateError: It is wrong, not allowed, or names something that does not exist.
        BrokenNameError: It names something that is wrong itself.
    """
    start = offset + len(expression) - len(expression.lstrip())
    if len(expression) > MAX_EXPRESSION:
        raise TemplateError(f"an expression of more than {MAX_EXPRESSION} characters", start)
    try:
        tree = _ENVIRONMENT.parse("{{" + expression + "}}")
        _check(tree, start)
        _check_names(tree, names, expression, offset)
        result = _ENVIRONMENT.compile_expression(expression.strip(), undefined_to_none=False)(**names)
        if isinstance(result, StrictUndefined):
            str(result)  # raises UndefinedError, with the name that is missing
    except TemplateSyntaxError as error:
        raise TemplateError(f"the template is wrong: {error.message}", start) from None
    except UndefinedError as error:
        raise TemplateError(_undefined(error, names), start) from None
    except SecurityError as error:
        raise TemplateError(str(error), start) from None
    except RecursionError:
        raise TemplateError("the template is nested too deeply", start) from None
    except (ArithmeticError, TypeError, ValueError, TemplateRuntimeError) as error:
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


def _check_names(tree: nodes.Template, names: Mapping[str, Mapping[str, Any]], expression: str, offset: int) -> None:
    """Find names that do not exist, at their place."""
    for group, name in _looked_up(tree):
        if group not in names:
            continue
        if name not in names[group]:
            match = re.search(rf"\b{group}\s*[.\[]\s*['\"]?{re.escape(name)}\b", expression)
            where = offset + (match.start() if match else len(expression) - len(expression.lstrip()))
            raise TemplateError(f"there is no `{group}.{name}`", where, _declare(group, name, names[group]))
        if names[group][name] is BROKEN:
            raise BrokenNameError(f"`{group}.{name}` is wrong itself")


def _looked_up(tree: nodes.Template) -> Iterator[tuple[str, str]]:
    """Yield group and name of every ``group.name`` and ``group['name']``."""
    for dot in tree.find_all(nodes.Getattr):
        if isinstance(dot.node, nodes.Name):
            yield dot.node.name, dot.attr
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.node, nodes.Name) and isinstance(item.arg, nodes.Const) and isinstance(item.arg.value, str):
            yield item.node.name, item.arg.value


def _declare(group: str, name: str, known: Mapping[str, Any]) -> str:
    """Say how a name comes to exist."""
    meant = near(name, known)
    if meant is not None:
        return f"did you mean `{group}.{meant}`?"
    there = f"there is {', '.join(f'{group}.{other}' for other in known)}; " if known else ""
    if group == "recipe":
        return there + "a recipe has `name` and `description` if it gives them, and `variant` if it has a matrix"
    example = {"vars": f"vars: {{{name}: …}}", "env": f"env: [{name}]", "matrix": f"matrix: {{{name}: […]}}"}[group]
    return f"{there}declare it at the top of the recipe: `{example}`"


def _scalar(value: Any, start: int) -> Scalar:
    if value is BROKEN:  # by a name that was computed
        raise BrokenNameError("what it names is wrong itself")
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and abs(value) <= LARGEST_INTEGER:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and len(value) <= MAX_RESULT:
        return str(value)
    raise TemplateError("a template has to give a text, a number of usual size, true, false or null", start)
