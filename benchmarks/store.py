"""Whether one file for each value holds up with many values: beside shards of 256 MB with an SQLite index, in one run.

    python benchmarks/store.py [COUNT] [--folder FOLDER] [--cold COMMAND]

Prints a table. COUNT is the number of values, a million by default, each of 3 kB, which take 8 GB in all: in FOLDER, where
they are left, and found again by the next run, or in a folder that is removed. COMMAND empties the caches of FOLDER's
disk, as in ``umount m && mount -o loop img m`` for a file system in a file; without it nothing is measured cold. Both
stores are filled without flushing; how fast values are written one by one, as encoding does, is measured on top of the
filled ones. Run it with the project installed.
"""

import argparse
import hashlib
import os
import platform
import random
import sqlite3
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save

from recipe_compiler.cli.store_facts import all_facts
from recipe_runtime.keeping import collect, listing
from recipe_runtime.store import Store, content_key
from recipe_schema.stored import read_facts


SAMPLE = 5_000
"""Values that are read, in random order, and a fifth of it that is written."""

SHARD_BYTES = 256_000_000
TEXT = "a caption of usual length, such as a bar that moves to the right, number 00000000"
EMBEDS = torch.randn(1, 1152, generator=torch.Generator().manual_seed(0)).bfloat16()
TENSORS = {"embeds": EMBEDS}
FACTS = {"with_instruction": "true", "instruction": "0" * 16, "dtype": "bf16", "precision": "no_change"}


def main() -> None:
    """Measure in the folder that is named, or in one of its own."""
    options = parsed()
    print(
        f"{time.strftime('%Y-%m-%d')}, {cpu()}, {os.cpu_count()} cores, {options.count:,} values of {len(value(0)):,} B"
    )
    print(f"load {os.getloadavg()[0]:.1f}\n{'':<56}{'a file each':>18}{'shards':>18}", flush=True)
    if options.folder is not None:
        measure(options.folder, options.count, options.cold)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        measure(Path(name), options.count, options.cold)


def measure(folder: Path, count: int, cold: str) -> None:
    """Fill both stores if they are not there, and print the table."""
    keys = [content_key({"value": index}) for index in range(count)]
    if not (folder / "packed").exists():
        filled = [
            timed(lambda: fill_files(folder / "store", keys)),
            timed(lambda: fill_shards(folder / "packed", keys)),
        ]
        tell("filled without flushing, values/s", *(f"{count / seconds:,.0f}" for seconds in filled))
        disk(folder, count)
    writes(folder)
    chosen = random.Random(0).sample(keys, min(SAMPLE, count))
    listing.listed(folder / "store")  # what is measured warm was looked at before
    temperatures = ("warm", "cold") if cold else ("warm",)
    for temperature in temperatures:
        looks(folder, keys, temperature, cold)
    for temperature in reversed(temperatures):
        reads(folder, chosen, temperature, cold)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--cold", default="")
    return parser.parse_args()


def tell(what: str, files: str, shards: str) -> None:
    print(f"{what:<56}{files:>18}{shards:>18}", flush=True)


