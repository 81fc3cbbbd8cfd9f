import errno
import os

import pytest

from recipe_schema.files import write_atomically


def test_a_file_is_replaced_as_a_whole_with_the_rights_that_were_asked_for(tmp_path):
    (tmp_path / "a").write_bytes(b"old and longer")

    write_atomically(tmp_path / "a", b"new", mode=0o600)

    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it_and_is_told_with_its_name(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left on device") as failure:
        write_atomically(tmp_path / "a", b"new")

    assert failure.value.filename == str(tmp_path / "a")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_an_interrupt_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", interrupt)

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", b"new")

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_failure_that_names_its_file_keeps_that_name(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)

    with pytest.raises(OSError, match="directory") as failure:
        write_atomically(tmp_path / "a", b"new")

    assert failure.value.filename != str(tmp_path / "a")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
