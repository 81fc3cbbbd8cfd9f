"""What an export says of each setting, and the files that it makes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from recipe_schema.marks import Impact
from recipe_schema.record import record


class Unsaid(NamedTuple):
    """A setting that can't be said there, or not quite.

    Attributes:
        path: The setting.
        value: Its value.
        impact: What it does.
        reason: Why, and what is said in its place.
        nearly: What is said comes near it.
    """

    path: str
    value: Any
    impact: Impact
    reason: str
    nearly: bool = False

    @property
    def shapes(self) -> bool:
        """The weights would become others without it."""
        return self.impact == "result" and not self.nearly


@record
class Exported:
    """A recipe as another trainer's configuration.

    Attributes:
        files: What stands in each file, by its name.
        said: How many settings are said.
        unsaid: Those that are not, or not quite.
    """

    files: Mapping[str, Any]
    said: int
    unsaid: tuple[Unsaid, ...]

    @property
    def whole(self) -> bool:
        """Everything that shapes the weights is said."""
        return not any(unsaid.shapes for unsaid in self.unsaid)
