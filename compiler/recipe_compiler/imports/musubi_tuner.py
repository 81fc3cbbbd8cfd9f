"""musubi-tuner: the file of its data sets. How it trains is in the arguments of its scripts, and is not read."""

from collections.abc import Mapping
from pathlib import Path

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.given import Given, given_in
from recipe_compiler.imports.peer import Entry, Idle, Lost, Sets, take_keys
from recipe_compiler.imports.place import How
from recipe_compiler.imports.problem import ImportProblemError
from recipe_compiler.imports.reading import read_map


_PLACES = {
    "video_directory": ("video", "instance_data_dir"),
    "image_directory": ("image", "instance_data_dir"),
    "video_jsonl_file": ("video", "csv_file"),
    "image_jsonl_file": ("image", "csv_file"),
}
_ALIGNMENT = 32
_WINDOWS = {"head": "head", "full": "head", "uniform": "uniform", "chunk": "uniform", "slide": "uniform"}
_SHORTEST = 5
_STEPS = 2000
"""How long is trained, where nothing says it: what `recipe init` takes."""

_OTHER = Lost("it is for other models")


def import_musubi_tuner(path: Path, how: How) -> Draft:
    """Take the data sets of musubi-tuner over.

    Raises:
        OSError: The file can't be read.
        ImportProblemError: It is broken.
    """
    draft = Draft()
    keys = list(given_in(read_map(path)))
    general = {given.name.partition(".")[2]: given for given in keys if given.key[0] == "general"}
    sets, told = Sets(draft, how), set[str]()
    numbers = dict.fromkeys(given.key[1] for given in keys if given.key[0] == "datasets" and len(given.key) > 1)
    for number in numbers:
        own = {str(given.key[2]): given for given in keys if given.key[:2] == ("datasets", number)}
        _data_set(own, {name: given for name, given in general.items() if name not in own}, sets, told)
    for name, given in general.items():
        if name not in told:
            draft.leave(given, "no data set needs it")
    for given in keys:
        if given.key[0] not in ("general", "datasets") or len(given.key) == 1:
            draft.leave(given, "data sets stand under [general] and [[datasets]]", lost=True)
    draft.add("train.max_steps", _STEPS, "chosen here", "musubi-tuner is told how long in the arguments of its scripts")
    draft.warn(f"`train.max_steps: {_STEPS}` was chosen here: no file of data sets says how long musubi-tuner trains")
    draft.warn("how and what musubi-tuner trains is in the arguments of its scripts, and is not read")
    draft.warn("without source_fps, musubi-tuner takes frames as they follow each other; here clips are resampled")
    return draft


def _data_set(own: Mapping[str, Given], general: Mapping[str, Given], sets: Sets, told: set[str]) -> None:
    place = next((name for name in _PLACES if name in own), None)
    if place is None:
        first = next(iter(own.values()))
        raise ImportProblemError(f"{first.span}: a data set needs one of {', '.join(_PLACES)}")
    kind, target = _PLACES[place]
    table = sets.add(str(own[place].value), own[place], kind=kind)
    sets.folder(own[place], f"{table}.{target}")
    if target == "csv_file":
        _jsonl(own[place], table, kind, sets)
    given = {**general, **own}
    shared = _Keys(table, given, sets).table()
    take_keys({name: key for name, key in own.items() if name != place}, shared, sets.draft)
    for name, key in general.items():
        before = len(sets.draft.rows)
        take_keys({name: key}, shared, sets.draft)
        if name in told:
            del sets.draft.rows[before:]
        told.add(name)


def _jsonl(given: Given, table: str, kind: str, sets: Sets) -> None:
    place = given.origin
    for key, value in (
        ("type", "csv"),
        ("caption_strategy", "csv"),
        ("csv_url_column", f"{kind}_path"),
        ("csv_caption_column", "caption"),
    ):
        sets.draft.add(f"{table}.{key}", value, place)


class _Keys:
    """What becomes of each key of a data set."""

    def __init__(self, table: str, given: Mapping[str, Given], sets: Sets) -> None:
        self._table, self._given, self._sets, self._draft = table, given, sets, sets.draft
        self._extraction = given["frame_extraction"].value if "frame_extraction" in given else "head"

    def table(self) -> Mapping[str, Entry]:
        """Return the table of all keys."""
        return {
            "resolution": self._size,
            "caption_extension": self._extension,
            "batch_size": f"{self._table}.train_batch_size",
            "num_repeats": lambda key: self._sets.repeats(key, f"{self._table}.repeats"),
            "enable_bucket": Idle("see resolution"),
            "bucket_no_upscale": Lost("clips are enlarged to their size; R316 names those that are enlarged much"),
            "cache_directory": Idle("latents are stored by content in `data.store_dir`"),
            "target_frames": self._frames,
            "frame_extraction": self._window,
            "frame_stride": Lost("windows don't overlap here"),
            "frame_sample": self._windows,
            "max_frames": self._longest,
            "source_fps": Idle("rates are read from the clips, and clips are resampled to `data.framerate`"),
            "control_directory": _OTHER,
            "control_resolution": _OTHER,
            "no_resize_control": _OTHER,
            "multiple_target": _OTHER,
        }

    def _size(self, key: Given) -> None:
        self._sets.size(key, self._table, alignment=_ALIGNMENT, tool="musubi-tuner")
        if "enable_bucket" not in self._given or self._given["enable_bucket"].value is not True:
            text = "without enable_bucket, musubi-tuner cuts every clip to this shape; here clips keep theirs"
            self._draft.warn(f"{key.span}: {text}")

    def _extension(self, key: Given) -> None:
        path = f"{self._table}.caption_strategy"
        if key.value == ".txt":
            self._draft.merge(key, path, "captions are .txt files by default")
        else:
            self._draft.leave(key, "captions are .txt files beside the clips", lost=True, target=path)

    def _frames(self, key: Given) -> None:
        wanted = key.value if isinstance(key.value, list) else [key.value]
        numbers = [number for number in wanted if isinstance(number, int)]
        reason = "a data set has one length; write it once more for each of the others" if len(numbers) > 1 else ""
        self._sets.frames(key, f"{self._table}.video.num_frames", max(numbers, default=None), reason)

    def _longest(self, key: Given) -> None:
        path = f"{self._table}.video.num_frames"
        if self._extraction == "full":
            self._sets.frames(key, path, key.value, "with frame_extraction full")
            self._draft.add(f"{self._table}.video.min_frames", _SHORTEST, "frame_extraction is full")
        else:
            self._draft.leave(key, "it belongs to frame_extraction full", target=path)

    def _window(self, key: Given) -> None:
        path = f"{self._table}.video.window"
        if key.value not in _WINDOWS:
            self._draft.leave(key, f"of its values there are {', '.join(_WINDOWS)}", lost=True, target=path)
        elif key.value == "slide":
            self._draft.change(key, path, "uniform", "windows don't overlap here")
        elif key.value == _WINDOWS[key.value]:
            self._draft.take(key, path)
        else:
            self._draft.change(key, path, _WINDOWS[key.value], "that is its name here")

    def _windows(self, key: Given) -> None:
        path = f"{self._table}.video.max_windows"
        if self._extraction == "uniform":
            self._draft.take(key, path)
        else:
            self._draft.leave(key, "it belongs to frame_extraction uniform", target=path)
