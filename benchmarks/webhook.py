"""Whether steps wait for a webhook that stalls: steps with one beside steps without, in turn, in one run.

    python benchmarks/webhook.py [SECONDS]

A server on this machine takes connections and says nothing for SECONDS, a minute by default; meanwhile a tiny model is
trained on one thread. In every other block of steps a raw webhook of level debug and without pause between messages hears
of each step, which is the most that one can ask for. What is timed is the step and the telling of it, by the clock, since
waiting would take no processor time. Prints medians and the ratio that is promised: at most 1.02. Run it with the project
installed.
"""

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes_server import Answer, Heard, serving
from fakes_training import batch_maker, encoded_project
from recipe_runtime.record import Recorder
from recipe_runtime.step import train_step
from recipe_runtime.train import build_state
from recipe_runtime.watch.post import HttpPost
from recipe_runtime.watch.webhook import RunFacts, WebhookListener
from recipe_schema.events import StepDone
from recipe_schema.recipe import Settings
from recipe_schema.sections.output import Webhook


BUDGET = 1.02
STEPS = 5
RATE = 1e-4
UNTOLD: dict[str, Any] = {"url_env": None, "token_env": None, "prefix": "", "ssl_verify": True}


class Endpoint:
    """Says nothing until a moment, and counts who waits for it."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.asked = 0

    def __call__(self, _: Heard) -> Answer:
        """Wait until then, and take the message."""
        self.asked += 1
        threading.Event().wait(max(self.until - time.monotonic(), 0.0))
        return Answer()


def main() -> None:
    """Take blocks of steps, one kind and the other in turn, until the endpoint answers again."""
    stall = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    torch.set_num_threads(1)
    warnings: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, ctx, _ = encoded_project(folder, **{"train.batch_size": 4})
        settings: Settings = ctx.settings
        batch, state = batch_maker(ctx).make(0), build_state(ctx)
        endpoint = Endpoint(stall)
        with serving(endpoint) as server:
            listener = WebhookListener(
                Webhook(**{**UNTOLD, "type": "raw", "url": server.url, "level": "debug"}),
                RunFacts(name="benchmark", plan_id=ctx.plan.plan_id, run_dir=folder),
                interval=0.0,
                post=HttpPost(server.url, token=None, ssl_verify=True),
                warn=warnings.append,
            )
            kinds = {"webhook": (listener,), "none": ()}
            times: dict[str, list[float]] = {kind: [] for kind in kinds}
            recorders = {kind: Recorder(_made(folder / kind), listeners) for kind, listeners in kinds.items()}
            number = 0
            while time.monotonic() < endpoint.until:
                for kind in sorted(kinds, reverse=bool(number // STEPS % 2)):
                    for _ in range(STEPS):
                        number += 1
                        began = time.perf_counter()
                        loss = train_step(state.model, state.optimizer, batch, rate=RATE, settings=settings.train).loss
                        recorders[kind].emit(_done(number, loss, batch.bucket))
                        times[kind].append(time.perf_counter() - began)
            listener.stop(0.0)
            listener.join()
        for recorder in recorders.values():
            recorder.close()
    _print(times, stall, endpoint.asked, warnings)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _done(number: int, loss: float, bucket: str) -> StepDone:
    return StepDone(
        step=number,
        epoch=0.0,
        bucket=bucket,
        loss=loss,
        learning_rate=RATE,
        grad_norm=1.0,
        sigma=0.5,
        seconds=0.1,
        data_seconds=0.0,
    )


def _print(times: dict[str, list[float]], stall: float, asked: int, warnings: Sequence[str]) -> None:
    for kind, values in times.items():
        ordered = sorted(values[STEPS:])
        slow = ordered[int(len(ordered) * 0.99)]
        print(
            f"{kind:8}{len(ordered):6} steps{statistics.median(ordered) * 1000:9.2f} ms in the median"
            f"{slow * 1000:9.2f} ms for 99 of 100{ordered[-1] * 1000:9.2f} ms at most"
        )
    medians = [statistics.median(times[kind][STEPS:]) for kind in ("webhook", "none")]
    print(f"webhook / none: {medians[0] / medians[1]:.3f} (budget {BUDGET})")
    print(f"the endpoint said nothing for {stall:.0f} s, and was asked {asked} times")
    for warning in warnings:
        print(f"webhook: {warning}")


if __name__ == "__main__":
    main()
