"""The data sets of SimpleTuner's data backend file. Their keys have the same names here; a few mean something else."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.given import Given
from recipe_compiler.imports.place import HERE, How, rebased
from recipe_compiler.imports.simpletuner_facts import EMPTY_TYPES, TYPES, legal_frames
from recipe_compiler.passes.foreign import is_idle, why_not
from recipe_compiler.suggest import near
from recipe_schema.definition import Leaf, leaf_index
from recipe_schema.family import FamilyFacts, load_family


_TABLE = "data.datasets"
_STAR = f"{_TABLE}.*."
_PLACES = ("instance_data_dir", "csv_file", "csv_cache_dir", "parquet.path")
_SIZES = ("resolution", "resolution_type", "aspect_bucket_alignment", "aspect_bucket_rounding")
_UNITS = ("minimum_image_size", "resolution_type")
_CROPPED = ("crop_aspect", "crop_aspect_buckets")
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 64
_OFFICIAL = 480
_DEFAULT_SECONDS, _DEFAULT_RATE = 5, 30
_CACHED = "latents and texts are stored by content in `data.store_dir`: nothing there can be stale, or mixed up"


def take_data(sets: Sequence[Given], defaults: Mapping[str, Given], draft: Draft, how: How, root: Path) -> None:
    """Take all data sets over.

    Args:
        sets: The keys of the data backend file.
        defaults: Options of the configuration that hold for a data set that does not give its own.
        draft: Where they go.
        how: What the recipe should say.
        root: The folder at which relative paths start.
    """
    family = load_family("sana-video-480p")
    taken, used = 0, set[str]()
    for number in dict.fromkeys(given.key[0] for given in sets):
        own = {_key(given): given for given in sets if given.key[0] == number}
        kind = own["dataset_type"].value if "dataset_type" in own else None
        source = own["type"].value if "type" in own else "local"
        if kind in EMPTY_TYPES:
            for given in own.values():
                draft.leave(given, _CACHED)
        elif source not in TYPES:
            for given in own.values():
                draft.leave(given, f"data sets of type {source} are not taken", lost=True)
            draft.warn(f"{next(iter(own.values())).span}: a data set of type {source} is left out")
        else:
            missing = {name: given for name, given in defaults.items() if name not in own and kind != "conditioning"}
            used |= set(missing)
            _DataSet(f"{_TABLE}.{taken}", {**missing, **own}, draft, how, root, family).take(set(missing))
            taken += 1
    for name, given in defaults.items():
        if name in used:
            draft.merge(given, f"{_STAR}{name}", "of each data set that has not its own")
        else:
            draft.leave(given, "each data set has its own", target=f"{_STAR}{name}")


def _key(given: Given) -> str:
    name = ".".join(str(part) for part in given.key[1:])
    return "disabled" if name == "disable" else name


class _DataSet:
    """Takes one data set over."""

    def __init__(
        self, table: str, own: Mapping[str, Given], draft: Draft, how: How, root: Path, family: FamilyFacts
    ) -> None:
        self._table, self._own, self._draft = table, own, draft
        self._how, self._root, self._family = how, root, family
        self._faithful = how.faithful
        self._special: Mapping[str, Callable[[Given], None]] = {
            "id": self._id,
            "caption_strategy": self._captions,
            "disable_multiline_split": self._lines,
            "video.num_frames": self._frames,
            "video.min_frames": self._least_frames,
            "video.is_i2v": self._first_frame,
            "video.frame_interval": self._interval,
            **dict.fromkeys(_PLACES, self._place),
            **dict.fromkeys(_SIZES, self._size),
            **dict.fromkeys(_CROPPED, self._cropped),
            "crop": self._crop,
            "conditioning_data": self._masks,
        }

    def take(self, defaults: set[str]) -> None:
        """Take every key over.

        Args:
            defaults: Those that are options of the configuration, and told there.
        """
        told = self._draft
        for name, given in self._own.items():
            if name in defaults:
                self._draft = Draft()
                self._draft.settings = told.settings
            self._one(name, given)
            self._draft = told
        self._complete()

    def _one(self, name: str, given: Given) -> None:
        leaf = leaf_index().get(_STAR + name)
        if given.value is None:
            self._draft.leave(given, "null leaves it at its default")
        elif self._of_masks and self._faithful:
            self._draft.leave(given, "SimpleTuner's loss for Sana Video reads no masks")
        elif name in self._special:
            self._special[name](given)
        elif leaf is None:
            self._unknown(name, given)
        elif leaf.key.ignored is not None:
            self._draft.leave(given, leaf.key.ignored)
        else:
            self._known(name, leaf, given)

    def _known(self, name: str, leaf: Leaf, given: Given) -> None:
        if leaf.spec.kind == "boolean" and isinstance(given.value, str) and given.value.lower() in ("true", "false"):
            value = given.value.lower() == "true"
            self._draft.change(given, f"{self._table}.{name}", value, f'"{given.value}" is a text')
        else:
            self._draft.take(given, f"{self._table}.{name}")

    def _unknown(self, name: str, given: Given) -> None:
        top = name.partition(".")[0]
        reason = why_not(top, ("data", "datasets")) or why_not(top, ())
        if reason is not None:
            idle = is_idle(top, ("data", "datasets")) or is_idle(top, ()) or not given.value or given.value == "false"
            self._draft.leave(given, reason.partition(": ")[2] or reason, lost=not idle)
            return
        known = [path.removeprefix(_STAR) for path in leaf_index() if path.startswith(_STAR)]
        meant = near(name, known)
        advice = f"; did you mean `{meant}`?" if meant is not None else ""
        self._draft.leave(given, f"SimpleTuner knows no such key, and passes over it{advice}", lost=True)

    def _value(self, name: str, usual: object = None) -> object:
        return self._own[name].value if name in self._own and self._own[name].value is not None else usual

    @property
    def _of_masks(self) -> bool:
        return self._value("dataset_type") == "conditioning"

    @property
    def _official(self) -> bool:
        """The sizes that are meant are those that the model was trained with."""
        kind, size = self._value("resolution_type", "pixel_area"), self._value("resolution")
        return not self._faithful and size == _OFFICIAL and kind in ("pixel", "pixel_area")

    # Keys one by one

    def _id(self, given: Given) -> None:
        name = _NAME.sub("-", str(given.value)).strip("-._")[:_LONGEST_NAME]
        if name != given.value and name:
            self._draft.change(given, f"{self._table}.id", name, "ids become names of files")
        else:
            self._draft.take(given, f"{self._table}.id")

    def _captions(self, given: Given) -> None:
        path = f"{self._table}.caption_strategy"
        if given.value == "instance_prompt":
            self._draft.change(given, path, "instanceprompt", "data sets spell it so")
        else:
            self._draft.take(given, path)

    def _lines(self, given: Given) -> None:
        if str(given.value).lower() == "true":
            self._draft.change(given, f"{self._table}.multiline", "whole", "`multiline: whole` says it")
        else:
            self._draft.leave(given, "see `multiline`")

    def _place(self, given: Given) -> None:
        name = _key(given)
        written = rebased(str(given.value), self._root, self._how.target)
        if not written:
            self._draft.leave(given, "it is empty")
        elif written != given.value:
            self._draft.change(given, f"{self._table}.{name}", written, HERE)
        else:
            self._draft.take(given, f"{self._table}.{name}")

    def _size(self, given: Given) -> None:
        name = str(given.key[-1]).lstrip("-")
        path = f"{self._table}.{name}"
        if not self._official:
            if "resolution" in self._own or name in _UNITS:
                self._draft.take(given, path)
            else:
                self._draft.leave(given, "without `resolution` it has no effect", target=path)
        elif name == "resolution":
            reason = f"{_OFFICIAL} stands for the sizes that the model was trained with, the default of `data.buckets`"
            self._draft.merge(given, "data.buckets", reason, changed=True)
        elif name == "resolution_type" and "minimum_image_size" in self._own:
            self._draft.take(given, path, note="the unit of minimum_image_size")
        else:
            self._draft.leave(given, "the sizes are those that the model was trained with", target=path)

    def _crop(self, given: Given) -> None:
        path = f"{self._table}.crop"
        if self._official and given.value is True and self._value("crop_aspect", "square") != "preserve":
            reason = "with the sizes that the model was trained with, clips keep the nearest shape; give a `resolution` to cut them"
            self._draft.leave(given, reason, lost=True, target=path)
        elif self._official or "resolution" not in self._own:
            self._draft.leave(given, "clips go to the size of the nearest shape", target=path)
        else:
            self._draft.take(given, path)

    def _cropped(self, given: Given) -> None:
        path = f"{self._table}.{_key(given)}"
        if self._value("crop") is True and not self._official:
            self._draft.take(given, path)
        else:
            self._draft.leave(given, "it belongs to `crop`", target=path)

    def _frames(self, given: Given) -> None:
        path = f"{self._table}.video.num_frames"
        frames = given.value
        if not isinstance(frames, int) or frames < 1:
            self._draft.take(given, path)  # which tells what is expected
            return
        legal = legal_frames(frames) if self._faithful else self._family.legal_frames(frames)
        if legal == frames:
            self._draft.take(given, path)
        elif self._faithful:
            self._draft.change(given, path, legal, "SimpleTuner takes one more than a multiple of eight")
        else:
            self._draft.change(given, path, legal, "the VAE takes one more than a multiple of four")

    def _least_frames(self, given: Given) -> None:
        path = f"{self._table}.video.min_frames"
        least, frames = given.value, self._value("video.num_frames")
        taken = self._draft.value(f"{self._table}.video.num_frames", frames)
        if not isinstance(least, int) or not isinstance(frames, int):
            self._draft.take(given, path)
        elif least > frames:
            reason = "SimpleTuner leaves clips out that are longer than what it takes of them; here that can't be said"
            self._draft.leave(given, reason, lost=True, target=path)
        elif least == frames:
            self._draft.merge(given, path, "it is num_frames, as by default", changed=taken != frames)
        else:
            self._draft.take(given, path, note="SimpleTuner refuses less than num_frames")

    def _interval(self, given: Given) -> None:
        path = f"{self._table}.video.frame_interval"
        if self._value("video.bucket_strategy") == "resolution_frames":
            self._draft.take(given, path)
        else:
            self._draft.leave(given, "it belongs to `bucket_strategy: resolution_frames`", target=path)

    def _first_frame(self, given: Given) -> None:
        path = f"{self._table}.video.is_i2v"
        if given.value is True and self._faithful:
            self._draft.leave(given, "SimpleTuner trains Sana Video from text alone, whatever it says", target=path)
        elif given.value is True:
            self._draft.take(
                given, path, note="SimpleTuner trains Sana Video from text alone; here the first frame is given"
            )
        else:
            self._draft.take(given, path)

    def _masks(self, given: Given) -> None:
        if self._faithful:
            self._draft.leave(given, "SimpleTuner's loss for Sana Video reads no masks")
            return
        self._draft.take(given, f"{self._table}.conditioning_data")
        reason = "SimpleTuner's loss for Sana Video reads no masks; here they count"
        self._draft.add("regularizers.masked_loss.enabled", True, str(given.span), reason)

    # What nobody gave

    def _complete(self) -> None:
        """Write what SimpleTuner takes where nothing is given, and it is something else here."""
        if not self._own or (self._of_masks and self._faithful):
            return
        origin = "SimpleTuner's default"
        kind = self._value("dataset_type")
        if kind is None:
            is_video = any(name.startswith("video.") for name in self._own)
            self._draft.add(f"{self._table}.dataset_type", "video" if is_video else "image", origin)
            kind = "video" if is_video else "image"
        if "caption_strategy" not in self._own and kind != "conditioning":
            self._draft.add(f"{self._table}.caption_strategy", "filename", origin)
        if not self._faithful:
            return
        if kind in ("video", "eval"):
            self._draft.add(
                f"{self._table}.video.fps", "ignore", "what SimpleTuner does", "frames as they follow each other"
            )
            if "video.num_frames" not in self._own:
                frames = legal_frames(_DEFAULT_SECONDS * _DEFAULT_RATE)
                self._draft.add(f"{self._table}.video.num_frames", frames, origin, "five seconds of 30 frames")
        if self._draft.value(f"{self._table}.caption_strategy") == "textfile":
            self._draft.add(f"{self._table}.multiline", "split", "what SimpleTuner does")
