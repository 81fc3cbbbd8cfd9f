"""The options of SimpleTuner's configuration: what each becomes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.fitting import coerced
from recipe_compiler.imports.given import Given
from recipe_compiler.imports.place import HERE, How, rebased, rebased_model
from recipe_compiler.imports.simpletuner_extras import take_library, take_lycoris, take_optimizer_config, take_webhooks
from recipe_compiler.imports.simpletuner_facts import FAMILY, IDLE_LOSS, MEANT, OFFLOAD, OFFLOAD_NAMES, meant
from recipe_compiler.imports.simpletuner_options import IN_DATA_SETS, Options, all_options, canonical, flat_options
from recipe_compiler.imports.simpletuner_schedule import SCHEDULE, take_schedule
from recipe_compiler.passes.foreign import is_idle, why_not
from recipe_compiler.suggest import near
from recipe_schema.definition import Leaf
from recipe_schema.family import load_family


_MODELS = (
    "pretrained_model_name_or_path",
    "pretrained_vae_model_name_or_path",
    "pretrained_transformer_model_name_or_path",
    "pretrained_evaluation_model_name_or_path",
    "init_lora",
)
_FOLDERS = ("output_dir", "group_offload_to_disk_path")
_CLIPPING = ("max_grad_norm", "grad_clip_method")
_DELETING = ("delete_problematic_images", "delete_unwanted_images", "delete_nsfw_images")
_WORDS = ("true", "false")
_LONGEST_FRAMES = 81


class Config:
    """Takes the options over, one after the other.

    Attributes:
        data_defaults: Options that hold for each data set that does not give its own.
    """

    def __init__(self, options: Options, draft: Draft, how: How, file: Path, root: Path) -> None:
        self.data_defaults: dict[str, Given] = {}
        self._options, self._draft, self._how, self._file, self._root = options, draft, how, file, root
        self._family = load_family("sana-video-480p")
        self._special: Mapping[str, Callable[[Given], None]] = {
            "data_backend_config": lambda _: None,  # whoever found the file has told
            "model_family": self._family_of,
            "max_train_steps": self._steps,
            "num_train_epochs": self._epochs,
            "seed": self._seed,
            "validation_resolution": self._validation_size,
            "validation_num_video_frames": self._validation_frames,
            "validation_prompt_library": self._built_in_prompts,
            "user_prompt_library": lambda given: take_library(given, draft, file),
            "lycoris_config": self._lycoris,
            "optimizer_config": lambda given: take_optimizer_config(given, draft),
            "noise_offset": self._noise_offset,
            "noise_offset_probability": self._noise_offset,
            "offset_noise": self._noise_offset,
            "quantize_via": self._quantize_via,
            "crepa_self_flow": lambda given: self._feature_source(given, "self_flow"),
            "crepa_use_backbone_features": lambda given: self._feature_source(given, "backbone"),
            "sana_complex_human_instruction": self._instruction,
            "resume_from_checkpoint": self._resume,
            "ema_decay": self._ema_decay,
            "validation_disable": self._validation_off,
            **dict.fromkeys(_CLIPPING, self._clipping),
            **dict.fromkeys(_DELETING, self._deleting),
            **dict.fromkeys(IDLE_LOSS, self._idle_loss),
            **dict.fromkeys(("flow_schedule_shift", "flow_schedule_auto_shift"), self._shift),
        }

    def take(self) -> None:
        """Take every option over, or tell why not."""
        for name, several in self._options:
            if name == "webhook_config":
                take_webhooks(several, self._draft, self._file)
            elif name not in SCHEDULE:
                for given in several:
                    self._one(name, given)
        if self._options.is_on("validation_disable"):
            for key in ("prompt", "prompt_library"):
                self._draft.drop(f"validation.{key}")
        take_schedule(self._options, self._draft, faithful=self._how.faithful)

    def _one(self, name: str, given: Given) -> None:
        leaf = flat_options().get(name)
        off = self._switched_off(name, leaf)
        if given.value is None:
            self._draft.leave(given, "null leaves an option at its default")
        elif name in self._special:
            self._special[name](given)
        elif leaf is None or len(given.key) > 1:
            self._unknown(name, given)
        elif leaf.path.startswith(IN_DATA_SETS):
            self.data_defaults[leaf.path.removeprefix(IN_DATA_SETS)] = given
        elif off is not None:
            self._draft.leave(given, f"`{off}` is off", target=leaf.path)
        else:
            self._known(name, leaf, given)

    def _known(self, name: str, leaf: Leaf, given: Given) -> None:
        value, note = given.value, ""
        if leaf.spec.kind == "boolean" and isinstance(value, str) and value.lower() in _WORDS:
            self._boolean_text(leaf, given)
            return
        other = meant(name, value)
        if other is not None:
            self._draft.change(given, leaf.path, *other)
            return
        if name in _MODELS or name in _FOLDERS:
            rebase = rebased_model if name in _MODELS else rebased
            written = rebase(str(value), self._root, self._how.target)
            if written != value:
                self._draft.change(given, leaf.path, written, HERE)
                return
        if name != given.name:
            note = f"`{given.name}` is `{name}` there today"
        if name in OFFLOAD_NAMES:
            note = "SimpleTuner 4.10 refuses this option"
        self._draft.take(given, leaf.path, note=note)

    def _unknown(self, name: str, given: Given) -> None:
        reason = why_not(name, ())
        if reason is not None:
            idle = is_idle(name, ()) or given.value in (False, "", 0, "no", "none", [], {}, "false")
            self._draft.leave(given, reason.partition(": ")[2] or reason, lost=not idle)
            return
        similar = near(name, all_options())
        advice = f"; did you mean `{similar}`?" if similar is not None else ""
        self._draft.leave(given, f"SimpleTuner has no such option, and refuses it{advice}", lost=True)

    def _switched_off(self, name: str, leaf: Leaf | None) -> str | None:
        """Return the option that an option rests on and that is off."""
        rests: Mapping[str, tuple[str, bool]] = {
            "model.lora.": ("model_type: lora", self._options.value("model_type") == "lora"),
            "ema.": ("use_ema", self._options.is_on("use_ema")),
            "regularizers.crepa.": ("crepa_enabled", self._options.is_on("crepa_enabled")),
            "hub.": (
                "push_to_hub",
                self._options.is_on("push_to_hub") or self._options.is_on("push_checkpoints_to_hub"),
            ),
            "checkpoints.rolling_total": (
                "checkpointing_rolling_steps",
                self._options.number("checkpointing_rolling_steps") > 0,
            ),
            "regularizers.rollout.": (
                "scheduled_sampling_max_step_offset",
                self._options.number("scheduled_sampling_max_step_offset") > 0,
            ),
            "memory.group_offload.": (OFFLOAD, self._options.is_on(OFFLOAD)),
            "validation.preview.": ("validation_preview", self._options.is_on("validation_preview")),
        }
        path = leaf.path if leaf is not None else ""
        if path.startswith("model.lora.") and name != "lora_type" and self._options.value("lora_type") == "lycoris":
            return "lora_type: standard"
        return next(
            (of for prefix, (of, on) in rests.items() if path.startswith(prefix) and not on and of != name), None
        )

    # Options one by one

    def _boolean_text(self, leaf: Leaf, given: Given) -> None:
        value = given.value.lower() == "true"
        if value or not self._how.faithful:
            reason = f'"{given.value}" is a text' + ("" if value else ", which SimpleTuner passes over")
            self._draft.change(given, leaf.path, value, reason)
        else:
            self._draft.leave(given, "SimpleTuner passes over the text, and takes its default", target=leaf.path)

    def _family_of(self, given: Given) -> None:
        if given.value != FAMILY:
            self._draft.warn(f"this configuration trains `{given.value}`: the recipe trains Sana Video by its settings")
            self._draft.leave(given, "Sana Video is what is trained here", lost=True, target="model.family")
        else:
            self._draft.change(given, "model.family", *MEANT["model_family", FAMILY])

    def _steps(self, given: Given) -> None:
        if given.value == 0:
            self._draft.leave(given, "num_train_epochs says how long", target="train.max_steps")
        else:
            self._draft.take(given, "train.max_steps")

    def _epochs(self, given: Given) -> None:
        if given.value == 0:
            self._draft.leave(given, "max_train_steps says how long", target="train.num_epochs")
        elif self._options.number("max_train_steps") > 0:
            reason = "SimpleTuner refuses both; max_train_steps is taken"
            self._draft.leave(given, reason, lost=True, target="train.num_epochs")
        else:
            self._draft.take(given, "train.num_epochs")

    def _seed(self, given: Given) -> None:
        if given.value == -1:
            self._draft.leave(given, "it is another seed each time there; here 42", lost=True, target="train.seed")
        elif given.value == 0:
            self._draft.change(given, "train.seed", 0, "0 stands for the time of the day there, and is a seed here")
        else:
            self._draft.take(given, "train.seed")

    def _validation_size(self, given: Given) -> None:
        first, *others = [part.strip() for part in str(given.value).split(",")]
        width, _, height = first.partition("x")
        path, unit = "validation.resolution", self._family.size_multiple
        if not (width.isdigit() and (height or width).isdigit()):
            self._draft.take(given, path)  # which tells what is expected
            return
        sides = [max(round(int(side) / unit), 1) * unit for side in (width, height or width)]
        size = f"{sides[0]}x{sides[1]}"
        if others:
            self._draft.change(given, path, size, f"clips have one size; {', '.join(others)} are left out")
        elif size != given.value:
            self._draft.change(given, path, size, f"sides are multiples of {unit}")
        else:
            self._draft.take(given, path)

    def _validation_frames(self, given: Given) -> None:
        path = "validation.num_video_frames"
        frames = coerced(given.value, flat_options()["validation_num_video_frames"])
        legal = self._family.legal_frames(frames) if isinstance(frames, int) and frames > 0 else frames
        if legal != frames:
            self._draft.change(given, path, legal, "the VAE takes one more than a multiple of four")
        else:
            note = (
                f"SimpleTuner draws {_LONGEST_FRAMES} at most"
                if isinstance(frames, int) and frames > _LONGEST_FRAMES
                else ""
            )
            self._draft.take(given, path, note=note)

    def _built_in_prompts(self, given: Given) -> None:
        reason = "no prompts are built in: write yours under `validation.prompt_library`"
        self._draft.leave(given, reason, lost=self._options.is_on("validation_prompt_library"))

    def _validation_off(self, given: Given) -> None:
        reason = "without `validation.prompt` and `validation.prompt_library` nothing is drawn"
        self._draft.merge(given, "validation.prompt", reason, changed=self._options.is_on("validation_disable"))

    def _lycoris(self, given: Given) -> None:
        if self._options.value("model_type") == "lora" and self._options.value("lora_type") == "lycoris":
            take_lycoris(given, self._draft, self._file)
        else:
            self._draft.leave(given, "`lora_type: lycoris` is not given")

    def _noise_offset(self, given: Given) -> None:
        on = self._options.is_on("offset_noise")
        leaf = flat_options().get(canonical(str(given.key[0]).lstrip("-")))
        if leaf is not None and on:
            self._draft.take(given, leaf.path)
        else:
            self._draft.leave(given, "`train.noise_offset` does that by itself" if on else "`offset_noise` is off")

    def _quantize_via(self, given: Given) -> None:
        precision = self._options.value("base_model_precision", "no_change")
        if (meant("base_model_precision", precision) or (precision,))[0] == "no_change":
            self._draft.leave(given, "nothing is quantized", target="model.quantize_via")
        else:
            self._known("quantize_via", flat_options()["quantize_via"], given)

    def _feature_source(self, given: Given, source: str) -> None:
        path = "regularizers.crepa.feature_source"
        if str(given.value).lower() == "true" and self._options.is_on("crepa_enabled"):
            self._draft.change(given, path, source, f"`feature_source: {source}` does that")
        else:
            self._draft.leave(given, "it is off", target=path)

    def _instruction(self, given: Given) -> None:
        reason = "SimpleTuner has a text of its own for this model, and takes this one for on or off"
        if self._how.faithful:
            self._draft.change(given, "model.instruction", "diffusers", reason)
        else:
            self._draft.leave(given, f"{reason}; the authors' text is taken", lost=True, target="model.instruction")

    def _resume(self, given: Given) -> None:
        value = str(given.value)
        if value.startswith("checkpoint-"):
            self._draft.change(
                given, "checkpoints.resume", value.removeprefix("checkpoint-"), "a checkpoint is its step"
            )
        else:
            self._draft.take(given, "checkpoints.resume")

    def _ema_decay(self, given: Given) -> None:
        interval = max(int(self._options.number("ema_update_interval", 1)), 1)
        decay = coerced(given.value, flat_options()["ema_decay"])
        if not self._options.is_on("use_ema"):
            self._draft.leave(given, "`use_ema` is off", target="ema.decay")
        elif self._how.faithful and interval > 1 and isinstance(decay, float):
            self._draft.change(given, "ema.decay", decay ** (1 / interval), per_update(decay, interval))
        else:
            self._draft.take(given, "ema.decay")

    def _clipping(self, given: Given) -> None:
        path = flat_options()[canonical(str(given.key[0]).lstrip("-"))].path
        both = all(self._options.given(name) is not None for name in _CLIPPING)
        off = self._options.number("max_grad_norm", 1) == 0
        if off and both and not self._how.faithful:
            usual = self._family.default("max_grad_norm") if path == "train.max_grad_norm" else "norm"
            reason = f"SimpleTuner clips nothing with `max_grad_norm: 0`, whatever the method; the authors clip the norm at {self._family.default('max_grad_norm')}"
            self._draft.change(given, path, usual, reason)
        elif off and path != "train.max_grad_norm":
            self._draft.leave(given, "`max_grad_norm: 0` turns clipping off", target=path)
        else:
            self._draft.take(given, path)

    def _deleting(self, given: Given) -> None:
        if str(given.value).lower() != "true":
            self._draft.leave(given, "nothing is deleted here")
        else:
            reason = "SimpleTuner deletes such files for good; here they are listed and left out, and `data.on_problem: delete` moves those that can't be read to a trash folder"
            self._draft.merge(given, "data.on_problem", reason, changed=True)

    def _idle_loss(self, given: Given) -> None:
        leaf = flat_options()[canonical(str(given.key[0]).lstrip("-"))]
        other = meant(str(leaf.key.aka), given.value)
        if self._how.faithful or given.value == leaf.key.default:
            self._draft.leave(given, "SimpleTuner's loss for Sana Video does not read it", target=leaf.path)
        elif other is not None:
            self._draft.change(given, leaf.path, *other)
        elif leaf.path.startswith("train.huber") and self._options.value("loss_type", "l2") == "l2":
            self._draft.leave(given, "`loss_type` is l2", target=leaf.path)
        else:
            self._draft.take(
                given, leaf.path, note="SimpleTuner's loss for Sana Video does not read it; here it counts"
            )

    def _shift(self, given: Given) -> None:
        self._draft.leave(given, "SimpleTuner overwrites it for Sana Video, and here the family's schedule is used")


def per_update(decay: float, interval: int) -> str:
    """Say why a decay is another one here."""
    return (
        f"SimpleTuner takes {decay} at each update, one in {interval} steps; here it holds for a step, and is raised to that "
        "power"
    )
