"""How records and cells of a text are cut: a frozen Dialect that every step reads.

In: lines. Out: their cells; or the frictionless descriptor of the dialect. Holds nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loader.formats.csv import plain, reader

DELIMITERS = (",", ";", "\t", "|")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
LONG_CHARACTERS = 4 << 20  # more than a usual block has


@dataclass(frozen=True)
class Dialect:
    """How records and cells are cut.

    ``delimiter``, ``quote`` and ``escape`` are single ASCII characters. ``header_row`` is the
    record that names the columns, counted from 1 in the file with blank lines; 0 means that
    there is none, and then ``above`` is how many records, blank lines among them, are above the
    first row. ``begin`` is the offset of the first row in the text, where it is known: a title or
    a comment may have a quote that is none. ``universal_newlines`` is true when records end in a
    bare CR. ``line_end`` is LF or CRLF: what most records end in, and what COPY is given.
    ``width`` is how many cells most records have: where a text whose records end in LF has as many
    on both sides of a bare CR, that ends a record too; 0, or one cell, prove nothing.

    ``skip_initial_space``: whether spaces in front of a cell are no part of it. ``wide``: whether
    two spaces or more are between cells; then ``delimiter`` is what ``plain`` puts in their place.
    ``comment``: what a line begins with that is no record. ``is_guessed``: whether quotes and
    escapes were found, not declared: then a backslash that escapes nothing spoils its row.
    """

    delimiter: str = ","
    quote: str | None = '"'
    double_quote: bool = True
    escape: str | None = None
    header_row: int = 1
    universal_newlines: bool = False
    line_end: str = "\n"
    width: int = 0
    skip_initial_space: bool = False
    wide: bool = False
    comment: str | None = None
    above: int = 0
    begin: int | None = None
    is_guessed: bool = False

    def records(self, text: str, *, strict: bool = False) -> Iterator[list[str]]:
        """Yield the cells of every record; a blank line is an empty list, a comment too.

        Args:
            text: Whole records. A NUL in them is shown as U+FFFD: Python 3.10's csv refuses it.
            strict: Whether to raise reader.Error for what follows a closing quote. By default it
                is taken as part of the cell.
        """
        if plain.is_unusual(self):
            octets, _ = plain.rewrite(text.encode("utf-8", "surrogatepass"), self)
            text = octets.decode("utf-8", "surrogatepass")
        return self.read(lines(text.replace("\0", "\ufffd")), strict=strict)

    def read(self, lines: Iterable[str], *, strict: bool = False) -> Iterator[list[str]]:
        """Yield the cells of the records in lines that need not be rewritten."""
        return reader.read(
            lines,
            strict=strict,
            delimiter=self.delimiter,
            quotechar=self.quote,
            doublequote=self.double_quote,
            escapechar=self.escape,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )

    def to_descriptor(self) -> dict[str, object]:
        """Return the frictionless Dialect descriptor."""
        properties: dict[str, object] = {"delimiter": "  " if self.wide else self.delimiter}
        if self.quote != '"':
            properties["quoteChar"] = self.quote or ""
        if not self.double_quote:
            properties["doubleQuote"] = False
        if self.escape:
            properties["escapeChar"] = self.escape
        if self.skip_initial_space:
            properties["skipInitialSpace"] = True
        descriptor: dict[str, object] = {"csv": properties}
        if self.comment:
            descriptor["commentChar"] = self.comment
        if self.header_row == 0:
            descriptor["header"] = False
            if self.above:
                descriptor["commentRows"] = list(range(1, self.above + 1))
        elif self.header_row > 1:
            descriptor["headerRows"] = [self.header_row]
        return descriptor


def lines(text: str) -> Iterable[str]:
    """Return what is cut at LF, CR and CRLF, ends included."""
    if len(text) < LONG_CHARACTERS:
        return io.StringIO(text, newline="")  # the faster one; takes four bytes a character
    return (line[0] for line in _LINE.finditer(text))
