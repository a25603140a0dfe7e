"""What every format cuts a table into: blocks, and the rows of a block as text.

Cells are text whatever a format has them as: each value as Postgres writes it, so that what a type
may hold is verified in one way for all formats. Holds nothing but the block that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reject:
    """A record set aside.

    Attributes:
        row: Its place in the file, counted from 1.
        reason: Why, in a few words.
        raw: Its text, without the line end.
        undecodable: Whether the reason is a byte that is not in the file's encoding.
    """

    row: int
    reason: str
    raw: str
    undecodable: bool = False


class Block(Protocol):
    """Some rows of a table, which follow those of the block before."""

    @property
    def number(self) -> int:
        """Blocks are counted from 0."""

    @property
    def rows(self) -> int:
        """How many it has, those among them that will be set aside."""

    @property
    def blank_lines(self) -> int:
        """How many lines between its rows are no rows."""


class Rows(Protocol):
    """A block's rows as text."""

    @property
    def ids(self) -> Offsets:
        """The ``_id`` of each, counted from 1 in the order of the file.

        Rows set aside may be counted too. The rows here may be in another order.
        """

    @property
    def cells(self) -> Sequence[pa.StringArray]:
        """One string array per column, all of the same length; null is an empty cell."""

    @property
    def sizes(self) -> Offsets:
        """How many bytes each row has: as many as its text, at least."""

    @property
    def rejects(self) -> Sequence[Reject]:
        """The records that are not in ``cells``, in the order of the file."""

    @property
    def repaired(self) -> Offsets:
        """The places in the file of the rows that were mended."""

    @property
    def first_row(self) -> int:
        """The place of the block in the file: that of its first record."""

    def row_number(self, index: int, /) -> int:
        """Return the place in the file of the row at ``index`` in ``cells``."""


@dataclass(frozen=True)
class Records:
    """All rows of a block as the file has them, which COPY reads in CSV as they are.

    Attributes:
        first_id: The ``_id`` of the first.
        texts: Each record, with its line end.
    """

    first_id: int
    texts: pa.StringArray

    @property
    def ids(self) -> Offsets:
        """The ``_id`` of each."""
        return np.arange(self.first_id, self.first_id + len(self.texts))

    @property
    def sizes(self) -> Offsets:
        """How many bytes each has."""
        return _bytes(self.texts)


@dataclass(frozen=True)
class Cells:
    """A block that a format gives as cells: both a ``Block`` and its ``Rows``.

    Attributes:
        number: Blocks are counted from 0.
        ids: The ``_id`` of each row of ``cells``.
        places: The place of each in the file, counted from 1; in its order.
        cells: One string array per column, each value as Postgres writes it; null where there is
            none.
        rejects: The rows that could not be read, in the order of the file.
        blank_lines: How many places between the rows have no row.
        repaired: The places of those of the rows that were mended.
    """

    number: int
    ids: Offsets
    places: Offsets
    cells: Sequence[pa.StringArray]
    rejects: Sequence[Reject] = ()
    blank_lines: int = 0
    repaired: Offsets = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def rows(self) -> int:
        """How many rows there are, those set aside among them."""
        return len(self.ids) + len(self.rejects)

    @property
    def sizes(self) -> Offsets:
        """How many bytes each row has."""
        sizes: Offsets = np.sum([_bytes(column) for column in self.cells], axis=0)
        return sizes

    @property
    def first_row(self) -> int:
        """The place of the first row."""
        return int(self.places[0]) if len(self.places) else 0

    def row_number(self, index: int, /) -> int:
        """Return the place in the file of the row at ``index`` in ``cells``."""
        return int(self.places[index])


def _bytes(texts: pa.StringArray) -> Offsets:
    sizes: Offsets = pc.binary_length(texts).fill_null(0).to_numpy().astype(np.int64)
    return sizes
