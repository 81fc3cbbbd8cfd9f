"""What a look at one thing came to."""

from dataclasses import dataclass
from typing import Literal


Status = Literal["ok", "note", "warning", "error"]
"""*ok*: as it should be. *note*: good to know, and nothing is wrong. *warning*: it works, but not well. *error*: what is
needed is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a look at one thing came to.

    Attributes:
        about: What was looked at, as in ``disk``.
        status: How it is.
        text: What was found.
        cure: What to do; empty where nothing has to be done.
    """

    about: str
    status: Status
    text: str
    cure: str = ""
