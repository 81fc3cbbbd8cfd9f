"""The page that leads from SimpleTuner's names to ours."""

from recipe_compiler.docs.markdown import cell, document, table
from recipe_schema.definition import Leaf, leaves


_DATASETS = "data.datasets.*."


def simpletuner_page() -> str:
    """Return the page."""
    flat = sorted((leaf.key.aka, leaf) for leaf in leaves() if leaf.key.aka and not leaf.path.startswith(_DATASETS))
    datasets = [leaf for leaf in leaves() if leaf.path.startswith(_DATASETS)]
    lines = [
        "# From SimpleTuner's names to ours",
        "",
        (
            "A flat key of SimpleTuner in a recipe is a finding that names the right one: "
            "`train_batch_size` is `train.batch_size` here. Inside a section a key loses the section's name."
        ),
        "",
        *table(
            ("SimpleTuner", "here", "values that are refused"),
            [(f"`{aka}`", f"`{leaf.path}`", _refused(leaf)) for aka, leaf in flat],
        ),
        "",
        "## Data sets",
        "",
        (
            "Entries of `data.datasets` keep the names of `multidatabackend.json`, so that one can be pasted in as YAML. "
            "These have a meaning here; `source` is our own:"
        ),
        "",
        ", ".join(f"`{leaf.path.removeprefix(_DATASETS)}`" for leaf in datasets),
    ]
    return document(lines)


def _refused(leaf: Leaf) -> str:
    return "<br>".join(f"`{value}`: {cell(reason)}" for value, reason in leaf.key.refused.items())
