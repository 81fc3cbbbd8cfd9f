"""How fast data are looked at, planned, stored, decoded and fed: on this machine, in one run.

    python benchmarks/data.py [ROWS]

Prints a table. ROWS is the size of the manifest that is planned in memory, a million by default. Each figure is taken
once over many items, and the survey and the manifest in a process of their own, so that peak memory is theirs.
Run it with the project installed (`make test` does that).
"""

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

CLIPS = 300
"""Generated clips that are looked at."""

VALUES = 24
"""Latents of 832x480 with 81 frames that are written and read."""

DECODED = 6
"""Clips that are decoded by each of both readers."""

STEPS = 100
"""Batches that are made."""


def main() -> None:
    """Print the table, or measure what was asked for in this process alone."""
    if len(sys.argv) > 2:
        {"survey": survey, "manifest": manifest}[sys.argv[1]](sys.argv[2])
        return
    rows = sys.argv[1] if len(sys.argv) > 1 else "1000000"
    print(f"{time.strftime('%Y-%m-%d')}, {cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        draw_clips(Path(folder))
        for temperature in ("cold", "warm"):
            alone("survey", f"{folder}:{temperature}")
        alone("manifest", rows)
        store(Path(folder))
        decode(Path(folder))
        loader(Path(folder))


def alone(what: str, argument: str) -> None:
    """Measure in a process of its own."""
    subprocess.run([sys.executable, __file__, what, argument], check=True)


def tell(what: str, figure: str) -> None:
    print(f"{what:<62}{figure}", flush=True)


def peak() -> str:
    """Return the most memory that this process has had."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB at most"


def timed(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def cpu() -> str:
    """Name the processor."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(": ")[2] if names else platform.processor() or platform.machine()


def draw_clips(folder: Path) -> None:
    """Make many small clips, of 16 contents and each with a caption, and a recipe for them."""
    from fakes_clips import RECIPE, make_clip

    clips = folder / "clips"
    for index in range(16):
        make_clip(clips / f"{index:04}.mp4", frames=20 + index, caption=f"a bar, number {index}")
    for index in range(16, CLIPS):
        for ending in ("mp4", "txt"):
            shutil.copy(clips / f"{index % 16:04}.{ending}", clips / f"{index:04}.{ending}")
    (folder / "recipe.yaml").write_text(RECIPE)


def survey(argument: str) -> None:
    """Look at clips without and with what an earlier look has learned."""
    from recipe_compiler.pipeline import Options, compile_recipe

    folder, _, temperature = argument.rpartition(":")
    options = Options(look_at_data=True, index_file=Path(folder) / "index.sqlite")
    recipe = Path(folder) / "recipe.yaml"
    seconds = timed(lambda: compile_recipe(recipe, options))
    tell(f"survey, {CLIPS} clips, {temperature}", f"{CLIPS / seconds:,.0f} files/s")


def manifest(argument: str) -> None:
    """Plan rows that were looked at: count buckets, digest, lower, freeze, write."""
    from fakes_clips import RECIPE
    from recipe_compiler.data.facts import Survey, count_buckets
    from recipe_compiler.data.ledger_file import read_ledger
    from recipe_compiler.passes.freeze import write
    from recipe_compiler.pipeline import Options, compile_recipe, make_plan
    from recipe_schema.ledger import ClipRow
    from recipe_schema.record import replace

    count = int(argument)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "recipe.yaml").write_text(RECIPE)
        compiled = compile_recipe(folder / "recipe.yaml", Options(look_at_data=False))
        begin = time.perf_counter()
        rows = tuple(
            ClipRow(
                dataset="clips",
                path=f"{index // 1000:04}/{index:08}.mp4",
                fate="trained",
                sha256=f"{index:064x}",
                size_bytes=1_000_000 + index,
                mtime_ns=index,
                codec="h264",
                width=1920,
                height=1080,
                fps=24.0,
                frames=121,
                seconds=5.04,
                frames_at_rate=80,
                bucket_width=96,
                bucket_height=64,
                bucket_frames=9,
                framerate=16.0,
                resize_width=114,
                resize_height=64,
                crop_left=9,
                caption=f"a caption of usual length, such as a bar that moves to the right, number {index}",
                text=f"a caption of usual length, such as a bar that moves to the right, number {index} motion score: 30.",
            )
            for index in range(count)
        )
        tell(f"manifest, {count:,} rows: made in memory", f"{time.perf_counter() - begin:.1f} s, {peak()}")
        found: list[Survey] = []
        seconds = timed(
            lambda: found.append(
                Survey(
                    rows=rows,
                    looked=("data.datasets.0",),
                    missing={},
                    buckets=count_buckets(rows),
                    tables={},
                    problems=(),
                    several_lines={},
                )
            )
        )
        tell("  buckets counted", f"{seconds:.1f} s")
        compiled = replace(compiled, survey=found[0], found=())
        begin = time.perf_counter()
        plan = make_plan(compiled)
        tell("  planned", f"{time.perf_counter() - begin:.1f} s, {peak()}")
        tell("  written", f"{timed(lambda: write(plan, rows, folder / 'x.plan')):.1f} s, {peak()}")
        tell("  read", f"{timed(lambda: read_ledger(folder / 'x.plan')):.1f} s, {peak()}")


