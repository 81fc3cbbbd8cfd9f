"""Motion scores, as captions have them."""

from typing import Final


LARGEST_SCORE: Final = 1000
"""No clip moves more."""

NO_SCORE: Final = "no motion score"
"""What the reason begins with for which a clip is left out that has none."""
