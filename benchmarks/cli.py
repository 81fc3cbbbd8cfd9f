"""How fast the command line answers: CPU time of whole processes, in turn, beside what it is measured against.

    python benchmarks/cli.py [ROUNDS]

Prints medians and the ratios that are promised: a lint without data at most 1.3 times `import yaml, jsonschema`,
`--help` at most twice `import argparse, json`. check-jsonschema is measured on the same file where it is installed.
Run it with the project installed (`make test` does that).
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "sana_480p.yaml"


def commands() -> Mapping[str, Sequence[str]]:
    """Return what is measured, by name."""
    python, here = sys.executable, Path(sys.executable).parent
    measured = {
        "python -c pass": [python, "-c", "pass"],
        "import argparse, json": [python, "-c", "import argparse, json"],
        "recipe --help": [str(here / "recipe"), "--help"],
        "import yaml, jsonschema": [python, "-c", "import yaml, jsonschema"],
        "import yaml, jsonschema, jinja2": [python, "-c", "import yaml, jsonschema, jinja2"],
        "recipe lint --no-data": [str(here / "recipe"), "lint", "--no-data", str(RECIPE)],
    }
    checker = shutil.which("check-jsonschema", path=f"{here}{os.pathsep}{os.environ.get('PATH', '')}")
    if checker is not None:
        schema = ROOT / "schema" / "recipe.schema.json"
        measured["check-jsonschema"] = [checker, "--schemafile", str(schema), str(RECIPE)]
    return measured


def cpu_seconds(command: Sequence[str]) -> float:
    """Run a command to its end and return the processor time that it and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Compiled modules are kept, as after an install, whatever the machine's own setting is.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Measure in rounds over all commands, the first round not counted."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    measured = commands()
    times: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(rounds + 1):
        for name, command in measured.items():
            times[name].append(cpu_seconds(command))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:34}{median * 1000:7.1f} ms")
    print()
    for name, base, budget in (
        ("recipe lint --no-data", "import yaml, jsonschema", 1.3),
        ("recipe --help", "import argparse, json", 2.0),
    ):
        ratios = [a / b for a, b in zip(times[name][1:], times[base][1:], strict=True) if b]
        print(f"{name} / {base}: {statistics.median(ratios):.2f} (budget {budget})")


if __name__ == "__main__":
    main()
