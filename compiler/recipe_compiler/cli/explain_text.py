"""Settings and keys in words."""

from recipe_compiler.cli.figures_text import figures_text
from recipe_compiler.cli.setting_text import IMPACTS, origin_text, plain, value_text
from recipe_compiler.subject import Stated, Subject
from recipe_compiler.suggest import near


_VALUE_WIDTH = 56


def all_settings(subject: Subject, *, only_changed: bool) -> str:
    """Show settings with their origins, then what follows from them.

    Args:
        subject: A recipe or a plan.
        only_changed: Leave out settings that have their default.
    """
    lines: list[str] = []
    section = ""
    shown = chosen(subject, only_changed=only_changed)
    for stated in shown:
        above, _, name = stated.path.rpartition(".")
        if above != section:
            section = above
            lines += ["", section]
        lines += _setting_lines(stated, name, "  " if section else "")
    if only_changed:
        rest = len(subject.settings) - len(shown)
        return "\n".join([*lines, "", f"{rest} other settings have their default"]).lstrip("\n")
    return "\n".join([*lines, "", *figures_text(subject)]).lstrip("\n")


def chosen(subject: Subject, *, only_changed: bool) -> list[Stated]:
    """Return all settings, or those that have not their default."""
    return [stated for stated in subject.settings.values() if not (only_changed and subject.is_usual(stated))]


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
