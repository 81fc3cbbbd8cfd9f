"""Estimate: what the plan will cost, from closed formulas. Nothing is run.

Counts follow from the layers of `SanaVideoTransformer3DModel` in diffusers 0.42; they agree with torch's FLOP counter
and with a tracker of fake tensors at 832x480x81 (2 FLOPs for each multiply-add). The memory model was compared with
that tracker, not with a GPU: add 1 to 2 GB for the CUDA context and workspaces.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from recipe_compiler.data.course import micro_batches
from recipe_compiler.passes.alignment_cost import alignment_memory, feature_bytes, projector_parameters, teacher_flop
from recipe_compiler.passes.drawing_cost import clips_at_once, passes_of_clip, rounds, times_drawn, tokens_of_clip
from recipe_compiler.passes.extra_passes import extra_passes, two_levels
from recipe_compiler.passes.first_frame_cost import first_frame_memory
from recipe_compiler.passes.layers import adaptable_layers, adapted, adapter_parameters, lokr_parameters
from recipe_schema.family import FamilyFacts
from recipe_schema.optimizers import STORAGE
from recipe_schema.plan import Bucket, Schedule
from recipe_schema.shards import NOTED


FP32 = 4
BF16 = 2
TEXT_TOKENS = 300
_QUANTIZED_BYTES = {
    "int8-quanto": 1.0,
    "fp8-quanto": 1.0,
    "int4-quanto": 0.5 + 4 / 128,
    "int2-quanto": 0.25 + 4 / 128,
    "int8-torchao": 1.0,
    "fp8-torchao": 1.0,
    "int4-torchao": 0.5 + 5 / 112,
}
"""Bytes of a weight of the blocks. Depth-wise filters, which torchao's formats leave as they are, are a thousandth."""


