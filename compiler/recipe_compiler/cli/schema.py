"""``recipe schema``: the JSON Schema of the language."""

import argparse

from recipe_compiler.cli.findings import print_json
from recipe_schema.exits import Exit
from recipe_schema.jsonschema import recipe_schema


def run(options: argparse.Namespace) -> int:
    """Print the schema."""
    del options
    print_json(recipe_schema())
    return Exit.OK
