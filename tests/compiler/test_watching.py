"""Rules about validation, previews, webhooks and uploads."""

import pytest

from fakes_machine import BARE
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.rules.addresses import secret_in, service


HEAD = "recipe: 1\ndata: {datasets: [{id: a, instance_data_dir: clips}]}\ntrain: {max_steps: 3000}\n"
DRAWN = "validation:\n  prompt: a red ball rolls over a table\n"


def found(folder, text, code):
    recipe = folder / "recipe.yaml"
    recipe.write_text((HEAD if "data:" not in text else "recipe: 1\ntrain: {max_steps: 3000}\n") + text)
    compiled = compile_recipe(recipe, Options(look_at_data=False, machine=BARE))
    return [d for d in compiled.found if d.code == code]


def test_previews_need_something_to_draw(tmp_path):
    preview = "validation:\n  preview: {enabled: true}\n"

    (nothing,) = found(tmp_path, preview, "R606")
    assert (nothing.severity, "nothing is drawn" in nothing.message) == ("error", True)
    assert found(tmp_path, preview, "R602") == []
    assert [
        d.severity for d in found(tmp_path, "validation:\n  prompt: ' '\n  preview: {enabled: true}\n", "R606")
    ] == ["error"]
    assert found(tmp_path, DRAWN + "  preview: {enabled: true}\n", "R606") == []
    assert found(tmp_path, DRAWN + "  preview: {enabled: false, steps: 3}\n", "R606") == []
    library = "validation:\n  prompt_library: {a: a fox}\n  preview: {enabled: true}\n"
    assert found(tmp_path, library, "R606") == []


@pytest.mark.parametrize(("steps", "fires"), [(20, False), (21, True)])
def test_a_preview_has_to_come_before_the_clip_is_finished(steps, fires, tmp_path):
    text = f"{DRAWN}  num_inference_steps: 20\n  preview: {{enabled: true, steps: {steps}}}\n"

    findings = found(tmp_path, text, "R607")

    assert [d.message for d in findings] == ["a preview every 21 sampling steps is none: a clip takes 20"] * fires
    assert found(tmp_path, text.replace("true", "false"), "R607") == []


def test_where_the_number_of_sampling_steps_is_odd_previews_are_not_spoken_of(tmp_path):
    text = f"{DRAWN}  num_inference_steps: 4\n  preview: {{enabled: true, steps: 5}}\n"

    assert found(tmp_path, text, "R607") == []
    assert len(found(tmp_path, text, "R410")) == 1


@pytest.mark.parametrize(
    ("decoder", "message", "severity"),
    [
        ("linear", None, None),
        ("me/taew2_1", None, None),
        ("there", None, None),
        ("there/taew2_1.pth", None, None),
        ("liner", "there is no decoder `{}/liner`", "error"),
        ("gone/taew2_1.pth/x", "there is no decoder `{}/gone/taew2_1.pth/x`", "warning"),
        ("empty", "the folder `{}/empty` holds no `taew2_1.safetensors` or `taew2_1.pth`", "warning"),
    ],
)
def test_the_decoder_of_previews_has_to_be_there(decoder, message, severity, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there/taew2_1.pth").touch()
    text = f"{DRAWN}  preview: {{enabled: true, decoder: {decoder}}}\n"

    findings = found(tmp_path, text, "R613")

    assert [(d.message, d.severity) for d in findings] == ([(message.format(tmp_path), severity)] if message else [])
    assert [d.fix for d in findings if d.fix] == ["linear"] * (decoder == "liner")
    assert found(tmp_path, text.replace("true", "false"), "R613") == []


def test_a_score_of_single_images_is_no_score_of_clips(tmp_path):
    (finding,) = found(tmp_path, "evaluation: {type: clip}", "R608")

    assert "nothing of motion, and nothing else is measured" in finding.message
    for more in ("step_interval: 9", "epoch_interval: 1"):
        assert found(tmp_path, f"evaluation: {{type: clip, {more}}}", "R608") == []
    assert found(tmp_path, "evaluation: {type: none}", "R608") == []


def test_a_score_needs_a_model_and_a_clip(tmp_path):
    model = "evaluation: {type: clip, pretrained_model_name_or_path: openai/clip}\n"
    (nameless,) = found(tmp_path, "evaluation: {type: clip}", "R618")

    assert (nameless.severity, "none is named" in nameless.message) == ("error", True)
    assert found(tmp_path, model, "R618") == found(tmp_path, "evaluation: {num_clips: 3}", "R618") == []
    (nothing,) = found(tmp_path, model, "R619")
    assert (nothing.severity, "none is drawn" in nothing.message) == ("warning", True)
    assert found(tmp_path, model + DRAWN, "R619") == []
    assert found(tmp_path, model + "validation: {prompt_library: {a: a fox}}\n", "R619") == []
    assert found(tmp_path, "evaluation: {type: none}\n", "R619") == []


@pytest.mark.parametrize("key", ["pretrained_model_name_or_path: openai/clip", "num_frames: 4"])
def test_settings_of_a_score_wait_for_it(key, tmp_path):
    (finding,) = found(tmp_path, f"evaluation: {{{key}}}\n", "R208")

    assert finding.help == "set `type: clip`, or leave it out"
    assert found(tmp_path, f"evaluation: {{type: clip, {key}}}\n", "R208") == []


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("type: raw", "this webhook has no address"),
        ("url: 'http://a/', url_env: HOOK", "this webhook has two addresses: `url`, and that in `HOOK`"),
        ("url: 'http://a/'", None),
        ("url_env: HOOK", None),
        ("url: 'https://discord.com/x', url_env: HOOK", None),
        ("url: 5", None),
    ],
)
def test_a_webhook_has_one_address(hook, message, tmp_path):
    findings = found(tmp_path, f"tracking: {{webhooks: [{{{hook}}}]}}", "R609")

    assert [d.message for d in findings] == ([message] if message else [])


