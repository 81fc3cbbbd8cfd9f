"""The compiler, in the order in which it works. Read this first.

    text → parse → compose → expand → validate → resolve → survey → check → estimate → lower → freeze

`compile_recipe` goes as far as the findings; `make_plan` does the rest for a recipe without errors. Each pass is a
function of values; files are read by `compose`, `include_library` and `survey` alone, and rules ask the `Machine`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from recipe_compiler.data.captions import TABLES, caption_source, prompt_reader
from recipe_compiler.diagnostics.codes import MISSING_KEY
from recipe_compiler.diagnostics.diagnostic import Diagnostic, has_errors, in_order
from recipe_compiler.diagnostics.together import together
from recipe_compiler.machine import Machine, this_machine
from recipe_compiler.passes.check import asked, check, silent as without_asking
from recipe_compiler.passes.compose import Composed, compose, not_text, read_source
from recipe_compiler.passes.environment import read_environment
from recipe_compiler.passes.expand import expand
from recipe_compiler.passes.library import include_library
from recipe_compiler.passes.resolve import resolve
from recipe_compiler.passes.suppress import suppress
from recipe_compiler.passes.validate import validate
from recipe_compiler.passes.variants import Matrix, Variant, choose, one_folder_each, read_matrix
from recipe_compiler.passes.versions import unsupported_versions
from recipe_compiler.rules.data_sets import ADDRESS, goes_together, scores_lack
from recipe_compiler.rules.rule import Facts
from recipe_compiler.settings import Resolved
from recipe_compiler.source import Source, start_of
from recipe_schema.record import record, replace


if TYPE_CHECKING:  # plan and ledger cost more to load than a lint without data takes
    from recipe_compiler.data.facts import Survey
    from recipe_schema.plan import Plan


_SURVEYED = ("data.", "model.", "regularizers.masked_loss.", "validation.images", "validation.resolution")
"""The settings on which a look at the data depends begin with one of these."""

_GEOMETRY = ("data.buckets", "data.framerate", "data.motion_score")


def silent(done: int, total: int) -> None:
    """Report no progress."""
    del done, total


@record
class Options:
    """How a recipe is looked at.

    Attributes:
        overlays: More files that win over the recipe (``-f``).
        overrides: Arguments of ``--set``.
        look_at_data: Look into the data folders.
        must_run: What is missing is an error and no warning.
        starts_here: What this machine lacks is an error, too.
        machine: What rules know of the machine; None is the one that this process runs on.
        index_file: Where probes of clips are remembered; None keeps them in memory.
        rehash: Look at each clip anew, whatever is remembered.
        report: Called with files probed and their total.
        measuring: Called with clips whose motion is measured and their total.
        variant: The id of one variant of a recipe with a matrix; None takes all.
        environment: The variables that a recipe may declare in ``env``.
    """

    overlays: Sequence[Path] = ()
    overrides: Sequence[str] = ()
    variant: str | None = None
    environment: Mapping[str, str] = MappingProxyType({})
    look_at_data: bool = True
    must_run: bool = False
    starts_here: bool = False
    machine: Machine | None = None
    index_file: Path | None = None
    rehash: bool = False
    report: Callable[[int, int], None] = silent
    measuring: Callable[[int, int], None] = silent


@record
class Compiled:
    """A recipe after all checks.

    Attributes:
        path: The recipe.
        sources: Everything that was read.
        settings: The resolved settings; None if the recipe can't be read at all.
        survey: What is in the data sets; None if nobody looked.
        found: All findings, in order of place.
        variant: Which variant this is, of a recipe with a matrix.
        variants: All variants of a recipe with a matrix, if none was chosen. Settings and survey then are those of the
            first, and the findings are those of all.
    """

    path: Path
    sources: tuple[Source, ...]
    settings: Resolved | None
    survey: "Survey | None"
    found: tuple[Diagnostic, ...]
    variant: Variant | None = None
    variants: "tuple[Compiled, ...]" = ()

    @property
    def ok(self) -> bool:
        """There are no errors."""
        return not has_errors(self.found)

    @property
    def root(self) -> Path:
        """The folder at which relative paths of the recipe start."""
        return self.path.parent.absolute()


def compile_recipe(path: Path, options: Options) -> Compiled:
    """Check a recipe, in all its variants. All findings are reported in one run.

    Raises:
        OSError: The file can't be read.
        VariantError: The recipe has not the variant that the options name.
    """
    try:
        main = read_source(path)
    except UnicodeDecodeError as error:
        return Compiled(path=path, sources=(), settings=None, survey=None, found=(not_text(path, error),))
    return compile_source(main, path, options)


def compile_source(main: Source, path: Path, options: Options) -> Compiled:
    """Check the text of a recipe as if it stood in the file ``path``.

    Raises:
        VariantError: The recipe has not the variant that the options name.
    """
    composed = compose(main, path, options.overlays, options.overrides)
    if composed.tree is None:
        return Compiled(path=path, sources=composed.sources, settings=None, survey=None, found=composed.found)
    matrix = read_matrix(composed.tree)
    chosen = choose(matrix.variants, options.variant)
    checker = _Checker(main, path, composed, matrix, options)
    if len(chosen) > 1:
        return _together([checker.check(variant) for variant in chosen])
    return _suppressed(*checker.check(next(iter(chosen), None)), whole_matrix=len(matrix.variants) <= 1)


class _Checker:
    """Checks one variant after the other, and looks only once at data that they share."""

    def __init__(self, main: Source, path: Path, composed: Composed, matrix: Matrix, options: Options) -> None:
        self.main = main
        self.path = path
        self.composed = composed
        self.matrix = matrix
        self.options = options
        self.surveys: dict[str, Survey | None] = {}

    def check(self, variant: Variant | None) -> tuple[Compiled, set[str]]:
        """Return a recipe with all findings, and the codes of the rules that had a chance to find something."""
        composed, options = self.composed, self.options
        assert composed.tree is not None
        environment, not_set = read_environment(composed.tree, options.environment)
        names = {
            "env": environment,
            "matrix": {**self.matrix.broken, **(variant.values if variant is not None else {})},
            "recipe": {} if variant is None else {"variant": variant.id},
        }
        tree, in_templates = expand(composed.tree, names)
        library = include_library(tree, self.path.parent)
        valid = validate(library.tree, composed.bad | library.bad)
        settings = resolve(valid.tree, valid.bad, self.main, self.path.stem, variant.id if variant is not None else "")
        survey = self._survey(settings) if options.look_at_data else None
        facts = Facts(
            settings=settings,
            survey=survey,
            must_run=options.must_run,
            starts_here=options.starts_here,
            machine=options.machine or this_machine(options.environment),
            root=self.path.parent.absolute(),
        )
        whole = composed.whole
        later = (*valid.found, *check(facts)) if whole else (d for d in valid.found if d.code != MISSING_KEY.code)
        early = [*composed.found, *self.matrix.found, *not_set, *in_templates, *library.found]
        if options.starts_here:
            early += unsupported_versions(facts.machine, start_of(self.main))
        sources = (*composed.sources, *library.sources)
        compiled = Compiled(
            path=self.path,
            sources=sources,
            settings=settings,
            survey=survey,
            found=in_order((*early, *later), sources),
            variant=variant,
        )
        return compiled, {rule.code for rule in asked(facts)} | without_asking(facts) if whole else set()

    def _survey(self, settings: Resolved) -> "Survey | None":
        values = {path: value for path, value in settings.values().items() if path.startswith(_SURVEYED)}
        key = repr((values, sorted(settings.bad)))
        if key not in self.surveys:
            self.surveys[key] = _survey(settings, self.path.parent.absolute(), self.options)
        return self.surveys[key]


def _suppressed(compiled: Compiled, asked_codes: set[str], *, whole_matrix: bool) -> Compiled:
    """Leave out what comments silence. A comment may be meant for a variant that was not looked at."""
    found = suppress(compiled.found, compiled.sources, asked_codes if whole_matrix else set())
    return replace(compiled, found=found)


def _together(checked: Sequence[tuple[Compiled, set[str]]]) -> Compiled:
    """Make one of several variants: the settings of the first, and the findings of all."""
    first = checked[0][0]
    apart = one_folder_each([compiled.settings for compiled, _ in checked])
    each = [
        replace(compiled, found=in_order((*compiled.found, *more), compiled.sources))
        for (compiled, _), more in zip(checked, apart, strict=True)
    ]
    found = together({c.variant.id: c.found for c in each if c.variant is not None}, first.sources)
    codes = {code for _, asked_codes in checked for code in asked_codes}
    variants = tuple(_suppressed(compiled, set(), whole_matrix=False) for compiled in each)
    return _suppressed(replace(first, found=found, variant=None, variants=variants), codes, whole_matrix=True)


def _survey(settings: Resolved, root: Path, options: Options) -> "Survey | None":
    """Look at every data set with whose settings nothing is wrong."""
    tables = [table for table in settings.tables("data.datasets") if _lookable(settings, table)]
    if not tables or not settings.fine(*_GEOMETRY):
        return None
    # Video and database libraries are loaded only when there is something to look at.
    from recipe_compiler.data.index import ProbeIndex  # noqa: PLC0415
    from recipe_compiler.data.survey import survey  # noqa: PLC0415

    with ProbeIndex(options.index_file, recalls=not options.rehash) as index:
        return survey(settings, root, tables, index=index, report=options.report, measuring=options.measuring)


def _lookable(settings: Resolved, table: str) -> bool:
    """Say whether the settings of a data set can be followed. If they can't, a finding says so."""
    if not settings.fine(table) or settings[f"{table}.instance_data_dir"] is None or not _is_taken(settings, table):
        return False
    name, prompt, size = (settings[f"{table}.{key}"] for key in ("id", "instance_prompt", "resolution"))
    source, alignment = caption_source(settings, table), settings[f"{table}.aspect_bucket_alignment"]
    wanted, least, most = (settings[f"{table}.video.{key}"] for key in ("num_frames", "min_frames", "max_frames"))
    return (
        [settings[f"{other}.id"] for other in settings.tables("data.datasets")].count(name) == 1
        and (prompt_reader(settings, table) is None or bool((prompt or "").strip()))
        and (source not in TABLES or settings[f"{table}.{TABLES[source]}"] is not None)
        and (size is None or alignment % settings.family.size_multiple == 0)
        and (
            settings[f"{table}.dataset_type"] == "image"
            or (
                least <= min(wanted, wanted if most is None else most)
                and settings.family.legal_frames(wanted) == wanted
            )
        )
        and goes_together(settings, table)
        and _has_motion(settings, table)
    )


