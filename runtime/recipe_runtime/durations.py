"""Durations in words."""


def format_duration(seconds: float) -> str:
    """Say a duration in at most two units: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``, ``1 d 3 h``.

    Args:
        seconds: The duration, at least 0.
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, below, below_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {name}" + (f" {rest} {below_name}" if rest else "")
    return f"{whole} s"


def format_rate(seconds_per_step: float) -> str:
    """Say a speed: ``0.52 s/step``, ``24 s/step``, or ``18.2 steps/s`` where a step takes less than a tenth."""
    if seconds_per_step < 0.1:
        return f"{1 / max(seconds_per_step, 1e-9):.1f} steps/s"
    return f"{seconds_per_step:.2f} s/step" if seconds_per_step < 9.995 else f"{seconds_per_step:.0f} s/step"
