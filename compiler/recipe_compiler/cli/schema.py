"""``recipe schema``: the JSON Schema of the language, or of what webhooks get."""

import argparse

from recipe_compiler.cli.findings import print_json
from recipe_schema.examples import editor_schema
from recipe_schema.exits import Exit
from recipe_schema.webhook import webhook_schema


def run(options: argparse.Namespace) -> int:
    """Print a schema."""
    print_json(webhook_schema() if options.what == "webhook" else editor_schema())
    return Exit.OK
