import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from fakes_clips import make_project
from recipe_compiler.cli.main import main
from recipe_compiler.fetch import weights
from recipe_schema.family import MODEL_ENDINGS


@pytest.fixture
def asked(monkeypatch):
    """What the hub is asked for."""
    heard = []

    def snapshot_download(name, *, revision, allow_patterns):
        heard.append((name, revision))
        assert allow_patterns == [f"*{end}" for end in MODEL_ENDINGS]
        return f"/cache/{name}"

    monkeypatch.setattr(weights, "snapshot_download", snapshot_download)
    return heard


@pytest.fixture
def recipe(tmp_path):
    return make_project(tmp_path)


def fetch(recipe, *settings):
    return main(["fetch", str(recipe), "--weights", *(f"--set={setting}" for setting in settings)])


def test_the_model_is_got_once_at_its_revision_and_a_part_from_elsewhere_at_its_newest(recipe, asked, capsys):
    model = ("model.random_weights=null", "model.pretrained_model_name_or_path=me/model", "model.revision=v1")

    assert fetch(recipe, *model, "model.pretrained_vae_model_name_or_path=me/vae") == 0

    assert asked == [("me/model", "v1"), ("me/vae", None)]
    assert "me/vae: complete in /cache/me/vae" in capsys.readouterr().err


def test_what_is_built_or_there_is_not_asked_for(recipe, asked, capsys):
    assert fetch(recipe) == 0
    (recipe.parent / "mine").mkdir()
    assert fetch(recipe, "model.random_weights=null", "model.pretrained_model_name_or_path=mine") == 0

    assert asked == []
    assert "mine: the folder is there" in capsys.readouterr().err


def test_a_model_that_can_not_be_had_is_told(recipe, monkeypatch, capsys):
    def snapshot_download(*_, **__):
        raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)

    monkeypatch.setattr(weights, "snapshot_download", snapshot_download)
    model = "model.random_weights=null"

    assert fetch(recipe, model, "model.pretrained_model_name_or_path=me/model") == 4
    assert "the hub has no model me/model" in capsys.readouterr().err
    assert fetch(recipe, model, "model.pretrained_model_name_or_path=a/b/c") == 4
    assert "is no OWNER/NAME of the hub" in capsys.readouterr().err
