"""What commands raise for `recipe_compiler.cli.main` to tell."""


class UsageError(Exception):
    """Wrong usage. The message says what to do instead."""


def unreadable(error: OSError) -> str:
    """Say which file can't be read, and why."""
    from recipe_compiler.passes.extends import BUILTIN

    text = f"`{error.filename}`: {error.strerror}"
    shipped = str(error.filename).startswith(BUILTIN)
    return f"{text}; a shipped recipe is used by one of yours, with `extends: {error.filename}`" if shipped else text
