"""Every command and every argument, with help and examples."""

import argparse

from recipe_compiler import __version__


_EXAMPLES = """\
examples:
  recipe fetch recipes/quickstart.yaml      get the clips that a recipe names
  recipe lint recipes/quickstart.yaml       find mistakes, each at its line
  recipe explain recipes/quickstart.yaml    every setting, and where it comes from
  recipe plan recipes/quickstart.yaml       freeze everything, and say what it costs
  recipe run recipes/quickstart.yaml        train; the same command again resumes

exit codes:
  0 clean   1 findings   2 wrong usage or unreadable file   3 plan refused   4 the run failed   5 our own fault
"""

_LINT = """\
examples:
  recipe lint mine.yaml
  recipe lint recipes/*.yaml --no-data          don't look into data folders
  recipe lint mine.yaml --set train.max_steps=50
  recipe lint mine.yaml --format json | jq .diagnostics
"""

_EXPLAIN = """\
examples:
  recipe explain mine.yaml                      all settings with their origin, and what follows from them
  recipe explain mine.yaml train.max_steps      one key's whole story
  recipe explain mine.yaml --clip clips/a.mp4   what becomes of one clip, and why
  recipe explain R303                           the page of a finding
"""

_PLAN = """\
examples:
  recipe plan mine.yaml                         writes mine.plan beside the recipe
  recipe plan mine.yaml -o /tmp/mine.plan --format json
"""

_RUN = """\
examples:
  recipe run mine.yaml                          lint, plan, and train; again to resume
  recipe run mine.plan                          execute a plan that was made before
  recipe run mine.yaml --set train.max_steps=20 --set output_dir=runs/short

Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint before the run stops.
"""

_FETCH = """\
examples:
  recipe fetch recipes/quickstart.yaml          gets every data folder that is missing and has a `source`
"""

_SCHEMA = """\
examples:
  recipe schema > recipe.schema.json            for editors: `# yaml-language-server: $schema=recipe.schema.json`
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="recipe",
        description="Fine-tune Sana Video from one YAML recipe: checked before a GPU is used, exact when resumed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    lint = _command(commands, "lint", "find mistakes in recipes", _LINT)
    lint.add_argument("files", nargs="+", metavar="FILE", help="a recipe")
    lint.add_argument("--no-data", action="store_true", help="don't look into data folders")
    lint.add_argument("--strict", action="store_true", help="count warnings as errors")
    _composition(lint)
    _format(lint)
    explain = _command(commands, "explain", "show settings with their origins, or the page of a finding", _EXPLAIN)
    explain.add_argument("subject", metavar="FILE|CODE", help="a recipe, or a code such as R303")
    explain.add_argument("key", nargs="?", metavar="KEY", help="one setting, such as train.max_steps")
    explain.add_argument("--clip", metavar="PATH", help="tell the story of one clip")
    explain.add_argument("--no-data", action="store_true", help="don't look into data folders")
    _composition(explain)
    _format(explain)
    plan = _command(commands, "plan", "freeze a recipe into a plan, and say what it costs", _PLAN)
    plan.add_argument("file", metavar="FILE", help="a recipe")
    plan.add_argument("-o", "--output", metavar="DIR", help="where to write it (default: NAME.plan beside the recipe)")
    _composition(plan)
    _format(plan)
    run = _command(commands, "run", "execute a recipe or a plan; the same command again resumes", _RUN)
    run.add_argument("subject", metavar="FILE|PLAN", help="a recipe, or a folder made by `recipe plan`")
    run.add_argument("-q", "--quiet", action="store_true", help="no progress, only warnings and errors")
    _composition(run)
    fetch = _command(commands, "fetch", "get the data folders that a recipe names", _FETCH)
    fetch.add_argument("file", metavar="FILE", help="a recipe")
    _composition(fetch)
    _command(commands, "schema", "print the JSON Schema of the recipe language", _SCHEMA)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, purpose: str, examples: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _composition(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f", "--overlay", action="append", default=[], metavar="FILE", help="lay another file over the recipe"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set one key, the value in YAML (repeatable)"
    )


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text", help="for people or for machines")
