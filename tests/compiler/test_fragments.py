"""Shipped parts of recipes, for `extends`."""

from pathlib import Path

import pytest

from fakes_machine import BARE
from recipe_compiler.pipeline import Options, compile_recipe


PARTS = sorted(path.stem for path in (Path(__file__).parents[2] / "recipes" / "fragments").iterdir())
WITH_DATA = {"masked_loss": "vars: {masked: disney-black-and-white}\n"}
"""What a recipe has to say besides, so that a part fits its data."""


def test_these_parts_are_shipped():
    assert PARTS == [
        "clip_score",
        "compiled",
        "crepa",
        "evaluation",
        "image_to_video",
        "images",
        "masked_loss",
        "previews",
        "rollout",
        "self_flow",
    ]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["sana_480p", "sana_480p_lora"])
def test_a_shipped_part_is_clean_on_the_shipped_recipes(tmp_path, name, part):
    recipe = tmp_path / "mine.yaml"
    extends = f"extends: [builtin:{name}, builtin:fragments/{part}]\n"
    recipe.write_text(f"recipe: 1\n{extends}{WITH_DATA.get(part, '')}", encoding="utf-8")

    result = compile_recipe(recipe, Options(look_at_data=False, machine=BARE))

    assert result.found == ()


@pytest.mark.parametrize("left_out", ["self_flow", "crepa"])
def test_all_of_them_together_are_clean_but_for_one_that_takes_the_place_of_another(tmp_path, left_out):
    recipe = tmp_path / "all.yaml"
    extends = ", ".join(f"builtin:fragments/{part}" for part in PARTS if part != left_out)
    text = f"recipe: 1\nextends: [builtin:sana_480p, {extends}]\nvars: {{masked: disney-black-and-white}}\n"
    recipe.write_text(text, encoding="utf-8")

    result = compile_recipe(recipe, Options(look_at_data=False, machine=BARE))

    assert result.found == ()
    assert result.settings["regularizers.crepa.feature_source"] == (
        "encoder" if left_out == "self_flow" else "self_flow"
    )
    assert result.settings["regularizers.rollout.max_step_offset"] == 20
    assert result.settings["evaluation.fraction"] == 0.05
    assert result.settings["hardware.compile"] == "default"
    assert result.settings["regularizers.masked_loss.enabled"] is True
    assert result.settings["data.datasets.1.video.is_i2v"] is True
    assert result.settings["data.image_interval"] == 50
