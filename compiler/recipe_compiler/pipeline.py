"""The compiler, in the order in which it works. Read this first.

    text → parse → compose → expand → validate → resolve → survey → check → estimate → lower → freeze

`compile_recipe` goes as far as the findings; `make_plan` does the rest for a recipe without errors. Each pass is a
function of values; files are read by `compose` and `survey` alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recipe_compiler.diagnostics.codes import MISSING_KEY
from recipe_compiler.diagnostics.diagnostic import Diagnostic, has_errors, in_order
from recipe_compiler.passes.check import check
from recipe_compiler.passes.compose import compose, not_text, read_source
from recipe_compiler.passes.expand import expand
from recipe_compiler.passes.resolve import resolve
from recipe_compiler.passes.validate import validate
from recipe_compiler.rules.rule import Facts
from recipe_compiler.settings import Resolved
from recipe_compiler.source import Source


if TYPE_CHECKING:  # plan and ledger cost more to load than a lint without data takes
    from recipe_compiler.data.facts import Survey
    from recipe_schema.plan import Plan


_DATA = ("data.datasets", "data.buckets", "data.framerate", "data.motion_score", "model.family")


def silent(done: int, total: int) -> None:
    """Report no progress."""
    del done, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a recipe is looked at.

    Attributes:
        overlays: More files that win over the recipe (``-f``).
        overrides: Arguments of ``--set``.
        look_at_data: Look into the data folders.
        must_run: What is missing is an error and no warning.
        index_file: Where probes of clips are remembered; None keeps them in memory.
        report: Called with files probed and their total.
    """

    overlays: Sequence[Path] = ()
    overrides: Sequence[str] = ()
    look_at_data: bool = True
    must_run: bool = False
    index_file: Path | None = None
    report: Callable[[int, int], None] = silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A recipe after all checks.

    Attributes:
        path: The recipe.
        sources: Everything that was read.
        settings: The resolved settings; None if the recipe can't be read at all.
        survey: What is in the data sets; None if nobody looked.
        found: All findings, in order of place.
    """

    path: Path
    sources: tuple[Source, ...]
    settings: Resolved | None
    survey: "Survey | None"
    found: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """There are no errors."""
        return not has_errors(self.found)

    @property
    def root(self) -> Path:
        """The folder at which relative paths of the recipe start."""
        return self.path.parent.absolute()


def compile_recipe(path: Path, options: Options) -> Compiled:
    """Check a recipe. All findings are reported in one run.

    Raises:
        OSError: The file can't be read.
    """
    try:
        main = read_source(path)
    except UnicodeDecodeError as error:
        return Compiled(path=path, sources=(), settings=None, survey=None, found=(not_text(path, error),))
    composed = compose(main, path, options.overlays, options.overrides)
    compiled = Compiled(path=path, sources=composed.sources, settings=None, survey=None, found=composed.found)
    if composed.tree is None:
        return compiled
    tree, in_templates = expand(composed.tree)
    valid = validate(tree)
    settings = resolve(valid.tree, valid.bad, main, path.stem)
    survey = _survey(settings, compiled.root, options) if options.look_at_data else None
    facts = Facts(settings=settings, survey=survey, must_run=options.must_run)
    later = (*valid.found, *check(facts)) if composed.whole else (d for d in valid.found if d.code != MISSING_KEY.code)
    found = in_order((*composed.found, *in_templates, *later), composed.sources)
    return replace(compiled, settings=settings, survey=survey, found=found)


def _survey(settings: Resolved, root: Path, options: Options) -> "Survey | None":
    """Look at the data, unless something is wrong with what says where they are."""
    ids = [settings[f"{table}.id"] for table in settings.tables("data.datasets")]
    if not settings.fine(*_DATA) or len(set(ids)) != len(ids):
        return None
    # Video and database libraries are loaded only when there is something to look at.
    from recipe_compiler.data.index import ProbeIndex  # noqa: PLC0415
    from recipe_compiler.data.survey import survey  # noqa: PLC0415

    with ProbeIndex(options.index_file) as index:
        return survey(settings, root, index, options.report)


def make_plan(compiled: Compiled) -> "Plan":
    """Freeze a recipe without errors, whose data were looked at."""
    # Parquet is loaded only for plans.
    from recipe_compiler.passes.estimate import estimate  # noqa: PLC0415
    from recipe_compiler.passes.freeze import freeze, meta  # noqa: PLC0415
    from recipe_compiler.passes.lower import execution, lower  # noqa: PLC0415

    settings, survey = compiled.settings, compiled.survey
    assert settings is not None, "the recipe was read"
    assert survey is not None, "its data were looked at"
    assert compiled.ok, "it has no errors"
    body = lower(settings, survey)
    cost = estimate(settings.values(), settings.family, body.buckets, body.schedule)
    return freeze(body, execution(settings, str(compiled.root)), meta(settings, survey, compiled.sources, cost))
