"""What SimpleTuner's configuration names or holds besides options: prompts, LyCORIS, webhooks, optimizer constants."""

import re
from collections.abc import Sequence
from pathlib import Path

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.fitting import coerced, misfit
from recipe_compiler.imports.given import Given, given_in
from recipe_compiler.imports.place import named_file
from recipe_compiler.imports.reading import read_map
from recipe_schema.definition import leaf_index
from recipe_schema.record import replace


LIBRARY = "validation.prompt_library"
_PLACEHOLDER = re.compile(r"<[A-Za-z_]+>")
_VARIABLE = re.compile(r"\{env:([A-Za-z_][A-Za-z0-9_]*)\}\Z")
_LONGEST_NAME = 64
_LARGEST_RANK = 1024
_WEBHOOKS = "tracking.webhooks"
_CONSTANTS = ("weight_decay", "eps", "beta1", "beta2")


def take_library(given: Given, draft: Draft, config: Path) -> None:
    """Take a library of prompts over: the prompts themselves, each under a name that a file can have."""
    file = named_file(given, config, "the prompt library")
    prompts: dict[str, str] = {}
    open_places = set[str]()
    for prompt in given_in(read_map(file)):
        name = _nickname(prompt.name, prompts)
        open_places |= set(_PLACEHOLDER.findall(str(prompt.value)))
        if not name or not isinstance(prompt.value, str):
            draft.leave(prompt, "a nickname and its prompt are expected", lost=True, target=LIBRARY)
            continue
        prompts[name] = prompt.value
        reason = "nicknames become names of files" if name != prompt.name else ""
        draft.merge(prompt, f"{LIBRARY}.{name}", reason, changed=bool(reason))
    draft.change(given, LIBRARY, prompts, f"the prompts of {file} themselves")
    if open_places:
        draft.warn(f"prompts of {file} hold {', '.join(sorted(open_places))}: write what they stand for")


def _nickname(name: str, taken: dict[str, str]) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "", name.replace(" ", "_")).strip("._-")[:_LONGEST_NAME]
    number = 2
    while safe and safe.lower() in {other.lower() for other in taken}:
        safe = f"{safe[: _LONGEST_NAME - 4]}-{number}"
        number += 1
    return safe


def take_lycoris(given: Given, draft: Draft, config: Path) -> None:
    """Take a configuration of LyCORIS over: its LoKr."""
    file = named_file(given, config, "the LyCORIS configuration")
    draft.merge(given, "model.lora", f"from {file}")
    for key in given_in(read_map(file)):
        _lycoris_key(key, draft)
    draft.add("model.lora.type", "lokr", f"{file}")


def _lycoris_key(key: Given, draft: Draft) -> None:
    name = key.name.removeprefix("apply_preset.module_algo_map.Attention.")
    same = {"factor": "model.lora.lokr_factor", "linear_alpha": "model.lora.alpha", "linear_dim": "model.lora.rank"}
    whole = (name, key.value) == ("full_matrix", True)
    if name == "algo":
        _algorithm(key, draft)
    elif whole or (name == "linear_dim" and isinstance(key.value, int) and key.value > _LARGEST_RANK):
        draft.change(key, "model.lora.rank", _LARGEST_RANK, "factors stay whole if the rank is more than they have")
    elif name in same:
        draft.take(key, same[name])
    elif (name, key.value) == ("apply_preset.target_module", ["Attention"]):
        draft.merge(key, "model.lora.target_modules", "these are the layers that get an adapter by default")
    elif (name, key.value) in (("multiplier", 1), ("full_matrix", False), ("use_scalar", False)):
        draft.leave(key, "it is so here")
    else:
        reason = "adapters have type, rank, alpha, lokr_factor and target_modules, the same for all layers"
        draft.leave(key, reason, lost=True, target="model.lora")


def _algorithm(key: Given, draft: Draft) -> None:
    types = {"lokr": "lokr", "lora": "standard", "locon": "standard"}
    algorithm = str(key.value).lower()
    if algorithm in types:
        draft.change(key, "model.lora.type", types[algorithm], "that is its name here")
    else:
        draft.leave(key, "of LyCORIS there are lokr and lora", lost=True, target="model.lora.type")


def take_webhooks(several: Sequence[Given], draft: Draft, config: Path) -> None:
    """Take webhooks over. Their addresses are secrets, and stay out of the recipe unless it is one's own server's."""
    if len(several) == 1 and isinstance(several[0].value, str):
        file = named_file(several[0], config, "the webhooks")
        draft.merge(several[0], _WEBHOOKS, f"from {file}")
        several = tuple(given_in(read_map(file)))
    for given in several:
        parts = [str(part) for part in given.key if str(part).lstrip("-") != "webhook_config"]
        index = parts.pop(0) if parts and parts[0].isdigit() else "0"
        _webhook_key(given, parts[0] if parts else "", f"{_WEBHOOKS}.{index}", index, draft)


def _webhook_key(given: Given, name: str, table: str, index: str, draft: Draft) -> None:
    number = "" if index == "0" else f"_{int(index) + 1}"
    secrets = {
        "webhook_url": ("url_env", f"WEBHOOK_URL{number}", "the address"),
        "auth_token": ("token_env", f"WEBHOOK_TOKEN{number}", "the token"),
    }
    same = {"webhook_type": "type", "callback_url": "url", "log_level": "level", "message_prefix": "prefix"}
    variable_of = _VARIABLE.match(str(given.value))
    if name in (*secrets, "callback_url") and variable_of is not None:
        key = secrets[name][0] if name in secrets else "url_env"
        draft.change(given, f"{table}.{key}", variable_of[1], "it is a variable")
    elif name in secrets:
        key, variable, what = secrets[name]
        hidden = replace(given, value="…")
        draft.change(hidden, f"{table}.{key}", variable, f"{what} is a secret: put it into the variable {variable}")
        draft.warn(f"set the variable {variable} to what `{given.name}` of {given.span.source.name} holds")
    elif name in same:
        draft.take(given, f"{table}.{same[name]}")
    elif name == "ssl_no_verify" and isinstance(given.value, bool):
        draft.change(given, f"{table}.ssl_verify", not given.value, "it says the opposite")
    else:
        draft.leave(given, "a webhook has a type, an address, a level and a prefix", lost=True, target=table)


def take_optimizer_config(given: Given, draft: Draft) -> None:
    """Take ``key=value,key=value`` over."""
    left = []
    for part in str(given.value).split(","):
        name, _, text = (piece.strip() for piece in part.partition("="))
        leaf = leaf_index()[f"optimizer.{name}"] if name in _CONSTANTS else None
        value = None if leaf is None else coerced(text, leaf)
        if leaf is not None and misfit(value, leaf) is None:
            draft.add(leaf.path, value, given.origin)
        else:
            left.append(part.strip())
    if left:
        reason = f"of its constants, {', '.join(left)} are no keys of `optimizer`"
        draft.leave(given, reason, lost=True, target="optimizer")
    else:
        draft.merge(given, "optimizer", "its constants are keys of `optimizer`")
