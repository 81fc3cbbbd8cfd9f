"""What is said of folders that are named as models."""

import pytest

from recipe_compiler.pipeline import Options, compile_recipe


RECIPE = """\
recipe: 1
model: {{pretrained_transformer_model_name_or_path: {path}}}
data: {{datasets: [{{id: a, instance_data_dir: clips}}]}}
train: {{max_steps: 100}}
"""


@pytest.mark.parametrize(
    ("there", "help_", "fix"),
    [
        ("runs/a/export/transformer/config.json", "did you mean `./runs/a/export`?", "./runs/a/export"),
        ("runs/a/pytorch_lora_weights.safetensors", "that is an adapter", None),
        ("runs/a/notes.txt", "name a model in diffusers format", None),
        ("runs/a/config.json", None, None),
        ("runs/a/transformer/config.json", None, None),
    ],
)
def test_a_folder_for_the_transformer_has_to_hold_one(tmp_path, there, help_, fix):
    (tmp_path / there).parent.mkdir(parents=True)
    (tmp_path / there).write_text("")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(RECIPE.format(path="./runs/a"), encoding="utf-8")

    found = [d for d in compile_recipe(recipe, Options(look_at_data=False)).found if d.code == "R223"]

    assert [(d.help[: len(help_ or "")], d.fix) for d in found] == ([] if help_ is None else [(help_, fix)])


def test_shipped_recipes_can_be_built_upon_from_an_empty_folder(tmp_path):
    names = ("learn", "quickstart", "sana_480p", "sana_480p_lora")
    for name in names:
        recipe = tmp_path / f"{name}-mine.yaml"
        recipe.write_text(f"recipe: 1\nextends: builtin:{name}\n", encoding="utf-8")

        found = compile_recipe(recipe, Options(look_at_data=False)).found

        assert {d.code for d in found if d.severity == "error"} <= {"R105"}, name
