"""Which model is trained, from which weights, in which precision, and by which adapter."""

from typing import Annotated, Literal

from recipe_schema.marks import Derived, Family, Ge, Gt, Le, Lt, key
from recipe_schema.section import section
from recipe_schema.sections.forms import PathText, Text


Quantization = Literal[
    "no_change",
    "int8-quanto",
    "int4-quanto",
    "int2-quanto",
    "fp8-quanto",
    "int8-torchao",
    "int4-torchao",
    "fp8-torchao",
]
"""How frozen weights are stored. The names are SimpleTuner's: the number format, and the library that does it."""

_OTHER_PRECISIONS = {
    "bf16": "that is no quantization; `train.mixed_precision: bf16` computes in bf16, and `no_change` stores weights as "
    "they are",
    "fp16": "activations of Sana overflow in fp16; leave weights as they are with `no_change`",
    "fp32": "that is no quantization: take `no_change`",
    "no": "not to quantize is spelt `no_change`",
    "none": "not to quantize is spelt `no_change`",
    "int8": "name the library too: `int8-quanto` or `int8-torchao`",
    "int4": "name the library too: `int4-quanto` or `int4-torchao`",
    "fp8": "name the library too: `fp8-quanto` or `fp8-torchao`",
    "nf4-bnb": "bitsandbytes quantizes linear layers only, two fifths of this model; take `int4-quanto`",
}


@section
class Lora:
    """The adapter that is trained when model.type is ``lora``: low-rank changes beside frozen weights."""

    type: Literal["standard", "lokr"] = key(
        "standard",
        "`standard` is LoRA (arXiv:2106.09685); `lokr` factors the change as a Kronecker product (arXiv:2309.14859).",
        reads=("train", "export"),
        aka="lora_type",
        refused={"lycoris": "LyCORIS is a family of adapters: of these, take `lokr`"},
    )
    rank: Annotated[int, Ge(1), Le(1024)] = key(
        16, "Rank of the change of each weight.", reads=("train", "export"), aka="lora_rank"
    )
    alpha: Annotated[float, Gt(0), Le(4096)] = key(
        Derived("the same as model.lora.rank"),
        "The change is scaled by alpha / rank, for both types.",
        reads=("train", "export"),
        aka="lora_alpha",
    )
    dropout: Annotated[float, Ge(0), Lt(1)] = key(
        0.0,
        "Share of the adapter's inputs that a step drops. (SimpleTuner's default is 0.1.)",
        reads=("train",),
        aka="lora_dropout",
    )
    target_modules: tuple[Text, ...] = key(
        Family("lora_targets"),
        "The layers that get an adapter, by the end of their names; `*` stands for any part of a name.",
        reads=("train", "export"),
        aka="peft_lora_target_modules",
    )
    init: Literal["default", "gaussian", "pissa", "olora"] = key(
        "default",
        "How the adapter begins. `default` and `gaussian` begin without a change; `pissa` (arXiv:2404.02948) and `olora` "
        "(arXiv:2406.01775) begin with a part of the weights, taken out of them.",
        reads=("train", "export"),
        aka="lora_init_type",
    )
    init_from: PathText | None = key(
        None,
        "An adapter in diffusers' format to go on from: a folder or a .safetensors file.",
        reads=("train",),
        aka="init_lora",
    )
    use_dora: bool = key(
        False,
        "Train length and direction of weights apart (DoRA, arXiv:2402.09353).",
        reads=("train", "export"),
        aka="use_dora",
    )
    merge: bool = key(
        False,
        "Also export the whole model with the adapter in its weights, as they are published and not quantized: "
        "`export/merged`, which loads without the adapter.",
        impact="runtime",
        reads=("export",),
    )
    lokr_factor: Annotated[int, Ge(-1), Le(1024)] = key(
        16,
        "Sides of the smaller factor, for lokr, where they divide the layer's; -1 makes both factors alike.",
        reads=("train", "export"),
    )


