"""Logins, and whether the hub answers."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from recipe_compiler.doctor.verdict import Verdict
from recipe_compiler.machine import Machine


_HUB = "https://huggingface.co"
_PATIENCE = 4
"""Seconds."""

Ask = Callable[[str], str]
"""Asks an address, and returns why there was no answer; empty if there was one."""


def look_at_logins(machine: Machine) -> Iterator[Verdict]:
    """Look for tokens. None is needed by a recipe that uploads nothing and takes nothing that is private."""
    if machine.has_hub_login("HF_TOKEN"):
        yield Verdict(about="logins", status="ok", text="there is a token for the Hugging Face hub")
    else:
        text = "no token for the Hugging Face hub: what is gated or private can't be had, and nothing uploaded"
        yield Verdict(about="logins", status="note", text=text, cure="hf auth login")
    if machine.version("wandb") is not None:
        if machine.has_wandb_login():
            yield Verdict(about="logins", status="ok", text="wandb can upload, or was told not to")
        else:
            text = "wandb is not logged in: `tracking.report_to: wandb` would stop"
            yield Verdict(about="logins", status="note", text=text, cure="wandb login, or WANDB_MODE=offline")


def look_at_hub(machine: Machine, ask: Ask) -> Verdict:
    """Ask the hub whether it is there. Without it, what is on the disk already can be trained."""
    address = (machine.variable("HF_ENDPOINT") or _HUB).rstrip("/")
    if (machine.variable("HF_HUB_OFFLINE") or "").upper() in ("1", "ON", "YES", "TRUE"):
        return Verdict(about="network", status="note", text="HF_HUB_OFFLINE is set: the hub is not asked")
    if not address.startswith(("http://", "https://")):
        text = f"HF_ENDPOINT is `{address}`, and that is no address"
        return Verdict(about="network", status="error", text=text, cure=f"export HF_ENDPOINT={_HUB}, or unset it")
    why = ask(address)
    if not why:
        return Verdict(about="network", status="ok", text=f"{address} answers")
    cure = "a model and clips that are here already are trained all the same; HF_HUB_OFFLINE=1 keeps others from asking"
    return Verdict(about="network", status="note", text=f"{address} does not answer: {why}", cure=cure)


def ask_address(address: str) -> str:
    """Ask an address, through the proxy that the environment names. Any answer will do, also a refusal."""
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - http or https, it was checked
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE):  # noqa: S310
            return ""
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
