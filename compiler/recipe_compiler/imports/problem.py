"""Why a configuration can't be taken over, or a recipe can't be given away."""


class ImportProblemError(Exception):
    """A file can't be read, or is not what it should be. The message names the file, and the line where there is one."""
