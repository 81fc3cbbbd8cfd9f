"""``recipe completion``: a script for a shell, and the words that the script asks for."""

import argparse
import os

from recipe_compiler.completion.scripts import SCRIPTS, VARIABLE, words_of
from recipe_compiler.completion.words import words_for
from recipe_schema.exits import Exit


def run(options: argparse.Namespace) -> int:
    """Print the script, or words where the script asks for them."""
    asked = os.environ.get(VARIABLE)
    if asked is None:
        print(SCRIPTS[options.shell], end="")
        return Exit.OK
    for word, meaning in words_for(words_of(asked)).items():
        print(f"{word}\t{meaning}" if meaning else word)
    return Exit.OK
