"""A recipe or a frozen plan, seen alike: what ``recipe explain`` shows and ``recipe diff`` compares."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recipe_compiler.passes.resolve import usual_value
from recipe_compiler.pipeline import Compiled, make_plan
from recipe_compiler.settings import Setting
from recipe_schema.definition import Leaf, generic, leaf_index
from recipe_schema.family import FamilyFacts, load_family
from recipe_schema.ledger import ClipRow
from recipe_schema.marks import REQUIRED, Impact
from recipe_schema.plan import Plan


Record = Mapping[str, Any]
"""An origin as JSON values, see `recipe_compiler.settings.Origin.record`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """One setting.

    Attributes:
        path: Its path, as in ``data.datasets.0.id``.
        value: Its value.
        origin: Where the value came from.
        impact: What a change of it does.
        leaf: What the language says of it; None if a plan has a key that the language does not have now.
        shadowed: What it replaced, nearest first. A plan does not keep that.
        ignored: Why it is never applied; None if it is.
    """

    path: str
    value: Any
    origin: Record
    impact: Impact
    leaf: Leaf | None
    shadowed: tuple[tuple[Any, Record], ...] = ()
    ignored: str | None = None

    @property
    def effective(self) -> Any:
        """The value that is applied."""
        return None if self.ignored is not None else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A recipe or a plan.

    Attributes:
        name: What people called it.
        kind: Which of both it is.
        root: The folder at which relative paths start.
        stem: The recipe's file name without its ending; empty for a plan.
        settings: All settings by path, in the order of the definition.
        family: The model family.
        rows: The ledger; None if nobody looked at the data.
        plan: The plan; None if none can be made.
        unplanned: Why there is no plan; empty if there is one.
    """

    name: str
    kind: Literal["recipe", "plan"]
    root: Path
    stem: str
    settings: Mapping[str, Stated]
    family: FamilyFacts
    rows: tuple[ClipRow, ...] | None
    plan: Plan | None
    unplanned: str = ""

    def value(self, path: str) -> Any:
        """Return the value of a setting."""
        return self.settings[path].value

    def is_usual(self, stated: Stated) -> bool:
        """Say whether a setting has the value that it has if nobody gives it."""
        if stated.origin["kind"] in ("default", "family", "derived"):
            return True
        if stated.leaf is None or stated.leaf.key.default is REQUIRED:
            return False
        usual = usual_value(stated.leaf, stated.path, self, self.stem)
        return bool(stated.value == (list(usual) if isinstance(usual, tuple) else usual))

    def values(self) -> Mapping[str, Any]:
        """Return the values of all settings by path."""
        return {path: stated.value for path, stated in self.settings.items()}


def of_recipe(compiled: Compiled) -> Subject:
    """Look at a recipe that was read.

    Args:
        compiled: With settings; it may have errors, and its data may not have been looked at.
    """
    settings, survey = compiled.settings, compiled.survey
    assert settings is not None, "the recipe was read"
    unplanned = ""
    if not compiled.ok:
        unplanned = "the recipe has errors"
    elif survey is None:
        unplanned = "nobody looked at the data"
    elif not survey.buckets:
        unplanned = "there are no clips to train"
    return Subject(
        name=str(compiled.path),
        kind="recipe",
        root=compiled.root,
        stem=compiled.path.stem,
        settings={path: _stated(setting) for path, setting in settings.settings.items()},
        family=settings.family,
        rows=survey.rows if survey is not None else None,
        plan=None if unplanned else make_plan(compiled),
        unplanned=unplanned,
    )


def _stated(setting: Setting) -> Stated:
    return Stated(
        path=setting.path,
        value=setting.value,
        origin=setting.origin.record(),
        impact=setting.leaf.key.impact,
        leaf=setting.leaf,
        shadowed=tuple((value, origin.record()) for value, origin in setting.shadowed),
        ignored=setting.ignored,
    )


def of_plan(plan: Plan, rows: tuple[ClipRow, ...] | None, name: str) -> Subject:
    """Look at a plan.

    Args:
        plan: A plan as it was read.
        rows: Its ledger; None if that can't be used.
        name: What people called it.
    """
    stated = [_frozen(plan, path, value) for path, value in plan.settings.items()]
    return Subject(
        name=name,
        kind="plan",
        root=Path(plan.execution.root),
        stem="",
        settings={setting.path: setting for setting in sorted(stated, key=_order)},
        family=load_family(plan.settings["model.family"]),
        rows=rows,
        plan=plan,
    )


def _frozen(plan: Plan, path: str, value: Any) -> Stated:
    leaf = leaf_index().get(generic(path))
    ignored = plan.meta["ignored"].get(path)
    return Stated(
        path=path,
        value=value if ignored is None else ignored["value"],
        origin=plan.meta["origins"][path],
        impact="result" if path in plan.body.settings else leaf.key.impact if leaf is not None else "runtime",
        leaf=leaf,
        ignored=None if ignored is None else ignored["reason"],
    )


def _order(stated: Stated) -> tuple[int, int, int]:
    """Sort as the language does, the elements of a table one after the other; unknown keys come last."""
    place = {path: index for index, path in enumerate(leaf_index())}
    path = generic(stated.path)
    own = place.get(path, len(place))
    table, star, _ = path.partition(".*.")
    if not star:
        return own, 0, own
    first = min((index for other, index in place.items() if other.startswith(f"{table}.*.")), default=own)
    return first, int(stated.path.removeprefix(f"{table}.").split(".")[0]), own
