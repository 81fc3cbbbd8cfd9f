"""``python -m recipe_compiler``: the same as ``recipe``."""

import sys

from recipe_compiler.cli.main import main


if __name__ == "__main__":
    sys.exit(main())
