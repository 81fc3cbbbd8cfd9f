"""What the small model's frozen random text encoder keeps of captions, from which the transformer has to learn what words mean."""

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

import recipe_schema
from recipe_compiler.fetch.shapes import BACKGROUNDS, COLORS, DIRECTIONS, SHAPES, scenes
from recipe_runtime.models.random_weights import build_directory
from recipe_runtime.models.text import TextEncoder


VALUES = {"background": [*BACKGROUNDS], "color": [*COLORS], "direction": [*DIRECTIONS], "shape": [*SHAPES]}

Captions = tuple[Tensor, list[dict[str, str]], list[str]]
"""Embeddings, the mean of their tokens, (captions, channels); what each says; and the captions themselves."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    family = json.loads((Path(recipe_schema.__file__).parent / "families/sana-video-480p.json").read_text())
    folder = tmp_path_factory.mktemp("model") / "small"
    build_directory(folder, family["random_weights"]["small"], 0)
    return TextEncoder(folder, "fp32", torch.device("cpu"))


def captions(encoder: TextEncoder, *, held_out: bool, most: int | None = None) -> Captions:
    found = [
        (encoder.encode(caption, instruction=None, max_length=300).mean(dim=0), asdict(scene), caption)
        for scene in islice(scenes(held_out=held_out), most)
        for caption in scene.captions()
    ]
    embeddings, scene, texts = zip(*found, strict=True)
    return torch.stack(embeddings), list(scene), list(texts)


def linear(embeddings: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    normal = (embeddings - mean) / deviation
    return torch.cat([normal, torch.ones(len(normal), 1)], dim=1).double()


def test_a_linear_map_of_frozen_random_embeddings_tells_what_captions_of_unseen_scenes_say(encoder):
    known, says, _ = captions(encoder, held_out=False)
    unseen, wanted, _ = captions(encoder, held_out=True)
    mean, deviation = known.mean(dim=0), known.std(dim=0)
    seen, asked = linear(known, mean, deviation), linear(unseen, mean, deviation)
    ridge = seen.T @ seen + torch.eye(seen.shape[1])

    for attribute, values in VALUES.items():
        target = one_hot(torch.tensor([values.index(scene[attribute]) for scene in says])).double()
        told = (asked @ torch.linalg.solve(ridge, seen.T @ target)).argmax(dim=1)
        right = torch.tensor([values.index(scene[attribute]) for scene in wanted]) == told
        assert right.double().mean() > 0.95, attribute


def test_no_two_captions_have_nearly_the_same_embedding(encoder):
    embeddings, _, texts = captions(encoder, held_out=False, most=60)
    assert len(set(texts)) == len(texts)

    apart = torch.cdist(embeddings, embeddings)
    typical = apart.median()
    nearest = apart.fill_diagonal_(torch.inf).min()

    assert nearest > 0.02 * typical
