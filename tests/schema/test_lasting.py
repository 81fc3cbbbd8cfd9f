import io
import os
import sys

import pytest

from recipe_schema.lasting import lasting, lasting_output


@pytest.fixture
def broken():
    """Yield a stream into a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8", buffering=1) as stream:
        yield stream


def test_what_can_be_written_is_written(capsys):
    with lasting_output():
        sys.stdout.write("one\n")
        sys.stderr.write("two")
        sys.stdout.flush()

    assert capsys.readouterr() == ("one\n", "two")


def test_a_stream_that_nobody_reads_leads_nowhere(broken):
    stream = lasting(broken)

    assert [stream.write("lost\n"), stream.write("and more\n")] == [5, 9]
    stream.flush()
    os.write(broken.fileno(), b"of somebody else")


def test_what_was_held_back_is_lost_without_an_error(broken):
    held = io.TextIOWrapper(broken.buffer, encoding="utf-8")
    stream = lasting(held)

    stream.write("held back")
    stream.flush()

    held.detach()


def test_everything_else_is_that_of_the_stream(broken):
    stream = lasting(broken)

    assert (stream.encoding, stream.isatty(), stream.fileno()) == ("utf-8", False, broken.fileno())


def test_the_streams_are_put_back():
    before = sys.stdout, sys.stderr
    with lasting_output():
        assert sys.stderr is not before[1]

    assert (sys.stdout, sys.stderr) == before
