"""``recipe explain``: settings with their origins, one key, one clip, or the page of a finding."""

import argparse
import re
import sys

from recipe_compiler.cli.findings import compile_from, print_findings, print_json
from recipe_schema.exits import Exit


_CODE = re.compile(r"[Rr]\d{3}\Z")


def run(options: argparse.Namespace) -> int:
    """Explain what was asked for."""
    if _CODE.match(options.subject):
        return _page(options.subject.upper())
    from recipe_compiler.cli import explain_text

    compiled = compile_from(options, options.subject, must_run=False, look=not options.no_data)
    if options.format == "text":
        print_findings(compiled, sys.stderr)
    if compiled.settings is None:
        return Exit.FINDINGS
    status = Exit.OK if compiled.ok else Exit.FINDINGS
    if options.clip is not None:
        return explain_text.clip(compiled, options.clip, options.format)
    if options.key is not None and options.key not in compiled.settings.settings:
        print(explain_text.unknown_key(compiled.settings, options.key), file=sys.stderr)
        return Exit.USAGE
    if options.format == "json":
        print_json(explain_text.as_json(compiled, options.key))
    elif options.key is not None:
        print(explain_text.one_key(compiled.settings.settings[options.key]))
    else:
        print(explain_text.all_settings(compiled))
    return status


def _page(code: str) -> int:
    from recipe_compiler.diagnostics.codes import CODES
    from recipe_compiler.rules import RULES

    rule = next((rule for rule in RULES if rule.code == code), None)
    if rule is not None:
        print(f"{rule.code} {rule.name} ({rule.severity})\n\n{rule.page.strip()}")
    elif code in CODES:
        print(f"{code} {CODES[code].name} (error)\n\n{CODES[code].page}")
    else:
        known = ", ".join(sorted([*CODES, *(rule.code for rule in RULES)]))
        print(f"error: there is no finding {code}; there is {known}", file=sys.stderr)
        return Exit.USAGE
    return Exit.OK