@pytest.mark.parametrize(
    ("address", "kind", "secret"),
    [
        ("https://discord.com/api/webhooks/1/abc", "discord", "whoever knows an address of Discord can write there"),
        ("https://CANARY.Discord.com:443/api/webhooks/1/abc", "discord", "of Discord"),
        ("https://discordapp.com/api/webhooks/1/abc", "discord", "of Discord"),
        ("https://hooks.slack.com/services/T/B/x", "slack", "of Slack"),
        ("https://api.slack.com/docs", None, None),
        ("https://notdiscord.com/api/webhooks/1/abc", None, None),
        ("https://discord.com.example.org/x", None, None),
        ("https://me:word@example.org/hook", None, "a user's name or password"),
        ("https://example.org/hook?api_key=x", None, "`api_key` in it looks like a secret"),
        ("https://example.org/hook?a=1&Token=", None, "`Token` in it looks like a secret"),
        ("https://example.org/hook?monkey=x&keyboard=y&a=@", None, None),
        ("http://127.0.0.1:8080/hook", None, None),
        ("http://[bad/hook?token=x", None, None),
    ],
)
def test_what_is_secret_in_an_address_is_said_without_repeating_it(address, kind, secret):
    assert service(address) == kind
    assert (secret_in(address) is None) == (secret is None)
    assert (secret or "") in (secret_in(address) or "")


def test_a_secret_from_a_template_stands_in_the_plan_all_the_same(tmp_path):
    text = "vars: {hook: 'https://discord.com/api/webhooks/1/abc'}\ntracking: {webhooks: [{url: '{{ vars.hook }}'}]}"

    (finding,) = found(tmp_path, text, "R610")

    assert finding.pointer == "tracking.webhooks.0.url"
    assert "abc" not in finding.message
    assert "url_env" in finding.help


@pytest.mark.parametrize("token", ["hf_" + "aB3" * 12, "d" + "0123456789abcdef" * 2])
def test_a_token_is_no_name_of_a_variable(token, tmp_path):
    text = f"hub: {{push: true, repository: a/b, token_env: {token}}}\ntracking: {{webhooks: [{{type: discord, url_env: {token}}}]}}"

    findings = found(tmp_path, text, "R610")

    assert [d.pointer for d in findings] == ["hub.token_env", "tracking.webhooks.0.url_env"]
    assert not any(token in d.message + d.help for d in findings)
    assert found(tmp_path, text, "R802") == found(tmp_path, text, "R804") == []
    assert found(tmp_path, text.replace(token, "HF_TOKEN_OF_THE_TEAM"), "R610") == []


def test_a_type_is_that_of_its_address(tmp_path):
    text = "tracking: {webhooks: [{type: slack, url: 'https://discord.com/api/webhooks/1/abc'}]}"

    (finding,) = found(tmp_path, text, "R611")

    assert finding.message == "this webhook is of type slack, and its address is one of Discord"
    assert [note.text for note in finding.notes] == ["the address"]
    assert found(tmp_path, text.replace("slack", "discord"), "R611") == []
    assert found(tmp_path, text.replace("https://discord.com", "https://proxy.example.org"), "R611") == []
    assert found(tmp_path, text.replace("slack", "slap"), "R611") == []


