"""SimpleTuner: ``config.json`` (or .toml, .env), the data backend file that it names, and what that names.

Its options become settings by the marks of the language (``aka``). What it does with them, where that is not what was
meant, is in `simpletuner_facts` and `simpletuner_truth`.
"""

from pathlib import Path

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.given import Given, given_in, with_variables
from recipe_compiler.imports.place import How, located, short
from recipe_compiler.imports.problem import ImportProblemError
from recipe_compiler.imports.reading import read_list, read_map
from recipe_compiler.imports.simpletuner_config import Config
from recipe_compiler.imports.simpletuner_data import take_data
from recipe_compiler.imports.simpletuner_facts import OLD_NAMES
from recipe_compiler.imports.simpletuner_options import Options, canonical
from recipe_compiler.imports.simpletuner_truth import tell_truth


CONFIGS = ("config.json", "config.toml", "config.env")
DATA, DATA_KEY = "multidatabackend.json", "data_backend_config"


def import_simpletuner(path: Path, how: How) -> Draft:
    """Take a configuration of SimpleTuner over.

    Args:
        path: The configuration, or a folder that holds it, or a folder ``config`` that does.
        how: Where the recipe goes, and what it should say.

    Raises:
        OSError: A file can't be read.
        ImportProblemError: A file is missing or broken.
    """
    config = _config_file(path)
    draft = Draft()
    options = _options(config, draft, how)
    data, root = _data_file(options, config, draft)
    reader = Config(options, draft, how, config, root)
    reader.take()
    if data is not None:
        sets = [with_variables(given, how.environment.get) for given in given_in(read_list(data))]
        take_data(sets, reader.data_defaults, draft, how, root)
    tell_truth(draft, options, how)
    return draft


def _config_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for folder in (path, path / "config"):
        for name in CONFIGS:
            if (folder / name).is_file():
                return folder / name
    raise ImportProblemError(f"{path}: there is no {', '.join(CONFIGS)} in it, nor in a folder `config`")


def _options(config: Path, draft: Draft, how: How) -> Options:
    """Read the configuration; of an option that is given twice the last counts."""
    options: dict[str, list[Given]] = {}
    for given in given_in(read_map(config)):
        name = canonical(_option_name(str(given.key[0]) if given.key else "", config))
        if name in options and len(given.key) == 1:
            for earlier in options.pop(name):
                draft.leave(earlier, f"`{given.name}` is the same option, and comes after it")
        secret = name == "webhook_config"  # addresses stay in the environment
        options.setdefault(name, []).append(given if secret else with_variables(given, how.environment.get))
    options.pop("", None)  # an empty file
    return Options(options)


def _option_name(key: str, config: Path) -> str:
    if config.suffix == ".env" and not key.startswith("--"):
        return OLD_NAMES.get(key, key.lower())
    return key.lstrip("-")


def _data_file(options: Options, config: Path, draft: Draft) -> tuple[Path | None, Path]:
    """Find the data backend file, and the folder at which paths of the configuration start."""
    folder = config.absolute().parent
    root = next((above.parent for above in (folder, *folder.parents) if above.name == "config"), folder)
    given = options.given(DATA_KEY)
    if given is None:
        beside = config.parent / DATA
        draft.warn(
            f"{config} names no data backend file ({DATA_KEY})" + (f": {beside} is taken" if beside.is_file() else "")
        )
        return (beside if beside.is_file() else None), root
    found = located(str(given.value), config)
    if found is not None:
        draft.merge(given, "data.datasets", f"from {short(found[0])}")
        return short(found[0]), found[1]
    name = Path(str(given.value)).name
    near = next((place / name for place in (config.parent, config.parent / "..") if (place / name).is_file()), None)
    if near is None:
        raise ImportProblemError(
            f"{given.span}: `{DATA_KEY}` names `{given.value}`, which is neither in the current folder nor in {folder} or "
            "above"
        )
    near = short(near.resolve())
    draft.merge(given, "data.datasets", f"from {near}: the file that is named is not there", changed=True)
    draft.warn(f"`{given.value}`, which {config.name} names, is not there: {near} is taken")
    return near, root
