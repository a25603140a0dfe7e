"""The text of an unusual dialect -> the same records as Arrow and Postgres can read them.

Both cut cells at one ASCII character, and a quote opens a cell only right behind it. So spaces
before a cell are left out, a run of spaces becomes one delimiter, and a line of comment a blank
line. Lines stay lines: a record's place in the file does not change. Rewritten twice, a text stays
as it is.

In: whole lines, from the beginning of a record on; the last may be cut. Out: the same bytes, less
spaces and comments. Holds the text once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

# A run of spaces that is one delimiter becomes this: single spaces stay in the cells.
WIDE = "\t"
_BESIDE = re.compile(b" ?\t ?")  # no more spaces are left beside one
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class Unusual(Protocol):
    """What may be unusual in a dialect, and what tells where its cells begin."""

    @property
    def delimiter(self) -> str:
        """Between cells, once they are rewritten."""

    @property
    def quote(self) -> str | None:
        """Around a cell."""

    @property
    def escape(self) -> str | None:
        """What makes the next character a part of the cell."""

    @property
    def universal_newlines(self) -> bool:
        """Whether a CR ends a line."""

    @property
    def skip_initial_space(self) -> bool:
        """Whether spaces in front of a cell are no part of it."""

    @property
    def wide(self) -> bool:
        """Whether two spaces or more are between cells."""

    @property
    def comment(self) -> str | None:
        """What a line begins with that is no record."""


@dataclass(frozen=True)
class _Patterns:
    """The expressions of a dialect.

    Attributes:
        opening: A cell's beginning with its quote; of a line's first cell, or of others.
        inside: What is no plain text in quotes: a run of quotes, an escape with what it escapes.
        spaces: What is left out, or becomes a delimiter, behind a line's beginning.
        first_spaces: The same at a line's beginning.
        by: What takes the place of ``spaces``.
        quote: What closes a cell.
        trims: Whether spaces at a line's end are left out: else they would be a cell more.
    """

    opening: re.Pattern[bytes] | None
    inside: re.Pattern[bytes]
    spaces: re.Pattern[bytes] | None
    first_spaces: re.Pattern[bytes]
    by: bytes
    quote: bytes
    trims: bool


def is_unusual(dialect: Unusual) -> bool:
    """Tell whether a text has to be rewritten."""
    return dialect.skip_initial_space or dialect.wide or dialect.comment is not None


class Rewriter:
    """Rewrites a text piece by piece.

    Args:
        dialect: What it is written in.
        is_row: Tells of a line that begins with the sign of comments whether it is a row; by
            default none is.

    Attributes:
        comments: How many lines of comment were left out.
    """

    def __init__(self, dialect: Unusual, is_row: Callable[[bytes], bool] = lambda _: False) -> None:
        self.comments = 0
        self._dialect = dialect if is_unusual(dialect) else None
        self._is_row = is_row

    def rewrite(self, data: bytes, at_end: bool) -> tuple[bytes, int]:
        """Rewrite a piece, which begins with a record; and return how many comments it had."""
        if self._dialect is None:
            return data, 0
        data, comments = rewrite(data, self._dialect, at_end, self._is_row)
        self.comments += comments
        return data, comments


def rewrite(
    data: bytes,
    dialect: Unusual,
    at_end: bool = True,
    is_row: Callable[[bytes], bool] = lambda _: False,
) -> tuple[bytes, int]:
    """Rewrite a text.

    Args:
        data: It begins with a record.
        dialect: What it is written in.
        at_end: Whether it ends with ``data``; if not, a line without an end is left as it is.
        is_row: As of a ``Rewriter``.

    Returns:
        The text, and how many lines of comment became blank ones.
    """
    if not _concerns(data, dialect):
        return data, 0
    pieces: list[bytes] = []
    comments = 0
    sign = (dialect.comment or "").encode()
    patterns = _patterns(
        dialect.delimiter, dialect.quote, dialect.escape, dialect.skip_initial_space, dialect.wide
    )
    is_open, begins = False, True
    for line in _lines(data):
        if not (at_end or line.endswith((b"\n", b"\r"))):
            pieces.append(line)
        elif begins and not is_open and sign and line.startswith(sign) and not is_row(line):
            pieces.append(line[len(line.rstrip(b"\r\n")) :])
            comments += 1
        else:
            is_open = _rewrite_line(line, patterns, is_open, pieces)
        # A CR may end no record here; then what is behind it is no comment.
        begins = dialect.universal_newlines or line.endswith(b"\n")
    return b"".join(pieces), comments


def _concerns(data: bytes, dialect: Unusual) -> bool:
    """Tell whether there may be something to rewrite: looking for it is fast, rewriting is not."""
    if dialect.skip_initial_space or dialect.wide:
        return b" " in data or dialect.comment is not None
    sign = (dialect.comment or "").encode()
    return bool(sign) and (data.startswith(sign) or b"\n" + sign in data or b"\r" + sign in data)


def _lines(data: bytes) -> Iterator[bytes]:
    return (line[0] for line in _LINE.finditer(data))


def _rewrite_line(line: bytes, patterns: _Patterns, is_open: bool, pieces: list[bytes]) -> bool:
    """Add a rewritten line to the pieces, and tell whether a quote is open behind it."""
    begin = 0
    if is_open:
        begin, is_open = _closing(line, patterns, 0)
        pieces.append(line[:begin])
    while not is_open and patterns.opening:
        found = patterns.opening.search(line, begin)
        if found is None:
            break
        pieces.append(_spaced(line[begin : found.end()], patterns, not begin))
        begin, is_open = _closing(line, patterns, found.end())
        pieces.append(line[found.end() : begin])
    if is_open:
        return True
    rest = _spaced(line[begin:], patterns, not begin)
    if patterns.trims:
        text = rest.rstrip(b"\r\n")
        rest = text.rstrip(b" ") + rest[len(text) :]
    pieces.append(rest)
    return False


def _closing(line: bytes, patterns: _Patterns, begin: int) -> tuple[int, bool]:
    """Return where the closing quote ends; or the line's end, and that the quote is still open."""
    for found in patterns.inside.finditer(line, begin):
        run = found[0]
        # Of a run of quotes each two are one of the text; an odd one closes.
        if run.startswith(patterns.quote) and len(run) % 2:
            return found.end(), False
    return len(line), True


