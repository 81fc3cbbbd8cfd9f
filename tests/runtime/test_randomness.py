from typing import Any

import torch

from recipe_runtime.randomness import generator


def test_the_same_name_gives_the_same_numbers():
    first = torch.randn(8, generator=generator(7, "noise", 3, "a/b.mp4"))
    second = torch.randn(8, generator=generator(7, "noise", 3, "a/b.mp4"))

    assert torch.equal(first, second)


def test_every_part_of_the_name_counts():
    names: list[tuple[Any, ...]] = [
        (7, "noise", 3, "a"),
        (8, "noise", 3, "a"),
        (7, "order", 3, "a"),
        (7, "noise", 4, "a"),
        (7, "noise", "3a"),
    ]

    seeds = {generator(*name).initial_seed() for name in names}

    assert len(seeds) == len(names)


def test_the_process_wide_random_state_is_not_touched():
    before = torch.get_rng_state()

    torch.randn(8, generator=generator(7, "noise"))

    assert torch.equal(before, torch.get_rng_state())
