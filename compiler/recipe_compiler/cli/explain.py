"""``recipe explain``: settings with their origins, one key, one clip, or the page of a finding."""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recipe_compiler.cli.findings import compile_from, print_findings, print_json
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_schema.exits import Exit


if TYPE_CHECKING:  # the page of a finding needs none of it
    from recipe_compiler.subject import Subject


_CODE = re.compile(r"[Rr]\d{3}\Z")


def run(options: argparse.Namespace) -> int:
    """Explain what was asked for."""
    if _CODE.match(options.subject):
        return _page(options.subject.upper())
    if options.format == "html" and (options.key is not None or options.clip is not None):
        print("error: --format html tells of a whole recipe or plan, not of one key or clip", file=sys.stderr)
        return Exit.USAGE
    if options.output is not None and options.format != "html":
        print("error: -o is for --format html; redirect the other formats", file=sys.stderr)
        return Exit.USAGE
    return _plan(options) if Path(options.subject).is_dir() else _recipe(options)


def _recipe(options: argparse.Namespace) -> int:
    compiled = compile_from(options, options.subject, must_run=False, look=not options.no_data)
    if options.format != "json":
        print_findings(compiled, sys.stderr)
    if compiled.settings is None:
        if options.format == "json":
            from recipe_compiler.diagnostics.render_json import to_json

            print_json(to_json(compiled.found))
        return Exit.FINDINGS
    from recipe_compiler.subject import of_recipe

    status = Exit.OK if compiled.ok else Exit.FINDINGS
    return _tell(options, of_recipe(compiled), compiled.found, status)


def _plan(options: argparse.Namespace) -> int:
    from recipe_compiler.cli.verdict import verdict
    from recipe_compiler.data.verify import verify
    from recipe_compiler.subject import of_plan

    if options.overlay or options.set or options.variant:
        print("error: a plan is frozen, so -f, --set and --variant can't change it", file=sys.stderr)
        return Exit.USAGE
    verified = verify(Path(options.subject))
    if verified.found and options.format != "json":
        print(f"error: {verdict(options.subject, verified)}\n", file=sys.stderr)
    status = Exit.REFUSED if verified.found else Exit.OK
    if verified.plan is None:
        if options.format == "json":
            from recipe_compiler.diagnostics.render_json import to_json

            print_json(to_json(verified.found))
        return status
    return _tell(options, of_plan(verified.plan, verified.rows, options.subject), verified.found, status)


def _tell(options: argparse.Namespace, subject: "Subject", found: Sequence[Diagnostic], status: Exit) -> int:
    """Tell of a recipe or a plan, of one of its settings, or of one of its clips."""
    from recipe_compiler.cli.explain_text import chosen, one_key, unknown_key

    if options.clip is not None:
        return _clip(options, subject, status)
    section = options.key is not None and any(path.startswith(f"{options.key}.") for path in subject.settings)
    if options.key is not None and options.key not in subject.settings and not section:
        print(unknown_key(subject, options.key), file=sys.stderr)
        return Exit.USAGE
    shown = chosen(subject, only_changed=options.diff_defaults)
    if options.key is not None:
        own = [path for path in subject.settings if path == options.key or path.startswith(f"{options.key}.")]
        shown = [subject.settings[path] for path in own]
    if options.format == "json":
        from recipe_compiler.cli.explain_json import as_json

        print_json(as_json(subject, found, shown))
    elif options.format == "html":
        from recipe_compiler.cli.explain_html import as_html

        _write(as_html(subject, found, shown), options.output)
    elif options.key is not None and not section:
        print(one_key(shown[0]))
    else:
        print(_settings(options, subject))
    return status


def _settings(options: argparse.Namespace, subject: "Subject") -> str:
    from recipe_compiler.cli.explain_text import changed_settings, every_setting, settings_text

    if options.diff_defaults:
        return changed_settings(subject)
    if options.all or options.key is not None:
        return every_setting(subject, options.key or "")
    return settings_text(subject)


def _write(text: str, output: str | None) -> None:
    """Write a page to a file, or print it."""
    if output is None:
        print(text, end="")
        return
    from recipe_schema.files import write_atomically

    write_atomically(Path(output), text.encode())
    print(f"written to {output}", file=sys.stderr)


def _clip(options: argparse.Namespace, subject: "Subject", status: Exit) -> int:
    from recipe_compiler.cli.explain_clip import clip_text, clips_json, find_clip, no_such_clip
    from recipe_compiler.data.facts import epoch_shares

    if subject.rows is None:
        print("error: the data sets were not looked at", file=sys.stderr)
        return status or Exit.USAGE
    rows = find_clip(subject, subject.rows, options.clip)
    if not rows:
        print(no_such_clip(subject.rows, options.clip), file=sys.stderr)
        return Exit.USAGE
    if options.format == "json":
        print_json(clips_json(subject, rows))
    else:
        shares = epoch_shares(subject.values(), subject.rows)
        print("\n\n".join(clip_text(subject, row, shares) for row in rows))
    return Exit.OK


def _page(code: str) -> int:
    from recipe_compiler.pages import all_pages

    pages = all_pages()
    if code not in pages:
        kin = [other for other in pages if other[:2] == code[:2]] or [f"{group}…" for group in _groups(pages)]
        print(f"error: there is no finding {code}; there is {', '.join(kin)}", file=sys.stderr)
        return Exit.USAGE
    print(f"{pages[code].title}\n\n{pages[code].text}")
    return Exit.OK


def _groups(codes: Iterable[str]) -> Sequence[str]:
    return sorted({code[:2] for code in codes})
