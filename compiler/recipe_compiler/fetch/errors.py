"""The one exception of this package."""


class FetchError(Exception):
    """A folder that could not be made. The message says what was found and what to do, in one sentence."""
