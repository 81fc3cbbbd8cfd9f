"""How fast data are looked at, planned, stored, decoded and fed: on this machine, in one run.

    python benchmarks/data.py [ROWS]

Prints a table. ROWS is the size of the manifest that is planned in memory, a million by default. Each figure is taken
once over many items, and the survey and the manifest in a process of their own, so that peak memory is theirs.
Run it with the project installed (`make test` does that).
"""

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from recipe_compiler.pipeline import Compiled
    from recipe_runtime.batches import BatchMaker
    from recipe_schema.ledger import ClipRow


sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

CLIPS = 500
"""Clips that are looked at."""

CONTENTS = 2
"""Different contents among them."""

VALUES = 24
"""Latents of 832x480 with 81 frames that are written and read."""

DECODED = 6
"""Clips that are decoded by each of both readers."""

STEPS = 100
"""Batches that are made."""

WAITING_STEPS = 15
STEP_SECONDS = 1.2
"""What a step of the 2B model takes on an H200, by estimate."""


def main() -> None:
    """Print the table, or measure what was asked for in this process alone."""
    if len(sys.argv) > 2:
        {"draw": draw_clips, "survey": survey, "manifest": manifest, "ledger": ledger}[sys.argv[1]](sys.argv[2])
        return
    rows = sys.argv[1] if len(sys.argv) > 1 else "1000000"
    print(f"{time.strftime('%Y-%m-%d')}, {cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        alone("draw", folder)
        for temperature in ("cold", "warm"):
            alone("survey", f"{folder}:{temperature}")
        alone("manifest", f"{folder}:{rows}")
        alone("ledger", folder)
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


def draw_clips(folder: str) -> None:
    """Make many clips as people have them, of a few contents and each with a caption of its own, and a recipe for them."""
    import numpy as np

    from fakes_clips import RECIPE
    from fakes_runtime import write_video

    clips, drawn = Path(folder) / "clips", np.random.default_rng(0)
    clips.mkdir()
    for index in range(CONTENTS):
        grain = drawn.integers(0, 64, (121, 480, 832, 3), dtype=np.uint8)
        write_video(clips / f"{index:04}.mp4", grain, 24, crf=30)
    for index in range(CLIPS):
        if index >= CONTENTS:
            os.link(clips / f"{index % CONTENTS:04}.mp4", clips / f"{index:04}.mp4")
        (clips / f"{index:04}.txt").write_text(f"a disc, number {index}")
    (Path(folder) / "recipe.yaml").write_text(RECIPE)


def survey(argument: str) -> None:
    """Look at clips without and with what an earlier look has learned."""
    import recipe_compiler.data.survey  # noqa: F401 - what it loads is no part of the figure
    from recipe_compiler.pipeline import Options, compile_recipe

    folder, _, temperature = argument.rpartition(":")
    options = Options(look_at_data=True, index_file=Path(folder) / "index.sqlite")
    recipe = Path(folder) / "recipe.yaml"
    seconds = timed(lambda: compile_recipe(recipe, options))
    size = sum(path.stat().st_size for path in recipe.parent.glob("clips/*.mp4")) / CLIPS / 1e6
    what = f"survey, {CLIPS} clips of 832x480, 121 frames, {size:.1f} MB, {temperature}"
    tell(what, f"{CLIPS / seconds:,.0f} files/s, {seconds:.2f} s")


def manifest(argument: str) -> None:
    """Plan rows that were looked at: count buckets, digest, lower, freeze, write."""
    from recipe_compiler.passes.freeze import write
    from recipe_compiler.pipeline import make_plan

    name, _, count = argument.rpartition(":")
    begin = time.perf_counter()
    rows = tuple(map(manifest_row, range(int(count))))
    tell(f"manifest, {int(count):,} rows: made in memory", f"{time.perf_counter() - begin:.1f} s, {peak()}")
    begin = time.perf_counter()
    compiled = looked_at(Path(name), rows)
    tell("  buckets counted", f"{time.perf_counter() - begin:.1f} s")
    begin = time.perf_counter()
    plan = make_plan(compiled)
    tell("  planned", f"{time.perf_counter() - begin:.1f} s, {peak()}")
    tell("  written", f"{timed(lambda: write(plan, rows, Path(name) / 'x.plan')):.1f} s, {peak()}")


def ledger(folder: str) -> None:
    """Read the ledger of the plan that was made of the manifest."""
    from recipe_compiler.data.ledger_file import read_ledger

    tell("  read", f"{timed(lambda: read_ledger(Path(folder) / 'x.plan')):.1f} s, {peak()}")


def manifest_row(index: int) -> "ClipRow":
    """Return a row as clips of usual size have it."""
    from recipe_schema.ledger import ClipRow

    caption = f"a caption of usual length, such as a bar that moves to the right, number {index}"
    return ClipRow(
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
        caption=caption,
        text=f"{caption} motion score: 30.",
    )


def looked_at(folder: Path, rows: "tuple[ClipRow, ...]") -> "Compiled":
    """Return a recipe as if a survey had found these rows."""
    from fakes_clips import RECIPE
    from recipe_compiler.data.facts import Survey, count_buckets
    from recipe_compiler.pipeline import Options, compile_recipe
    from recipe_schema.record import replace

    (folder / "recipe.yaml").write_text(RECIPE)
    compiled = compile_recipe(folder / "recipe.yaml", Options(look_at_data=False))
    found = Survey(
        rows=rows,
        looked=("data.datasets.0",),
        missing={},
        buckets=count_buckets(rows),
        tables={},
        problems=(),
        several_lines={},
        unfetched={},
    )
    return replace(compiled, survey=found, found=())


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
        **torchcodec(path),
        "our reader, not resized": lambda: read_clip(path, unscaled),
        "our reader, resized to 832x480": lambda: read_clip(path, scaled),
    }
    seconds = dict.fromkeys(acts, 0.0)
    for _ in range(DECODED):  # in turn, so that what else the machine does falls on all alike
        for name, act in acts.items():
            seconds[name] += timed(act)
    for name, took in seconds.items():
        tell(f"decode, 1280x720, 81 frames: {name}", f"{81 * DECODED / took:,.0f} frames/s")


def torchcodec(path: Path) -> dict[str, Callable[[], object]]:
    """Return what decodes with torchcodec, where it is installed and finds FFmpeg's libraries."""
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, RuntimeError, OSError) as error:
        tell("decode: torchcodec", f"left out, {str(error).strip().splitlines()[0][:60]}")
        return {}
    return {"torchcodec to RGB": lambda: VideoDecoder(str(path), num_ffmpeg_threads=0).get_frames_in_range(0, 81)}


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
    waits(big)
    # 484 TFLOP a step (docs/how-it-works.md) at 40 % of the H200's 989 TFLOP/s in bf16.
    tell("  a step takes of an H200 at 40 % use, by estimate", f"{1 / (484 / (0.4 * 989)):.2f} batches/s")


def waits(maker: "BatchMaker") -> None:
    """Say how long a step waits for its batch while a thread makes the next one."""
    from recipe_runtime.batches import prefetch

    waited = []
    batches = prefetch(maker.make, range(WAITING_STEPS))
    for _ in range(WAITING_STEPS):
        waited.append(timed(lambda: next(batches)))
        time.sleep(STEP_SECONDS)
    most, share = max(waited[1:]) * 1000, sum(waited[1:]) / STEP_SECONDS / (WAITING_STEPS - 1)
    tell(f"  a step of {STEP_SECONDS:g} s waits for its batch", f"{most:.1f} ms at most, {share:.2%} of the time")


if __name__ == "__main__":
    main()
