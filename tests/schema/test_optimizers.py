"""What each optimizer stores, in numbers and in words."""

import re
from pathlib import Path

from recipe_schema.definition import leaves
from recipe_schema.optimizers import STORAGE, statement


PAGE = Path(__file__).parents[2] / "docs" / "precision.md"


def test_every_optimizer_of_the_language_says_what_it_stores():
    (leaf,) = [leaf for leaf in leaves() if leaf.path == "optimizer.name"]

    assert f"one of {', '.join(STORAGE)}" == leaf.spec.words()
    assert statement("adamw") == "weight and gradient in fp32, two moments in fp32: 16 bytes a weight"
    assert statement("optimi-lion").endswith("one moment and a compensation in bf16: 8 bytes a weight")
    assert statement("came").endswith(": 12 bytes a weight and what rows and columns take")


def test_the_page_says_the_same_of_each():
    rows = re.findall(
        r"^\| `([a-z0-9_-]+)` \| (fp32|bf16) \| (.+?) \| ([0-9.]+)( \+)? \|$", PAGE.read_text(), re.MULTILINE
    )

    found = {name: row for name, *row in rows}

    assert found == {
        name: [
            "fp32" if stored.weight == 4 else "bf16",
            stored.what,
            f"{2 * stored.weight + stored.full:.4g}",
            " +" if stored.factored else "",
        ]
        for name, stored in STORAGE.items()
    }