def store(folder: Path) -> None:
    """Write and read latents, plain and compressed."""
    import torch

    from recipe_runtime.store import Store, content_key

    noise = torch.Generator().manual_seed(0)
    latents = [torch.randn(16, 21, 60, 104, generator=noise) for _ in range(VALUES)]
    megabytes = sum(each.numel() * 4 for each in latents) / 1e6
    keys = [content_key({"value": index}) for index in range(VALUES)]
    for name, compress in (("plain", False), ("compressed", True)):
        place = Store(folder / name, compress=compress)

        def write(place: Store = place) -> None:
            for key, each in zip(keys, latents, strict=True):
                place.write("latents", key, {"latents": each}, {})

        def read(place: Store = place) -> None:
            for key in keys:
                place.read("latents", key)

        for what, act in (("written", write), ("read", read)):
            seconds = timed(act)
            speed = f"{megabytes / seconds:,.0f} MB/s, {VALUES / seconds:,.0f} values/s"
            tell(f"store, latents of 832x480@81 (noise), {name}, {what}", speed)
        size = sum(path.stat().st_size for path in place.folder.rglob("*.safetensors"))
        tell(f"store, {name}: size", f"{size / 1e6 / megabytes:.3f} of the tensors' bytes")


def decode(folder: Path) -> None:
    """Decode clips as training does, beside PyAV that only turns frames into RGB."""
    import av
    import torch

    from fakes_runtime import draw_disc, write_video
    from recipe_runtime.clip import read_clip
    from recipe_schema.ledger import ClipRow

    torch.set_num_threads(1)
    path = folder / "big.mp4"
    write_video(path, draw_disc((1280, 720), 81, (200, 30, 30)), 16, crf=20)

    def plain() -> None:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                frame.to_ndarray(format="rgb24")

    facts = {"dataset": "x", "path": path.name, "fate": "trained", "bucket_frames": 81, "framerate": 16.0, "fps": 16.0}
    whole = {"bucket_width": 1280, "bucket_height": 720, "resize_width": 1280, "resize_height": 720}
    fitted = {"bucket_width": 832, "bucket_height": 480, "resize_width": 854, "resize_height": 480, "crop_left": 11}
    unscaled, scaled = (ClipRow(**facts, **size) for size in (whole, fitted))
    acts: dict[str, Callable[[], object]] = {
        "plain PyAV to RGB": plain,
        "our reader, not resized": lambda: read_clip(path, unscaled),
        "our reader, resized to 832x480": lambda: read_clip(path, scaled),
    }
    seconds = dict.fromkeys(acts, 0.0)
    for _ in range(DECODED):  # in turn, so that what else the machine does falls on all alike
        for name, act in acts.items():
            seconds[name] += timed(act)
    for name, took in seconds.items():
        tell(f"decode, 1280x720, 81 frames: {name}", f"{81 * DECODED / took:,.0f} frames/s")


def loader(folder: Path) -> None:
    """Make batches of latents in their real size, and say how many a second of training takes."""
    import torch

    from fakes_training import batch_maker, encoded_project
    from recipe_runtime.encode_text import text_index
    from recipe_runtime.encode_video import latent_index

    _, ctx, _ = encoded_project(folder / "small", max_steps=STEPS, **{"data.store_dir": "store"})
    maker = batch_maker(ctx)
    seconds = timed(lambda: [maker.make(step) for step in range(STEPS)])
    tell("loader, tiny clips, batch 1", f"{STEPS / seconds:,.0f} batches/s")
    for key in set(latent_index(ctx).values()):
        ctx.store.write("latents", key, {"latents": torch.randn(16, 21, 60, 104)}, {})
    for key in set(text_index(ctx).values()):
        ctx.store.write("text", key, {"embeds": torch.randn(150, 2304)}, {})
    big = batch_maker(ctx)
    seconds = timed(lambda: [big.make(step) for step in range(STEPS)])
    tell("loader, latents of 832x480@81, batch 1", f"{STEPS / seconds:,.1f} batches/s")
    # 484 TFLOP a step (docs/how-it-works.md) at 40 % of the H200's 989 TFLOP/s in bf16.
    tell("  a step takes of an H200 at 40 % use, by estimate", f"{1 / (484 / (0.4 * 989)):.2f} batches/s")


if __name__ == "__main__":
    main()