@pytest.mark.parametrize(
    ("hub", "severity", "at", "message"),
    [
        ("{push: true}", "error", "hub.push", "`hub.push` has no repository to upload to"),
        ("{push: true, push_checkpoints: true}", "error", "hub.push", "`hub.push` has no repository"),
        ("{push_checkpoints: true}", "error", "hub.push_checkpoints", "`hub.push_checkpoints` has no repository"),
        ("{model_id: a/b}", "warning", "hub.model_id", "`hub.model_id` has no effect: nothing is uploaded"),
        (
            "{private: true, token_env: X}",
            "warning",
            "hub.private",
            "`hub.private` and `hub.token_env` have no effect: nothing is uploaded",
        ),
    ],
)
def test_an_upload_and_its_repository_go_together(hub, severity, at, message, tmp_path):
    (finding,) = found(tmp_path, f"hub: {hub}", "R612")

    assert (finding.severity, finding.pointer) == (severity, at)
    assert message in finding.message


@pytest.mark.parametrize("hub", ["{push: true, model_id: a/b}", "{push: false}", "{push: true, model_id: 'a b'}"])
def test_an_upload_with_a_repository_is_in_order(hub, tmp_path):
    assert found(tmp_path, f"hub: {hub}", "R612") == []


def test_clips_play_at_the_speed_of_training(tmp_path):
    (finding,) = found(tmp_path, DRAWN + "  framerate: 24\n", "R614")

    assert finding.message == "clips of 16 fps are written at 24 fps: they play at 1.5 times their speed"
    assert found(tmp_path, DRAWN + "  framerate: 16.0\n", "R614") == []
    other = "data: {framerate: 24, datasets: [{id: a, instance_data_dir: clips}]}\n"
    assert found(tmp_path, other + DRAWN + "  framerate: 24\n", "R614") == []
    assert [note.text for note in found(tmp_path, other + DRAWN + "  framerate: 12\n", "R614")[0].notes] == [
        "trained at 24 fps"
    ]


TRAINED = "data: {datasets: [{id: a, instance_data_dir: clips, video: {is_i2v: true}}]}\n"


def test_a_first_frame_belongs_to_a_prompt(tmp_path):
    library = "  prompt_library: {fox: a red fox}\n"

    (near,) = found(tmp_path, TRAINED + DRAWN + library + "  images: {fxo: x.png}\n", "R617")
    assert (near.severity, near.help) == ("error", "did you mean `fox`?")
    assert near.message == "no prompt has the nickname `fxo`, so its first frame is never used"
    (far,) = found(tmp_path, TRAINED + DRAWN + library + "  images: {elephant: x.png}\n", "R617")
    assert far.help == "there is `fox`, `main`"
    assert found(tmp_path, TRAINED + DRAWN + library + "  images: {fox: x.png, main: y.png}\n", "R617") == []
    main = TRAINED + "validation:\n" + library + "  images: {main: y.png}\n"
    assert [d.severity for d in found(tmp_path, main, "R617")] == ["error"]
    nothing = TRAINED + "validation:\n  images: {fox: y.png}\n"
    assert (found(tmp_path, nothing, "R617"), len(found(tmp_path, nothing, "R602"))) == ([], 1)


@pytest.mark.parametrize(
    ("data", "fires"),
    [
        (TRAINED, False),
        (TRAINED.replace("true", "false"), True),
        (TRAINED.replace("clips,", "clips, disabled: true,"), False),
        (TRAINED.replace("[{", "[{id: b, instance_data_dir: more}, {"), False),
        (TRAINED.replace("[{", "[{id: b, instance_data_dir: more}, {disabled: true, "), True),
    ],
)
def test_a_first_frame_needs_a_model_that_learnt_to_go_on_from_one(data, fires, tmp_path):
    findings = found(tmp_path, data + DRAWN + "  images: {main: y.png}\n", "R617")

    assert [(d.severity, d.pointer) for d in findings] == [("warning", "validation.images")] * fires


def test_a_length_beyond_the_models_training_is_said_to_be(tmp_path):
    data = "data: {datasets: [{id: a, instance_data_dir: clips, video: {num_frames: %d, min_frames: 33}}]}\n"

    (beyond,) = found(tmp_path, data % 81 + DRAWN + "  num_video_frames: 97\n", "R601")
    assert beyond.message.endswith("not trained, and longer than the 81 of the model's own training")
    assert [note.text for note in beyond.notes] == ["trained here"]
    (shorter,) = found(tmp_path, data % 81 + DRAWN + "  num_video_frames: 29\n", "R601")
    assert shorter.message.endswith("a length that is not trained")
    for frames, drawn in ((81, 33), (81, 49), (97, 97)):
        assert found(tmp_path, data % frames + DRAWN + f"  num_video_frames: {drawn}\n", "R601") == []
