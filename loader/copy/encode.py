"""Verified rows -> COPY's CSV format, with ``_id`` in front, and ``_full_text`` before it if given.

In: records that can be copied unchanged; or one string array per column, null for NULL.
Out: lines with the source's delimiter and line end, so that both kinds go into one COPY. The cells
of a column are quoted only if one of them needs it. Holds a second copy of the block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Form:
    """The CSV that one COPY is given.

    Attributes:
        delimiter: Between cells.
        line_end: LF or CRLF; the same for the whole COPY.
    """

    delimiter: str
    line_end: str


def encode(
    ids: Offsets,
    columns: Sequence[pa.StringArray],
    form: Form,
    vectors: pa.StringArray | None = None,
) -> list[memoryview]:
    """Return the rows as COPY CSV.

    Args:
        ids: The ``_id`` of each row.
        columns: The verified cells.
        form: Of the COPY.
        vectors: The ``_full_text`` of each row, if the COPY has that column.
    """
    if not len(ids):
        return []
    cells = [_leading(ids, form.delimiter, vectors)]
    cells += [_quote(column, form.delimiter) for column in columns]
    rows = pc.binary_join_element_wise(
        *cells, form.delimiter, null_handling="replace", null_replacement=""
    )
    joined = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
    return [
        memoryview(pc.binary_join(joined, form.line_end).buffers()[2]),
        memoryview(form.line_end.encode()),
    ]


def number(
    ids: Offsets,
    records: pa.StringArray,
    form: Form,
    vectors: pa.StringArray | None = None,
) -> list[memoryview]:
    """Return records as COPY CSV: as they are, behind their ``_id``.

    Args:
        ids: The ``_id`` of each record.
        records: With their line ends; they are verified, and none is blank.
        form: Of the COPY, and of the records.
        vectors: The ``_full_text`` of each record, if the COPY has that column.
    """
    leading = _leading(ids, form.delimiter, vectors)
    lines = pc.binary_join_element_wise(leading, records, form.delimiter)
    return [memoryview(lines.buffers()[2])]


def _leading(ids: Offsets, delimiter: str, vectors: pa.StringArray | None) -> pa.StringArray:
    """Return what goes in front of each row's own cells."""
    numbers = pa.array(ids).cast(pa.string())
    if vectors is None:
        return numbers
    quoted = _quote(vectors, delimiter)
    return pc.binary_join_element_wise(
        quoted, numbers, delimiter, null_handling="replace", null_replacement=""
    )


def _quote(cells: pa.StringArray, delimiter: str) -> pa.StringArray:
    """Return the cells in quotes if one of them needs that, or is empty and not null."""
    found = _found(cells, ('"', "\n", "\r", delimiter))
    if not found and pc.min(pc.binary_length(cells)).as_py() != 0:
        return cells
    doubled = pc.replace_substring(cells, '"', '""') if '"' in found else cells
    return pc.binary_join_element_wise('"', doubled, '"', "")


def _found(cells: pa.StringArray, characters: Sequence[str]) -> set[str]:
    """Return which of the characters are in the cells; copies the cells for a moment."""
    data = cells.buffers()[2]
    octets = data.to_pybytes() if data is not None else b""
    return {character for character in characters if character.encode() in octets}
