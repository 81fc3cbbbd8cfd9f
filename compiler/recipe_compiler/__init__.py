"""Recipe in, plan and diagnostics out. Start reading at `recipe_compiler.pipeline`."""

__version__ = "0.1.0"
