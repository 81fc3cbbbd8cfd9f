"""Every YAML example of the pages is linted, with the clips of a small project."""

import shlex

import pytest
import yaml

from fakes_docs import Block, all_blocks, make_documented_project
from fakes_machine import machine
from recipe_compiler.cli.arguments import parse
from recipe_compiler.pipeline import Options, compile_recipe


PACKAGES = {"tensorboard": "2.21", "wandb": "0.31", "opencv-python-headless": "4.14", "s3fs": "2026.9"}
ENVIRONMENT = dict.fromkeys(("DISCORD_HOOK", "SLACK_HOOK", "HOOK_TOKEN", "WANDB_API_KEY", "HF_TOKEN"), "set")
MACHINE = machine(packages=PACKAGES, environment=ENVIRONMENT)
NOT_FETCHED = "R301"
"""What data sets of other types than `local` are before `recipe fetch`."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_documented_project(tmp_path_factory.mktemp("project"))


def is_workflow(block: Block) -> bool:
    return isinstance(yaml.safe_load(block.text), list)


EXAMPLES = [b for b in all_blocks("yaml") if not b.page.endswith("tutorial.md") and yaml.safe_load(b.text) is not None]
"""Those of the tutorial have a recipe of their own. Some examples are a comment and nothing else."""


@pytest.mark.parametrize("block", [b for b in EXAMPLES if not is_workflow(b)], ids=lambda block: block.place)
def test_a_yaml_example_is_a_clean_recipe(project, block):
    assert findings(project, block) == []


@pytest.mark.parametrize("block", [b for b in EXAMPLES if is_workflow(b)], ids=lambda block: block.place)
def test_a_step_of_a_workflow_calls_a_command_that_there_is(block):
    for step in yaml.safe_load(block.text):
        program, *arguments = shlex.split(step["run"])
        assert program == "recipe"
        assert parse(arguments) is not None


def findings(project, block) -> list[str]:
    small, large = project
    given = yaml.safe_load(block.text)
    whole = "recipe" in given or "extends" in given
    example = (large if whole else small.parent) / "example.yaml"
    example.write_text(block.text if "recipe" in given or not whole else f"recipe: 1\n{block.text}", encoding="utf-8")
    environment = {"DATA_ROOT": str(small.parent)}
    seen = small.parent / "probes.sqlite"
    overlays = [] if whole else [example]
    options = Options(overlays=overlays, machine=MACHINE, environment=environment, index_file=seen)
    result = compile_recipe(example if whole else small, options)
    types = {data_set.get("type", "local") for data_set in given.get("data", {}).get("datasets", [])}
    return [f"{d.code} {d.message}" for d in result.found if types <= {"local"} or d.code != NOT_FETCHED]
