"""What a change makes anew in the store, from the recipe to the values: that and nothing else."""

import pytest

from fakes_clips import RECIPE, make_clip
from fakes_store import stored_values
from recipe_compiler.cli.main import main as recipe
from recipe_compiler.data.index import default_index_file
from recipe_compiler.passes.freeze import write
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_runtime.__main__ import main as runtime


MOTION = "      motion: {source: file, path: motion.csv}\n      video:\n"


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Make a project of four clips, and encode it."""
    root = tmp_path_factory.mktemp("project")
    for index in range(4):
        make_clip(root / "clips" / f"c{index}.mp4", frames=12 + index, caption=f"a bar, number {index}")
    (root / "recipe.yaml").write_text(RECIPE.replace("      video:\n", MOTION), encoding="utf-8")
    score(root, c0=4, c1=5, c2=6, c3=7)
    encode(root)
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def score(root, **scores):
    rows = ["filename,motion_score", *(f"{name}.mp4,{value}" for name, value in scores.items())]
    (root / "motion.csv").write_text("\n".join(rows), encoding="utf-8")


def stored(root):
    return stored_values(root / "store").keys()


def encode(root, *overrides):
    """Encode what the recipe needs. Return how many values of each kind are new."""
    before = stored(root)
    compiled = compile_recipe(root / "recipe.yaml", Options(overrides=overrides, index_file=default_index_file()))
    write(make_plan(compiled), compiled.survey.rows, root / "x.plan")
    assert runtime([str(root / "x.plan"), "--encode", "--quiet"]) == 0
    new = [kind for kind, _ in stored(root) - before]
    return {kind: new.count(kind) for kind in ("text", "latents")}


def explained(root, clip, capsys):
    capsys.readouterr()
    assert recipe(["explain", str(root / "recipe.yaml"), "--clip", clip]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:]]
    return {name: text for name, text in lines if name in ("latents", "text")}


THERE = "in the store, for as long as the model's weights are the same"


def test_the_first_time_everything_is_encoded_and_the_second_time_nothing(encoded, capsys):
    kinds = [kind for kind, _ in stored(encoded)]

    assert (kinds.count("latents"), kinds.count("text")) == (4, 4 + 2)  # the null caption, and the prompt
    assert encode(encoded) == {"text": 0, "latents": 0}
    assert explained(encoded, "c0.mp4", capsys) == {"latents": THERE, "text": THERE}


def test_another_caption_makes_one_text(encoded, capsys):
    (encoded / "clips" / "c1.txt").write_text("a bar, number one")

    assert explained(encoded, "c1.mp4", capsys) == {
        "latents": THERE,
        "text": "not in the store yet; the nearest there is `a bar, number 1 motion score: 5.`",
    }
    assert explained(encoded, "c0.mp4", capsys) == {"latents": THERE, "text": THERE}
    assert encode(encoded) == {"text": 1, "latents": 0}
    assert explained(encoded, "c1.mp4", capsys) == {"latents": THERE, "text": THERE}


def test_another_motion_score_makes_one_text(encoded, capsys):
    score(encoded, c0=30, c1=5, c2=6, c3=7)

    why = explained(encoded, "c0.mp4", capsys)["text"]
    assert why == "not in the store yet; the nearest there is `a bar, number 0 motion score: 4.`"
    assert encode(encoded) == {"text": 1, "latents": 0}


def test_another_clip_makes_one_latent(encoded, capsys):
    make_clip(encoded / "clips" / "c2.mp4", frames=40)

    why = explained(encoded, "c2.mp4", capsys)
    assert why["latents"].startswith("encoded anew because the file's sha256 was ")
    assert why["text"] == THERE
    assert explained(encoded, "c3.mp4", capsys)["latents"] == THERE
    assert encode(encoded) == {"text": 0, "latents": 1}


def test_a_clip_of_another_name_makes_nothing(encoded):
    for ending in ("mp4", "txt"):
        (encoded / "clips" / f"c3.{ending}").rename(encoded / "clips" / f"d3.{ending}")
    score(encoded, c0=30, c1=5, c2=6, d3=7)

    assert encode(encoded) == {"text": 0, "latents": 0}


@pytest.mark.parametrize("change", ["optimizer.learning_rate=1e-3", "ema.enabled=true"])
def test_another_setting_of_training_makes_nothing(encoded, change):
    assert encode(encoded, change) == {"text": 0, "latents": 0}


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ("data.buckets=[64x64]", {"text": 0, "latents": 4}),
        ("model.text_encoder_dtype=fp32", {"text": 6, "latents": 0}),
        ("validation.prompt=a bar stands", {"text": 1, "latents": 0}),
    ],
)
def test_other_settings_make_what_they_shape(encoded, change, made):
    assert encode(encoded, change) == made