def _has_motion(settings: Resolved, table: str) -> bool:
    """Say whether the motion scores of a data set can be had. Where they can't, a finding says so."""
    source = settings[f"{table}.motion.source"] if settings.in_use(table) else "constant"
    if source == "flow":
        from recipe_compiler.data.motion import can_measure  # noqa: PLC0415 - few ask for it

        return can_measure()
    return source == "constant" or scores_lack(settings, table, source) is None


def _is_taken(settings: Resolved, table: str) -> bool:
    """Say whether the clips of a data set are taken, and it says where they are. Of others a finding speaks."""
    kind = settings[f"{table}.type"]
    return not settings.in_use(table) or (
        (kind not in ADDRESS or settings[f"{table}.{ADDRESS[kind]}"] is not None)
        and settings[f"{table}.dataset_type"] in ("video", "image", "eval")
        and caption_source(settings, table) != "huggingface"
    )


def make_plan(compiled: Compiled) -> "Plan":
    """Freeze a recipe without errors, whose data were looked at."""
    # Parquet is loaded only for plans.
    from recipe_compiler.data.course import count_windows  # noqa: PLC0415
    from recipe_compiler.passes.cures import memory_facts  # noqa: PLC0415
    from recipe_compiler.passes.estimate import estimate  # noqa: PLC0415
    from recipe_compiler.passes.evaluation_cost import evaluation_pflop  # noqa: PLC0415
    from recipe_compiler.passes.freeze import freeze, meta  # noqa: PLC0415
    from recipe_compiler.passes.lower import execution, lower  # noqa: PLC0415

    settings, survey = compiled.settings, compiled.survey
    assert settings is not None, "the recipe was read"
    assert survey is not None, "its data were looked at"
    assert compiled.ok, "it has no errors"
    body = lower(settings, survey)
    cost = estimate(
        settings.values(), settings.family, body.buckets, body.schedule, count_windows(settings.values(), survey.rows)
    )
    cost["evaluation_pflop"] = evaluation_pflop(settings.values(), settings.family, survey.rows, body.schedule)
    about = meta(settings, survey, compiled.sources, cost)
    about["memory"] = memory_facts(settings.values(), settings.family, body.buckets)
    if compiled.variant is not None:
        about["variant"] = {"id": compiled.variant.id, "values": dict(compiled.variant.values)}
    return freeze(body, execution(settings, str(compiled.root), survey), about)
