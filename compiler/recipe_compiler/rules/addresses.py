"""What addresses of webhooks and names of variables give away."""

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit


_SERVICES = {"discord.com": "discord", "discordapp.com": "discord", "hooks.slack.com": "slack"}
_SECRET_NAME = re.compile(r"(?:^|[_-])(?:token|secret|password|passwd|auth|signature|sig|key|apikey)$", re.IGNORECASE)
_TOKEN = re.compile(r"hf_[A-Za-z0-9]{16,}\Z|[A-Fa-f][0-9A-Fa-f]{31,}\Z", re.ASCII)
"""What tokens look like, and names of variables don't. Those of Slack and Discord can't be names at all."""


def is_token(name: str) -> bool:
    """Say whether what stands as the name of a variable is a token itself."""
    return _TOKEN.match(name) is not None


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address)
    except ValueError:
        return None


def service(address: str) -> str | None:
    """Return the type of webhook that an address belongs to, ``discord`` or ``slack``; None for any other."""
    parts = _split(address)
    host = (parts.hostname or "") if parts is not None else ""
    return next((kind for name, kind in _SERVICES.items() if host == name or host.endswith(f".{name}")), None)


def secret_in(address: str) -> str | None:
    """Say what is secret in an address, without repeating it; None if nothing is."""
    kind, parts = service(address), _split(address)
    if kind is not None:
        return f"whoever knows an address of {kind.capitalize()} can write there"
    if parts is None:
        return None
    if "@" in parts.netloc:
        return "it holds a user's name or password"
    names = (name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    named = next((name for name in names if _SECRET_NAME.search(name)), None)
    return f"`{named}` in it looks like a secret" if named is not None else None
