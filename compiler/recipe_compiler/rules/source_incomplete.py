"""Where clips or captions come from is not said to the end, or something is said that is not used.

What it does: checks `type` and `caption_strategy` of a data set against the keys that they need: `dataset_name` for
`type: huggingface`, `csv_file` for `csv`, `aws_bucket_name` for `aws`, `parquet.path` for `caption_strategy: parquet`.
It warns of such keys where type and strategy are others.

Why it hurts: the table or data set would never be found; or people tune columns that nothing reads.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: parquet

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: parquet
          parquet:
            path: captions.parquet
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from recipe_compiler.data.captions import caption_source
from recipe_compiler.rules.data_sets import ADDRESS, in_use, meant_type, told
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


_ADVICE = {
    "csv_file": "give the table: `csv_file: clips.csv`",
    "dataset_name": "give the data set: `dataset_name: OWNER/NAME`",
    "aws_bucket_name": "give the bucket: `aws_bucket_name: NAME`",
}
_TABLE = ("type: csv", "caption_strategy: csv")
_HUB = ("type: huggingface",)
_STORE = ("type: aws",)
_NEEDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "parquet": {
        f"parquet.{key}": ("caption_strategy: parquet",)
        for key in (
            "path",
            "filename_column",
            "caption_column",
            "caption_weight_column",
            "fallback_caption_column",
            "identifier_includes_extension",
        )
    },
    "csv": {
        "csv_file": _TABLE,
        "csv_url_column": _TABLE,
        "csv_caption_column": ("caption_strategy: csv",),
        "csv_caption_weight_column": ("caption_strategy: csv",),
        "csv_cache_dir": ("type: csv",),
    },
    "huggingface": {
        **dict.fromkeys(("dataset_name", "split", "revision", "streaming"), _HUB),
        **dict.fromkeys(("huggingface.video_column", "huggingface.image_column"), _HUB),
        "huggingface.caption_column": ("caption_strategy: huggingface",),
        "huggingface.fallback_caption_column": ("caption_strategy: huggingface",),
    },
    "aws": dict.fromkeys(("aws_bucket_name", "aws_data_prefix", "aws_region_name", "aws_endpoint_url"), _STORE),
}
"""What has to be said for a key to be read: one of these."""


def check(facts: Facts) -> Iterator[Finding]:
    """Check what each data set needs, and what it gives."""
    keys = (key for group in _NEEDS.values() for key in group)
    for table in in_use(facts.settings, "type", "caption_strategy", "only_instance_prompt", "instance_data_dir", *keys):
        yield from _lacking(facts.settings, table)
        yield from _idle(facts.settings, table)
        yield from _two_folders(facts.settings, table)


def _lacking(settings: Resolved, table: str) -> Iterator[Finding]:
    kind, strategy = settings[f"{table}.type"], caption_source(settings, table)
    meant = meant_type(settings, table)
    if meant is not None:
        key = ADDRESS[meant]
        message = f"`{key}` is given, and the data set is of `type: {kind}`, a folder"
        also = ((f"{table}.type", "the type"),)
        yield Finding(at=f"{table}.{key}", message=message, help=f"set `type: {meant}`", also=also)
    elif kind in ADDRESS and settings[f"{table}.{ADDRESS[kind]}"] is None:
        message = f"`type: {kind}` needs `{ADDRESS[kind]}`"
        yield Finding(at=f"{table}.type", message=message, help=_ADVICE[ADDRESS[kind]])
    at = f"{table}.caption_strategy"
    if strategy == "parquet" and settings[f"{table}.parquet.path"] is None:
        message = "`caption_strategy: parquet` needs `parquet.path`"
        yield Finding(at=at, message=message, help="give the table: `parquet: {path: captions.parquet}`")
    if strategy == "csv" and "csv" not in (kind, meant) and settings[f"{table}.csv_file"] is None:
        message = "`caption_strategy: csv` needs `csv_file`"
        yield Finding(at=at, message=message, help=_ADVICE["csv_file"])
    if strategy == "huggingface" and "huggingface" not in (kind, meant):
        message = f"`caption_strategy: huggingface` needs `type: huggingface`, and the type is `{kind}`"
        yield Finding(at=at, message=message, help="set the type, or take captions from elsewhere: `textfile`")


def _idle(settings: Resolved, table: str) -> Iterator[Finding]:
    """Find keys that nothing reads, one finding for each kind of source."""
    kind, strategy = settings[f"{table}.type"], settings[f"{table}.caption_strategy"]
    said = {f"type: {meant_type(settings, table) or kind}", f"caption_strategy: {strategy}"}
    for group in _NEEDS.values():
        idle = [key for key, needs in group.items() if told(settings, f"{table}.{key}") and said.isdisjoint(needs)]
        if not idle:
            continue
        by_needs: dict[str, list[str]] = defaultdict(list)
        for key in idle:
            by_needs[" or ".join(f"`{need}`" for need in group[key])].append(f"`{key}`")
        listed = "; ".join(f"{', '.join(keys)} without {needs}" for needs, keys in by_needs.items())
        yield Finding(
            at=f"{table}.{idle[0]}",
            message=f"has no effect: {listed}",
            help=f"leave it out; the type is `{kind}`, and captions come from `{strategy}`",
            severity="warning",
        )


def _two_folders(settings: Resolved, table: str) -> Iterator[Finding]:
    """Find a table of addresses whose clips have two folders."""
    folder, cache = f"{table}.instance_data_dir", f"{table}.csv_cache_dir"
    if (
        settings[f"{table}.type"] == "csv"
        and settings.given(folder)
        and settings[cache] not in (None, settings[folder])
    ):
        yield Finding(
            at=cache,
            message=f"has no effect: `instance_data_dir` says `{settings[folder]}`, and `csv_cache_dir` the same thing",
            help="leave one of them out",
            severity="warning",
            also=((folder, "the folder"),),
        )


RULE = Rule(code="R319", name="source-incomplete", severity="error", reads=(), check=check, page=__doc__)