def timed(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def cpu() -> str:
    """Name the processor."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(": ")[2] if names else platform.processor() or platform.machine()


def facts(index: int) -> dict[str, str]:
    return {**FACTS, "text": TEXT.replace("00000000", f"{index:08}")}


def value(index: int, template: list[bytes] = []) -> bytes:  # noqa: B006 - made once
    """Return the bytes of a value's file, as the store writes it."""
    if not template:
        with tempfile.TemporaryDirectory() as name:
            store = Store(Path(name))
            store.write("text", "0" * 64, TENSORS, facts(0))
            template.append(store.path("text", "0" * 64).read_bytes())
    return template[0].replace(b"number 00000000", b"number %08d" % index)


def fill_files(store: Path, keys: list[str]) -> None:
    for part in range(256):
        (store / "text" / f"{part:02x}").mkdir(parents=True)
    place = Store(store)
    for index, key in enumerate(keys):
        handle = os.open(place.path("text", key), os.O_WRONLY | os.O_CREAT, 0o666)
        os.write(handle, value(index))
        os.close(handle)


def fill_shards(packed: Path, keys: list[str]) -> None:
    packed.mkdir()
    with index_of(packed) as index:
        index.execute(
            "CREATE TABLE value (key BLOB PRIMARY KEY, shard INT, start INT, bytes INT, sha256 TEXT, facts TEXT)"
            " WITHOUT ROWID"
        )
        each = SHARD_BYTES // EMBEDS.nbytes
        for shard, first in enumerate(range(0, len(keys), each)):
            write_shard(packed, index, shard, list(enumerate(keys))[first : first + each])
    index.close()


def write_shard(packed: Path, index: sqlite3.Connection, shard: int, numbered: list[tuple[int, str]]) -> None:
    """Write a safetensors file of many values, flush it, and then say in the index what it holds."""
    content = save({key: EMBEDS.clone() for _, key in numbered})
    with (packed / f"{shard:05}.safetensors").open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    (header,) = struct.unpack_from("<Q", content)
    digest, size = hashlib.sha256(content[8 + header : 8 + header + EMBEDS.nbytes]).hexdigest(), EMBEDS.nbytes
    index.executemany(
        "INSERT INTO value VALUES (?, ?, ?, ?, ?, ?)",
        (
            (bytes.fromhex(key), shard, 8 + header + place * size, size, digest, str(facts(number)))
            for place, (number, key) in enumerate(numbered)
        ),
    )
    index.commit()


def index_of(packed: Path) -> sqlite3.Connection:
    return sqlite3.connect(packed / "index.sqlite")


def disk(folder: Path, count: int) -> None:
    """Say what a value takes on the disk, folders and index included."""
    paths = [[folder / name, *(folder / name).rglob("*")] for name in ("store", "packed")]
    sizes = [sum(path.stat().st_blocks for path in each) * 512 / count for each in paths]
    tell("on the disk, bytes a value", *(f"{size:,.0f}" for size in sizes))
    tell("inodes", *(f"{len(each):,}" for each in paths))


def reads(folder: Path, keys: list[str], temperature: str, cold: str) -> None:
    """Read values in random order and verify them."""
    seconds = []
    for act in (read_files, read_shards):
        if temperature == "cold":
            empty_caches(cold)
        seconds.append(timed(lambda act=act: act(folder, keys)))
    tell(f"read at random, verified, {temperature}, values/s", *(f"{len(keys) / each:,.0f}" for each in seconds))


def read_files(folder: Path, keys: list[str]) -> None:
    store = Store(folder / "store")
    for key in keys:
        store.read("text", key)


def read_shards(folder: Path, keys: list[str]) -> None:
    handles = [os.open(path, os.O_RDONLY) for path in sorted((folder / "packed").glob("*.safetensors"))]
    index = index_of(folder / "packed")
    for key in keys:
        question = "SELECT shard, start, bytes, sha256 FROM value WHERE key = ?"
        shard, start, size, digest = index.execute(question, (bytes.fromhex(key),)).fetchone()
        content = bytearray(os.pread(handles[shard], size, start))
        assert hashlib.sha256(content).hexdigest() == digest
        torch.frombuffer(content, dtype=torch.bfloat16).view(EMBEDS.shape)
    index.close()
    for handle in handles:
        os.close(handle)


def empty_caches(command: str) -> None:
    os.sync()
    subprocess.run(command, shell=True, check=True)


def looks(folder: Path, keys: list[str], temperature: str, cold: str) -> None:
    """Look for all keys as a run does, list, tell what could go, and look through all facts as `explain` does."""
    store, packed = folder / "store", folder / "packed"
    shuffled = random.Random(1).sample(keys, len(keys))
    needed = set(keys[::2])
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "all keys looked for": (
            lambda: [Store(store).has("text", key) for key in shuffled],
            lambda: set(asked(packed, "SELECT key FROM value")),
        ),
        "store ls": (
            lambda: listing.listed(store),
            lambda: list(asked(packed, "SELECT count(*), sum(bytes) FROM value")),
        ),
        "store gc, half needed": (
            lambda: collect.divided(store, {"text": needed}),
            lambda: [key for (key,) in asked(packed, "SELECT key FROM value") if key.hex() not in needed],
        ),
        "explain --clip, every header": (
            lambda: [read_facts(path) for path in sorted((store / "text").glob("??/*.safetensors"))],
            lambda: list(asked(packed, "SELECT facts FROM value")),
        ),
        "explain --clip, first, and again with its table": (
            lambda: list(all_facts(store, "text")),
            lambda: list(all_facts(store, "text")),
        ),
    }
    for what, acts in pairs.items():
        seconds = []
        for act in acts:
            if temperature == "cold":
                empty_caches(cold)
            seconds.append(timed(act))
        tell(f"{what}, {temperature}", *(f"{each:.1f} s" for each in seconds))


def asked(packed: Path, question: str) -> Iterator[tuple[object, ...]]:
    index = index_of(packed)
    yield from index.execute(question)
    index.close()


def writes(folder: Path) -> None:
    """Write values as encoding does, each safe on the disk before the next; of shards, a whole one at once."""
    store, count = Store(folder / "store"), SAMPLE // 5
    each = timed(
        lambda: [
            store.write("text", content_key({"more": index + time.time()}), TENSORS, facts(index))
            for index in range(count)
        ]
    )
    index, many = index_of(folder / "packed"), SHARD_BYTES // EMBEDS.nbytes // 10
    more = [(number, content_key({"more": time.time(), "number": number})) for number in range(many)]
    shard = timed(lambda: write_shard(folder / "packed", index, 99_999, more))
    index.close()
    tell("written and flushed, values/s", f"{count / each:,.0f}", f"{many / shard:,.0f} in shards")


if __name__ == "__main__":
    main()
