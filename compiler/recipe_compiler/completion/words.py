"""What may stand at the cursor of a command line."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from recipe_compiler.cli.arguments import COMMANDS
from recipe_compiler.completion.values import codes, first_sentence, values_of


Words = Mapping[str, str]
"""Words, each with what it means."""

_GENERAL = {"--help": "show what there is", "--version": "show the version"}
_CODE = re.compile(r"[Rr]\d{0,3}\Z")
_MANY = "+"


def words_for(line: Sequence[str]) -> Words:
    """Return what the last word of a line may become. Nothing means that a file may stand there.

    Args:
        line: The words up to the cursor, the program's name first.
    """
    *before, now = line[1:] or [""]
    if not before:
        return _beginning({**{name: purpose for name, (purpose, _, _) in COMMANDS.items()}, **_GENERAL}, now)
    if before[0] not in COMMANDS:
        return {}
    place = _Place(before[0], before[1:])
    if place.option is not None:
        return _values(place.option, now, place)
    if now.startswith("--") and "=" in now:
        name, _, value = now.partition("=")
        action = place.options.get(name)
        return {} if action is None else {f"{name}={word}": why for word, why in _values(action, value, place).items()}
    if now.startswith("-"):
        return _beginning({name: action.help or "" for name, action in place.options.items()}, now)
    return {} if place.positional is None else _values(place.positional, now, place)


class _Place:
    """A place of a command line.

    Attributes:
        command: The command.
        options: Its options by their names.
        option: The option whose value stands at the cursor; None for no option's.
        positional: The argument that stands there otherwise; None if all were given.
        given: The arguments before the cursor that are no options.
    """

    def __init__(self, command: str, words: Sequence[str]) -> None:
        parser = argparse.ArgumentParser(prog=command)
        COMMANDS[command][2](parser)
        actions = parser._actions  # noqa: SLF001 - argparse tells its actions to nobody else
        self.command = command
        self.options = {name: action for action in actions for name in action.option_strings}
        self.option: argparse.Action | None = None
        self.given: list[str] = []
        for word in words:
            self._take(word)
        positionals = [action for action in actions if not action.option_strings]
        left = positionals[len(self.given) :]
        last = positionals[-1] if positionals and positionals[-1].nargs == _MANY else None
        self.positional = left[0] if left else last

    def _take(self, word: str) -> None:
        if word.startswith("-") and word != "-":
            action = self.options.get(word)
            self.option = action if action is not None and action.nargs != 0 else None
        elif self.option is None:
            self.given.append(word)
        elif self.option.nargs != _MANY:
            self.option = None


def _values(action: argparse.Action, now: str, place: _Place) -> Words:
    """Return the values of an option or an argument."""
    if action.choices is not None:
        return _beginning(dict.fromkeys(map(str, action.choices), ""), now)
    known: Words = {}
    match action.dest:
        case "set":
            return _assignments(now)
        case "select" | "ignore":
            head, comma, last = now.rpartition(",")
            known = {f"{head}{comma}{code}": name for code, name in codes().items()}
            now = f"{head}{comma}{last.upper()}"
        case "subject" if place.command == "explain" and _CODE.match(now):
            known, now = codes(), now.upper()
        case "key":
            known = _keys(now)
        case "variant":
            known = dict.fromkeys(_variants(place.given), "a variant")
        case _:
            pass
    return _beginning(known, now)


def _assignments(now: str) -> Words:
    """Return ``section.key=``, or with the key the values that it takes."""
    from recipe_schema.definition import generic, leaf_index  # noqa: PLC0415 - few words need the language

    key, equals, value = now.partition("=")
    if not equals:
        return _beginning({f"{path}=": what for path, what in _keys(now).items()}, now)
    leaf = leaf_index().get(generic(key))
    named = () if leaf is None else values_of(leaf)
    return {f"{key}={word}": why for word, why in _beginning(dict.fromkeys(named, ""), value).items()}


def _keys(now: str) -> Words:
    """Return all keys with their descriptions. An element of a table is the one that was begun, or the first."""
    from recipe_schema.definition import leaf_index  # noqa: PLC0415

    parts = now.split(".")
    keys = {}
    for path, leaf in leaf_index().items():
        own = [
            (parts[place] if place < len(parts) and parts[place].isdigit() else "0") if part == "*" else part
            for place, part in enumerate(path.split("."))
        ]
        keys[".".join(own)] = first_sentence(leaf.key.doc)
    return keys


def _variants(given: Sequence[str]) -> Sequence[str]:
    """Return the ids of the variants of the recipe that a line names."""
    from recipe_compiler.passes.compose import compose, read_source  # noqa: PLC0415
    from recipe_compiler.passes.variants import read_matrix  # noqa: PLC0415

    for name in given:
        try:
            tree = compose(read_source(Path(name)), Path(name), (), ()).tree
        except (OSError, ValueError):
            continue
        return [variant.id for variant in read_matrix(tree).variants] if tree is not None else ()
    return ()


def _beginning(words: Words, now: str) -> Words:
    return {word: why for word, why in words.items() if word.startswith(now)}
