"""Names in a run directory's export, for those who look at one without the libraries that made it."""

EXPORT_FOLDER = "export"
"""In a run directory."""

MARKER = "recipe.json"
"""In an export: says what the exported weights are. It is written last."""

INDEX = "model_index.json"
"""In the top folder of a model in diffusers format: names the classes of its components."""
