"""Tells a webhook of a run: decides what is worth a message, and hands it to the thread that sends."""

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from recipe_runtime.errors import RunError
from recipe_runtime.meter import TrainMeter
from recipe_runtime.notes import sentence
from recipe_runtime.record import timestamp
from recipe_runtime.watch import forms
from recipe_runtime.watch.delivery import Delivery, Message
from recipe_runtime.watch.post import HttpPost, Post, Request
from recipe_schema.events import (
    Aligned,
    ClipDrawn,
    ClipPreviewed,
    Event,
    Pushed,
    RunStarted,
    StageProgress,
    StepDone,
    is_as_important,
)
from recipe_schema.sections.output import Webhook
from recipe_schema.webhook import Payload, payload


_FORMS: Mapping[str, Callable[[Payload, Path | None], Request]] = {
    "raw": forms.raw,
    "slack": forms.slack,
    "discord": forms.discord,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What each message says of its run.

    Attributes:
        name: Its name for people.
        plan_id: Its plan.
        run_dir: Where its clips lie.
    """

    name: str
    plan_id: str
    run_dir: Path


class WebhookListener:
    """Listens to events, and tells one webhook.

    Args:
        webhook: Its settings.
        run: The run.
        interval: Tell where training stands every so many seconds; None tells no progress.
        post: Sends one request.
        warn: Told what the webhook does wrong, as in "was silent". Called in another thread.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        webhook: Webhook,
        run: RunFacts,
        *,
        interval: float | None,
        post: Post,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._webhook = webhook
        self._run = run
        self._interval = interval
        self._clock = clock
        self._meter = TrainMeter(0)
        self._step = 0
        self._last_progress = clock()
        self._delivery = Delivery(post, warn)

    def __call__(self, event: Event) -> None:
        """Hear of an event. This never waits."""
        match event:
            case RunStarted(max_steps=steps):
                self._meter = TrainMeter(steps)
            case StepDone(step=step):
                self._meter.add(event)
                self._step = step
            case Pushed():
                pass  # of an earlier step, while training went on
            case Aligned():
                return  # of each step, whose own event is told every so many seconds
            case _:
                self._step = getattr(event, "step", self._step)
        progress = isinstance(event, StepDone | StageProgress)
        if is_as_important(event.level, self._webhook.level) and (not progress or self._is_due()):
            clip = self._run.run_dir / event.path if isinstance(event, ClipDrawn | ClipPreviewed) else None
            build = functools.partial(_FORMS[self._webhook.type], self._payload(event), clip)
            self._delivery.offer(Message(level=event.level, progress=progress, build=build))

    def stop(self, seconds: float) -> None:
        """Let what waits be sent, for at most so many seconds. Returns at once."""
        self._delivery.stop(seconds)

    def join(self) -> None:
        """Wait for that."""
        self._delivery.join()

    def _is_due(self) -> bool:
        now = self._clock()
        if self._interval is None or now - self._last_progress < self._interval:
            return False
        self._last_progress = now
        return True

    def _payload(self, event: Event) -> Payload:
        return payload(
            event,
            time=timestamp(),
            run=self._run.name,
            plan_id=self._run.plan_id,
            step=self._step,
            message=self._webhook.prefix + sentence(event, self._meter),
        )


def webhook_name(webhook: Webhook, number: int) -> str:
    """Name a webhook for people, without its address."""
    return f"tracking.webhooks.{number} ({webhook.type})"


def build_post(webhook: Webhook, number: int, environment: Mapping[str, str]) -> HttpPost:
    """Find a webhook's address and token.

    Args:
        webhook: Its settings.
        number: Its place in the list of the recipe, from 0.
        environment: Variables of the environment.

    Raises:
        RunError: The address or the token is not there, or the address is none.
    """
    name = webhook_name(webhook, number)
    if webhook.url_env is None and webhook.url is None:
        raise RunError(f"{name} has no address; give `url_env` (a variable of the environment) or `url`")
    url = webhook.url if webhook.url_env is None else _variable(name, webhook.url_env, environment)
    if url is None or not _is_address(url):
        raise RunError(
            f"{name} has something else than an address in {webhook.url_env or 'url'}; it has the form "
            "https://HOST/PATH, without spaces"
        )
    token = None if webhook.token_env is None else _variable(name, webhook.token_env, environment)
    return HttpPost(url, token=token, ssl_verify=webhook.ssl_verify)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        told = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False
    return told and _is_plain(url)


def _is_plain(text: str) -> bool:
    """Say whether a text can stand in the head of a request."""
    return text.isascii() and text.isprintable() and " " not in text


def _variable(name: str, variable: str, environment: Mapping[str, str]) -> str:
    value = environment.get(variable, "").strip()
    if not value:
        raise RunError(
            f"{name} wants the variable {variable} of the environment, which is not set; set it where the run is "
            "started, or take the webhook out of the recipe"
        )
    if not _is_plain(value):
        raise RunError(f"{name}: the variable {variable} of the environment holds spaces or letters that can't be sent")
    return value