@section
class Model:
    """Which model is trained, and where its weights come from."""

    family: Literal["sana-video-480p"] = key(
        "sana-video-480p",
        "The model family. It brings the facts that the other defaults rest on: frames, sizes, schedule.",
        reads=("survey", "build-model", "encode-text", "encode-video", "train", "validate", "export"),
        aka="model_family",
        refused={"sanavideo": "that is SimpleTuner's name; here it is `sana-video-480p`"},
    )
    type: Literal["full", "lora"] = key(
        "full",
        "What is trained: `full` trains all weights of the transformer, `lora` an adapter, see model.lora.",
        reads=("train", "export"),
        aka="model_type",
    )
    pretrained_model_name_or_path: PathText = key(
        Family("model_id"),
        "Hugging Face id, or a local directory in diffusers format. A relative directory starts at the recipe.",
        reads=("build-model", "encode-text", "encode-video", "train", "validate", "export"),
        aka="pretrained_model_name_or_path",
    )
    revision: str | None = key(
        None,
        "Branch, tag or commit of the Hugging Face repository; null takes its default branch.",
        reads=("encode-text", "encode-video", "train", "validate", "export"),
        aka="revision",
    )
    pretrained_vae_model_name_or_path: PathText = key(
        Derived("the same as model.pretrained_model_name_or_path"),
        "Where the VAE comes from. It has to be the one that the transformer was trained with.",
        reads=("encode-video", "validate", "export"),
        aka="pretrained_vae_model_name_or_path",
    )
    pretrained_transformer_model_name_or_path: PathText = key(
        Derived("the same as model.pretrained_model_name_or_path"),
        "Where the transformer comes from, such as the export of an earlier run.",
        reads=("train", "export"),
        aka="pretrained_transformer_model_name_or_path",
    )
    random_weights: Literal["tiny", "small"] | None = key(
        None,
        "Build a small model of the real classes with random weights in the model directory, if nothing is "
        "there yet. For trying things out: it has learnt nothing. The VAE of `small` is a trained one.",
        reads=("build-model",),
    )
    vae_dtype: Literal["fp32", "bf16"] = key(
        "fp32",
        "Precision of the VAE. The authors encode in fp32.",
        reads=("encode-video", "validate"),
        aka="vae_dtype",
        refused={
            "fp16": "the Wan VAE overflows in fp16; take fp32, as the authors do, or bf16",
            "default": "say which: fp32, as the authors do, or bf16",
        },
    )
    text_encoder_dtype: Literal["fp32", "bf16"] = key(
        "bf16",
        "Precision of the text encoder. The published checkpoint stores it in bf16.",
        reads=("encode-text",),
    )
    instruction: Literal["official", "diffusers", "none"] = key(
        "official",
        "The instruction that is put before each caption: the authors' training text, the wording that "
        "diffusers' pipeline uses by default, or none, for models that learn from nothing. Sampling has to put the same "
        "before prompts.",
        reads=("encode-text", "validate"),
        aka="sana_complex_human_instruction",
    )
    base_model_precision: Quantization = key(
        "no_change",
        "How the transformer's frozen weights are stored while an adapter is trained. Full fine-tuning changes all "
        "weights, so none can be quantized. Those that end in `-torchao` need the extra `torchao`.",
        reads=("train", "validate"),
        aka="base_model_precision",
        refused=_OTHER_PRECISIONS,
    )
    text_encoder_precision: Quantization = key(
        "no_change",
        "How the text encoder's weights are stored. It is only needed while captions are encoded.",
        reads=("encode-text", "validate"),
        aka="text_encoder_1_precision",
        refused=_OTHER_PRECISIONS,
    )
    quantize_via: Literal["cpu", "accelerator"] = key(
        "accelerator",
        "Where weights are quantized: `cpu` needs no memory of the accelerator and is slower.",
        impact="runtime",
        reads=("train",),
        aka="quantize_via",
        refused={"pipeline": "weights are quantized after loading, on the `cpu` or the `accelerator`"},
    )
    lora: Lora
