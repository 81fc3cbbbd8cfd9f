"""Marks that a key of the recipe language carries, inside ``Annotated`` or in its field."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal


Impact = Literal["result", "runtime", "cosmetic"]
"""What a change of a key does: *result* alters what is trained (it enters stage keys and the plan id),
*runtime* alters only how or where it runs (it may differ on resume), *cosmetic* alters names."""

Stage = Literal["survey", "build-model", "encode-text", "encode-video", "train", "validate", "export", "report", "push"]
"""Who reads a key. ``survey`` is the compiler's own look at the data, ``validate`` draws clips, ``report`` tells others,
``push`` uploads; the rest are stages of a plan."""

Level = Literal["critical", "error", "warning", "info", "debug"]
"""How important an event is, the most important first. *critical*: the run failed. *error*: it stopped before its end.
*warning*: people should know, and the run goes on. *info*: what happens. *debug*: progress inside of stages."""


class _Limit:
    """A limit of a number. Not a named tuple, of which two kinds with one limit would be equal."""

    __slots__ = ("limit",)
    __match_args__ = ("limit",)

    def __init__(self, limit: float) -> None:
        self.limit = limit


class Ge(_Limit):
    """The value is at least ``limit``."""


class Gt(_Limit):
    """The value is greater than ``limit``."""


class Le(_Limit):
    """The value is at most ``limit``."""


class Lt(_Limit):
    """The value is less than ``limit``."""


class Pattern:
    """A string (or each string of a list) matches ``regex``; ``meaning`` says it in words."""

    __slots__ = ("meaning", "regex")

    def __init__(self, regex: str, meaning: str) -> None:
        self.regex = regex
        self.meaning = meaning


class Required:
    """The key has no default: the recipe must give it."""


class Family:
    """The default is the fact ``name`` of the model family (see `recipe_schema.family`)."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Derived:
    """The default follows from other settings; ``formula`` says how, in words."""

    __slots__ = ("formula",)

    def __init__(self, formula: str) -> None:
        self.formula = formula


class OneOrMany:
    """A list of one value may be written as that value."""


class OrFile:
    """A mapping may be written as the path of a file that holds it."""


REQUIRED = Required()
"""The one instance of `Required`."""

ONE_OR_MANY = OneOrMany()
"""The one instance of `OneOrMany`."""

OR_FILE = OrFile()
"""The one instance of `OrFile`."""


class Key:
    """All that is known of one key besides its type and range.

    Attributes:
        default: A plain value, or `Required`, `Family`, `Derived`.
        doc: One or two sentences for the reference page, editors and ``recipe explain``.
        unit: The unit of the value, such as ``frames`` or ``fps``.
        impact: What a change of the key does.
        reads: The stages that read it. Empty for a key that is accepted and never applied.
        aka: Its flat name in SimpleTuner, when there is one.
        refused: Values that users of other tools write here, each with the reason why it is refused.
        ignored: Why no stage reads it, for a key that is taken over from elsewhere and never applied.
    """

    __slots__ = ("aka", "default", "doc", "ignored", "impact", "reads", "refused", "unit")

    def __init__(  # noqa: PLR0913 - what is known of a key; built some hundred times at every start, so no record
        self,
        default: Any,
        doc: str,
        *,
        unit: str | None = None,
        impact: Impact = "result",
        reads: tuple[Stage, ...] = (),
        aka: str | None = None,
        refused: Mapping[str, str] = MappingProxyType({}),
        ignored: str | None = None,
    ) -> None:
        self.default = default
        self.doc = doc
        self.unit = unit
        self.impact: Impact = impact
        self.reads = reads
        self.aka = aka
        self.refused = refused
        self.ignored = ignored


def key(default: Any, doc: str, **marks: Any) -> Any:
    """Declare one key of a section: its default, what it is for, and its marks.

    The default is no default of the record: settings read back from a plan have to be complete.
    """
    return Key(default, doc, **marks)
