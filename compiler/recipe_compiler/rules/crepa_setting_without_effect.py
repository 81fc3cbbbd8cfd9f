"""A setting of CREPA has no effect beside the others.

What it does: finds keys of `regularizers.crepa` that wait for another schedule, teacher or threshold, and neighbours
that are further away than a clip is long.

Why it hurts: an experiment seems to differ from another one, and does not.

Example:
    regularizers:
      crepa:
        enabled: true
        block_index: 2
        weight_end: 0.1

Use instead:
    regularizers:
      crepa:
        enabled: true
        block_index: 2
        schedule: linear
        weight_end: 0.1
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_set_roles import ROLE_KEYS, in_role
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.switched_off import Switch, without_effect
from recipe_compiler.rules.wording import counted


CREPA, ENABLED = "regularizers.crepa", "regularizers.crepa.enabled"
SOURCE, SCHEDULE, DISTANCE = f"{CREPA}.feature_source", f"{CREPA}.schedule", f"{CREPA}.adjacent_distance"
THRESHOLD = f"{CREPA}.similarity_threshold"
ENCODER = "set `feature_source: encoder`"
NEIGHBOURS, LIMIT = "set `adjacent_distance: 1`", "set `similarity_threshold`"
SWITCHES = (
    Switch(f"{CREPA}.decay_steps", (SCHEDULE,), "set `schedule: linear`", off=("constant",)),
    Switch(f"{CREPA}.weight_end", (SCHEDULE,), "set `schedule: linear`", off=("constant",)),
    Switch(f"{CREPA}.power", (SCHEDULE,), "set `schedule: polynomial`", on=("polynomial",)),
    Switch(f"{CREPA}.teacher_block_index", (SOURCE,), "set `feature_source: backbone`", off=("encoder",)),
    Switch(f"{CREPA}.self_flow_mask_ratio", (SOURCE,), "set `feature_source: self_flow`", on=("self_flow",)),
    Switch(f"{CREPA}.encoder", (SOURCE,), ENCODER, on=("encoder",)),
    Switch(f"{CREPA}.encoder_path", (SOURCE,), ENCODER, on=("encoder",)),
    Switch(f"{CREPA}.encoder_image_size", (SOURCE,), ENCODER, on=("encoder",)),
    Switch(f"{CREPA}.encoder_frames_batch_size", (SOURCE,), ENCODER, on=("encoder",)),
    Switch(f"{CREPA}.adjacent_tau", (DISTANCE,), NEIGHBOURS, off=(0,)),
    Switch(f"{CREPA}.normalize_neighbour_sum", (DISTANCE,), NEIGHBOURS, off=(0,)),
    Switch(f"{CREPA}.similarity_ema_decay", (THRESHOLD,), LIMIT, off=(None,)),
    Switch(f"{CREPA}.threshold_mode", (THRESHOLD,), LIMIT, off=(None,)),
)


def check(facts: Facts) -> Iterator[Finding]:
    """Find settings that wait for others, and neighbours that no frame has."""
    settings = facts.settings
    if not settings[ENABLED]:
        return
    for switch in SWITCHES:
        yield from without_effect(settings, switch)
    lengths = [f"{table}.video.num_frames" for table in in_role(settings, "video")]
    if not lengths or not settings.given(DISTANCE) or not settings[DISTANCE]:
        return
    longest = max(lengths, key=lambda path: int(settings[path]))
    frames = settings[longest]
    latent = settings.family.latent_shape(0, 0, settings.family.legal_frames(frames))[1]
    if settings[DISTANCE] >= latent:
        yield Finding(
            at=DISTANCE,
            message=f"no frame has a neighbour {counted(settings[DISTANCE], 'latent frame')} away: clips of {counted(frames, 'frame')} have "
            f"{latent}",
            help=f"take at most {latent - 1}; 1 is usual" if latent > 1 else "take 0: there are no neighbours",
            also=((longest, "the longest clips"),),
        )


RULE = Rule(
    code="R422",
    name="crepa-setting-without-effect",
    severity="warning",
    reads=(ENABLED, DISTANCE, *ROLE_KEYS, "data.datasets.*.video.num_frames"),
    check=check,
    page=__doc__,
)
