import hashlib
import io
import os
import sqlite3
import sys

import pytest

from fakes_clips import RECIPE, make_clip
from recipe_compiler.cli.main import main
from recipe_compiler.data.index import VERSION, ProbeIndex, default_index_file


def silent(*_):
    """Report nothing."""


def look(file, clips, report=silent):
    """Probe clips with the table in ``file``; return what is known of them, and which were opened for it."""
    with ProbeIndex(file) as index:
        return index.probe_all(clips, report)


@pytest.fixture
def opened(monkeypatch):
    """Keep which files are probed."""
    from recipe_compiler.data import index

    files, probe_each = [], index.probe_each
    monkeypatch.setattr(index, "probe_each", lambda fresh: (files.extend(fresh), probe_each(fresh))[1])
    return files


@pytest.fixture
def table(tmp_path):
    return tmp_path / "cache" / "probes.sqlite"


def stubs(folder, count):
    """Write empty files that count as clips."""
    folder.mkdir()
    paths = [folder / f"{number:03}.mp4" for number in range(count)]
    for path in paths:
        path.touch()
    return paths


def test_an_interrupted_look_remembers_the_batches_that_were_done(opened, table, tmp_path):
    clips = stubs(tmp_path / "clips", 150)

    def interrupt(done, _):
        if done == 120:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(table, clips, interrupt)
    opened.clear()
    look(table, clips)

    assert len(opened) == 50


def test_a_link_that_leads_nowhere_does_not_make_the_others_forgotten(opened, table, tmp_path):
    clips = stubs(tmp_path / "clips", 3)
    clips[1].unlink()
    clips[1].symlink_to("gone.mp4")
    first = look(table, clips)
    opened.clear()

    assert look(table, clips) == first
    assert opened == [clips[1]]


def test_a_file_that_changes_while_it_is_looked_at_is_looked_at_again(table, tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=20)

    def change(done, total):
        if done == total:
            make_clip(clip, frames=30)

    assert look(table, [clip], change)[clip].frames == 20
    assert look(table, [clip])[clip].frames == 30


@pytest.mark.parametrize("facts", ["", "[]", '{"colour": 1}'])
def test_facts_that_can_not_be_read_are_gathered_anew(facts, opened, table, tmp_path):
    clips = stubs(tmp_path / "clips", 2)
    first = look(table, clips)
    opened.clear()
    with sqlite3.connect(table) as database:
        database.execute(f"UPDATE probes_{VERSION} SET facts = ?", (facts,))
    database.close()

    assert look(table, clips) == first
    assert sorted(opened) == clips


def test_a_table_that_goes_away_meanwhile_costs_speed_and_nothing_else(opened, table, tmp_path):
    clips = stubs(tmp_path / "clips", 2)

    def drop(done, _):
        if done == 0:
            with sqlite3.connect(table) as database:
                database.execute(f"DROP TABLE probes_{VERSION}")
            database.close()

    assert [facts.problem for facts in look(table, clips, drop).values()] == ["is empty"] * 2
    opened.clear()
    look(table, clips)
    assert sorted(opened) == clips, "nothing was remembered"


def test_a_user_without_a_home_has_no_table(monkeypatch):
    import pwd

    def unknown(_):
        raise KeyError

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)

    assert default_index_file() is None


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("count", "lines"),
    [
        (199, []),
        (201, ["0 of 201", "50 of 201", "100 of 201", "150 of 201", "200 of 201", "201 of 201"]),
    ],
)
def test_a_long_look_shows_its_progress_on_a_terminal_and_leaves_nothing_of_it(
    count, lines, table, tmp_path, monkeypatch
):
    stubs(tmp_path / "clips", count)
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("XDG_CACHE_HOME", str(table.parent))

    assert main(["lint", str(tmp_path / "recipe.yaml")]) == 1

    shown = [f"looking at clips: {line}\r" for line in lines]
    assert terminal.getvalue() == "".join(shown) + ("\x1b[K" if shown else "")


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_seen_where_that_is_asked_for(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clip = make_clip(tmp_path / "clips" / "a.mp4", frames=12, caption="a bar")
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def told(*more):
        assert main(["explain", str(tmp_path / "recipe.yaml"), "--clip", "a.mp4", *more]) in (0, 1)
        return capsys.readouterr().out

    stat, before = clip.stat(), told()
    content = bytearray(clip.read_bytes())
    place = content.index(b"Lavf")
    content[place : place + 4] = b"Fval"
    clip.write_bytes(content)
    os.utime(clip, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert clip.stat().st_size == stat.st_size

    assert told() == before
    after = told("--rehash")
    assert hashlib.sha256(content).hexdigest() in after
    assert told() == after, "it is remembered anew"
