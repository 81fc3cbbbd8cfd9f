import errno
import fcntl

from recipe_schema.run_lock import LOCK_FILE, holder_of


def test_who_holds_the_lock_of_a_run_is_told_and_nobody_where_there_is_none(tmp_path):
    assert holder_of(tmp_path) is None
    with (tmp_path / LOCK_FILE).open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert holder_of(tmp_path) == "unknown"
        file.write(b"12\n")
        assert holder_of(tmp_path) == "12"
    assert holder_of(tmp_path) is None


def test_on_a_disk_without_locks_it_can_not_be_told(tmp_path, monkeypatch):
    (tmp_path / LOCK_FILE).write_text("12\n")

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)

    assert holder_of(tmp_path) is None
