"""Folders of tar files, for `type: webdataset`."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from fakes_fetching import captions, clip_content, fetch, findings, recipe, the
from fakes_masks import make_mask
from recipe_compiler.data.fetched import MARKER


@pytest.fixture(scope="module")
def clip_bytes():
    return clip_content()


def write_tar(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def tar_recipe(tmp_path):
    return recipe(tmp_path, ["type: webdataset", "instance_data_dir: tars"])


def test_tar_files_are_unpacked_once_and_anew_when_they_change(tmp_path, clip_bytes, capsys):
    members = [
        ("a/000.v1.mp4", clip_bytes),
        ("a/000.txt", b"the first"),
        ("a/001.mp4", clip_bytes),
        ("a/001.json", b'{"n": 1, "caption": "the second"}'),
        ("a/000.json", b'{"caption": "not this"}'),
        ("a/002.json", b"[]"),
        ("b/003.json", b'{"text": "of no clip"}'),
        ("a/000.cls", b"1"),
    ]
    write_tar(tmp_path / "tars/one.tar", members)
    more = [("001.mp4", clip_bytes), ("001.json", b'{"caption": 3, "text": ["the fourth", "again"]}')]
    write_tar(tmp_path / "tars/sub/two.tar", [("000.mp4", clip_bytes), ("000.txt", b"the third"), *more])
    path = tar_recipe(tmp_path)
    assert "are not unpacked" in the(findings(path, must_run=True), "R301").message

    assert fetch(path) == 0

    got = captions(path)
    assert sorted(got.values()) == ["the first", "the fourth again", "the second", "the third"]
    sha = hashlib.sha256((tmp_path / "tars/one.tar").read_bytes()).hexdigest()[:12]
    assert f"unpacked/one-{sha}/a/000.mp4" in got

    os.utime(tmp_path / "tars/one.tar", ns=(1, 1))
    assert "is not complete, or what it was made from has changed" in the(findings(path), "R301").message
    capsys.readouterr()
    assert fetch(path) == 0
    assert "unpacked 2" not in capsys.readouterr().err, "its bytes are the same"
    write_tar(tmp_path / "tars/one.tar", members[:2])
    assert fetch(path) == 0
    assert sorted(captions(path).values()) == ["the first", "the fourth again", "the third"]
    assert len(list((tmp_path / "tars/unpacked/.replaced").glob("*/one-*"))) == 1


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("../a.mp4", b"")], "lies outside"),
        ([("a.mp4", b""), ("a.x.mp4", b"")], "two files for `a.mp4`"),
        ([("a.json", b"{")], "`a.json` in"),
        (None, "one.tar is broken"),
    ],
)
def test_a_tar_file_that_can_not_be_unpacked_leaves_nothing(tmp_path, members, words, capsys):
    if members is None:
        (tmp_path / "tars").mkdir()
        (tmp_path / "tars/one.tar").write_bytes(b"no tar at all")
    else:
        write_tar(tmp_path / "tars/one.tar", members)
    path = tar_recipe(tmp_path)
    assert fetch(path) == 4
    assert words in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "tars/unpacked").iterdir()] == [MARKER]
    assert "is not complete" in the(findings(path), "R301").message


def test_a_folder_without_tar_files_and_a_foreign_one_are_told(tmp_path, capsys):
    path = tar_recipe(tmp_path)
    assert "does not exist" in the(findings(path), "R301").message
    (tmp_path / "tars").mkdir()
    assert fetch(path) == 4
    assert "holds no .tar file" in capsys.readouterr().err
    write_tar(tmp_path / "tars/one.tar", [("a.mp4", b"")])
    (tmp_path / "tars/unpacked").mkdir()
    (tmp_path / "tars/unpacked/mine.mp4").write_bytes(b"mine")
    assert fetch(path) == 4
    assert "was not made by `recipe fetch`" in capsys.readouterr().err
    (tmp_path / "tars/unpacked" / MARKER).write_text("[]")
    assert fetch(path) == 4


def test_images_of_tar_files_are_unpacked_without_their_videos(tmp_path, clip_bytes, capsys):
    photo = make_mask(tmp_path / "p.png").read_bytes()
    write_tar(tmp_path / "tars/one.tar", [("0.png", photo), ("0.mp4", clip_bytes), ("0.txt", b"a photo")])
    images = recipe(tmp_path, ["type: webdataset", "instance_data_dir: tars", "dataset_type: image"])
    assert fetch(images) == 0
    assert [(Path(path).name, text) for path, text in captions(images).items()] == [("0.png", "a photo")]

    videos = tar_recipe(tmp_path)
    assert "holds `webdataset of images`, not `webdataset`" in the(findings(videos), "R301").message
    capsys.readouterr()
    assert fetch(videos) == 4
    assert "holds `webdataset of images`, not `webdataset`; move it away" in capsys.readouterr().err
