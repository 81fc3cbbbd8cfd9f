"""How the Hugging Face hub names repositories."""

import re


_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def is_hub_id(name: str) -> bool:
    """Tell whether a name could be that of a repository, OWNER/NAME. A folder may have such a name, too."""
    return _HUB_ID.fullmatch(name) is not None
