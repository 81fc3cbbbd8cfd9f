"""``python -m recipe_compiler``: the same as ``recipe``."""

from recipe_compiler.cli.entry import entry


entry()
