"""The page beside an exported adapter: what it is, and how it is loaded."""

from collections.abc import Iterator

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
        load="\n".join(_loading(ctx)),
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


def _loading(ctx: Context) -> Iterator[str]:
    """Yield what loads the pipeline that the adapter was trained on, and the adapter into it."""
    model = ctx.settings.model
    base, other = model.pretrained_model_name_or_path, model.pretrained_transformer_model_name_or_path
    more = ""
    if other == base:
        yield from ("from diffusers import SanaVideoPipeline", "")
    else:
        below = "" if (ctx.resolve(other) / "config.json").is_file() else ', subfolder="transformer"'
        yield from ("from diffusers import SanaVideoPipeline, SanaVideoTransformer3DModel", "")
        yield f'transformer = SanaVideoTransformer3DModel.from_pretrained("{_found(ctx, other)}"{below})'
        more = ", transformer=transformer"
    yield f'pipeline = SanaVideoPipeline.from_pretrained("{_found(ctx, base)}"{more})'
    yield loading(model.lora.type, _PLACE)


def _found(ctx: Context, name: str) -> str:
    """Write the place of a model so that it is found from anywhere."""
    return str(ctx.resolve(name).resolve()) if ctx.resolve(name).exists() else name


def _other(model: Model) -> str:
    """Say what is unusual about an adapter."""
    lora, told = model.lora, ""
    if lora.init in SPLITTING:
        told += (
            f"\nIt was trained at rank {lora.rank}, beginning with a part of the weights (`{lora.init}`), and is stored at "
            "twice that rank, for the weights as they were.\n"
        )
    return told
