"""How fast the store writes, finds and reads many small values: in shards, and in a file each as earlier versions had them.

    python benchmarks/store.py [COUNT] [--folder FOLDER] [--cold COMMAND] [--shards-only]

Prints a table, all of it taken with the store's own classes. COUNT is the number of values of 2.7 kB, 100,000 by default,
which take 0.8 GB in all: in FOLDER, where they are left, and found again by the next run, or in a folder that is removed.
COMMAND empties the caches of FOLDER's disk, as in ``umount m && mount -o loop img m`` for a file system in a file; without
it nothing is measured cold. Processor time is in brackets: on a busy machine it says more. The store of files is filled without flushing; how fast values are written one by one is
measured on top. Then values of other sizes are written and read in both ways. Run it with the project installed.
"""

import argparse
import os
import platform
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from recipe_compiler.cli.store_facts import all_facts
from recipe_runtime.keeping import collect, listing, shrink
from recipe_runtime.store import Store, content_key
from recipe_runtime.store_group import Group
from recipe_schema.shard_index import FILE


SAMPLE = 5_000
"""Values that are read, in random order, and a tenth of it that is written one by one."""

SIZES = {
    "a text of 2 tokens, 9 kB": (2, 2304),
    "a text of 40 tokens, 184 kB": (40, 2304),
    "a mask or an image, 0.5 MB": (114, 2304),
    "a text of 300 tokens, 1.4 MB": (300, 2304),
    "4 MB": (868, 2304),
    "latents of 832x480@81, 8.4 MB": (1820, 2304),
}
"""Shapes of values in bf16."""

BYTES_OF_A_SIZE = 30_000_000
"""So much is written of each size, but no more than 300 values."""

TEXT = "a caption of usual length, such as a bar that moves to the right, number "
EMBEDS = torch.randn(1, 1152, generator=torch.Generator().manual_seed(0)).bfloat16()
FACTS = {"with_instruction": "true", "instruction": "0" * 16, "dtype": "bf16", "precision": "no_change"}


