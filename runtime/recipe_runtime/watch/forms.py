"""The forms of messages: raw JSON, Slack's and Discord's."""

import base64
import json
import secrets
from pathlib import Path
from typing import Any

from recipe_runtime.watch.post import Request
from recipe_schema.webhook import Payload


LARGEST_CLIP = 8 * 2**20
"""Bytes of a clip that is sent along. Discord takes 10 MiB a message; base64 makes a third more of it."""

_DISCORD_CHARACTERS = 2000
_SLACK_CHARACTERS = 3000


def raw(payload: Payload, clip: Path | None) -> Request:
    """Return the event itself, with its clip in base64."""
    if clip is not None:
        content = _read(clip)
        encoded = None if content is None else base64.b64encode(content).decode()
        payload = {**payload, "clip": {"path": str(clip), "mp4_base64": encoded}}
    return _json(payload)


def slack(payload: Payload, clip: Path | None) -> Request:
    """Return the message as a text for Slack. Clips can't be sent to its incoming webhooks, so the path is told."""
    text = payload["message"] if clip is None else f"{payload['message']} ({clip})"
    for mark, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):  # Slack's rules: these three and no others
        text = text.replace(mark, code)
    return _json({"text": _shortened(text, _SLACK_CHARACTERS)})


def discord(payload: Payload, clip: Path | None) -> Request:
    """Return the message for Discord, with the clip as a file. Nobody is mentioned, whatever the text holds."""
    message = {
        "content": _shortened(payload["message"], _DISCORD_CHARACTERS),
        "allowed_mentions": {"parse": []},
    }
    content = None if clip is None else _read(clip)
    if clip is None or content is None:
        return _json(message)
    boundary = secrets.token_hex(16)
    parts = [
        ('name="payload_json"', "application/json", json.dumps(message).encode()),
        (f'name="files[0]"; filename="{_file_name(payload, clip)}"', "video/mp4", content),
    ]
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\nContent-Type: {kind}\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, kind, data in parts
    )
    return Request(body=body + f"--{boundary}--\r\n".encode(), content_type=f"multipart/form-data; boundary={boundary}")


def _file_name(payload: Payload, clip: Path) -> str:
    """Name a clip with its step, in characters that need no escape."""
    name = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in clip.name
    )
    return f"step-{payload['step']}-{name}"


def _read(clip: Path) -> bytes | None:
    """Read a clip; None if it is too large to be sent, or gone."""
    try:
        return clip.read_bytes() if clip.stat().st_size <= LARGEST_CLIP else None
    except OSError:
        return None


def _json(value: Any) -> Request:
    body = json.dumps(value, ensure_ascii=False).encode()
    return Request(body=body, content_type="application/json; charset=utf-8")


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
