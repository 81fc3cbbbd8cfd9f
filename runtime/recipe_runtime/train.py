"""Stage ``train``: makes everything that the loop uses, goes on from the latest checkpoint, and runs the loop."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import torch
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from torch import Tensor

from recipe_runtime import checkpoint, resume
from recipe_runtime.batches import BatchMaker
from recipe_runtime.build import build_model, splits_weights
from recipe_runtime.context import Context
from recipe_runtime.course import Course
from recipe_runtime.crepa import Alignment, FeatureReader, Projector
from recipe_runtime.dropout import count_dropout
from recipe_runtime.ema import WeightAverage
from recipe_runtime.encode_features import feature_index, has_teacher
from recipe_runtime.encode_text import text_index
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import PlanRefused, RunError
from recipe_runtime.evaluate import Evaluator
from recipe_runtime.loop import train
from recipe_runtime.masks import check_masks
from recipe_runtime.models.compiled import GRAPHS
from recipe_runtime.models.frozen import QUANTO
from recipe_runtime.models.teacher import teacher_width
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.optim import KINDS, build_optimizer, store_weights
from recipe_runtime.peers import assembled
from recipe_runtime.planned_clips import any_missing, planned_clips
from recipe_runtime.probe import probe
from recipe_runtime.release import GradientRelease
from recipe_runtime.sharding import Shards, is_sharded
from recipe_runtime.stage import report_stage
from recipe_runtime.state import TrainState
from recipe_runtime.stop import StopRequested
from recipe_runtime.team import ALONE, Team
from recipe_runtime.validate import draw_clips
from recipe_runtime.whole import whole_state
from recipe_schema.events import Resumed, Warned
from recipe_schema.optimizers import ELEMENTWISE
from recipe_schema.recipe import Settings
from recipe_schema.sections.hardware import processes_of


def run(ctx: Context, stop: StopRequested) -> None:
    """Train to the plan's last step, and draw the validation clips on the way.

    Raises:
        StoppedBySignal: Someone asked the run to stop; the state is saved.
        RunError: Training could not go on, or it is done and a validation clip could not be drawn.
    """
    last = ctx.plan.body.schedule.max_steps
    planned_clips(ctx, last)  # two prompts with one file name are an error now, and not hours from now
    checkpoint.sweep(ctx.run_dir)
    found = resume.find(ctx, warn=lambda message: ctx.recorder.emit(Warned(message=message)))
    done = 0 if found is None else found.step
    if ctx.settings.checkpoints.resume.isdecimal():
        _leave_other_branch(ctx, done)
    failures: tuple[str, ...] = ()
    with report_stage(ctx.recorder, "train", total=last, reused=done, unit="steps", stop=stop):
        if done < last or any_missing(ctx, last):
            with matrix_products(tf32=ctx.settings.hardware.tf32):
                failures = _train(ctx, found, stop)
    if failures:
        raise RunError(
            f"training is done, but {len(failures)} validation clip{'s' * (len(failures) != 1)} could not be drawn ({failures[0]}); correct the "
            "cause and run the same command again: it draws them and goes on"
        )


def _leave_other_branch(ctx: Context, step: int) -> None:
    """Set aside what earlier plans of the run have trained beyond a step that it goes back to."""
    for folder in checkpoint.set_aside(ctx.run_dir, after=step, plan_id=ctx.plan.plan_id):
        message = f"the run goes back to step {step} with another plan; the checkpoint behind it was moved to {folder}"
        ctx.recorder.emit(Warned(message=message))


def build_state(ctx: Context, team: Team = ALONE, split: Mapping[str, Tensor] | None = None) -> TrainState:
    """Make the state of a training that begins: the model as it is published, and no memory of gradients.

    Args:
        ctx: The run.
        team: The processes, if they have met. Weights that are spread have to be made by all of them at once.
        split: See `recipe_runtime.build.build_model`.

    Raises:
        PlanRefused: The settings contradict each other.
    """
    settings = ctx.settings
    if settings.optimizer.release_gradients and processes_of(settings.launch) > 1:
        raise PlanRefused(
            "`optimizer.release_gradients` updates each weight at once, and several processes add up their gradients "
            "first; set `launch.processes: 1`, or leave it out"
        )
    sharded = is_sharded(settings, team)
    if sharded:
        _check_sharding(settings)
    model = build_model(replace(ctx, device=torch.device("cpu")) if sharded else ctx, split)
    begun = None
    if splits_weights(ctx):
        begun = {name: parameter.detach().clone() for name, parameter in trained_parameters(model).items()}
    store_weights(model, settings)
    shards = None
    if sharded:  # from main memory, so that no device ever holds all of it
        shared = trained_parameters(model).values() if begun is None else [*begun.values(), *model.parameters()]
        team.share_weights([tensor.detach() for tensor in shared])
        shards = Shards(model, team, ctx.device)
        begun = None if begun is None else shards.sliced({"split": begun})["split"]
    weights = trained_parameters(model) if shards is None else shards.weights
    average = WeightAverage(model, settings.ema, weights) if settings.ema.enabled else None
    alignment = None
    if settings.regularizers.crepa.enabled:
        alignment = _alignment(ctx, model, _averaged(average, shards))
    trained = [*weights.values(), *(() if alignment is None else alignment.parameters().values())]
    optimizer = build_optimizer(trained, settings.optimizer, seed=settings.train.seed)
    state = TrainState(
        model=model,
        optimizer=optimizer,
        average=average,
        step=0,
        group_memory=KINDS[settings.optimizer.name].group_memory,
        release=GradientRelease(optimizer, settings.train) if settings.optimizer.release_gradients else None,
        averages=settings.optimizer.name == "schedule-free",
        alignment=alignment,
        split=begun,
        team=team,
        shards=shards,
    )
    if settings.model.type == "lora" and settings.model.lora.dropout > 0:
        count_dropout(state, seed=settings.train.seed, first=ctx.rank * settings.train.gradient_accumulation_steps)
    return state


def _check_sharding(settings: Settings) -> None:
    """Check that slices can be trained.

    Raises:
        PlanRefused: Something needs whole weights.
    """
    needs = {
        f"optimizer.name: {settings.optimizer.name}": settings.optimizer.name not in ELEMENTWISE,
        "memory.group_offload.enabled": settings.memory.group_offload.enabled,
        f"model.base_model_precision: {settings.model.base_model_precision}": (
            settings.model.type == "lora" and settings.model.base_model_precision in QUANTO
        ),
        f"hardware.compile: {settings.hardware.compile}": settings.hardware.compile in GRAPHS,
    }
    found = [name for name, wanted in needs.items() if wanted]
    if found:
        raise PlanRefused(
            f"`launch.strategy: fsdp2` trains slices of weights, and `{found[0]}` needs whole ones; set "
            "`launch.strategy: ddp`, or change that"
        )


Averaged = Callable[[], AbstractContextManager[None]]
"""Puts the average of the weights into the model, and these back afterwards."""


def _averaged(average: WeightAverage | None, shards: Shards | None) -> Averaged | None:
    if average is None or shards is None:
        return None if average is None else average.swapped
    return lambda: shards.replaced(average.state())


def _alignment(ctx: Context, model: SanaVideoTransformer3DModel, averaged: Averaged | None) -> Alignment:
    """Make what aligns features with the teacher's, or with those of a deeper block, perhaps of the average."""
    width: int = model.config["num_attention_heads"] * model.config["attention_head_dim"]
    projector = Projector(width, teacher_width(ctx) if has_teacher(ctx) else width, seed=ctx.settings.train.seed)
    return Alignment(
        model,
        ctx.settings.regularizers.crepa,
        projector=projector.to(ctx.device),
        patch=ctx.facts["patch_size"],
        max_steps=ctx.plan.body.schedule.max_steps,
        averaged=averaged,
    )


