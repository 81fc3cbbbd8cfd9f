"""Builds everyone who follows a run from its plan, and lets them finish. The one place where they are made."""

import functools
import importlib.util
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from recipe_runtime.errors import RunError
from recipe_runtime.record import Recorder
from recipe_runtime.watch.tracker import Journal, Tracker, TrackerListener, config_of
from recipe_runtime.watch.webhook import RunFacts, WebhookListener, build_post, webhook_name
from recipe_schema.decode import decode_settings
from recipe_schema.events import Warned
from recipe_schema.plan import Plan
from recipe_schema.sections.output import Tracking


LAST_WAIT_SECONDS = 10.0
"""How long the process waits for webhooks when the run is over: for all of them together."""


class Watchers:
    """Webhooks and trackers of a run. As a context, it lets them finish at its end.

    Args:
        recorder: Whose events they hear. Problems of theirs become warnings in it.
        last_wait: How long webhooks have at the end, in seconds.
    """

    def __init__(self, recorder: Recorder, *, last_wait: float = LAST_WAIT_SECONDS) -> None:
        self._recorder = recorder
        self._last_wait = last_wait
        self._webhooks: list[WebhookListener] = []
        self._trackers: list[TrackerListener] = []

    def begin(self, plan: Plan, run_dir: Path, environment: Mapping[str, str]) -> None:
        """Build those that the plan names, and let them listen. Webhooks come first: they are told if a tracker fails.

        Args:
            plan: The plan.
            run_dir: The run directory.
            environment: Variables of the environment.

        Raises:
            RunError: A variable is not set, a package is missing, nobody is logged in, or a tracker does not begin.
        """
        tracking = decode_settings(plan.settings).tracking
        run = RunFacts(name=tracking.run_name, plan_id=plan.plan_id, run_dir=run_dir)
        posts = [build_post(webhook, number, environment) for number, webhook in enumerate(tracking.webhooks)]
        for number, (webhook, post) in enumerate(zip(tracking.webhooks, posts, strict=True)):
            warn = functools.partial(self._warn_of, webhook_name(webhook, number))
            hook = WebhookListener(webhook, run, interval=tracking.webhook_interval, post=post, warn=warn)
            self._webhooks.append(hook)
            self._recorder.listen(hook)
        journal = Journal(
            project=tracking.project_name, name=tracking.run_name, run_dir=run_dir, config=config_of(plan)
        )
        for name in tracking.report_to or ():
            tracker = TrackerListener(name, _begin_tracker(name, journal, tracking), run_dir, warn=self._warn)
            self._trackers.append(tracker)
            self._recorder.listen(tracker)

    def close(self) -> None:
        """Let trackers finish, and webhooks send what waits, for a bounded time."""
        for tracker in self._trackers:
            tracker.close()
        for hook in self._webhooks:
            hook.stop(self._last_wait)
        for hook in self._webhooks:
            hook.join()
        # On a full disk warnings can't be written either, and what failed first is what counts.
        with suppress(RunError):
            self._recorder.emit_waiting()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _warn_of(self, name: str, problem: str) -> None:
        self._warn(f"{name} {problem}")

    def _warn(self, message: str) -> None:
        self._recorder.emit_later(Warned(message=message))


def _begin_tracker(name: str, journal: Journal, tracking: Tracking) -> Tracker:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:  # without an origin it is a folder of that name, as a run directory has
        raise RunError(
            f"`tracking.report_to: {name}` needs the package {name}: pip install 'sana-recipes[train,{name}]'"
        )
    try:
        return _TRACKERS[name](journal, tracking)
    except RunError:
        raise
    except Exception as error:
        reason = (str(error).strip() or "no details").splitlines()[0]
        raise RunError(
            f"{name} does not begin ({type(error).__name__}: {reason}); correct that, or take it out of "
            "`tracking.report_to`"
        ) from error


def _tensorboard(journal: Journal, _tracking: Tracking) -> Tracker:
    from recipe_runtime.watch.tracker_tensorboard import TensorboardTracker  # noqa: PLC0415 - only where asked for

    return TensorboardTracker(journal)


def _wandb(journal: Journal, tracking: Tracking) -> Tracker:
    from recipe_runtime.watch.tracker_wandb import WandbTracker  # noqa: PLC0415 - only where asked for

    return WandbTracker(journal, tracking.wandb_mode)


_TRACKERS: Mapping[str, Callable[[Journal, Tracking], Tracker]] = {"tensorboard": _tensorboard, "wandb": _wandb}
