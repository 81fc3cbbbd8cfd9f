"""What SimpleTuner would really have done with a configuration: as warnings, and as settings that reproduce it."""

from collections.abc import Iterator
from typing import Any

from recipe_compiler.data.geometry import Resolution, target_size
from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.place import How
from recipe_compiler.imports.simpletuner_config import per_update
from recipe_compiler.imports.simpletuner_facts import DEFAULTS, OFFLOAD_NAMES, OPTIMIZER, OPTIMIZERS
from recipe_compiler.imports.simpletuner_options import Options, flat_options
from recipe_compiler.imports.simpletuner_schedule import flattened
from recipe_schema.definition import leaf_index
from recipe_schema.family import load_family
from recipe_schema.marks import Derived, Family


_DEFAULT = "SimpleTuner's default"
_DOES = "what SimpleTuner does"

_ALWAYS = (
    ("train.noise_schedule", "simpletuner", "noise levels are uniform, without a shift"),
    ("data.motion_score", None, "no option gives captions a motion score"),
    ("model.instruction", "diffusers", "the instruction is diffusers' wording"),
)
"""What it does with every configuration of Sana Video."""


def tell_truth(draft: Draft, options: Options, how: How) -> None:
    """Say what SimpleTuner does and the recipe does not; with ``faithful``, write what reproduces it."""
    for number in range(_sets(draft)):
        _tell_size(draft, options, f"data.datasets.{number}", faithful=how.faithful)
    for text in _refused(options):
        draft.warn(text)
    for text in _done(options):
        draft.warn(text + ("" if how.faithful else "; --faithful reproduces it"))
    for text in _never_reproduced(options):
        draft.warn(text)
    _defaults(draft, options, faithful=how.faithful)
    if options.given("num_train_epochs") is None and options.given("max_train_steps") is None:
        draft.add("train.num_epochs", 1, _DEFAULT)
    if how.faithful:
        _reproduce(draft)
    if options.is_on("push_to_hub") and options.given("hub_model_id") is None:
        draft.add("hub.model_id", options.value("tracker_project_name", "simpletuner"), _DOES, "the project's name")


def _reproduce(draft: Draft) -> None:
    """Write what SimpleTuner does in any case."""
    for path, value, reason in _ALWAYS:
        draft.add(path, value, _DOES, reason)
    if draft.value("ema.warmup_steps", 0):
        draft.add("ema.warmup", "none", _DOES, "after a warm-up its memory is long at once")
    if draft.value("regularizers.rollout.max_step_offset", 0):
        draft.add("regularizers.rollout.target", "kept", _DOES)


def _sets(draft: Draft) -> int:
    return len({path.split(".")[2] for path in draft.settings if path.startswith("data.datasets.")})


def _tell_size(draft: Draft, options: Options, table: str, *, faithful: bool) -> None:
    """Say at which size clips of 16:9 are trained there, and that no such clip is drawn."""
    rows = {row.key.partition(".")[2]: row.value for row in draft.rows if row.target.startswith(("data.", table))}
    size = draft.value(f"{table}.resolution", rows.get("resolution", options.value("resolution")))
    kind = draft.value(
        f"{table}.resolution_type", rows.get("resolution_type", options.value("resolution_type", "pixel_area"))
    )
    alignment = int(options.number("aspect_bucket_alignment", 64))
    digits = int(options.number("aspect_bucket_rounding", 2))
    if not (isinstance(size, int | float) and size > 0 and kind in ("pixel", "area", "pixel_area") and alignment > 0):
        return
    width, height = target_size(
        1920, 1080, Resolution(value=size, kind=kind, alignment=alignment, rounding=max(digits, 1))
    )
    drawn = str(options.value("validation_resolution", "256"))
    text = f"of `{draft.value(f'{table}.id')}`, SimpleTuner trains clips of 16:9 at {width}x{height}"
    text += f", and draws them at {drawn}" if drawn != f"{width}x{height}" else ""
    draft.warn(text + ("" if faithful or f"{table}.resolution" in draft.settings else "; --faithful reproduces it"))


def _refused(options: Options) -> Iterator[str]:
    """Yield why SimpleTuner would not have started."""
    if options.number("max_train_steps") > 0 and options.number("num_train_epochs", 1) != 0:
        yield "SimpleTuner refuses max_train_steps without `num_train_epochs: 0`"
    if options.value("base_model_precision") in ("bf16", "fp16", "fp32", "no", "none"):
        yield f"SimpleTuner 4.10 refuses `base_model_precision: {options.value('base_model_precision')}`"
    if any(options.given(name) is not None for name in OFFLOAD_NAMES):
        yield "SimpleTuner 4.10 refuses group offload; 4.8 has it"
    betas = [options.value(f"optimizer_{name}") is not None for name in ("beta1", "beta2")]
    if any(betas) and not all(betas):
        yield "SimpleTuner refuses one of optimizer_beta1 and optimizer_beta2 without the other"
    if options.value("lr_scheduler") == "cosine_with_restarts" and options.number("lr_warmup_steps") <= 0:
        yield "SimpleTuner refuses cosine_with_restarts without lr_warmup_steps"