def _spaced(piece: bytes, patterns: _Patterns, is_first: bool) -> bytes:
    if patterns.spaces is None:
        return piece
    if is_first:
        piece = patterns.first_spaces.sub(b"", piece)
    piece = patterns.spaces.sub(patterns.by, piece)
    return _BESIDE.sub(patterns.by, piece) if patterns.by == WIDE.encode() else piece


@lru_cache(maxsize=64)
def _patterns(
    delimiter: str, quote: str | None, escape: str | None, skips: bool, wide: bool
) -> _Patterns:
    mark = re.escape(escape or "").encode()
    # A delimiter that is escaped is none.
    is_real = b"(?<!" + mark + b")(?:" + mark * 2 + b")*" if mark else b""
    between = is_real + re.escape(delimiter).encode()
    opening, inside = None, re.compile(b"")
    # A run of spaces is looked at from its beginning only: else a long one takes for ever.
    if wide:
        lead = b"(?:^ *|(?<! )  +|" + between + b" ?)"
    elif skips and delimiter == " ":
        lead = b"(?:^ *|(?<! ) +)"
    else:
        lead = b"(?:^|" + between + b")" + b" *" * skips
    if quote:
        sign = re.escape(quote).encode()
        opening = re.compile(lead + sign)
        inside = re.compile((mark + b".|" if mark else b"") + sign + b"+", re.DOTALL)
    spaces = None
    if wide:
        spaces = re.compile(b"  +")
    elif skips:
        spaces = re.compile(b"(" + between + b") +")
    by = WIDE.encode() if wide else rb"\1"
    trims = wide or (skips and delimiter == " ")
    return _Patterns(opening, inside, spaces, re.compile(b"^ +"), by, (quote or "").encode(), trims)