MERGE, TO_DISK = "model.lora.merge", "memory.group_offload.to_disk_path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The cost of a plan.

    Attributes:
        trained_parameters: Weights that are trained.
        forward_tflop: One forward pass of one sample of the largest bucket.
        step_tflop: One optimizer step in the largest bucket.
        train_pflop: All of training, the mean over buckets.
        draw_pflop: Drawing validation clips, all of them.
        draw_share: The part of the time of training and drawing that goes into it. Processes share clips.
        encode_pflop: Encoding every window of every clip once with the VAE, and with a teacher where features are aligned.
        memory_gb: Peak on the training device, in the largest bucket: that whose micro-batch has most tokens.
        memory_parts_gb: Its parts.
        main_memory_gb: What the first process holds in main memory at the most, beside that and its libraries.
        main_memory_parts_gb: Its parts; none where nothing of size waits there.
        latents_gb: Latents on disk.
        features_gb: A teacher's features on disk, where features are aligned.
        checkpoints_gb: All checkpoints that are kept, and one being written.
        export_gb: The exported pipeline.
        largest_bucket: Where the peak is.
    """

    trained_parameters: int
    forward_tflop: float
    step_tflop: float
    train_pflop: float
    draw_pflop: float
    draw_share: float
    encode_pflop: float
    memory_gb: float
    memory_parts_gb: Mapping[str, float]
    main_memory_gb: float
    main_memory_parts_gb: Mapping[str, float]
    latents_gb: float
    features_gb: float
    checkpoints_gb: float
    export_gb: float
    largest_bucket: str


def estimate(
    values: Mapping[str, Any],
    family: FamilyFacts,
    buckets: tuple[Bucket, ...],
    schedule: Schedule,
    windows: Mapping[str, int],
) -> dict[str, Any]:
    """Estimate a plan.

    Args:
        values: Resolved settings by path.
        family: The model family.
        buckets: Buckets that hold clips; at least one.
        schedule: How long training lasts.
        windows: Windows of the clips of each bucket, all of which are encoded, by the bucket's name.

    Returns:
        The fields of `Estimate`, rounded for people.
    """
    config = family.transformer(values["model.random_weights"])
    largest = max(buckets, key=lambda b: (_batch(values, b) * family.tokens(b.width, b.height, b.frames), b.name))
    adapter = adapter_of(values, config)
    parts, waiting = peak_parts(values, family, largest), main_memory_parts(values, config)
    work = _work(values, family, buckets, largest, schedule)
    result = Estimate(
        trained_parameters=transformer_parameters(config) if adapter is None else adapter.parameters,
        forward_tflop=work.forward / 1e12,
        step_tflop=work.step / 1e12,
        train_pflop=work.training / 1e15,
        draw_pflop=work.drawing / 1e15,
        draw_share=work.draw_share,
        encode_pflop=_encode_flop(values, family, buckets, windows) / 1e15,
        memory_gb=sum(parts.values()),
        memory_parts_gb=parts,
        main_memory_gb=sum(waiting.values()),
        main_memory_parts_gb=waiting,
        latents_gb=sum(windows[b.name] * latent_bytes(family, b, values["model.random_weights"]) for b in buckets)
        / 1e9,
        features_gb=sum(windows[b.name] * feature_bytes(values, family, b) for b in buckets) / 1e9,
        checkpoints_gb=_checkpoints_bytes(values, config, schedule) / 1e9,
        export_gb=_export_bytes(values, family, config, adapter) / 1e9,
        largest_bucket=largest.name,
    )
    return {name: _rounded(value) for name, value in asdict(result).items()}


class _Work(NamedTuple):
    """FLOPs: of a forward pass and a step in the largest bucket, of all training, of all clips that are drawn."""

    forward: float
    step: float
    training: float
    drawing: float
    draw_share: float


def _work(
    values: Mapping[str, Any], family: FamilyFacts, buckets: tuple[Bucket, ...], largest: Bucket, schedule: Schedule
) -> _Work:
    """Count the work of training and drawing."""
    config = family.transformer(values["model.random_weights"])
    forward = {b.name: forward_flop(config, family.tokens(b.width, b.height, b.frames)) for b in buckets}
    passes = {b.name: _passes({**values, "train.batch_size": _batch(values, b)}, config, schedule) for b in buckets}
    samples = sum(b.samples for b in buckets)
    of_a_sample = sum(forward[b.name] * passes[b.name] * b.samples for b in buckets) / samples
    training = of_a_sample * schedule.samples_per_step * schedule.max_steps
    clip = forward_flop(config, tokens_of_clip(values, family)) * passes_of_clip(values)
    times = times_drawn(values, schedule) if clips_at_once(values) else 0
    together = times * rounds(values) * clip  # processes share clips
    return _Work(
        forward=forward[largest.name],
        step=forward[largest.name] * passes[largest.name] * _batch(values, largest) * micro_batches(values),
        training=training,
        drawing=times * clips_at_once(values) * clip,
        draw_share=together / (together + training / processes_of_plan(values)),
    )


def _batch(values: Mapping[str, Any], bucket: Bucket) -> int:
    return int(bucket.batch_size or values["train.batch_size"])


def _passes(values: Mapping[str, Any], config: Mapping[str, Any], schedule: Schedule) -> float:
    """Count what a step of a sample takes, in forward passes. A backward pass is two, and one through frozen weights one."""
    through = 3 if adapter_of(values, config) is None else 2
    again = recomputed_blocks(values, config) / config["num_layers"]
    return float(through + again + extra_passes(values, schedule.max_steps))


def _encode_flop(
    values: Mapping[str, Any], family: FamilyFacts, buckets: tuple[Bucket, ...], windows: Mapping[str, int]
) -> float:
    if values["model.random_weights"] is not None:  # of a small VAE
        return 0.0
    return sum((vae_encode_flop(b) + teacher_flop(values, family, b)) * windows[b.name] for b in buckets)


def _checkpoints_bytes(values: Mapping[str, Any], config: Mapping[str, Any], schedule: Schedule) -> float:
    steps_per_epoch = schedule.samples_per_epoch / schedule.samples_per_step
    return checkpoint_bytes(values, config) * checkpoint_count(values, schedule.max_steps, steps_per_epoch)


def processes_of_plan(values: Mapping[str, Any]) -> int:
    """Count the processes that train together."""
    return int(values["launch.processes"] * values["launch.machines"])


def checkpoint_count(values: Mapping[str, Any], max_steps: int, steps_per_epoch: float | None = None) -> int:
    """Count the checkpoints that lie on the disk at once: those that are kept, and one that is being written.

    Args:
        values: Settings by path.
        max_steps: Optimizer steps.
        steps_per_epoch: None if nobody looked at the data; checkpoints of epochs are then not counted.
    """
    saves = -(-max_steps // int(values["checkpoints.step_interval"]))
    if values["checkpoints.epoch_interval"] is not None and steps_per_epoch is not None:
        saves += int(max_steps / (values["checkpoints.epoch_interval"] * steps_per_epoch))
    limit: int | None = values["checkpoints.total_limit"]
    rolling = 0
    if values["checkpoints.rolling_steps"] is not None:
        rolling = min(
            int(values["checkpoints.rolling_total_limit"]), max_steps // int(values["checkpoints.rolling_steps"])
        )
    return rolling + (saves if limit is None else min(saves, limit + 1))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _width(config: Mapping[str, Any]) -> int:
    return int(config["num_attention_heads"] * config["attention_head_dim"])


def transformer_parameters(config: Mapping[str, Any]) -> int:
    """Count the weights of the transformer.

    With width D, hidden width h = ratio × D and caption width c, a block has self-attention 4D² + 3D, cross-attention
    4D² + 6D, feed-forward 2hD + 2h + 18h + 2h + hD + 3D² and a table of 6D; patch embedding, time embedding, caption
    projection, norm, output table and output layer come once.
    """
    d, c, channels = _width(config), config["caption_channels"], config["in_channels"]
    patch = config["patch_size"][0] * config["patch_size"][1] * config["patch_size"][2]
    h = int(config["mlp_ratio"] * d)
    block = (4 * d * d + 3 * d) + (4 * d * d + 6 * d) + (2 * h * d + 2 * h + 18 * h + 2 * h + h * d + 3 * d * d) + 6 * d
    once = (channels * patch * d + d) + (256 * d + 7 * d * d + 8 * d) + (c * d + d * d + 2 * d) + d + 2 * d
    return int(config["num_layers"] * block + once + patch * config["out_channels"] * (d + 1))


def bias_parameters(config: Mapping[str, Any]) -> int:
    """Count the biases of the transformer.

    A block has one of width D in self-attention, four in cross-attention, and two of 2h in its feed-forward; patch embedding
    D, time embedding 8D, caption projection 2D and the output layer come once.
    """
    d = _width(config)
    patch = config["patch_size"][0] * config["patch_size"][1] * config["patch_size"][2]
    block = 5 * d + 4 * int(config["mlp_ratio"] * d)
    return int(config["num_layers"] * block + 11 * d + patch * config["out_channels"])


def forward_flop(config: Mapping[str, Any], tokens: int) -> float:
    """Count the FLOPs of one forward pass of one sample, embeddings left out.

    Per layer with N tokens and L text tokens: self-attention 8ND² + 4N·D·e + 2ND (e the head width), cross-attention
    4ND² + 4LD² + 4NLD, feed-forward 4NDh + 36Nh + 2NDh + 6ND².
    """
    d, n, length = _width(config), tokens, TEXT_TOKENS
    h = config["mlp_ratio"] * d
    own = 8 * n * d * d + 4 * n * d * config["attention_head_dim"] + 2 * n * d
    cross = 4 * n * d * d + 4 * length * d * d + 4 * n * length * d
    feed = 4 * n * d * h + 36 * n * h + 2 * n * d * h + 6 * n * d * d
    return float(config["num_layers"] * (own + cross + feed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What the cost follows from where weights are frozen: an adapter beside them, or biases alone that are trained.

    Attributes:
        parameters: The weights that are trained.
        inputs: Channels that come into its layers, summed over a block, in widths of the model.
        widest: The most that come into one of them, likewise.
        copies: Whether each layer computes with a copy of its input of its own, as dropout and DoRA do.
        changes: Weights of a block whose change is made whole in each pass, as LoKr does.
    """

    parameters: int
    inputs: float
    widest: float
    copies: bool
    changes: int = 0