def _done(options: Options) -> Iterator[str]:
    """Yield what SimpleTuner does otherwise than the recipe, and what can be reproduced."""
    yield "SimpleTuner draws noise levels uniformly, without a shift; the authors' are logit-normal with shift 3"
    yield "SimpleTuner does not resample clips: one of 30 fps is learnt at half its speed"
    yield "SimpleTuner gives captions no motion score, and puts another instruction before them than the authors"
    if options.number("max_grad_norm", 1) == 0 and options.given("grad_clip_method") is not None:
        yield "SimpleTuner clips no gradients with `max_grad_norm: 0`"
    if options.value("lr_scheduler") in ("cosine", "sine"):
        yield f"SimpleTuner's {options.value('lr_scheduler')} reads half of its period from lr_warmup_steps"
    flat = flattened(options)
    if flat is not None and (options.given("lr_scheduler") is not None or options.number("lr_warmup_steps") > 0):
        yield flat
    if options.is_on("use_ema") and options.number("ema_update_interval", 1) > 1:
        yield "SimpleTuner's average has a longer memory with ema_update_interval: its decay holds for an update"


def _never_reproduced(options: Options) -> Iterator[str]:
    """Yield what SimpleTuner does and nobody wants to have."""
    yield "SimpleTuner gives the VAE pixels of 0 to 1, where it was trained with -1 to 1; that is not reproduced"
    yield "SimpleTuner puts the instruction before the null caption, too; that is not reproduced"
    if options.is_on("use_ema"):
        yield "SimpleTuner keeps the average in bf16; here it is fp32"
    if options.given("validation_prompt") is not None or options.given("user_prompt_library") is not None:
        yield "SimpleTuner 4.8 to 4.10 draws no validation clips of Sana Video: each one fails, and the run goes on"
    if options.given("eval_steps_interval") is not None or options.given("eval_epoch_interval") is not None:
        yield "SimpleTuner 4.8 to 4.10 can't train Sana Video any more once it has measured the evaluation loss"


def _defaults(draft: Draft, options: Options, *, faithful: bool) -> None:
    """Write or tell what SimpleTuner takes for what is not given."""
    differing = []
    for name, (value, condition) in DEFAULTS.items():
        leaf = flat_options()[name]
        if options.given(name) is not None or leaf.path in draft.settings or not _holds(condition, draft):
            continue
        if faithful:
            _default(draft, name, value, int(options.number("ema_update_interval", 1)))
        elif value != _ours(leaf.path):
            differing.append(f"{name} {value}")
    if not faithful:
        constants = OPTIMIZERS.get(str(draft.value("optimizer.name", OPTIMIZER)), {})
        paths = {name: f"optimizer.{name}" for name in constants}
        differing += [
            f"{n} {constants[n]}"
            for n, path in paths.items()
            if path not in draft.settings and constants[n] != _ours(path)
        ]
    if differing:
        draft.warn(f"not given, SimpleTuner takes {', '.join(differing)}; the recipe takes its own defaults")
    if faithful:
        name = str(draft.value("optimizer.name", OPTIMIZER))
        for constant, number in OPTIMIZERS.get(name, {}).items():
            draft.add(f"optimizer.{constant}", number, f"{_DEFAULT} for {name}")


def _default(draft: Draft, name: str, value: Any, interval: int) -> None:
    if name == "ema_decay" and interval > 1:
        draft.add("ema.decay", value ** (1 / interval), _DEFAULT, per_update(value, interval))
    else:
        draft.add(flat_options()[name].path, value, _DEFAULT)


def _holds(condition: str | None, draft: Draft) -> bool:
    """Say whether the settings on which a default rests have one of the values that are named."""
    for part in condition.split("&") if condition is not None else ():
        path, _, values = part.partition("=")
        if str(draft.value(path, leaf_index()[path].key.default)) not in values.split(","):
            return False
    return True


def _ours(path: str) -> Any:
    """Return the default of a setting here; None if it follows from others."""
    default = leaf_index()[path].key.default
    if isinstance(default, Family):
        return load_family("sana-video-480p").default(default.name)
    return None if isinstance(default, Derived) else default
