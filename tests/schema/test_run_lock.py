import errno
import fcntl
import os

import pytest

from recipe_schema.run_lock import LOCK_FILE, RunLockedError, check_free, take_lock


def test_who_holds_the_lock_of_a_run_is_told_and_nobody_where_there_is_none(tmp_path):
    check_free(tmp_path)
    with (tmp_path / LOCK_FILE).open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for ask in (check_free, take_lock):
            with pytest.raises(RunLockedError, match=r"number unknown"):
                ask(tmp_path)
        file.write(b"12\n")
        for ask in (check_free, take_lock):
            with pytest.raises(RunLockedError, match=r"number 12\) works on .*stop it with `kill 12`"):
                ask(tmp_path)
    check_free(tmp_path)


def test_a_lock_holds_until_it_is_closed_and_has_the_number_of_its_process(tmp_path):
    (tmp_path / LOCK_FILE).write_text("123456789\n")

    with take_lock(tmp_path), pytest.raises(RunLockedError, match=rf"number {os.getpid()}\)"):
        check_free(tmp_path)

    with take_lock(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_on_a_disk_without_locks_it_can_not_be_told_and_not_be_taken(tmp_path, monkeypatch):
    (tmp_path / LOCK_FILE).write_text("12\n")

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)

    check_free(tmp_path)
    with pytest.raises(OSError, match="No locks available"):
        take_lock(tmp_path)
