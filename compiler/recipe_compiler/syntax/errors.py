"""What can be wrong with a single value."""


class NumberError(ValueError):
    """A number that recipes can't hold."""


class TemplateError(Exception):
    """A template that can't be evaluated. ``offset`` counts characters from the start of its value."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset
