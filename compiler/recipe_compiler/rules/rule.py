"""What a rule is: a pure function from settings and facts to findings, with a page of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from recipe_compiler.diagnostics.diagnostic import Severity
from recipe_compiler.machine import Machine
from recipe_compiler.settings import Resolved
from recipe_schema.record import record


if TYPE_CHECKING:  # plan and ledger cost more to load than a lint without data takes
    from recipe_compiler.data.facts import Survey


@record
class Facts:
    """What rules may know.

    Attributes:
        settings: The resolved settings. A rule whose settings are wrong already stays silent.
        survey: What is in the data sets; None if nobody looked, and then rules about data are not asked.
        must_run: The recipe is to be planned or run now, so that everything it needs has to be there.
        starts_here: The run starts on this machine now. (A plan may be run on another one.)
        machine: This machine.
        root: The folder at which relative paths of the recipe start.
    """

    settings: Resolved
    survey: "Survey | None"
    must_run: bool
    starts_here: bool
    machine: Machine
    root: Path


@record
class Finding:
    """What a rule found.

    Attributes:
        at: The setting that it is about, as in ``train.batch_size``.
        message: What was found and what was expected.
        help: What to do.
        fix: The text that belongs in place of the setting's value, where that cures it.
        severity: Where it differs from the rule's own.
        also: Other settings that take part, each with what is to be seen there.
    """

    at: str
    message: str
    help: str = ""
    fix: str | None = None
    severity: Severity | None = None
    also: tuple[tuple[str, str], ...] = ()


@record
class Rule:
    """A rule.

    Attributes:
        code: Its stable code.
        name: The smell that it finds; it reads after "allow".
        severity: Of its findings.
        reads: The settings that it rests on, by their paths in the definition. If one of them is wrong, the rule
            is not asked.
        check: The rule itself.
        page: The text of ``recipe explain CODE``: the docstring of the rule's module.
    """

    code: str
    name: str
    severity: Severity
    reads: tuple[str, ...]
    check: Callable[[Facts], Iterator[Finding]]
    page: str
