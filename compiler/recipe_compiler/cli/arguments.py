"""Every command and every argument, with help and examples."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recipe_compiler import __version__
from recipe_compiler.suggest import near


_EXAMPLES = """\
examples:
  recipe init mine.yaml       a first recipe, from a look at your clips
  recipe lint mine.yaml       find mistakes, each at its line
  recipe explain mine.yaml    every setting, and where it comes from
  recipe plan mine.yaml       freeze everything, and say what it costs
  recipe run mine.yaml        train; the same command again resumes
  recipe watch runs/mine      follow it in the browser; `recipe report` keeps it as one file

`extends: builtin:quickstart` in a recipe is a small model on a processor, with clips that `recipe fetch` gets.

exit codes:
  0 clean   1 findings   2 wrong usage or unreadable file   3 plan refused   4 the run failed   5 our own fault
"""

_LINT = """\
examples:
  recipe lint mine.yaml
  recipe lint recipes/*.yaml --no-data          don't look into data folders
  recipe lint mine.yaml --set train.max_steps=50
  recipe lint mine.yaml --format json | jq .diagnostics
  recipe lint mine.yaml --diff                  what would --fix change?
  recipe lint mine.yaml --fix                   misspelt keys, wrong sections, quotes; comments and layout stay
  recipe lint mine.yaml --select R3,R4 --ignore R307
  recipe lint recipes/*.yaml --format github    beside the changed lines of a pull request

A warning that is meant is silenced in the recipe, with a reason:
  grad_clip_method: value   # recipe: ignore[R405] clipping is off on purpose
"""

_EXPLAIN = """\
examples:
  recipe explain mine.yaml                      all settings with their origin, and what follows from them
  recipe explain mine.yaml train.max_steps      one key's whole story
  recipe explain mine.yaml --clip clips/a.mp4   what becomes of one clip, and why
  recipe explain mine.yaml --diff-defaults      only what has not its default
  recipe explain mine.yaml --format html -o mine.html
  recipe explain mine.plan                      the same of a plan, and whether it can still be run
  recipe explain R303                           the page of a finding

exit codes:
  0 clean   1 findings   2 wrong usage or unreadable file   3 a plan, or its clips, changed since it was made
"""

_DIFF = """\
examples:
  recipe diff old.yaml new.yaml                 settings by what they do, clips, buckets, schedule, cost
  recipe diff runs/mine mine.yaml               can the run be resumed with the recipe as it is now?
  recipe diff mine.yaml mine.yaml --set train.batch_size=2

-f and --set are laid over B, --variant is for both. Two variants of one recipe are compared as plans.
Data sets are matched by their id, clips by their path.

exit codes:
  0 same   1 different   2 wrong usage, an unreadable file, or a recipe with errors   3 a plan that was changed by hand
"""

_PLAN = """\
examples:
  recipe plan mine.yaml                         writes mine.plan beside the recipe
  recipe plan mine.yaml -o /tmp/mine.plan --format json
  recipe plan sweep.yaml                        a recipe with a matrix: a plan for each variant, NAME.ID.plan
  recipe plan sweep.yaml --variant seed-1       only that one
  recipe plan --verify mine.plan                are the plan and its clips what they were? writes nothing
"""

_RUN = """\
examples:
  recipe run mine.yaml                          lint, plan, and train; again to resume
  recipe run mine.plan                          execute a plan that was made before
  recipe run mine.yaml --set train.max_steps=20 --set output_dir=runs/short
  recipe run mine.yaml --machine 0 --meeting 10.0.0.1:29500        on the first of several machines (launch.machines)
  recipe run mine.yaml --machine 1 --meeting 10.0.0.1:29500        on the second, in the same shared folder

Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint before the run stops.
"""

_WATCH = """\
examples:
  recipe watch runs/mine                        a page with curves, clips and warnings; open the address it prints
  recipe watch runs/mine runs/other             two runs side by side
  recipe watch runs --open                      all runs in a folder, in the browser at once
  ssh -L 8642:localhost:8642 HOST               then http://localhost:8642 shows what `recipe watch` serves on HOST

The page is served to this machine alone, and only reads: a run that is over, dead, or on a mounted disk will do.
"""

_REPORT = """\
examples:
  recipe report runs/mine                       writes runs/mine/report.html: one file, works without a network
  recipe report runs/mine -o mine.html --steps 12
"""

_PUSH = """\
examples:
  recipe push runs/mine                         to `hub.model_id` of its recipe
  recipe push runs/mine --to me/otters          to another repository, a private one
  recipe push runs/mine --to me/otters --public

exit codes:
  0 uploaded   2 wrong usage   3 the run is not finished, or its plan can't be used   4 the hub did not take it
"""

_ENCODE = """\
examples:
  recipe encode mine.yaml                       latents and text embeddings, so that a later `recipe run` finds them
  recipe encode mine.plan --worker 1/4          one of four processes, on this machine or others with the same disk

Each worker takes its share and then what others have not begun. Any of them may be killed and started again.
"""

_REPLAY = """\
examples:
  recipe replay runs/mine/failure-00000412      the step again, and where the first NaN or infinity arises
  recipe replay runs/mine/failure-00000412 --mixed-precision no    does it go well in fp32?
  recipe replay failure-00000412 --root ~/project --device cpu     a bundle that was copied to another machine

A run whose loss or gradient is not a number leaves such a folder behind: the batch, the weights, the plan. The model that
the plan names has to be there; clips and the store are not needed. Nothing is written.

exit codes:
  0 every value is finite this time   1 the first that is not is named   2 no such folder   3 its plan was changed
  4 it can't be taken again
"""

_STORE = """\
examples:
  recipe store ls mine.yaml                     what the store of a recipe holds
  recipe store verify store                     read everything; exit code 1, and each damaged value is named
  recipe store gc store --keep a.plan b.yaml    what would be removed that neither needs?
  recipe store gc store --keep a.plan b.yaml --delete

Files that no version of this tool has written are never touched.

exit codes:
  0 clean   1 damaged values   2 wrong usage or unreadable file   3 a plan was refused   4 a model is missing
"""

_FETCH = """\
examples:
  recipe fetch mine.yaml                        gets every data folder that is missing and has a `source`
  recipe fetch mine.yaml --weights              and the model, so that a run needs no network
"""

_SCHEMA = """\
examples:
  recipe schema > recipe.schema.json            for editors: `# yaml-language-server: $schema=recipe.schema.json`
  recipe schema webhook                         of the messages that a webhook of type raw gets
"""

_INIT = """\
examples:
  recipe init                                   asks, and writes recipe.yaml
  recipe init otters.yaml --clips videos/otters --type lora --steps 2000 --prompt "an otter swims" --yes
  recipe init try.yaml --clips videos/otters --gpu-memory 0       a tiny model on the processor, to try things out

What fits is chosen by the estimate that `recipe plan` shows. Without a terminal nothing is asked: what is not given
takes its default.
"""

_DOCTOR = """\
examples:
  recipe doctor                                 can this machine train?
  recipe doctor mine.yaml                       and can it train this recipe?
  recipe doctor --offline --format json

exit codes:
  0 all that is needed is there   1 something that is needed is wrong: each with a cure   2 wrong usage
"""

_COMPLETION = """\
examples:
  source <(recipe completion bash)              in ~/.bashrc
  source <(recipe completion zsh)               in ~/.zshrc, after compinit
  recipe completion fish > ~/.config/fish/completions/recipe.fish
"""

_LSP = """\
examples:
  recipe lsp                                    started by an editor; see docs/editors.md
"""


_IMPORT = """\
examples:
  recipe import simpletuner config/             config.json, .toml or .env, and the data backend file that it names
  recipe import simpletuner config/sanavideo/config.json -o mine.yaml
  recipe import simpletuner config/ --faithful  what SimpleTuner does with it, and not what is meant
  recipe import diffusion-pipe train.toml       with the data set file that it names
  recipe import musubi-tuner dataset.toml
  recipe import ai-toolkit job.yaml
  recipe import finetrainers train.sh           the script, or a file of its arguments
  recipe import sana Sana_2000M_480px_AdamW_fsdp.yaml
  recipe import simpletuner config/ -o - --format json    the recipe to stdout, the report to stderr

Every key of every file is in the report: mapped, changed (with the reason), without effect, or unsupported.

exit codes:
  0 the recipe is written   1 it is written, and lint finds errors in it   2 wrong usage, or a file that can't be read
"""

_EXPORT = """\
examples:
  recipe export simpletuner mine.yaml -o config/mine        config.json and multidatabackend.json
  recipe export simpletuner mine.yaml -o config/mine --version 4.8
  recipe export simpletuner mine.yaml -o config/mine --partial    what can't be said there is left out, and listed

Without --partial nothing is written if a setting that shapes the weights can't be said there. Most recipes have such:
SimpleTuner draws noise levels in its own way, for one. `recipe import simpletuner --faithful` makes one that has none.
Paths are written for SimpleTuner as started in the current folder.

exit codes:
  0 written   1 the recipe has errors, or can't be said there   2 wrong usage or unreadable file
"""


def parse(given: Sequence[str]) -> argparse.Namespace | None:
    """Read the arguments of the process; None if they name no command.

    Only the parser of the command that is named is made: the others would cost more than some commands take. It
    takes options between other arguments, which argparse does not do below a command.
    """
    if given and given[0] in COMMANDS:
        purpose, examples, fill = COMMANDS[given[0]]
        command = argparse.ArgumentParser(prog=f"recipe {given[0]}", **_texts(purpose, examples))
        fill(command)
        options = command.parse_intermixed_args(given[1:])
        options.command = given[0]
        return options
    parser = build_parser()
    if given and not given[0].startswith("-"):
        meant = near(given[0], COMMANDS)
        parser.error(f"there is no command `{given[0]}`" + (f"; did you mean `{meant}`?" if meant else "; see --help"))
    options = parser.parse_args(given)
    return options if options.command is not None else None


def _texts(purpose: str, examples: str) -> dict[str, Any]:
    return {
        "description": purpose[0].upper() + purpose[1:] + ".",
        "epilog": examples,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="recipe",
        description="Fine-tune Sana Video from one YAML recipe: checked before a GPU is used, exact when resumed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, (purpose, examples, fill) in COMMANDS.items():
        fill(commands.add_parser(name, help=purpose, **_texts(purpose, examples)))
    return parser


def _lint(lint: argparse.ArgumentParser) -> None:
    lint.add_argument("files", nargs="+", metavar="FILE", help="a recipe")
    lint.add_argument("--no-data", action="store_true", help="don't look into data folders")
    lint.add_argument("--strict", action="store_true", help="count warnings as errors")
    for name, what in (("--select", "show only these findings"), ("--ignore", "don't show these findings")):
        codes = "codes or their beginnings, as in R1,R405 (repeatable)"
        lint.add_argument(name, action="append", default=[], metavar="CODES", help=f"{what}: {codes}")
    lint.add_argument("--fix", action="store_true", help="put right in the file what leaves no doubt")
    lint.add_argument("--diff", action="store_true", help="show what --fix would change, and change nothing")
    lint.add_argument("--unsafe-fixes", action="store_true", help="with --fix or --diff: take suggestions as well")
    _composition(lint)
    _format(lint, "github", "sarif")


def _explain(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("subject", metavar="FILE|PLAN|CODE", help="a recipe, a plan, or a code such as R303")
    explain.add_argument("key", nargs="?", metavar="KEY", help="one setting, such as train.max_steps, or a section")
    explain.add_argument("--clip", metavar="PATH", help="tell the story of one clip")
    explain.add_argument("--all", action="store_true", help="also settings of what the recipe does not touch")
    explain.add_argument("--diff-defaults", action="store_true", help="only settings that have not their default")
    explain.add_argument("--no-data", action="store_true", help="don't look into data folders")
    explain.add_argument("-o", "--output", metavar="FILE", help="where --format html is written (default: stdout)")
    _composition(explain)
    explain.add_argument(
        "--format", choices=("text", "json", "html"), default="text", help="for people, machines, or a browser"
    )


def _diff(diff: argparse.ArgumentParser) -> None:
    diff.add_argument("a", metavar="A", help="a recipe, a plan or a run")
    diff.add_argument("b", metavar="B", help="a recipe, a plan or a run")
    diff.add_argument("--no-data", action="store_true", help="compare settings only, don't look into data folders")
    _composition(diff)
    _format(diff)


def _plan(plan: argparse.ArgumentParser) -> None:
    plan.add_argument("file", metavar="FILE", help="a recipe")
    plan.add_argument("--verify", action="store_true", help="check a plan that was made before: exit code 0 or 3")
    plan.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="where to write it (default: NAME.plan beside the recipe); with a matrix, the folder for all NAME.ID.plan",
    )
    _composition(plan)
    _format(plan, "github")


def _run(run: argparse.ArgumentParser) -> None:
    run.add_argument("subject", metavar="FILE|PLAN", help="a recipe, or a folder made by `recipe plan`")
    said = run.add_mutually_exclusive_group()
    said.add_argument("-q", "--quiet", action="store_true", help="no progress, only warnings and errors")
    said.add_argument("-v", "--verbose", action="store_true", help="a line for each step, on a terminal too")
    run.add_argument("--machine", metavar="I", help="of several machines: which this is, from 0 (default: NODE_RANK)")
    run.add_argument(
        "--meeting", metavar="HOST:PORT", help="address of the first machine (default: MASTER_ADDR and MASTER_PORT)"
    )
    _composition(run)


def _encode(encode: argparse.ArgumentParser) -> None:
    encode.add_argument("subject", metavar="FILE|PLAN", help="a recipe, or a folder made by `recipe plan`")
    encode.add_argument("--worker", metavar="I/N", help="which of how many processes this is, as in 1/4")
    encode.add_argument("-q", "--quiet", action="store_true", help="no progress, only warnings and errors")
    _composition(encode)


def _watch(watch: argparse.ArgumentParser) -> None:
    watch.add_argument("runs", nargs="+", metavar="RUN", help="a run directory, or a folder of such")
    watch.add_argument("--port", type=int, metavar="N", help="where to listen (default: the first free one from 8642)")
    watch.add_argument("--open", action="store_true", help="open the page in the browser")


def _report(report: argparse.ArgumentParser) -> None:
    report.add_argument("run", metavar="RUN", help="a run directory")
    report.add_argument("-o", "--output", metavar="FILE", help="where to write it (default: RUN/report.html)")
    report.add_argument(
        "--steps",
        type=int,
        default=6,
        metavar="N",
        help="of how many steps clips are embedded (default: 6; 0: of none)",
    )


def _push(push: argparse.ArgumentParser) -> None:
    push.add_argument("run", metavar="RUN", help="the directory of a finished run")
    push.add_argument("--to", metavar="OWNER/NAME", help="the repository (default: hub.model_id of its recipe)")
    push.add_argument("--public", action="store_true", help="make a public repository, or take one")
    push.add_argument("-q", "--quiet", action="store_true", help="no progress, only warnings and errors")


def _replay(replay: argparse.ArgumentParser) -> None:
    replay.add_argument("bundle", metavar="BUNDLE", help="a folder failure-STEP of a run directory")
    replay.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where; default: as the plan says")
    replay.add_argument("--mixed-precision", choices=("bf16", "no"), help="precision; default: as the plan says")
    replay.add_argument("--root", metavar="DIR", help="where relative paths of the plan start; default: where they did")
    _format(replay)


def _store(store: argparse.ArgumentParser) -> None:
    store.add_argument("action", choices=("ls", "verify", "gc"), help="list, check, or remove what is not needed")
    store.add_argument("subject", metavar="DIR|FILE", help="a store, or a recipe or plan whose store is meant")
    store.add_argument(
        "--keep", nargs="+", action="extend", default=[], metavar="PLAN", help="gc: plans and recipes that need it"
    )
    store.add_argument("--delete", action="store_true", help="gc: remove, and not only say what would be removed")
    store.set_defaults(rehash=False)  # it reads recipes, and takes no options of theirs


def _fetch(fetch: argparse.ArgumentParser) -> None:
    fetch.add_argument("file", metavar="FILE", help="a recipe")
    fetch.add_argument("--weights", action="store_true", help="the models too, into the hub's cache: some 13 GB")
    _composition(fetch)


def _import(parser: argparse.ArgumentParser) -> None:
    tools = ("simpletuner", "diffusion-pipe", "musubi-tuner", "ai-toolkit", "finetrainers", "sana")
    parser.add_argument("tool", choices=tools, metavar="TRAINER", help=", ".join(tools))
    parser.add_argument("path", metavar="PATH", help="its configuration; for simpletuner also the folder of it")
    parser.add_argument("-o", "--output", metavar="FILE", help="the recipe (default: NAME.yaml here; -: stdout)")
    parser.add_argument("--faithful", action="store_true", help="reproduce what that trainer does, by its own defaults")
    parser.add_argument("--force", action="store_true", help="overwrite a file that is there")
    _format(parser)


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tool", choices=("simpletuner",), metavar="TRAINER", help="simpletuner")
    parser.add_argument("file", metavar="RECIPE", help="a recipe")
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="the folder for its files; made if need be"
    )
    parser.add_argument("--version", choices=("4.8", "4.10"), default="4.10", help="of that trainer (default: 4.10)")
    parser.add_argument("--partial", action="store_true", help="leave out what can't be said there")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")
    _composition(parser)
    _format(parser)


def _composition(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f", "--overlay", action="append", default=[], metavar="FILE", help="lay another file over the recipe"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set one key, the value in YAML (repeatable)"
    )
    parser.add_argument("--variant", metavar="ID", help="one variant of a recipe with a matrix")
    parser.add_argument(
        "--rehash",
        action="store_true",
        help="look at each clip anew, also if its size and time of change are as before",
    )


def _schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", choices=("recipe", "webhook"), default="recipe", help="of what; default: recipe"
    )


def _init(init: argparse.ArgumentParser) -> None:
    init.add_argument("file", nargs="?", metavar="FILE", default="recipe.yaml", help="default: recipe.yaml")
    init.add_argument("--clips", metavar="DIR", help="the folder of clips")
    init.add_argument("--type", choices=("auto", "full", "lora"), help="what to train; default: auto, what fits")
    init.add_argument("--gpu-memory", metavar="GB", help="of the GPU that will train; default: this machine's, or 24")
    init.add_argument(
        "--steps", metavar="N", help="optimizer steps; default: 2000, 4000 for --type full, 240 without a GPU"
    )
    init.add_argument("--prompt", metavar="TEXT", help="what to draw on the way; default: a clip's caption")
    init.add_argument("--caption", metavar="TEXT", help="one caption for all clips, in place of their own")
    init.add_argument("--yes", action="store_true", help="ask nothing; what is not given takes its default")
    init.add_argument("--force", action="store_true", help="replace FILE if it is there")


def _doctor(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument("file", nargs="?", metavar="RECIPE", help="a recipe that this machine is to train")
    doctor.add_argument("--offline", action="store_true", help="don't ask whether the hub can be reached")
    _composition(doctor)
    _format(doctor)


def _completion(completion: argparse.ArgumentParser) -> None:
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that the script is for")


def _lsp(lsp: argparse.ArgumentParser) -> None:
    lsp.add_argument("--stdio", action="store_true", help="speak over stdin and stdout; it does nothing else")


def _format(parser: argparse.ArgumentParser, *more: str) -> None:
    choices = ("text", "json", *more)
    parser.add_argument("--format", choices=choices, default="text", help="for people or for machines")


COMMANDS: Mapping[str, tuple[str, str, Callable[[argparse.ArgumentParser], None]]] = {
    "init": ("write a recipe for a folder of clips and a GPU, by questions or options", _INIT, _init),
    "import": ("make a recipe of another trainer's configuration", _IMPORT, _import),
    "lint": ("find mistakes in recipes", _LINT, _lint),
    "explain": ("show settings with their origins, or the page of a finding", _EXPLAIN, _explain),
    "plan": ("freeze a recipe into a plan, and say what it costs", _PLAN, _plan),
    "run": ("execute a recipe or a plan; the same command again resumes", _RUN, _run),
    "diff": ("compare two recipes or plans, in settings, data and cost", _DIFF, _diff),
    "doctor": ("say whether this machine can train, and what to do where it can't", _DOCTOR, _doctor),
    "fetch": ("get the data folders that a recipe names", _FETCH, _fetch),
    "encode": ("fill the store with latents and text embeddings; several processes may share it", _ENCODE, _encode),
    "watch": ("show runs in a browser while they go on, or when they are over", _WATCH, _watch),
    "report": ("write a run as one HTML file", _REPORT, _report),
    "push": ("upload a finished run to the Hugging Face hub", _PUSH, _push),
    "replay": ("take a failed step again, and find where its first NaN arises", _REPLAY, _replay),
    "store": ("list, check and clean a store of latents and text embeddings", _STORE, _store),
    "export": ("write a recipe as SimpleTuner's configuration", _EXPORT, _export),
    "schema": ("print the JSON Schema of the recipe language, or of webhooks", _SCHEMA, _schema),
    "lsp": ("serve editors: findings, hovers, completion, definitions, fixes", _LSP, _lsp),
    "completion": ("print what makes a shell complete commands, keys and codes", _COMPLETION, _completion),
}
"""Every command, in the order of ``--help``: what it is for, its examples, and what puts in its arguments."""
