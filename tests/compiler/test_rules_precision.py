"""Rules about how weights are stored, how an adapter begins, what is frozen, and what is compiled."""

import pytest

from fakes_clips import RECIPE
from fakes_machine import machine
from recipe_compiler.pipeline import Options, compile_recipe


LORA = "model.type=lora"
LOKR = (LORA, "model.lora.type=lokr")
WHOLE = machine(packages={"torchao": "0.18.0", "bitsandbytes": "0.50.2"})


@pytest.fixture
def found(tmp_path):
    """Return a function that gives what rules find with settings changed, on a machine that has both packages."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    (tmp_path / "clips").mkdir()

    def look(*overrides: str, having=WHOLE, starts_here=False):
        options = Options(overrides=overrides, look_at_data=False, machine=having, starts_here=starts_here)
        return list(compile_recipe(recipe, options).found)

    return look


def only(found, code: str, *overrides: str, **more):
    (finding,) = found(*overrides, **more)
    assert finding.code == code
    return finding


@pytest.mark.parametrize("precision", ["int8-torchao", "fp8-torchao", "int4-torchao"])
def test_formats_of_torchao_need_their_package_for_what_is_frozen(found, precision):
    base, encoder = f"model.base_model_precision={precision}", f"model.text_encoder_precision={precision}"
    bare = machine()

    finding = only(found, "R218", LORA, base, having=bare)

    assert finding.severity == "warning"
    assert finding.message == f"`{precision}` needs the package torchao, which is not installed on this machine"
    assert "'sana-recipes[torchao]'" in finding.help
    assert only(found, "R218", LORA, base, having=bare, starts_here=True).severity == "error"
    assert len(found(LORA, base, encoder, having=bare)) == 2
    assert only(found, "R207", base, having=bare)
    assert found(LORA, base, encoder) == []


def test_moments_in_8_bits_need_their_package(found):
    finding = only(found, "R218", "optimizer.name=adamw8bit", having=machine())

    assert "package bitsandbytes" in finding.message
    assert "'sana-recipes[8bit]'" in finding.help
    assert found("optimizer.name=adamw8bit") == []
    assert [d.code for d in found("optimizer.name=adamw9bit", having=machine())] == ["R103"]
    finding = only(found, "R218", "optimizer.name=ao-adamw4bit", having=machine(), starts_here=True)
    assert (finding.severity, "package torchao" in finding.message) == ("error", True)
    assert "'sana-recipes[torchao]'" in finding.help
    assert found("optimizer.name=ao-adamw4bit") == []


def test_a_product_has_no_first_half(found):
    finding = only(found, "R219", *LOKR, "model.lora.dropout=0.1")

    assert finding.severity == "error"
    assert "`dropout: 0.1` drops inputs of A" in finding.message
    assert [note.text for note in finding.notes] == ["the form of the adapter"]
    assert "`init: pissa`" in only(found, "R219", *LOKR, "model.lora.init=pissa").message
    assert found(*LOKR, "model.lora.dropout=0", "model.lora.init=default", "model.lora.lokr_factor=-1") == []
    assert found(LORA, "model.lora.dropout=0.1", "model.lora.init=gaussian") == []
    assert {d.code for d in found("model.lora.type=lokr", "model.lora.dropout=0.1")} == {"R208"}
    assert {d.code for d in found(*LOKR, "model.lora.dropout=2", "model.lora.init=none")} == {"R103", "R104"}


def test_the_factor_waits_for_a_product(found):
    assert "`model.lora.type` is standard" in only(found, "R208", LORA, "model.lora.lokr_factor=8").message
    (once,) = found("model.lora.lokr_factor=8")
    assert "`model.type` is full" in once.message


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_a_part_of_the_weights_is_one_beginning(found, init):
    begins = (LORA, f"model.lora.init={init}")

    dora = only(found, "R220", *begins, "model.lora.use_dora=true")

    assert dora.severity == "error"
    assert "whose lengths `use_dora` trains" in dora.message
    assert "and `init_from` with another adapter" in only(found, "R220", *begins, "model.lora.init_from=there").message
    assert found(*begins) == []
    assert found(LORA, "model.lora.init=gaussian", "model.lora.use_dora=true", "model.lora.init_from=there") == []
    assert [d.code for d in found(*begins, "model.lora.use_dora=maybe", "model.lora.init_from=[3]")] == ["R102", "R102"]
    assert {d.code for d in found(*begins, *LOKR, "model.lora.use_dora=true")} == {"R215", "R219"}


def test_biases_belong_to_the_model(found):
    biases = "train.layer_freeze_strategy=bitfit"

    finding = only(found, "R221", LORA, biases)

    assert finding.severity == "error"
    assert [note.text for note in finding.notes] == ["an adapter is trained"]
    assert found(biases) == []
    assert found(LORA, "train.layer_freeze_strategy=none") == []
    assert (
        "trains biases and stores the rest as it is"
        in only(found, "R207", biases, "model.base_model_precision=int8-torchao").message
    )


def test_graphs_are_for_cuda(found):
    graphs = "hardware.compile=reduce-overhead"

    finding = only(found, "R222", graphs, "hardware.device=cpu")

    assert finding.severity == "error"
    assert finding.help == "write `compile: default`"
    assert found(graphs) == []
    assert found(graphs, "hardware.device=cuda") == []
    assert found("hardware.compile=max-autotune", "hardware.device=cpu") == []


def test_a_product_can_have_filters_of_one_channel_and_not_the_patches(found):
    patches = "model.lora.target_modules=[patch_embedding]"

    finding = only(found, "R209", *LOKR, patches)

    assert "a convolution over frames, height and width" in finding.message
    assert found(LORA, patches) == []
    assert found(*LOKR, "model.lora.target_modules=[ff.conv_depth]") == []


def test_what_torchao_packs_takes_dora_and_files(found):
    packed = (LORA, "model.base_model_precision=int4-torchao")
    files = ("memory.group_offload.enabled=true", "memory.group_offload.to_disk_path=there")

    assert found(*packed, "model.lora.use_dora=true") == []
    assert found(*packed, *files) == []
    assert only(found, "R506", LORA, "model.base_model_precision=int8-quanto", *files)
