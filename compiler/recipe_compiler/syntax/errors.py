"""What can be wrong with a single value."""


class NumberError(ValueError):
    """A number that recipes can't hold."""


class TemplateError(Exception):
    """A template that can't be evaluated.

    ``offset`` counts characters from the start of its value; ``help`` says what to do, if there is something to say.
    """

    def __init__(self, message: str, offset: int = 0, help: str = "") -> None:  # noqa: A002 - as in findings
        super().__init__(message)
        self.offset = offset
        self.help = help


class BrokenNameError(TemplateError):
    """A template names a value about which something was said already."""


class _Broken:
    """The value of a name that has none because something is wrong with it."""


BROKEN = _Broken()
"""The one instance: templates that name it stay silent."""