def main() -> None:
    """Measure in the folder that is named, or in one of its own."""
    options = parsed()
    print(
        f"{time.strftime('%Y-%m-%d')}, {cpu()}, {os.cpu_count()} cores, {options.count:,} values of {EMBEDS.nbytes:,} B"
    )
    print(f"load {os.getloadavg()[0]:.1f}\n{'':<56}{'a file each':>22}{'shards':>22}", flush=True)
    if options.folder is not None:
        measure(options.folder, options)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        measure(Path(name), options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Fill both stores if they are not there, and print the table."""
    keys = [content_key({"value": index}) for index in range(options.count)]
    stores = {"shards": Store(folder / "shards")}
    if not options.shards_only:
        stores = {"files": Store(folder / "files"), **stores}
    filling = not (folder / "shards").exists()
    if filling:
        acts = {
            "files": lambda: fill_files(stores["files"], keys),
            "shards": lambda: fill_shards(stores["shards"], keys),
        }
        tell("filled; a file each without flushing, values/s", {n: rate(len(keys), acts[n]) for n in stores})
        disk(stores, len(keys))
    tell("written and flushed, values/s", {n: rate(SAMPLE // 10, partial(more, stores[n], n)) for n in stores})
    chosen = random.Random(0).sample(keys, min(SAMPLE, len(keys)))
    for temperature in ("warm", "cold") if options.cold else ("warm",):
        looks(stores, keys, temperature, options.cold)
        reads(stores, chosen, temperature, options.cold)
    if not options.shards_only:
        sizes(folder)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--cold", default="")
    parser.add_argument("--shards-only", action="store_true")
    return parser.parse_args()


def tell(what: str, figures: dict[str, str]) -> None:
    print(f"{what:<56}{figures.get('files', ''):>22}{figures['shards']:>22}", flush=True)


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that something takes, and those of the processor."""
    begin, used = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - begin, time.process_time() - used


def rate(count: int, act: Callable[[], object]) -> str:
    seconds, used = timed(act)
    return f"{count / seconds:,.0f} ({1e6 * used / count:,.0f} us)"


def cpu() -> str:
    """Name the processor."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(": ")[2] if names else platform.processor() or platform.machine()


def facts(index: int) -> dict[str, str]:
    return {**FACTS, "text": f"{TEXT}{index:08}"}


def fill_files(store: Store, keys: list[str]) -> None:
    """Write files as the store does, without flushing them."""
    store.write("text", keys[0], {"embeds": EMBEDS}, facts(0))
    template = store.path("text", keys[0]).read_bytes()
    for part in range(256):
        (store.folder / "text" / f"{part:02x}").mkdir(parents=True, exist_ok=True)
    for index, key in enumerate(keys):
        handle = os.open(store.path("text", key), os.O_WRONLY | os.O_CREAT, 0o666)
        os.write(handle, template.replace(b"number 00000000", b"number %08d" % index))
        os.close(handle)


def fill_shards(store: Store, keys: list[str]) -> None:
    """Write values as encoding does, flushed."""
    with Group(store, "text") as group:
        for index, key in enumerate(keys):
            group.add(key, {"embeds": EMBEDS}, facts(index))


def more(store: Store, how: str) -> None:
    """Write some more values, each safe on the disk before the next, or as a group."""
    keys = [content_key({"more": index + time.time()}) for index in range(SAMPLE // 10)]
    if how == "shards":
        fill_shards(store, keys)
        return
    for index, key in enumerate(keys):
        store.write("text", key, {"embeds": EMBEDS}, facts(index))


def disk(stores: dict[str, Store], count: int) -> None:
    """Say what a value takes on the disk, folders and index included."""
    paths = {name: [store.folder, *store.folder.rglob("*")] for name, store in stores.items()}
    sizes = {name: sum(path.stat().st_blocks for path in each) * 512 / count for name, each in paths.items()}
    tell("on the disk, bytes a value", {name: f"{size:,.0f}" for name, size in sizes.items()})
    tell("inodes", {name: f"{len(each):,}" for name, each in paths.items()})


def reads(stores: dict[str, Store], keys: list[str], temperature: str, cold: str) -> None:
    """Read values in random order, which verifies them."""
    figures = {}
    for name, store in stores.items():
        empty_caches(cold if temperature == "cold" else "")
        figures[name] = rate(len(keys), partial(read_all, store, keys))
    tell(f"read at random, verified, {temperature}, values/s", figures)


def empty_caches(command: str) -> None:
    if command:
        os.sync()
        subprocess.run(command, shell=True, check=True)


def looks(stores: dict[str, Store], keys: list[str], temperature: str, cold: str) -> None:
    """Look for all keys as a run does, list, tell what could go, and look through all facts as `explain` does."""
    shuffled = random.Random(1).sample(keys, len(keys))
    needed = {"text": set(keys[::2])}
    acts: dict[str, Callable[[Path], object]] = {
        "index made anew": anew,
        "all keys looked for": lambda folder: Store(folder).missing("text", shuffled),
        "store ls": listing.listed,
        "store gc, half needed": lambda folder: (collect.divided(folder, needed), shrink.shares(folder, needed)),
        "all facts, for explain --clip": lambda folder: sum(1 for _ in all_facts(folder, "text")),
        "all facts, again": lambda folder: sum(1 for _ in all_facts(folder, "text")),
    }
    for what, act in acts.items():
        figures = {}
        for name, store in stores.items():
            empty_caches(cold if temperature == "cold" else "")
            seconds, used = timed(partial(act, store.folder))
            figures[name] = f"{seconds:.1f} s ({used:.1f} s)"
        tell(f"{what}, {temperature}", figures)


def anew(folder: Path) -> None:
    """Make the index anew from the headers of all shards."""
    (folder / FILE).unlink(missing_ok=True)
    Store(folder, tell=lambda _: None).index.counts()


def sizes(folder: Path) -> None:
    """Write values of other sizes, flushed, and read them."""
    for what, shape in SIZES.items():
        tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()
        count = min(300, BYTES_OF_A_SIZE // tensor.nbytes)
        keys = [content_key({"size": shape, "value": index}) for index in range(count)]
        written, read = {}, {}
        for name in ("files", "shards"):
            store = Store(folder / f"sizes-{name}")
            written[name] = rate(count, partial(write_size, store, name, keys, tensor))
            read[name] = rate(count, partial(read_all, store, keys))
        tell(f"{what}: written and flushed, values/s", written)
        tell("  read, values/s", read)


def read_all(store: Store, keys: list[str]) -> None:
    for key in keys:
        store.read("text", key)


def write_size(store: Store, how: str, keys: list[str], tensor: Tensor) -> None:
    """Write values into a file each, or into shards whatever their size."""
    if how == "files":
        for key in keys:
            store.write("text", key, {"x": tensor}, {})
        return
    each = max(1, 64_000_000 // tensor.nbytes)
    for first in range(0, len(keys), each):
        store.write_shard("text", [store.packed(key, {"x": tensor}, {}) for key in keys[first : first + each]])


if __name__ == "__main__":
    main()
