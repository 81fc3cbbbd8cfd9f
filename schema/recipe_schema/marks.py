"""Marks that a key of the recipe language carries, inside ``Annotated`` or in its field."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from recipe_schema.record import record


Impact = Literal["result", "runtime", "cosmetic"]
"""What a change of a key does: *result* alters what is trained (it enters stage keys and the plan id),
*runtime* alters only how or where it runs (it may differ on resume), *cosmetic* alters names."""

Stage = Literal["survey", "build-model", "encode-text", "encode-video", "train", "validate", "export", "report", "push"]
"""Who reads a key. ``survey`` is the compiler's own look at the data, ``validate`` draws clips, ``report`` tells others,
``push`` uploads; the rest are stages of a plan."""

Level = Literal["critical", "error", "warning", "info", "debug"]
"""How important an event is, the most important first. *critical*: the run failed. *error*: it stopped before its end.
*warning*: people should know, and the run goes on. *info*: what happens. *debug*: progress inside of stages."""


class Ge(NamedTuple):
    """The value is at least ``limit``."""

    limit: float


class Gt(NamedTuple):
    """The value is greater than ``limit``."""

    limit: float


class Le(NamedTuple):
    """The value is at most ``limit``."""

    limit: float


class Lt(NamedTuple):
    """The value is less than ``limit``."""

    limit: float


class Pattern(NamedTuple):
    """A string (or each string of a list) matches ``regex``; ``meaning`` says it in words."""

    regex: str
    meaning: str


class Required(NamedTuple):
    """The key has no default: the recipe must give it."""


class Family(NamedTuple):
    """The default is the fact ``name`` of the model family (see `recipe_schema.family`)."""

    name: str


class Derived(NamedTuple):
    """The default follows from other settings; ``formula`` says how, in words."""

    formula: str


class OneOrMany(NamedTuple):
    """A list of one value may be written as that value."""


class OrFile(NamedTuple):
    """A mapping may be written as the path of a file that holds it."""


class AnyOther:
    """Every value but the default."""


REQUIRED = Required()
"""The one instance of `Required`."""

ONE_OR_MANY = OneOrMany()
"""The one instance of `OneOrMany`."""

OR_FILE = OrFile()
"""The one instance of `OrFile`."""

ANY_OTHER = AnyOther()
"""The one instance of `AnyOther`."""


@record
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
        pending: Values that the language has and the runtime of this version does not carry out. A plan that asks for one
            is refused, so that nobody trains something else than the recipe says.
    """

    default: Any
    doc: str
    unit: str | None = None
    impact: Impact = "result"
    reads: tuple[Stage, ...] = ()
    aka: str | None = None
    refused: Mapping[str, str] = MappingProxyType({})
    ignored: str | None = None
    pending: tuple[Any, ...] | AnyOther = ()


def key(default: Any, doc: str, **marks: Any) -> Any:
    """Declare one key of a section: its default, what it is for, and its marks.

    The default is no default of the record: settings read back from a plan have to be complete.
    """
    return Key(default=default, doc=doc, **marks)
