import pytest
import torch
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline

from fakes_runtime import make_context, make_project
from recipe_runtime.errors import ModelError
from recipe_runtime.models.text import TextEncoder


CPU = torch.device("cpu")


@pytest.mark.parametrize("text", ["A red disc. motion score: 30.", "  Ünïcode 漢字  ", "disc " * 400])
def test_a_caption_is_encoded_as_the_pipeline_encodes_a_prompt(tmp_path, text):
    ctx = make_context(make_project(tmp_path))
    home = tmp_path / "project/models/tiny"
    pipeline = SanaVideoPipeline.from_pretrained(home)
    lines = ctx.facts["instruction"].split("\n")

    embeds = TextEncoder(home, "fp32", CPU).encode(text, instruction=ctx.facts["instruction"], max_length=300)

    expected, mask, negative, negative_mask = pipeline.encode_prompt(text, complex_human_instruction=lines)
    length = int(mask.sum())
    assert embeds.shape == (length, 32)
    assert torch.equal(embeds, expected[0, :length])
    assert length <= 300
    null = TextEncoder(home, "fp32", CPU).encode("", instruction=None, max_length=300)
    assert torch.equal(null, negative[0, : int(negative_mask.sum())])


def test_the_first_token_and_the_last_299_are_kept(tmp_path):
    ctx = make_context(make_project(tmp_path))
    encoder = TextEncoder(tmp_path / "project/models/tiny", "fp32", CPU)
    instruction = ctx.facts["instruction"]

    embeds = encoder.encode("a disc.", instruction=instruction, max_length=300)

    tokenizer, model = encoder._pipeline.tokenizer, encoder._pipeline.text_encoder
    tokens = tokenizer(instruction + "a disc.", return_tensors="pt").input_ids
    states = model(tokens)[0][0]
    prompt = len(tokenizer.encode(instruction)) - 1
    torch.testing.assert_close(embeds, torch.cat([states[:1], states[prompt:]]), rtol=1e-5, atol=1e-5)


def test_the_precision_is_the_encoders(tmp_path):
    make_project(tmp_path)

    encoder = TextEncoder(tmp_path / "project/models/tiny", "bf16", CPU)

    assert encoder.encode("a disc", instruction=None, max_length=300).dtype == torch.bfloat16


def test_an_incomplete_model_is_named(tmp_path):
    make_project(tmp_path)
    home = tmp_path / "project/models/tiny"
    (home / "text_encoder/model.safetensors").unlink()

    with pytest.raises(ModelError, match=r"text encoder in .*tiny can't be loaded"):
        TextEncoder(home, "fp32", CPU)


def test_cut_weights_are_named(tmp_path):
    make_project(tmp_path)
    weights = tmp_path / "project/models/tiny/text_encoder/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])

    with pytest.raises(ModelError, match=r"text encoder in .*tiny can't be loaded"):
        TextEncoder(tmp_path / "project/models/tiny", "fp32", CPU)
