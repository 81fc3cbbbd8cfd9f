"""Settings and keys in words."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from recipe_compiler.cli.figures_text import figures_text
from recipe_compiler.cli.setting_text import IMPACTS, origin_text, plain, value_text
from recipe_compiler.subject import Stated, Subject
from recipe_compiler.suggest import near
from recipe_schema.optimizers import statement


_VALUE_WIDTH = 56
_AT_DEFAULTS = "settings at their defaults"


def settings_text(subject: Subject) -> str:
    """Show what matters of all settings with their origins, then what follows from them.

    Defaults that ask for nothing are counted, and so are whole sections that the recipe does not touch.
    """
    lines: list[str] = []
    for section, stated in _sections(subject.settings.values()):
        if _untouched(stated):
            lines += [
                *([""] if not (lines and lines[-1].endswith(_AT_DEFAULTS)) else []),
                _counted(section, len(stated)),
            ]
            continue
        told = [each for each in stated if not _quiet(each)]
        lines += ["", *_section_lines(section, told)]
        if len(told) < len(stated):
            lines.append(f"  and {len(stated) - len(told)} more at their defaults")
    hint = "`--all` shows every setting, `recipe explain FILE SECTION` those of one section"
    return "\n".join([*lines, "", hint, "", *figures_text(subject)]).lstrip("\n")


def every_setting(subject: Subject, below: str = "") -> str:
    """Show all settings with their origins, or all below a section; then what follows from them."""
    inside = [stated for path, stated in subject.settings.items() if path.startswith(f"{below}." if below else "")]
    lines = [line for section, stated in _sections(inside) for line in ("", *_section_lines(section, stated))]
    return "\n".join([*lines, *([] if below else ["", *figures_text(subject)])]).lstrip("\n")


def changed_settings(subject: Subject) -> str:
    """Show the settings that have not their defaults, with their origins."""
    shown = chosen(subject, only_changed=True)
    lines = [line for section, stated in _sections(shown) for line in ("", *_section_lines(section, stated))]
    rest = len(subject.settings) - len(shown)
    return "\n".join([*lines, "", f"{rest} other settings have their default"]).lstrip("\n")


def chosen(subject: Subject, *, only_changed: bool) -> list[Stated]:
    """Return all settings, or those that have not their default."""
    return [stated for stated in subject.settings.values() if not (only_changed and subject.is_usual(stated))]


def _sections(settings: Iterable[Stated]) -> list[tuple[str, list[Stated]]]:
    """Group settings by the section that they stand in, in their order."""
    return [(name, list(group)) for name, group in groupby(settings, key=lambda each: each.path.rpartition(".")[0])]


def _section_lines(section: str, settings: Iterable[Stated]) -> list[str]:
    lines = [section] if section else []
    for stated in settings:
        lines += _setting_lines(stated, stated.path.rpartition(".")[2], "  " if section else "")
    return lines


def _untouched(settings: Sequence[Stated]) -> bool:
    """Say whether nobody wrote any of these settings, and the family has no say in them either."""
    return all("file" not in stated.origin and stated.origin["kind"] in ("default", "derived") for stated in settings)


def _quiet(stated: Stated) -> bool:
    """Say whether a setting is a default that asks for nothing."""
    ignored = stated.leaf is not None and stated.leaf.key.ignored is not None
    return stated.origin["kind"] == "default" and (ignored or not stated.value)


def _counted(section: str, count: int) -> str:
    return f"{section}: {count} {_AT_DEFAULTS}"


def _setting_lines(stated: Stated, name: str, indent: str) -> list[str]:
    text = f"{indent}{name} = {value_text(stated)}"
    where = origin_text(stated.origin)
    if stated.ignored is not None:
        where = f"{where}; ignored, because {stated.ignored}"
    if len(text) > _VALUE_WIDTH:
        return [text, f"{'':{_VALUE_WIDTH}}  ← {where}"]
    return [f"{text:{_VALUE_WIDTH}}  ← {where}"]


def one_key(stated: Stated) -> str:
    """Tell all about one setting."""
    rows = [("from", origin_text(stated.origin))]
    rows += [("replaced", f"{plain(value)} at {origin_text(origin)}") for value, origin in stated.shadowed]
    if stated.ignored is not None:
        rows.append(("ignored", f"because {stated.ignored}"))
    doc = "This version of the language does not have it."
    if stated.leaf is not None:
        key = stated.leaf.key
        doc = key.doc
        rows.insert(0, ("type", stated.leaf.spec.words()))
        rows.append(("read by", ", ".join(key.reads) or "nothing"))
    if stated.path == "optimizer.name":
        rows.append(("stores", statement(stated.value)))
    if stated.leaf is None or stated.leaf.key.reads:
        rows.append(("impact", IMPACTS[stated.impact]))
    if stated.leaf is not None and stated.leaf.key.aka is not None:
        rows.append(("SimpleTuner", stated.leaf.key.aka))
    table = "\n".join(f"  {name:<12}{text}" for name, text in rows)
    return f"{stated.path} = {value_text(stated)}\n\n  {doc}\n\n{table}"


def unknown_key(subject: Subject, key: str) -> str:
    """Say that there is no such setting, and which one may be meant."""
    meant = near(key, subject.settings) or next((p for p in subject.settings if p.rpartition(".")[2] == key), None)
    return f"error: there is no setting `{key}`" + (f"; did you mean `{meant}`?" if meant else "")
