"""The octets of a text -> which of them stand outside quotes: there a line end ends a record.

A quote opens only at the start of a cell (``8" pipe`` is no opening quote), as in RFC 4180,
Python's csv and Arrow. The octets are looked at a window at a time: what is held beside them does
not grow with their number, be they all quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

Offsets = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
# The octets, and where a window begins and ends -> which of the window are looked for.
Mark = Callable[[Octets, int, int], Flags]

_LF, _CR = 0x0A, 0x0D
# A window's arrays stay in the processor's cache: 1.3 times as fast as 2 MiB at once.
_WINDOW_BYTES = 1 << 18


class Cutting(Protocol):
    """How cells are cut: single ASCII characters, or None."""

    @property
    def delimiter(self) -> str:
        """Between cells."""

    @property
    def quote(self) -> str | None:
        """Around a cell."""

    @property
    def double_quote(self) -> bool:
        """Whether two quotes inside of quotes are one of the text."""

    @property
    def escape(self) -> str | None:
        """What makes the next character a part of the cell."""

    @property
    def width(self) -> int:
        """How many cells most records have; 0 or 1 proves nothing of any."""


def newlines(octets: Octets, start: int, stop: int) -> Flags:
    """Mark LFs."""
    return np.equal(octets[start:stop], _LF)


def returns(octets: Octets, start: int, stop: int) -> Flags:
    """Mark CRs."""
    return np.equal(octets[start:stop], _CR)


def any_newlines(octets: Octets, start: int, stop: int) -> Flags:
    """Mark the last byte of LF, CRLF and CR."""
    ends = returns(octets, start, stop)
    ends[: len(octets) - 1 - start] &= octets[start + 1 : stop + 1] != _LF
    return ends | newlines(octets, start, stop)


def is_bare(octets: Octets, returns: Offsets) -> Flags:
    """Tell which CRs are not part of a line end: it may have several before its LF."""
    following = octets[np.minimum(returns + 1, len(octets) - 1)]  # the last CR is its own
    bare: Flags = (following != _LF) & (following != _CR)
    return bare


def delimiters(cutting: Cutting) -> Mark:
    """Return what marks delimiters."""
    delimiter = ord(cutting.delimiter)
    return lambda octets, start, stop: np.equal(octets[start:stop], delimiter)


class Walk:
    """One walk through octets that begin with a record.

    Args:
        octets: The text.
        cutting: How its cells are cut.
        window_bytes: How much is looked at a time.

    Attributes:
        is_open: At the walk's end, whether a quote is still open.
        inside: How many marked octets were inside quotes, or escaped.
    """

    def __init__(self, octets: Octets, cutting: Cutting, window_bytes: int = _WINDOW_BYTES) -> None:
        self.is_open = False
        self.inside = 0
        self._octets = octets
        self._cutting = cutting
        self._window_bytes = window_bytes
        # A run of quotes that goes on in the next window: how long it is, and whether it opens.
        self._run, self._run_opens = 0, False
        # The same of escapes, and whether the last byte of the window before is escaped.
        self._escapes, self._is_literal = 0, False

    def all(self, mark: Mark) -> Offsets:
        """Return the offsets of all marked octets outside quotes that are not escaped."""
        found = list(self.each(mark))
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def each(self, mark: Mark) -> Iterator[Offsets]:
        """Yield the same, window by window."""
        for start in range(0, len(self._octets), self._window_bytes):
            stop = min(start + self._window_bytes, len(self._octets))
            found = np.flatnonzero(mark(self._octets, start, stop))
            outside = self._outside(found, start, stop)
            self.inside += len(found) - len(outside)
            yield start + outside

    def _outside(self, found: Offsets, start: int, stop: int) -> Offsets:
        if not (self._cutting.quote or self._cutting.escape):
            return found
        window = self._octets[start:stop]
        literal = self._literal(window)
        if literal is not None:
            found = found[~literal[found]]
        inside = self._inside(window, start, literal, found)
        if literal is not None:
            self._is_literal = bool(literal[-1])
        return found[~inside]

    def _literal(self, window: Octets) -> Flags | None:
        """Return which octets an escape makes a part of the cell; None without an escape."""
        if not self._cutting.escape:
            return None
        literal = np.zeros(len(window), bool)
        starts, lengths = _runs(np.flatnonzero(window == ord(self._cutting.escape)))
        if self._escapes:
            if len(starts) and starts[0] == 0:
                lengths[0] += self._escapes
            else:
                literal[0] = self._escapes % 2 == 1
        goes_on = bool(window[-1] == ord(self._cutting.escape))
        # An escaped escape escapes nothing: of a run only an odd one escapes what follows it.
        behind = starts + lengths
        if len(starts) and starts[0] == 0:
            behind[0] -= self._escapes
        self._escapes = int(lengths[-1]) if goes_on else 0
        behind, lengths = (behind[:-1], lengths[:-1]) if goes_on else (behind, lengths)
        literal[behind[lengths % 2 == 1]] = True
        return literal

    def _inside(self, window: Octets, start: int, literal: Flags | None, found: Offsets) -> Flags:
        """Tell which of some offsets are inside quotes, and remember how the window ends."""
        if not self._cutting.quote:
            return np.zeros(len(found), bool)
        quotes = window == ord(self._cutting.quote)
        if literal is not None:
            quotes &= ~literal
        if not self._run and not quotes.any():
            return np.full(len(found), self.is_open)
        at = np.flatnonzero(quotes)
        ends = bool(quotes[-1])
        if not (self._run or ends) and self._alternate(at, self._at_cell_start(at, start, literal)):
            open_now = int(self.is_open)
            self.is_open = (len(at) + open_now) % 2 == 1
            alternating: Flags = (np.searchsorted(at, found) + open_now) % 2 == 1
            return alternating
        starts, lengths = _runs(at)
        opens = self._at_cell_start(starts, start, literal)
        if self._run:
            if len(starts) and starts[0] == 0:
                lengths[0] += self._run
                opens[0] = self._run_opens
            else:
                starts = np.concatenate((np.zeros(1, np.int64), starts))
                lengths = np.concatenate((np.full(1, self._run), lengths))
                opens = np.concatenate((np.full(1, self._run_opens), opens))
        self._run = 0
        if ends and start + len(window) < len(self._octets):
            self._run, self._run_opens = int(lengths[-1]), bool(opens[-1])
            starts, lengths, opens = starts[:-1], lengths[:-1], opens[:-1]
        if self._cutting.double_quote:  # doubled ones, and so a run of two, four..., change nothing
            odd = lengths % 2 == 1
            starts, lengths, opens = starts[odd], lengths[odd], opens[odd]
        is_open = np.concatenate((np.full(1, self.is_open), self._open_behind(lengths, opens)))
        self.is_open = bool(is_open[-1])
        if len(is_open) == 1:
            return np.full(len(found), self.is_open)
        inside: Flags = is_open[np.searchsorted(starts, found, side="right")]
        return inside

    def _at_cell_start(self, runs: Offsets, start: int, literal: Flags | None) -> Flags:
        before = self._octets[runs + (start - 1)]  # of a quote at offset 0 the last; see below
        opens: Flags = (before == _LF) | (before == _CR) | (before == ord(self._cutting.delimiter))
        if literal is not None:  # behind a delimiter that is part of the cell
            opens &= ~np.append(literal, self._is_literal)[runs - 1]
        if not start:
            opens |= runs == 0
        return opens

    def _alternate(self, at: Offsets, opens: Flags) -> bool:
        """Tell whether every other quote opens a cell or is the second of a doubled one.

        Then, and only then, counting quotes tells inside from outside: each odd one closes, or
        is the first of a doubled one, which the next one opens again at once.
        """
        first = int(self.is_open)
        opening = opens[first::2].copy()
        if self._cutting.double_quote:
            doubled = np.diff(at, prepend=-2) == 1
            opening |= doubled[first::2]
        return bool(opening.all())

    def _open_behind(self, lengths: Offsets, opens: Flags) -> Flags:
        """Tell for each run of quotes whether one is open behind it.

        Of a run of which none can be doubled the first opens, where it is at the start of a cell
        and none is open, or else closes; and the second closes what the first has opened.
        """
        toggles = opens if self._cutting.double_quote else opens & (lengths == 1)
        toggled = np.cumsum(toggles) + self.is_open
        closed_at = np.maximum.accumulate(np.where(toggles, -1, np.arange(len(lengths))))
        since = np.where(closed_at < 0, 0, toggled[closed_at])
        behind: Flags = (toggled - since) % 2 == 1
        return behind


def ending_returns(octets: Octets, cutting: Cutting, newlines: Offsets, at_end: bool) -> Offsets:
    """Return the CRs that end a record of a text whose records end in LF.

    A text may be put together of several, or a program may have gone on with it in its own way.
    Such a CR has a record of the usual width on both sides; one in a cell that lacks its quotes
    has not.

    Args:
        octets: They begin with a record.
        cutting: How its cells are cut.
        newlines: The LFs outside quotes.
        at_end: Whether the text ends with the octets.
    """
    none = np.zeros(0, np.int64)
    in_crlf = np.count_nonzero(octets[np.maximum(newlines, 1) - 1] == _CR)
    if cutting.width <= 1 or in_crlf == np.count_nonzero(octets == _CR):
        return none
    returns_outside = Walk(octets, cutting).all(returns)
    if not is_bare(octets, returns_outside).any():
        return none
    breaks = np.sort(np.concatenate((newlines, returns_outside)))
    starts, ends = np.append(0, breaks + 1), np.append(breaks, len(octets))
    fits = _cells(octets, cutting, breaks) == cutting.width
    fits[-1] &= at_end
    filled = np.flatnonzero(ends > starts)
    line = np.searchsorted(newlines, starts[filled])
    before, behind = filled[:-1], filled[1:]
    pairs = np.flatnonzero((line[:-1] == line[1:]) & fits[before] & fits[behind])
    steps = np.zeros(len(starts), np.int64)
    steps[before[pairs]] += 1  # blank lines may be between
    steps[behind[pairs]] -= 1
    ending: Offsets = breaks[np.cumsum(steps[:-1]) > 0]
    return ending


def _cells(octets: Octets, cutting: Cutting, breaks: Offsets) -> Offsets:
    """Return how many cells there are before each break, and behind the last."""
    cells = np.ones(len(breaks) + 1, np.int64)
    for found in Walk(octets, cutting).each(delimiters(cutting)):
        if len(found):
            before = np.searchsorted(breaks, found)
            counted = np.bincount(before - before[0])
            cells[before[0] : before[0] + len(counted)] += counted
    return cells


def _runs(at: Offsets) -> tuple[Offsets, Offsets]:
    """Return where each run of neighbouring offsets begins, and how long it is."""
    if not len(at):
        return at, at.copy()
    first = np.flatnonzero(np.diff(at, prepend=-2) > 1)
    return at[first], np.diff(first, append=len(at))
