"""What the trainer adds to a step: its own step beside a plain loop in torch, over the same tiny model and batch.

    python benchmarks/step.py [ROUNDS]

Both run on one thread of the processor, in turn, with AdamW and clipping by norm. Prints medians and the ratio that is
promised: at most 1.03. The first round is not counted. Run it with the project installed (`make test` does that).
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional


sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes_training import batch_maker, encoded_project
from recipe_runtime.batches import MicroBatch
from recipe_runtime.state import TrainState
from recipe_runtime.step import train_step
from recipe_runtime.train import build_state
from recipe_schema.recipe import Settings


BUDGET = 1.03
STEPS = 5
RATE = 1e-4


def plain_step(state: TrainState, part: MicroBatch, limit: float) -> float:
    """Take a step as a script would."""
    state.optimizer.zero_grad(set_to_none=True)
    level = part.sigma.view(-1, 1, 1, 1, 1)
    prediction = state.model(
        hidden_states=(1 - level) * part.latents + level * part.noise,
        encoder_hidden_states=part.text,
        timestep=part.timestep,
        encoder_attention_mask=part.mask,
        return_dict=False,
    )[0]
    loss = functional.mse_loss(prediction, part.noise - part.latents)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), limit)
    for group in state.optimizer.param_groups:
        group["lr"] = RATE
    state.optimizer.step()
    return loss.item()


def seconds(step: Callable[[], float]) -> float:
    """Return the processor time of a few steps, for one of them."""
    began = time.process_time()
    for _ in range(STEPS):
        step()
    return (time.process_time() - began) / STEPS


def main() -> None:
    """Measure in rounds, each of the two first in every other one."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        _, ctx, _ = encoded_project(Path(folder), **{"train.batch_size": 4, "train.max_grad_norm": 0.1})
        settings: Settings = ctx.settings
        batch = batch_maker(ctx).make(0)
        ours, plain = build_state(ctx), build_state(ctx)
        steps: dict[str, Callable[[], float]] = {
            "recipe": lambda: train_step(ours.model, ours.optimizer, batch, rate=RATE, settings=settings.train).loss,
            "plain": lambda: plain_step(plain, batch.parts[0], settings.train.max_grad_norm),
        }
        times: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(rounds + 1):
            for name in sorted(steps, reverse=bool(number % 2)):
                times[name].append(seconds(steps[name]))
        for name, values in times.items():
            print(f"{name:8}{statistics.median(values[1:]) * 1000:8.2f} ms a step")
        ratios = [a / b for a, b in zip(times["recipe"][1:], times["plain"][1:], strict=True)]
        print(f"recipe / plain: {statistics.median(ratios):.3f} (budget {BUDGET})")
        weights = zip(ours.model.parameters(), plain.model.parameters(), strict=True)
        gap = max((a - b).abs().max().item() for a, b in weights)
        print(f"largest difference of a weight after {(rounds + 1) * STEPS} steps: {gap:.1e}")


if __name__ == "__main__":
    main()
