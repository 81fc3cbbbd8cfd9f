"""Forms that values of several sections have."""

from typing import Annotated

from recipe_schema.marks import Ge, Le, Pattern


MOST_STEPS = 10**9
MOST_FRAMES = 10**5
MOST_AT_ONCE = 10**5
"""Limits beyond any use: numbers that are computed from them stay exact in every JSON reader."""

Steps = Annotated[int, Ge(1), Le(MOST_STEPS)]
"""A number of optimizer steps, at least one."""

StepsOrNone = Annotated[int, Ge(0), Le(MOST_STEPS)]
"""A number of optimizer steps, or 0."""

Count = Annotated[int, Ge(1), Le(MOST_AT_ONCE)]
"""How many, at least one."""

Share = Annotated[float, Ge(0), Le(1)]
"""A probability, or a part of a whole."""

Weight = Annotated[float, Ge(0), Le(1000)]
"""How often something is drawn, compared with its neighbours."""

Seed = Annotated[int, Ge(0), Le(2**53 - 1)]
"""Where a stream of random numbers starts."""

Size = Annotated[str, Pattern(r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$", "WIDTHxHEIGHT, as in 832x480")]
"""A frame size in pixels."""

A_PATH = Pattern(r"^\s*(?!~(/|$)|\$)\S", "a path that begins with neither `~` nor `$`")
"""What marks a key whose value is a path."""

PathText = Annotated[str, A_PATH]
"""A path, relative to the recipe or absolute."""

Text = Annotated[str, Pattern(r"\S", "not empty")]
"""A text that says something."""

Name = Annotated[
    str,
    Pattern(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", "letters, digits, dot, dash and underscore, at most 64"),
]
"""A name that is safe as a file name."""

Label = Annotated[
    str,
    Pattern(
        r"^(#[0-9a-fA-F]{6}|25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$",
        "a colour such as '#ff8000', or a gray value, 0 to 255",
    ),
]
"""What a picture of labels shows where a label is."""

Variable = Annotated[
    str, Pattern(r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of a variable of the environment, never the secret itself")
]
"""Where a secret is: plans and recipes hold the name alone."""

Column = Annotated[str, Pattern(r"\S", "the name of a column")]
"""A column of a table."""
