import numpy as np
import pytest
from PIL import Image

from recipe_runtime.contact_sheet import write_sheet, write_steps_sheet
from recipe_runtime.errors import MediaError


def frames(count, height, width):
    """Frames whose grey says their number."""
    made = np.zeros((count, height, width, 3), dtype=np.uint8)
    made += (np.arange(count, dtype=np.uint8) * 3)[:, None, None, None]
    return made


def greys(path, places, y):
    with Image.open(path) as picture:
        return [picture.convert("L").getpixel((x, y)) for x in places]


def test_a_sheet_has_frames_from_the_first_to_the_last_in_a_row(tmp_path):
    write_sheet(tmp_path / "a.jpg", frames(81, 480, 832))

    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.size == (8 * 208 + 7 * 4, 120)
    found = greys(tmp_path / "a.jpg", [104 + place * 212 for place in range(8)], 60)
    assert found == pytest.approx([0, 33, 66, 102, 135, 171, 204, 240], abs=2)


def test_a_clip_of_few_small_frames_is_not_enlarged(tmp_path):
    write_sheet(tmp_path / "a.jpg", frames(1, 64, 96))

    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.size == (96, 64)


def test_steps_are_below_each_other_and_what_comes_later_is_left_out(tmp_path):
    for step, value in ((0, 10), (40, 100), (80, 200), (120, 250)):
        folder = tmp_path / f"step-{step:08d}"
        folder.mkdir()
        write_sheet(folder / "main.jpg", np.full((3, 64, 96, 3), value, dtype=np.uint8))
        write_sheet(folder / "main-2.jpg", frames(1, 8, 8))
    (tmp_path / "step-other").mkdir()
    (tmp_path / "step-other/main.jpg").write_bytes(b"")

    path, steps = write_steps_sheet(tmp_path, "main", until=80)

    assert (path, steps) == (tmp_path / "steps/main.jpg", (0, 40, 80))
    for row, value in enumerate((10, 100, 200)):
        assert greys(path, [104 + 48], row * 68 + 32) == pytest.approx([value], abs=2)


def test_of_many_steps_the_first_and_the_last_are_shown(tmp_path):
    for step in range(40):
        (tmp_path / f"step-{step:08d}").mkdir()
        write_sheet(tmp_path / f"step-{step:08d}" / "main.jpg", frames(2, 16, 16))

    _, steps = write_steps_sheet(tmp_path, "main", until=99)

    assert (len(steps), steps[0], steps[-1]) == (12, 0, 39)


def test_without_a_sheet_there_is_none_of_steps(tmp_path):
    assert write_steps_sheet(tmp_path, "main", until=5) is None


def test_a_full_disk_is_a_media_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(MediaError, match="can't be written"):
        write_sheet(tmp_path / "file" / "a.jpg", frames(1, 8, 8))
