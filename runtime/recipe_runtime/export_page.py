"""The page beside an exported adapter: what it is, and how it is loaded."""

from recipe_runtime.context import Context
from recipe_runtime.exported import loading
from recipe_runtime.models.split import SPLITTING
from recipe_schema.hub_id import is_hub_id
from recipe_schema.sections.model import Model


_PAGE = """\
# {name}

{kind} for `{base}`, trained with sana-recipes.
{other}
| | |
|---|---|
| rank, alpha | {rank}, {alpha:g} |
| layers | {layers} ({targets}) |
| steps | {steps} |
| weights | {weights} |
| clips | {clips} at {framerate:g} fps |
| plan | `{plan}` |

```python
from diffusers import SanaVideoPipeline

pipeline = SanaVideoPipeline.from_pretrained("{base}")
{load}
```
"""

_PLACE = "path/to/this/folder"


def adapter_page(ctx: Context, *, layers: int, weights: str) -> str:
    """Write the page of an adapter, in Markdown.

    Args:
        ctx: The run.
        layers: How many layers the adapter changes.
        weights: Whether the ``model`` 's last weights are exported, or their average, ``ema``.
    """
    settings = ctx.settings
    lora, base = settings.model.lora, settings.model.pretrained_model_name_or_path
    rank = 2 * lora.rank if lora.init in SPLITTING else lora.rank
    page = _PAGE.format(
        name=settings.name,
        kind="LoKr adapter" if lora.type == "lokr" else "DoRA adapter" if lora.use_dora else "LoRA adapter",
        base=base,
        other=_other(settings.model),
        rank=rank,
        alpha=lora.alpha * rank / lora.rank,
        load=loading(lora.type, _PLACE),
        layers=layers,
        targets=", ".join(f"`{target}`" for target in lora.target_modules),
        steps=ctx.plan.body.schedule.max_steps,
        weights="average (EMA)" if weights == "ema" else "of the last step",
        clips=len(ctx.rows),
        framerate=settings.data.framerate,
        plan=ctx.plan.plan_id,
    )
    # The hub reads a page's head, and refuses a base model that is none of its own.
    if is_hub_id(base) and not ctx.resolve(base).exists():
        page = f"---\nbase_model: {base}\nlibrary_name: diffusers\npipeline_tag: text-to-video\ntags: [lora]\n---\n\n{page}"
    return page


def _other(model: Model) -> str:
    """Say what is unusual about an adapter."""
    transformer, lora, told = model.pretrained_transformer_model_name_or_path, model.lora, ""
    if transformer != model.pretrained_model_name_or_path:
        told += f"\nIts transformer is that of `{transformer}`: load it into the pipeline first.\n"
    if lora.init in SPLITTING:
        told += (
            f"\nIt was trained at rank {lora.rank}, beginning with a part of the weights (`{lora.init}`), and is stored at "
            "twice that rank, for the weights as they were.\n"
        )
    return told
