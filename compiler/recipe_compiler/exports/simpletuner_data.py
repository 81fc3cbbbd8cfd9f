"""Data sets as entries of SimpleTuner's data backend file."""

from collections.abc import Mapping
from typing import Any

from recipe_compiler.exports.writer import Writer
from recipe_compiler.imports.simpletuner_facts import EMPTY_TYPES, TYPES, legal_frames
from recipe_schema.definition import leaf_index


_STAR = "data.datasets.*."
_PATHS = ("instance_data_dir", "csv_file", "csv_cache_dir", "parquet.path")
_ALWAYS = ("id", "type", "dataset_type", "caption_strategy", "crop", "crop_style", "repeats")
_FLAT = ("aspect_bucket_alignment", "aspect_bucket_rounding")
_ALIGNMENTS = (8, 16, 24, 32, 64)
_OURS: Mapping[str, tuple[Any, str]] = {
    "source": (None, "`recipe fetch` gets it: let it, first"),
    "caption_weights": (None, "SimpleTuner draws all captions alike"),
    "label_weights": ({}, "SimpleTuner's loss for Sana Video reads no masks"),
    "streaming": (False, "SimpleTuner does not stream"),
    "video.window": ("head", "SimpleTuner takes the first frames"),
    "video.fps": ("ignore", "SimpleTuner takes frames as they follow each other, whatever their rate"),
    "video.is_i2v": (False, "SimpleTuner trains Sana Video from text alone"),
    "motion.source": ("constant", "SimpleTuner's captions have no motion score"),
}
"""Settings that are not SimpleTuner's, with the value that it has in any case."""

_BELOW = ("motion.", "video.i2v_", "video.max_windows", "multiline")
_VIDEO = ("video.num_frames", "video.min_frames")
_PARTIAL = {"resolution": 480, "resolution_type": "pixel"}
_PARTIAL_ALIGNMENT = 32
_TEXTS = {
    "id": "text-embeds",
    "type": "local",
    "dataset_type": "text_embeds",
    "default": True,
    "cache_dir": "cache/text/sanavideo",
}


def write_data(writer: Writer) -> list[dict[str, Any]]:
    """Write all data sets, and the one in which SimpleTuner keeps texts."""
    sets = []
    for table in writer.settings.tables("data.datasets"):
        if writer[f"{table}.dataset_type"] in EMPTY_TYPES:
            continue
        if writer[f"{table}.type"] not in TYPES:
            writer.tell(
                f"{table}.id", f"SimpleTuner has no data sets of type {writer[f'{table}.type']}; it is left out"
            )
            continue
        sets.append(_data_set(writer, table))
    _flat(writer)
    return [*sets, dict(_TEXTS)]


def _data_set(writer: Writer, table: str) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for path, leaf in leaf_index().items():
        name = path.removeprefix(_STAR)
        if path == name or leaf.key.ignored is not None or name in (*_OURS, *_FLAT, *_VIDEO) or name.startswith(_BELOW):
            continue
        where = f"{table}.{name}"
        value = writer[where]
        if value is not None and (name in _ALWAYS or writer.settings.given(where) or value != _plain(leaf.key.default)):
            _put(entry, name, writer.path_of(where) if name in _PATHS else value)
            writer.said.add(where)
    for name, (value, reason) in _OURS.items():
        if writer[f"{table}.dataset_type"] in ("video", "eval") or not name.startswith("video."):
            writer.need(f"{table}.{name}", value, reason=reason)
    if writer[f"{table}.caption_strategy"] == "textfile":
        writer.said.add(f"{table}.multiline")
        entry["disable_multiline_split"] = writer[f"{table}.multiline"] == "whole"
    entry["cache_dir_vae"] = f"cache/vae/sanavideo/{entry['id']}"
    entry["metadata_backend"] = "huggingface" if entry["type"] == "huggingface" else "discovery"
    if entry["dataset_type"] in ("video", "eval"):
        _frames(writer, table, entry)
    _size(writer, table, entry)
    return entry


def _plain(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default


def _put(entry: dict[str, Any], name: str, value: Any) -> None:
    """Write a value. SimpleTuner refuses ``480.0`` where it wants the edge of a square in pixels."""
    section, _, key = name.rpartition(".")
    whole = isinstance(value, float) and value.is_integer()
    (entry.setdefault(section, {}) if section else entry)[key] = int(value) if whole else value


def _frames(writer: Writer, table: str, entry: dict[str, Any]) -> None:
    frames = writer[f"{table}.video.num_frames"]
    legal = legal_frames(frames)
    reason = f"SimpleTuner takes one more than a multiple of eight; {legal} is said"
    writer.need(f"{table}.video.num_frames", legal, reason=reason)
    writer.need(f"{table}.video.min_frames", frames, reason="SimpleTuner leaves shorter clips out")
    entry["video"] = {"num_frames": legal, "min_frames": legal, **entry.get("video", {})}


def _size(writer: Writer, table: str, entry: dict[str, Any]) -> None:
    if writer[f"{table}.resolution"] is None and writer.settings.in_use(table):
        reason = "SimpleTuner has no table of sizes: a data set has a `resolution`; 480 pixels is said"
        if "data.buckets" not in {unsaid.path for unsaid in writer.unsaid}:
            writer.tell("data.buckets", reason)
        if "minimum_image_size" in entry and writer[f"{table}.resolution_type"] != _PARTIAL["resolution_type"]:
            del entry["minimum_image_size"]
            reason = "SimpleTuner reads it in the unit of `resolution`, which is said in pixels; it is left out"
            writer.tell(f"{table}.minimum_image_size", reason)
        entry |= _PARTIAL
    elif writer[f"{table}.resolution"] is not None:
        entry["resolution_type"] = writer[f"{table}.resolution_type"]


def _flat(writer: Writer) -> None:
    """Write what is the same for all data sets there."""
    tables = [t for t in writer.settings.tables("data.datasets") if writer.settings.in_use(t)]
    sized = [table for table in tables if writer[f"{table}.resolution"] is not None]
    for name in _FLAT:
        values = [writer[f"{table}.{name}"] for table in sized]
        usual = _PARTIAL_ALIGNMENT if name == _FLAT[0] and not sized else None
        if usual is not None:
            writer.options[name] = usual
        for table, value in zip(sized, values, strict=True):
            if value != values[0] or (name == _FLAT[0] and value not in _ALIGNMENTS):
                writer.tell(
                    f"{table}.{name}", f"SimpleTuner has one for all data sets, of {', '.join(map(str, _ALIGNMENTS))}"
                )
            else:
                writer.say(f"{table}.{name}", name, value)
