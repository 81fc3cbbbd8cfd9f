import pytest
from huggingface_hub import constants

from fakes_hub import FakeHub
from fakes_server import Answer, serving
from recipe_runtime.errors import RunError
from recipe_runtime.push.repository import Repository, build_repository
from recipe_schema.sections.output import Hub


@pytest.fixture
def hub(monkeypatch):
    """A hub, which the library takes for its own. Its retries do not wait."""
    hub = FakeHub()
    with serving(hub) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        hub.url = server.url
        yield hub


def repository(name="me/tiny", *, private=True, token="hf_secret"):
    return Repository(name, private=private, token=token, pause_seconds=0.0)


def folder(tmp_path):
    home = tmp_path / "export"
    (home / "transformer").mkdir(parents=True)
    (home / "transformer" / "weights.safetensors").write_bytes(b"weights")
    (home / "README.md").write_text("# tiny\n")
    return home


def test_a_repository_is_made_private_and_takes_a_folder(hub, tmp_path):
    made = repository("tiny")
    made.open()

    address = made.upload(folder(tmp_path), below="", message="run tiny, step 4")

    assert hub.repositories == {"me/tiny": True}
    assert hub.files["me/tiny"] == {"transformer/weights.safetensors": b"weights", "README.md": b"# tiny\n"}
    assert hub.commits == ["run tiny, step 4"]
    assert address == f"{hub.url}/me/tiny"
    assert "Bearer hf_secret" in hub.tokens


def test_one_that_is_there_is_taken(hub, tmp_path):
    hub.repositories["them/tiny"] = True
    made = repository("them/tiny")
    made.open()

    address = made.upload(folder(tmp_path), below="checkpoints/step-00000002", message="x")

    assert "checkpoints/step-00000002/README.md" in hub.files["them/tiny"]
    assert address == f"{hub.url}/them/tiny/tree/main/checkpoints/step-00000002"


def test_a_public_repository_is_refused_where_a_private_one_is_asked_for(hub):
    hub.repositories["me/tiny"] = False

    with pytest.raises(RunError, match=r"me/tiny of the hub is public, and `hub.private: true` asks for a private one"):
        repository().open()
    repository(private=False).open()


def test_a_public_repository_is_made_on_demand(hub):
    repository(private=False).open()

    assert hub.repositories == {"me/tiny": False}


@pytest.mark.parametrize("status", [500, 409, 0])
def test_a_hub_that_fails_twice_is_asked_again(hub, tmp_path, status):
    made = repository()
    made.open()
    left = [2]

    def trouble(heard):
        if "/commit/" in heard.path and left[0]:
            left[0] -= 1
            return Answer(status=status)
        return None

    hub.trouble = trouble

    made.upload(folder(tmp_path), below="", message="third time lucky")

    assert left == [0]
    assert hub.commits == ["third time lucky"]


def test_a_hub_that_keeps_failing_is_an_error_with_a_cure(hub, tmp_path):
    made = repository()
    made.open()
    hub.trouble = lambda heard: Answer(status=503) if "/preupload/" in heard.path else None

    with pytest.raises(RunError, match=r"the hub does not take export \(.*503.*check the network .*HF_ENDPOINT"):
        made.upload(folder(tmp_path), below="", message="x")
    assert hub.commits == []


@pytest.mark.parametrize(("status", "cure"), [(401, "check that the token is valid"), (404, "correct the cause")])
def test_what_the_hub_refuses_is_not_tried_again(hub, status, cure):
    asked = []

    def trouble(heard):
        asked.append(heard.path)
        return Answer(status=status) if heard.path == "/api/whoami-v2" else None

    hub.trouble = trouble

    with pytest.raises(RunError, match=f"does not let anyone in .*{cure}") as failure:
        repository().open()
    assert asked.count("/api/whoami-v2") == 1
    assert "hf_secret" not in str(failure.value)


def test_a_hub_that_can_not_be_reached_is_an_error_before_training(monkeypatch):
    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)

    with pytest.raises(RunError, match=r"does not let anyone in \(.*check the network \(HF_ENDPOINT names a mirror\)"):
        repository().open()


@pytest.mark.usefixtures("hub")
def test_without_any_login_it_says_how_to_log_in(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(RunError, match=r"hf auth login.*hub\.token_env"):
        repository(token=None).open()


def test_a_recipe_that_uploads_nothing_has_no_repository():
    plain = {"push": False, "push_checkpoints": False, "model_id": None, "private": True, "token_env": "HF_TOKEN"}

    assert build_repository(Hub(**plain), {}) is None
    assert build_repository(Hub(**{**plain, "push_checkpoints": True, "model_id": "me/x"}), {}).name == "me/x"
    with pytest.raises(RunError, match=r"give `hub\.model_id`"):
        build_repository(Hub(**{**plain, "push": True}), {})


def test_the_token_is_that_of_the_variable(hub):
    settings = Hub(push=True, push_checkpoints=False, model_id="me/tiny", private=True, token_env="MY_TOKEN")

    build_repository(settings, {"MY_TOKEN": " hf_mine\n", "HF_TOKEN": "other"}).open()

    assert "Bearer hf_mine" in hub.tokens
    assert "Bearer other" not in hub.tokens
