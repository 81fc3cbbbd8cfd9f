"""TensorBoard: event files in the run directory, for ``tensorboard --logdir RUN/tensorboard``."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import av
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import scalar, text
from torch.utils.tensorboard.writer import FileWriter

from recipe_runtime.watch.chart import drawn_chart
from recipe_runtime.watch.tracker import Chart, Journal


FOLDER = "tensorboard"
"""Below the run directory."""

_WIDTH = 416
_FPS = 8
"""Clips are shown as GIF, which is large: so narrow, in pixels, and so few frames a second."""


class TensorboardTracker:
    """Writes curves, and clips as moving images.

    torch's own `add_video` needs moviepy, and without it writes nothing and says so to nobody; TensorBoard shows a GIF
    among the images just as well.

    Args:
        journal: What to write of the run.
    """

    def __init__(self, journal: Journal) -> None:
        self._folder = journal.run_dir / FOLDER
        self._config = json.dumps(journal.config, indent=2, ensure_ascii=False)
        self._after = 0
        self._writer: FileWriter | None = None
        self._folder.mkdir(exist_ok=True)  # where it can't be made, this is said now

    def resume(self, step: int) -> None:
        """Take note that what was written of later steps is void."""
        self._after = step

    def curves(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        for name, value in values.items():
            self._open().add_summary(scalar(name, value), step)

    def chart(self, step: int, name: str, chart: Chart) -> None:
        """Draw a chart: TensorBoard itself draws values over steps alone."""
        self._show(step, name, *drawn_chart(chart))

    def clip(self, step: int, name: str, path: Path) -> None:
        """Show a clip, scaled down."""
        self._show(step, name, *moving_image(path))

    def finish(self, *, well: bool) -> None:
        """Close the file."""
        del well
        if self._writer is not None:
            self._writer.close()

    def _show(self, step: int, name: str, size: tuple[int, int], picture: bytes) -> None:
        image = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=picture)
        writer = self._open()
        writer.add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)
        writer.flush()

    def _open(self) -> FileWriter:
        """Open the file when there is something to write: only then it is known from where training goes on."""
        if self._writer is None:
            first = self._after + 1
            self._writer = FileWriter(str(self._folder))
            # TensorBoard then leaves out what earlier files hold of these steps and later ones.
            self._writer.add_event(Event(session_log=SessionLog(status=SessionLog.START)), first)
            self._writer.add_summary(text("settings", f"```json\n{self._config}\n```"), first)
        return self._writer

    def abandon(self) -> None:
        """Do nothing: what was written is there."""


def moving_image(path: Path) -> tuple[tuple[int, int], bytes]:
    """Turn a clip into a GIF, at most 416 pixels wide and 8 frames a second.

    Returns:
        Width and height in pixels, and the GIF.
    """
    with av.open(f"file:{path}") as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or _FPS)
        every = max(round(rate / _FPS), 1)
        scale = min(_WIDTH / stream.width, 1.0)
        size = (round(stream.width * scale), round(stream.height * scale))
        kept = [frame for index, frame in enumerate(container.decode(stream)) if index % every == 0]
        images = [Image.fromarray(frame.to_ndarray(format="rgb24")).resize(size) for frame in kept]
    file = io.BytesIO()
    images[0].save(
        file, format="GIF", save_all=True, append_images=images[1:], duration=round(1000 * every / rate), loop=0
    )
    return size, file.getvalue()
