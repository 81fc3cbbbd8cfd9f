"""What a run directory's export is made of, and how it is loaded, for those who look at one without the libraries that made it."""

EXPORT_FOLDER = "export"
"""In a run directory."""

MARKER = "recipe.json"
"""In an export: says what the exported weights are. It is written last."""

INDEX = "model_index.json"
"""In the top folder of a model in diffusers format: names the classes of its components."""

MERGED = "merged"
"""In an exported adapter: the whole model with the adapter in its weights, where that is asked for."""

ADAPTER_FILE = "pytorch_lora_weights.safetensors"
"""In an exported adapter: the name that diffusers looks for."""


def loading(form: str, place: str) -> str:
    """Return what loads an adapter into a pipeline, in Python.

    Args:
        form: As in ``model.lora.type``.
        place: A folder, or a repository of the hub.
    """
    if form == "standard":
        return f'pipeline.load_lora_weights("{place}")'
    # The pipeline's own method takes LoRA alone.
    method = "pipeline.transformer.load_lora_adapter"
    return f'{method}(\n    "{place}", weight_name="{ADAPTER_FILE}", prefix="transformer"\n)'
