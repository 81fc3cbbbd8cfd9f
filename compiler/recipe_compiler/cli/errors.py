"""What commands raise for `recipe_compiler.cli.main` to tell."""


class UsageError(Exception):
    """Wrong usage. The message says what to do instead."""
