"""A load tells what it is doing: lines in a log, a live line on a terminal."""

import inspect
import io
import os
import re
import select
from contextlib import suppress

import pytest
from rich.console import Console

from loader.progress import Bar, Lines, Silent


def test_each_step_is_a_line():
    log = io.StringIO()
    lines = Lines(log)
    lines.begin("reading the header")
    lines.expect(1000)
    lines.begin("copying rows")
    for block in range(100):
        lines.advance(block * 10, block)
    assert log.getvalue() == "reading the header\ncopying rows\n"


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def unread() -> io.TextIOWrapper:
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w")  # noqa: PTH123  (a descriptor)


def full() -> io.TextIOWrapper:
    return open("/dev/full", "w")  # noqa: PTH123


@pytest.mark.parametrize("made", [closed, unread, full])
def test_a_line_that_cannot_be_written_stops_nothing(made):
    stream = made()
    lines = Lines(stream, every_s=0.0)
    lines.begin("copying rows")
    lines.advance(50_000_000, 10)
    with suppress(OSError):
        stream.close()


def test_without_stderr_nothing_is_said_and_not_on_stdout(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", None)
    lines = Lines(every_s=0.0)
    lines.begin("copying rows")
    lines.advance(50_000_000, 10)
    assert capsys.readouterr().out == ""


def test_ten_seconds_lie_between_lines():
    assert inspect.signature(Lines).parameters["every_s"].default == 10


def test_a_line_tells_rows_bytes_share_and_speed():
    log = io.StringIO()
    lines = Lines(log, every_s=0.0)
    lines.begin("copying rows")
    lines.expect(200_000_000)
    lines.advance(50_000_000, 1_234_567)
    assert re.fullmatch(
        r"copying rows\n  1,234,567 rows, 50 MB \(25%\), [0-9,]+ rows/s\n", log.getvalue()
    )


def test_a_source_that_does_not_tell_its_size_has_no_share():
    log = io.StringIO()
    lines = Lines(log, every_s=0.0)
    lines.begin("copying rows")
    lines.expect(None)
    lines.advance(50_000_000, 10)
    assert "%" not in log.getvalue()
    assert "  10 rows, 50 MB, " in log.getvalue()


def test_lines_go_to_stderr(capsys):
    Lines().begin("copying rows")
    assert capsys.readouterr() == ("", "copying rows\n")


class Terminal:
    """A pseudo-terminal, and the bar on it."""

    def __init__(self, width: int) -> None:
        self._ours, theirs = os.openpty()
        self._theirs = os.fdopen(theirs, "w")
        self.bar = Bar(Console(file=self._theirs, width=width, _environ={"TERM": "xterm"}))

    def line(self) -> str:
        """What is seen of the bar now."""
        self.bar._bars.refresh()
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown())
        return next(line for line in reversed(re.split(r"[\r\n]+", plain)) if line.strip()).strip()

    def shown(self) -> str:
        """All that was written since it was last asked; a terminal gives it in pieces."""
        self._theirs.flush()
        pieces = []
        while select.select([self._ours], [], [], 0.05)[0]:
            pieces.append(os.read(self._ours, 1 << 16))
        return b"".join(pieces).decode()

    def close(self) -> None:
        self._theirs.close()
        os.close(self._ours)


@pytest.fixture
def terminal(request: pytest.FixtureRequest):
    terminal = Terminal(getattr(request, "param", 120))
    with terminal.bar:
        yield terminal
    terminal.close()


def test_a_step_that_reads_nothing_has_a_moving_bar_and_a_clock(terminal):
    terminal.bar.begin("indexing the full text")
    assert re.fullmatch(r"indexing the full text [━╸╺]+ 0:0\d", terminal.line())


def test_a_step_that_reads_has_a_bar_with_bytes_rows_speed_and_time_left(terminal):
    terminal.bar.expect(200_000_000)
    terminal.bar.begin("copying rows")
    terminal.bar.advance(50_000_000, 1_234_567)
    assert re.fullmatch(
        r"copying rows [━╸╺]+ 50/200 MB  1,234,567 rows  [0-9,]+/s  0:0\d left", terminal.line()
    )


@pytest.mark.parametrize("terminal", [60], indirect=True)
def test_a_narrow_terminal_has_room_for_the_time_left(terminal):
    terminal.bar.expect(200_000_000)
    terminal.bar.begin("copying rows")
    terminal.bar.advance(50_000_000, 1_234_567)
    assert re.fullmatch(r"copying rows [━╸╺]+ 0:0\d left", terminal.line())


def test_there_is_no_time_left_when_all_is_read(terminal):
    terminal.bar.expect(200_000_000)
    terminal.bar.begin("copying rows")
    terminal.bar.advance(200_000_000, 10)
    assert re.fullmatch(r"copying rows ━+ 200/200 MB  10 rows  [0-9,]+/s", terminal.line())


def test_a_source_that_does_not_tell_its_size_has_no_end_and_no_time_left(terminal):
    terminal.bar.expect(None)
    terminal.bar.begin("copying rows")
    terminal.bar.advance(19_000_000, 19)
    assert re.fullmatch(r"copying rows [━╸╺]+ 19 MB  19 rows  [0-9,]+/s", terminal.line())


def test_what_one_step_read_is_not_shown_in_the_next(terminal):
    terminal.bar.expect(1_000_000)
    terminal.bar.begin("copying rows")
    terminal.bar.advance(1_000_000, 10)
    terminal.bar.begin("adding the primary key")
    assert re.fullmatch(r"adding the primary key [━╸╺]+ 0:0\d", terminal.line())


def test_a_second_pass_begins_at_nothing(terminal):
    terminal.bar.expect(4_000_000)
    for _ in range(2):
        terminal.bar.begin("copying rows")
        assert "rows  " not in terminal.line()
        terminal.bar.advance(1_000_000, 10)
        assert " 1/4 MB  10 rows  " in terminal.line()


def test_a_bar_is_gone_when_it_ends():
    terminal = Terminal(80)
    with terminal.bar:
        terminal.bar.begin("copying rows")
    assert terminal.shown().endswith("\x1b[2K")
    terminal.close()


@pytest.mark.parametrize("told", [Silent(), Bar(Console(file=io.StringIO()))])
def test_nothing_said_before_the_first_step_does_harm(told):
    told.expect(5)
    told.advance(1, 1)
    told.begin("copying rows")
    told.advance(1, 1)
