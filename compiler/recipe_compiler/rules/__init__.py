"""The rules: one file each. The two tuples are the whole register; nothing is discovered.

A file is loaded only when its rule is asked: a lint should not pay for rules about what its recipe does not mention.
"""

from importlib import import_module
from typing import NamedTuple

from recipe_compiler.rules.rule import Rule


class Listed(NamedTuple):
    """A rule in the register.

    Attributes:
        code: Its code.
        module: The module that holds it.
        given: Keys or sections. If the recipe gives none of them, the rule finds nothing, and is not loaded.
    """

    code: str
    module: str
    given: tuple[str, ...] = ()

    def load(self) -> Rule:
        """Return the rule itself."""
        rule: Rule = import_module(f"{__name__}.{self.module}").RULE
        return rule


ON_SETTINGS: tuple[Listed, ...] = (
    Listed("R201", "setting_ignored"),
    Listed("R202", "vae_differs", ("model",)),
    Listed("R203", "ema_settings_without_ema", ("ema",)),
    Listed("R204", "ema_never_updated", ("ema",)),
    Listed("R205", "random_weights_without_folder", ("model.random_weights",)),
    Listed("R206", "not_carried_out_yet"),
    Listed("R308", "frames_not_legal", ("data", "validation")),
    Listed("R309", "size_not_legal", ("data", "validation")),
    Listed("R310", "frame_limits", ("data",)),
    Listed("R311", "instance_prompt_missing", ("data",)),
    Listed("R312", "data_set_id_twice", ("data",)),
    Listed("R318", "data_folder_not_given", ("data",)),
    Listed("R401", "length_not_given"),
    Listed("R402", "warmup_too_long", ("lr_schedule",)),
    Listed("R403", "warmup_without_effect", ("lr_schedule",)),
    Listed("R404", "end_above_peak", ("lr_schedule",)),
    Listed("R405", "clipping_off", ("train",)),
    Listed("R406", "learning_rate_implausible", ("optimizer",)),
    Listed("R407", "nothing_saved_on_the_way", ("train", "checkpoints")),
    Listed("R601", "validation_size_untrained", ("data", "validation")),
    Listed("R602", "validation_without_prompt", ("validation",)),
    Listed("R603", "nickname_clash", ("validation",)),
    Listed("R604", "validation_costly", ("validation",)),
    Listed("R620", "tracking_without_effect", ("tracking.webhook_interval", "tracking.wandb_mode")),
)
"""Rules that are asked at every look."""

ON_DATA: tuple[Listed, ...] = (
    Listed("R301", "data_folder_missing"),
    Listed("R302", "no_clips"),
    Listed("R303", "bucket_too_small"),
    Listed("R304", "data_set_too_small_for_vae"),
    Listed("R305", "clip_unreadable"),
    Listed("R306", "caption_missing"),
    Listed("R307", "clip_filtered"),
    Listed("R313", "caption_repeated"),
    Listed("R314", "caption_too_long"),
    Listed("R315", "stem_twice"),
    Listed("R316", "clip_enlarged"),
    Listed("R317", "framerate_above_source"),
)
"""Rules that are asked after a look at the data."""


def all_rules() -> tuple[Rule, ...]:
    """Load every rule, in order of the codes."""
    return tuple(listed.load() for listed in sorted(ON_SETTINGS + ON_DATA))