def adapter_of(values: Mapping[str, Any], config: Mapping[str, Any]) -> Adapter | None:
    """Describe what is trained beside frozen weights; None where all weights are."""
    if values["model.type"] == "full":
        if values["train.layer_freeze_strategy"] == "none":
            return None
        # Biases of the time embedding want gradients of all gates and scales: as much as ten adapted inputs, 7 U.
        return Adapter(parameters=bias_parameters(config), inputs=10.0, widest=0.0, copies=False)
    form, rank, dora = values["model.lora.type"], values["model.lora.rank"], values["model.lora.use_dora"]
    layers = adapted(adaptable_layers(config, form), values["model.lora.target_modules"])
    widths = [layer.inputs / _width(config) for layer in layers if layer.in_block]
    return Adapter(
        parameters=lokr_parameters(layers, rank=rank, factor=values["model.lora.lokr_factor"])
        if form == "lokr"
        else adapter_parameters(layers, rank=rank, dora=dora),
        inputs=sum(widths) / config["num_layers"],
        widest=max(widths, default=0.0),
        copies=dora or values["model.lora.dropout"] > 0,
        changes=sum(layer.weights for layer in layers if layer.in_block) // config["num_layers"]
        if form == "lokr"
        else 0,
    )


def splits_weights(values: Mapping[str, Any]) -> bool:
    """Say whether the adapter begins with a part of the weights, which each checkpoint keeps."""
    return values["model.type"] == "lora" and values["model.lora.init"] in ("pissa", "olora")


