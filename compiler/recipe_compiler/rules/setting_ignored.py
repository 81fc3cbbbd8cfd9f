"""A setting is accepted and never applied.

What it does: names every setting that has no effect on this model family, with the reason. Those of one data set make
one finding; in a data set, a value that says what happens anyway, such as `metadata_backend: discovery`, makes none. A
data set of `dataset_type: text_embeds` or `image_embeds` is one finding as a whole.

Why it hurts: people tune an option for days that nothing reads. The recipe stays valid, because it may have been
brought along from another tool; the setting is listed as ignored in the plan and by `recipe explain`.

Example:
    train:
      flow_schedule_shift: 7.0

Use instead:
    train:
      max_steps: 10
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from recipe_compiler.rules.data_sets import DATA_SETS, told
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import CACHES, Resolved


def check(facts: Facts) -> Iterator[Finding]:
    """Find settings that were given and are ignored."""
    settings = facts.settings
    for path, setting in settings.settings.items():
        if setting.ignored is not None and setting.given and not path.startswith(f"{DATA_SETS}."):
            yield Finding(at=path, message=f"`{path}` is ignored: {setting.ignored}", help="leave it out")
    for table in settings.tables(DATA_SETS):
        used = (f"{table}.disabled", f"{table}.dataset_type")
        if not settings.fine(*used) or settings[f"{table}.disabled"]:
            continue
        if settings[f"{table}.dataset_type"] in CACHES:
            yield _cache(settings, table)
        elif ignored := [path for path in _ignored(settings, table) if settings.fine(path)]:
            yield _of_data_set(settings, table, ignored)


def _ignored(settings: Resolved, table: str) -> Iterator[str]:
    for path, setting in settings.settings.items():
        if path.startswith(f"{table}.") and setting.ignored is not None and told(settings, path):
            yield path


def _cache(settings: Resolved, table: str) -> Finding:
    kind = settings[f"{table}.dataset_type"]
    message = f"`dataset_type: {kind}` names a cache, and none is needed here: latents and texts are stored by content"
    return Finding(at=f"{table}.dataset_type", message=message, help="leave the whole entry out")


def _of_data_set(settings: Resolved, table: str, ignored: Sequence[str]) -> Finding:
    """Name all that is ignored of a data set, by reason, at the first of them."""
    if len(ignored) == 1:
        reason = settings.settings[ignored[0]].ignored
        return Finding(at=ignored[0], message=f"`{ignored[0]}` is ignored: {reason}", help="leave it out")
    reasons: Mapping[str | None, list[str]] = defaultdict(list)
    for path in ignored:
        reasons[settings.settings[path].ignored].append(f"`{path.removeprefix(f'{table}.')}`")
    listed = "; ".join(f"{', '.join(keys)} ({reason})" for reason, keys in reasons.items())
    first = min(ignored, key=lambda path: (settings.span(path).line, settings.span(path).column))
    return Finding(at=first, message=f"ignored of `{table}`: {listed}", help="leave them out")


RULE = Rule(code="R201", name="setting-ignored", severity="warning", reads=(), check=check, page=__doc__)
