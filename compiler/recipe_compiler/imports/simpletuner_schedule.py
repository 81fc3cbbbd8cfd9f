"""SimpleTuner's learning-rate schedules: two of them read ``lr_warmup_steps`` as half of a period."""

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.given import Given
from recipe_compiler.imports.simpletuner_facts import COSINE_PERIOD, WARMUP_SCHEDULE
from recipe_compiler.imports.simpletuner_options import Options


SCHEDULE = ("lr_scheduler", "lr_warmup_steps", "lr_end", "lr_power", "lr_num_cycles")
"""Options that mean something only together."""

_SWINGING = ("cosine", "sine")
_OF_ONE = {"lr_power": "polynomial", "lr_num_cycles": "cosine_with_restarts"}
_ENDING = (*_SWINGING, "polynomial")


def take_schedule(options: Options, draft: Draft, *, faithful: bool) -> None:
    """Take the options of the schedule over."""
    name = str(options.value("lr_scheduler", WARMUP_SCHEDULE))
    name = "cosine" if name == "cosine_with_warmup" else name
    swings = name in _SWINGING
    flat = flattened(options) if faithful else None
    if flat is not None:
        _take_flat(flat, options, draft)
        return
    for option, several in options:
        if option in SCHEDULE and several[0].value is None:
            draft.leave(several[0], "null leaves an option at its default")
        elif option == "lr_scheduler":
            _take_name(several[0], options, draft, faithful=faithful)
        elif option == "lr_warmup_steps" and swings and faithful:
            _take_period(several[0], options, draft, name)
        elif option == "lr_warmup_steps" and swings:
            _take_meaning(several[0], options, draft, name)
        elif option == "lr_warmup_steps":
            draft.take(several[0], "lr_schedule.warmup_steps")
        elif option == "lr_end" and name in _ENDING:
            draft.take(several[0], "lr_schedule.end")
        elif option in SCHEDULE:
            _take_of_one(several[0], option, draft, name)


def flattened(options: Options) -> str | None:
    """Return why the rate stays at its peak in SimpleTuner, whatever is given; None where it does not."""
    if options.value("optimizer") == "adamw_schedulefree":
        return "SimpleTuner gives schedule-free neither a schedule nor a warm-up"
    if options.value("lr_scheduler") == "cosine_with_restarts":
        return "SimpleTuner's cosine_with_restarts never leaves its peak"
    return None


def _take_flat(reason: str, options: Options, draft: Draft) -> None:
    draft.add("lr_schedule.name", "constant", "what SimpleTuner does", reason)
    for option, several in options:
        if option in SCHEDULE:
            draft.leave(several[0], reason)


def _take_name(given: Given, options: Options, draft: Draft, *, faithful: bool) -> None:
    path = "lr_schedule.name"
    name = str(given.value)
    plain = "cosine" if name == "cosine_with_warmup" else name
    if plain in _SWINGING and faithful:
        draft.change(given, path, f"simpletuner-{plain}", "SimpleTuner's swings, without a warm-up and without an end")
        if plain == "cosine" and options.given("lr_warmup_steps") is None:
            draft.add("lr_schedule.period_steps", COSINE_PERIOD, "SimpleTuner's default")
    elif name == "constant" and options.number("lr_warmup_steps") > 0:
        draft.change(given, path, WARMUP_SCHEDULE, "with lr_warmup_steps, SimpleTuner takes that one")
    elif plain != name:
        draft.change(given, path, plain, "that is its name there today")
    else:
        draft.take(given, path)


def _take_period(given: Given, options: Options, draft: Draft, name: str) -> None:
    path = "lr_schedule.period_steps"
    processes = max(int(options.number("num_processes", 1)), 1)
    period = int(options.number("lr_warmup_steps")) * processes
    if period <= 0 and name == "cosine":
        draft.change(given, path, COSINE_PERIOD, "SimpleTuner takes that for a cosine without a period")
    else:
        reason = f"SimpleTuner's {name} reads half of a period from it"
        draft.change(given, path, period, reason + (f", times {processes} processes" if processes > 1 else ""))


def _take_meaning(given: Given, options: Options, draft: Draft, name: str) -> None:
    """Read what was meant: a fall over the whole run, or a warm-up."""
    warmup, steps = options.number("lr_warmup_steps"), options.number("max_train_steps")
    if warmup <= 0:
        draft.take(given, "lr_schedule.warmup_steps")
    elif steps and warmup >= steps:
        reason = f"SimpleTuner's {name} reads half of a period from it, and here it spans the run by itself"
        draft.merge(given, "lr_schedule.name", reason, changed=True)
    else:
        reason = (
            f"a warm-up is meant; SimpleTuner's {name} has none, and would swing with half a period of so many steps"
        )
        draft.change(given, "lr_schedule.warmup_steps", int(warmup), reason)


def _take_of_one(given: Given, option: str, draft: Draft, name: str) -> None:
    path = {"lr_end": "lr_schedule.end", "lr_power": "lr_schedule.power", "lr_num_cycles": "lr_schedule.num_cycles"}[
        option
    ]
    if _OF_ONE.get(option) == name:
        draft.take(given, path)
    else:
        draft.leave(given, f"`lr_scheduler: {name}` does not read it", target=path)
