"""Rows as text -> rows as the columns' types, and what was learnt of the columns on the way.

Every lane hands its blocks to one Verdict, which holds nothing but the columns.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pyarrow as pa

from loader import convert, schema
from loader.errors import ValueDoesNotFit, shorten
from loader.schema import Column
from loader.table import Rows

# What a declared type may be stored as instead, as long as its values still are of that type.
_STORED_AS = {"bigint": "numeric", "timestamp": "timestamptz"}


class Verdict:
    """The columns' types, as far as the rows seen allow them. Safe to share between threads.

    Args:
        columns: Declared, and guessed from a sample.
        missing: The schema's ``missingValues``.
        widen_declared: Whether a declared type gives way like a guessed one.
    """

    def __init__(
        self, columns: Sequence[Column], missing: Sequence[str], *, widen_declared: bool = False
    ) -> None:
        self.columns = list(columns)
        self.widened = False
        self._reasons: dict[str, tuple[int, str]] = {}
        self._missing = pa.array([value for value in missing if value], pa.string())
        self._widen_declared = widen_declared
        self._lock = threading.Lock()

    def convert(self, rows: Rows) -> list[pa.StringArray] | None:
        """Check every value of a block.

        Returns:
            The columns as Postgres shall have them; None when a column had to be widened, now or
            before: then all that was converted is of the wrong type.

        Raises:
            ValueDoesNotFit: A value that its declared type cannot hold.
        """
        converted = [self._convert(i, cells, rows) for i, cells in enumerate(rows.cells)]
        return None if self.widened else converted

    @property
    def reasons(self) -> list[str]:
        """Why columns were widened: the first cell found that did not fit."""
        return [reason for _, reason in sorted(self._reasons.values())]

    def _convert(self, index: int, cells: pa.StringArray, rows: Rows) -> pa.StringArray:
        column = self.columns[index]
        read, misfit = self._read(column, cells)
        if misfit is None and convert.fits(read, column.type):
            return read
        with self._lock:
            column = self.columns[index]  # another lane may have widened it meanwhile
            if column.field is None or self._widen_declared:
                wider = schema.settle(column, read) if misfit is None else schema.as_text(column)
            else:
                wider = self._restore(column, cells, rows)
            if wider.type != column.type:
                self._note(column, wider, read, misfit, rows)
                self.columns[index] = wider
                self.widened = True
        return read

    def _note(
        self,
        column: Column,
        wider: Column,
        read: pa.StringArray,
        misfit: int | None,
        rows: Rows,
    ) -> None:
        index = convert.first_misfit(read, column.type) if misfit is None else misfit
        row = rows.row_number(index)
        value = shorten(str(rows.cells[self.columns.index(column)][index]))
        reason = f"{column.name}: {wider.type} instead of {column.type}, for {value!r} in row {row}"
        if row < self._reasons.get(column.name, (row + 1, ""))[0]:
            self._reasons[column.name] = (row, reason)

    def _read(self, column: Column, cells: pa.StringArray) -> tuple[pa.StringArray, int | None]:
        """Return the values, and the index of the first that the field's own form cannot read."""
        if len(self._missing):
            cells = convert.missing_to_null(cells, self._missing)
        if column.type == "text":
            return cells, None
        cells = convert.empty_to_null(cells)
        if column.field is not None and column.has_own_form:
            return convert.read(cells, column.field)
        return cells, None

    def _restore(self, column: Column, cells: pa.StringArray, rows: Rows) -> Column:
        """Return a declared column, stored as another type if that holds its values.

        Raises:
            ValueDoesNotFit: It does not.
        """
        read, misfit = self._read(column, cells)
        stored_as = _STORED_AS.get(column.type)
        if misfit is None and convert.fits(read, column.type):
            return column
        if misfit is None and stored_as and not column.widened_from:
            if convert.fits(read, stored_as):
                return schema.widen(column, stored_as)
        if misfit is None:
            misfit = convert.first_misfit(read, column.type)
        declared = column.field.type if column.field else column.type
        raise ValueDoesNotFit(
            f"does not fit the declared type {declared}",
            row=rows.row_number(misfit),
            column=column.name,
            value=cells[misfit].as_py(),
            hint="correct the value or declare another type; --on-type-error widen loads text",
        )
