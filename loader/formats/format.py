"""What every format gives, and what it is given: the seam between a file's bytes and its rows.

A format is a module of its own with the two functions of ``Format``, and a line in ``FORMATS`` of
``loader.formats.opening``. What it opens is a ``Table``, of which most answers are the same for
most formats: ``CellTable`` gives them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

from loader.errors import NoRows
from loader.formats.readable import Readable
from loader.formats.rows import Block, Cells, Records, Rows
from loader.types.column import Column

_Block = TypeVar("_Block", bound=Block)


@dataclass(frozen=True)
class Settings:
    """What a caller says of a table before it is opened; each format knows its own of these.

    Attributes:
        dialect: A frictionless Dialect descriptor.
        delimiter: One character; wins over the dialect's.
        encoding: The name of a Python codec; None to find it.
        header_row: The place of the row that names the columns, counted from 1; 0: there is none;
            None to find it.
        declares: Tells whether the caller's schema names all columns of a header.
        default_encoding: A codec that wins over others that may be right too.
    """

    dialect: Mapping[str, object] | None
    delimiter: str | None
    encoding: str | None
    header_row: int | None
    declares: Callable[[Sequence[str]], bool]
    default_encoding: str | None = None


class Table(Protocol[_Block]):
    """An open table: what its head tells, and its blocks."""

    @property
    def headers(self) -> Sequence[str]:
        """The names of the columns as written; '' where there is none."""

    @property
    def types(self) -> Sequence[str | None]:
        """The Postgres type that the file states of each column; None where it is to be guessed.

        It has to be one of ``types.registry``, and every value one of that type. A caller's schema
        wins over it. An empty sequence states none.
        """

    @property
    def header_row(self) -> int:
        """The place of the row that names the columns, counted from 1; 0: there is none."""

    @property
    def header_is_known(self) -> bool:
        """Whether the caller or the format says where the header is; if not, it was guessed."""

    @property
    def preamble(self) -> int:
        """How many rows above the header were left out."""

    @property
    def blocks(self) -> Iterator[_Block]:
        """The blocks from the first on, each with a row at least, read as they are asked for.

        Always the same iterator. At its end it raises NoRows if all rows were empty: as rows of
        NULLs they would take the place of a published table.
        """

    @property
    def delimiter(self) -> str:
        """What COPY is given between cells: one ASCII character, and that of ``copyable``."""

    @property
    def line_end(self) -> str:
        """What COPY is given after each row: LF or CRLF, and that of ``copyable``."""

    def parse(self, block: _Block, most_rejects: int = sys.maxsize) -> Rows:
        """Return a block's rows; from several threads at a time.

        Args:
            block: One of ``blocks``.
            most_rejects: How many rows may be set aside. If there are more, one more is enough.
        """

    def copyable(
        self, columns: Sequence[Column], missing: Sequence[str]
    ) -> Callable[[_Block], Records | None]:
        """Return a function that decides whether COPY can take a block's records as they are.

        The function is called from several threads at a time. It returns the records if all rows
        of the block are in order and every value fits its column; else None, and the block is
        parsed and verified. It may accept only what would be accepted then.

        Args:
            columns: With their final types.
            missing: The schema's ``missingValues``.
        """

    def records(self, block: _Block) -> Iterator[list[str]]:
        """Yield a block's records as they are, as frictionless validates them.

        Records that are no rows are among them, blank lines as empty lists: a record's place in
        the file is counted from those before it.
        """

    def findings(self) -> list[str]:
        """Return warnings about the file, once all its blocks were read."""

    def descriptor(self) -> dict[str, object]:
        """Return what a frictionless Resource says of the format: ``format``, ``mediatype``..."""


class Format(Protocol):
    """A module that knows one format."""

    def knows(self, head: bytes, /) -> bool:
        """Tell whether a file is of this format.

        Args:
            head: Its first 4 KiB, or all of it.
        """

    def open_table(self, content: Readable, settings: Settings, /) -> Table[Any]:
        """Read what the head of a file tells.

        Args:
            content: Its bytes, from the first on. A format that has to seek copies them to a
                temporary file.
            settings: What the caller says of it.

        Raises:
            SourceError, TableError, UsageError: See ``loader.errors``.
        """


@dataclass(frozen=True)
class CellTable:
    """A table whose format gives cells: they are verified and encoded column by column.

    Attributes:
        headers: As in ``Table``, and so all others that it has.
        cells: Its blocks, of about 2 MiB each: every lane holds one or two of them.
        format: What a frictionless Resource calls the format.
        mediatype: The same for the media type.
        warnings: About the file; may be added to as the blocks are read.
    """

    headers: Sequence[str]
    cells: Iterator[Cells]
    format: str
    mediatype: str
    types: Sequence[str | None] = ()
    header_row: int = 0
    header_is_known: bool = True
    preamble: int = 0
    delimiter: str = ","
    line_end: str = "\n"
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def blocks(self) -> Iterator[Cells]:
        """The blocks, of which one has to have a value."""
        return _with_values(self.cells)

    def parse(self, block: Cells, most_rejects: int = sys.maxsize) -> Rows:  # noqa: ARG002
        """Return the block, which is its rows."""
        return block

    def copyable(
        self,
        columns: Sequence[Column],  # noqa: ARG002
        missing: Sequence[str],  # noqa: ARG002
    ) -> Callable[[Cells], Records | None]:
        """Have every block parsed: the file has no records that COPY reads."""
        return _parsed

    def records(self, block: Cells) -> Iterator[list[str]]:
        """Yield each row's cells, [] for a place without a row, and the text of a row set aside."""
        columns = [column.fill_null("").to_pylist() for column in block.cells]
        rows = dict(zip(block.places.tolist(), map(list, zip(*columns, strict=True)), strict=True))
        rows |= {reject.row: [reject.raw] for reject in block.rejects}
        begin, end = min(rows), max(rows) + 1
        # Blank lines may be above the first row.
        for place in range(min(begin, end - len(rows) - block.blank_lines), end):
            yield rows.get(place, [])

    def findings(self) -> list[str]:
        """Return the warnings."""
        return self.warnings

    def descriptor(self) -> dict[str, object]:
        """Return what a frictionless Resource says of the format."""
        return {"format": self.format, "mediatype": self.mediatype}


def _with_values(blocks: Iterator[Cells]) -> Iterator[Cells]:
    first_row = rows = 0
    for block in blocks:
        yield block
        if block.rejects or any(column.null_count < len(column) for column in block.cells):
            del block  # the generator would hold it as long as the load lasts
            yield from blocks
            return
        first_row = first_row or block.first_row
        rows += block.rows
    if rows:
        raise NoRows(
            f"nothing is in the rows ({rows:,})",
            row=first_row,
            hint="was the export complete? Without these rows, the file would empty the table",
        )


def _parsed(_: Cells, /) -> None:
    """Accept no block unparsed."""