def batch_maker(ctx: Context, alignment: Alignment | None) -> BatchMaker:
    """Make what feeds a run's steps. Its texts and clips have to be encoded.

    Args:
        ctx: The run.
        alignment: Says which steps need a teacher's features.
    """
    features = None
    if alignment is not None and has_teacher(ctx):
        features = FeatureReader(alignment, ctx.store, feature_index(ctx))
    return BatchMaker(ctx, Course(ctx), latents=latent_index(ctx), texts=text_index(ctx), features=features)


@contextmanager
def matrix_products(*, tf32: bool) -> Iterator[None]:
    """Let fp32 matrices be multiplied in TF32 on CUDA, if that is asked for."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _train(ctx: Context, found: checkpoint.Checkpoint | None, stop: StopRequested) -> tuple[str, ...]:
    check_masks(ctx)
    last = ctx.plan.body.schedule.max_steps
    folder = None if found is None else found.folder
    size = processes_of(ctx.settings.launch) if found is None or found.step < last else 1
    if size == 1 or ctx.settings.launch.strategy == "ddp":
        state = _built(ctx, ALONE, found)
        with assembled(ctx, folder, size=size) as team:
            state.team = team
            team.share_weights([parameter.detach() for parameter in state.optimized().values()])
            return _train_and_look(ctx, state, stop)
    with assembled(ctx, folder, size=size) as team:
        state = _built(ctx, team, found)
        return _train_and_look(ctx, state, stop)


def _built(ctx: Context, team: Team, found: checkpoint.Checkpoint | None) -> TrainState:
    """Make the state of training, and take over a checkpoint, if there is one."""
    state = build_state(ctx, team, checkpoint.split_of(found))
    if found is None:
        return state
    found.load(state)
    state.begun_from, state.gone_back = found.begun_from, found.gone_back
    own = found.folder.is_relative_to(ctx.run_dir)
    path = found.folder.relative_to(ctx.run_dir) if own else found.folder
    ctx.recorder.emit(Resumed(step=found.step, path=path.as_posix()))
    return state


def _train_and_look(ctx: Context, state: TrainState, stop: StopRequested) -> tuple[str, ...]:
    """Train, and measure and draw clips on the way."""
    texts = text_index(ctx)
    latents = latent_index(ctx)
    batches = batch_maker(ctx, state.alignment)
    evaluator = Evaluator(ctx, latents=latents, texts=texts)

    def measure() -> None:
        if evaluator.is_due(state.step):
            state.team.give("measure")
            evaluator.measure(whole_state(ctx, state))

    def draw() -> tuple[str, ...]:
        if not any_missing(ctx, state.step):
            return ()
        state.team.give("draw")
        return draw_clips(ctx, whole_state(ctx, state), texts, stop)

    if ctx.settings.memory.probe_largest_bucket:
        probe(ctx, state, batches)
    return train(ctx, state, batches, measure=measure, draw=draw, stop=stop)