def export_parameters(values: Mapping[str, Any], config: Mapping[str, Any], adapter: Adapter | None) -> int:
    """Count the weights of the export: a whole transformer, or an adapter, of twice the rank where weights were split."""
    if adapter is None or values["model.type"] == "full":
        return transformer_parameters(config)
    return adapter.parameters * (2 if splits_weights(values) else 1)


def _export_bytes(
    values: Mapping[str, Any], family: FamilyFacts, config: Mapping[str, Any], adapter: Adapter | None
) -> float:
    """Bytes of the export: with all weights or merged ones, text encoder and VAE lie beside them."""
    sizes, full = family.raw["parameters"], values["model.random_weights"] is None
    others = sizes["text_encoder"] * BF16 + sizes["vae"] * FP32 if full else 0
    trained = export_parameters(values, config, adapter) * FP32
    if adapter is not None and values[MERGE]:
        trained += transformer_parameters(config) * FP32 + others
    return float(trained + (others if values["model.type"] == "full" else 0))


def recomputed_blocks(values: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """Count the blocks that the backward pass computes again."""
    if not values["memory.gradient_checkpointing"]:
        return 0
    return int(-(-config["num_layers"] // values["memory.gradient_checkpointing_interval"]))


def base_bytes(values: Mapping[str, Any], config: Mapping[str, Any]) -> float:
    """Count the bytes of the transformer's weights that are on the device at once.

    Frozen ones are stored in bf16 by bf16 training, and quantization stores those of blocks in fewer bits: with 4 or 2
    bits every 128 weights share a scale and a shift of 2 bytes each, in torchao's format every 112 share 5 bytes. Of
    offloaded blocks one group is there, and the next one too where a stream fetches it ahead.
    """
    parameters = transformer_parameters(config)
    if values["model.type"] == "full" and values["train.layer_freeze_strategy"] == "none":
        return parameters * STORAGE[values["optimizer.name"]].weight
    plain = BF16 if values["train.mixed_precision"] == "bf16" else FP32
    each = _QUANTIZED_BYTES.get(values["model.base_model_precision"], plain)
    layers = config["num_layers"]
    block = (parameters - transformer_parameters({**config, "num_layers": 0})) / layers
    there = float(layers)
    if values["memory.group_offload.enabled"]:
        leaves = values["memory.group_offload.type"] == "leaf_level"
        # The largest layer of a block is the first convolution of its feed-forward, a fifth to a quarter of it.
        group = 0.25 if leaves else min(values["memory.group_offload.blocks_per_group"], layers)
        there = min(group * (1 + int(values["memory.group_offload.use_stream"])), there)
    return float(there * block * each + (parameters - layers * block) * plain)


def vae_encode_flop(bucket: Bucket) -> float:
    """FLOPs of encoding one clip with the Wan VAE: 163.75 TFLOP at 832x480x81, in proportion to latent frames."""
    latent_frames = (bucket.frames - 1) // 4 + 1
    return 163.75e12 * bucket.width * bucket.height * latent_frames / (832 * 480 * 21)


def optimizer_bytes(name: str, config: Mapping[str, Any], adapter: Adapter | None = None) -> float:
    """Bytes of an optimizer's memory of gradients, without the gradients themselves.

    A factored memory keeps rows and columns of the last two axes. With the names of `transformer_parameters`, that is
    2D for each of the eight D×D matrices of a block, 12h for the depth-wise layer, and more than one value for each weight of
    the convolutions of width one: 6hD for the feed-forward, 4D² for its layer over time. Vectors (8h + 9D in a block) are
    kept whole.
    """
    storage, d = STORAGE[name], _width(config)
    if adapter is not None:  # of its matrices one side is the rank, so that factors are a small share
        return storage.full * adapter.parameters
    whole = storage.full * transformer_parameters(config)
    if not storage.factored:
        return whole
    h = int(config["mlp_ratio"] * d)
    factors = 8 * 2 * d + 12 * h + 6 * h * d + 4 * d * d
    layers: int = config["num_layers"]
    return whole + FP32 * layers * (storage.factored * factors + 8 * h + 9 * d)


def checkpoint_bytes(values: Mapping[str, Any], config: Mapping[str, Any]) -> float:
    """Bytes of a checkpoint: weights, the optimizer's memory, and the averages that are kept."""
    name: str = values["optimizer.name"]
    averages = int(values["ema.enabled"]) + int(name == "schedule-free")
    adapter = adapter_of(values, config)
    parameters = transformer_parameters(config) if adapter is None else adapter.parameters
    projector = projector_parameters(values, _width(config)) * (FP32 + STORAGE[name].full)
    averages += int(splits_weights(values))
    return parameters * (STORAGE[name].weight + FP32 * averages) + optimizer_bytes(name, config, adapter) + projector


def main_memory_parts(values: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, float]:
    """Return what waits in the first process's main memory, in GB: by what it is, without what is nothing.

    A checkpoint is there while it is written in the background, and where slices of weights are put together for it. With
    slices the whole model was there before it was cut, and if that is more it counts instead.
    """
    adapter, slices = adapter_of(values, config), sharded_over(values)
    parameters = transformer_parameters(config) if adapter is None else adapter.parameters
    parts = {}
    if values["ema.enabled"] and values["ema.device"] == "cpu":
        parts["ema"] = parameters * FP32 / slices
    if adapter is not None and values["memory.group_offload.enabled"] and not values[TO_DISK]:
        plain = {**values, "memory.group_offload.enabled": False}
        parts["offloaded weights"] = base_bytes(plain, config) - base_bytes(values, config)
    checkpoint = 0.0
    if values["checkpoints.background"] or (slices > 1 and values["checkpoints.layout"] == "whole"):
        checkpoint = checkpoint_bytes(values, config)
    whole = transformer_parameters(config) * FP32
    if slices > 1 and whole > checkpoint:
        parts["whole weights"] = whole
    elif checkpoint:
        parts["checkpoint"] = checkpoint
    return {name: size / 1e9 for name, size in parts.items()}


def peak_parts(values: Mapping[str, Any], family: FamilyFacts, bucket: Bucket) -> dict[str, float]:
    """Return the parts of the peak memory of a step of a bucket, in GB."""
    config = family.transformer(values["model.random_weights"])
    tokens = family.tokens(bucket.width, bucket.height, bucket.frames)
    frames = family.latent_shape(bucket.width, bucket.height, bucket.frames)[1]
    at_once = {**values, "train.batch_size": bucket.batch_size or values["train.batch_size"]}
    parts = memory_parts(at_once, config, tokens, each_timestep=two_levels(values))
    if aligned := alignment_memory(at_once, _width(config), tokens, frames):
        parts["alignment"] = aligned / 1e9
    if told := first_frame_memory(at_once, config, frames):
        parts["first frame"] = told / 1e9
    return parts


def memory_parts(
    values: Mapping[str, Any], config: Mapping[str, Any], tokens: int, *, each_timestep: bool = False
) -> dict[str, float]:
    """Return the parts of the peak memory of a step, in GB.

    Unit of activations: U = batch × tokens × D × 2 bytes. A block saves (45.5 + 8r) U under bf16 autocast and
    (50.1 + 16r) U in fp32, r the ratio of the feed-forward; with checkpointing only its input (2 U) is kept, and one
    block is live at a time. With an adapter the inputs of frozen layers are not kept: (29.7 + 8r) U and (30.6 + 16r) U,
    and 0.7 U for each adapted input of width D, 2.2 U with dropout or DoRA. LoKr also keeps the change of each
    weight, as large as the weight, in the precision that computes. Where each token is told its own timestep
    (``each_timestep``), a block saves 16 U more, and what is before and after all blocks 7 U, or 12 U in fp32. With
    `fsdp2` all but activations is cut into as many slices as there are processes; two blocks and what is no block are
    whole besides.
    """
    adapter = adapter_of(values, config)
    parameters = transformer_parameters(config) if adapter is None else adapter.parameters
    autocast = values["train.mixed_precision"] == "bf16"
    unit = values["train.batch_size"] * tokens * _width(config) * BF16
    ratio, layers = config["mlp_ratio"], config["num_layers"]
    if adapter is None:
        block = 45.5 + 8 * ratio if autocast else 50.1 + 16 * ratio
        ends = 2.0 + 5.0 if autocast else 6.4 + 4.8
    else:
        block = (29.7 + 8 * ratio if autocast else 30.6 + 16 * ratio) + (
            2.2 if adapter.copies else 0.7
        ) * adapter.inputs
        ends = (2.0 if autocast else 7.5) + 2.7 * adapter.widest
    if each_timestep:
        block, ends = block + 16.0, ends + (7.0 if autocast else 12.0)
    stored = STORAGE[values["optimizer.name"]].weight
    gradients = parameters * stored
    if values["optimizer.release_gradients"]:  # of the largest weight alone
        largest = parameters if adapter is not None else int(2 * ratio * _width(config) ** 2)
        gradients = largest * stored
    changes = 0 if adapter is None else adapter.changes * (BF16 if autocast else FP32)
    averages = parameters * FP32 * int(values["ema.enabled"])
    again = recomputed_blocks(values, config)
    if again:
        in_backward = (again * 2 + (layers - again + 1) * block + ends) * unit
        activations = max(in_backward, gradients + (block + 2 + 2.7) * unit) - gradients
        activations += (layers - again + 1) * changes
    else:
        activations = (layers * block + ends) * unit + layers * changes
    weights = base_bytes(values, config) + (0 if adapter is None else parameters * stored)
    slices = sharded_over(values)
    gathered = 0.0
    if slices > 1:  # two blocks are whole at a time: the one at work and the next, or one and its gradients
        ends = transformer_parameters({**config, "num_layers": 0}) / transformer_parameters(config)
        gathered = weights * (2 * (1 - ends) / layers + ends)
        gathered += parameters * stored / slices if each_timestep else 0  # while their average teaches, slices wait
    return {
        "weights": (weights / slices + gathered) / 1e9,
        "gradients": gradients / slices / 1e9,
        "optimizer": optimizer_bytes(values["optimizer.name"], config, adapter) / slices / 1e9,
        "ema": averages / slices * int(values["ema.device"] == "accelerator") / 1e9,
        "activations": max(activations, 0.0) / 1e9,
    }


def sharded_over(values: Mapping[str, Any]) -> int:
    """Count the processes over which weights, gradients, moments and average are spread."""
    return processes_of_plan(values) if values["launch.strategy"] == "fsdp2" else 1


def latent_bytes(family: FamilyFacts, bucket: Bucket, preset: str | None) -> int:
    """Bytes of one clip's latents in the store, in fp32, and of what is noted of them.

    Args:
        family: The family.
        bucket: The clip's.
        preset: The value of ``model.random_weights``.
    """
    return math.prod(family.latent_shape(bucket.width, bucket.height, bucket.frames, preset)) * FP32 + NOTED
