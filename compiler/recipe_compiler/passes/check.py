"""Check: ask every rule."""

from collections.abc import Iterator

from recipe_compiler.diagnostics.diagnostic import Diagnostic, Note
from recipe_compiler.rules import ON_DATA, ON_SETTINGS, Listed
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved
from recipe_compiler.syntax.rewrite import new_literal, new_text


def check(facts: Facts) -> Iterator[Diagnostic]:
    """Ask the rules that can be asked, and give each finding its place."""
    for rule in asked(facts):
        for finding in rule.check(facts):
            yield _diagnostic(rule, finding, facts.settings)


def asked(facts: Facts) -> Iterator[Rule]:
    """Yield the rules whose settings are in order, and those about data only if somebody looked."""
    for listed in _listed(facts):
        if _mentioned(listed, facts.settings):
            rule = listed.load()
            if facts.settings.fine(*_concrete(rule, facts.settings)):
                yield rule


def silent(facts: Facts) -> frozenset[str]:
    """Return the codes of rules that need no asking: the recipe does not mention what they are about."""
    return frozenset(listed.code for listed in _listed(facts) if not _mentioned(listed, facts.settings))


def _listed(facts: Facts) -> tuple[Listed, ...]:
    return ON_SETTINGS if facts.survey is None else ON_SETTINGS + ON_DATA


def _mentioned(listed: Listed, settings: Resolved) -> bool:
    return not listed.given or not settings.mentioned.isdisjoint(listed.given)


def _concrete(rule: Rule, settings: Resolved) -> tuple[str, ...]:
    """Return the paths that a rule rests on, with the elements of tables written out."""
    paths: list[str] = []
    for path in rule.reads:
        table, star, rest = path.partition(".*.")
        paths += [f"{element}.{rest}" for element in settings.tables(table)] if star else [path]
    return tuple(paths)


def _diagnostic(rule: Rule, finding: Finding, settings: Resolved) -> Diagnostic:
    notes = [Note(settings.span(path), text) for path, text in finding.also if path in settings.places]
    return Diagnostic(
        code=rule.code,
        name=rule.name,
        severity=finding.severity or rule.severity,
        message=finding.message,
        span=settings.span(finding.at),
        pointer=finding.at,
        help=finding.help,
        fix=_fix(finding, settings),
        notes=tuple(notes),
    )


def _fix(finding: Finding, settings: Resolved) -> str | None:
    """Return what to write in place of the value, if it stands at the place of the finding and is no template."""
    if finding.fix is None or finding.at not in settings.settings:
        return None
    setting, span = settings.settings[finding.at], settings.span(finding.at)
    if setting.origin.span != span or setting.origin.kind == "template":
        return None
    return (new_text if setting.leaf.spec.kind == "string" else new_literal)(span, finding.fix)
