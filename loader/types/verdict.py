"""Rows as text -> rows as the columns' types, and what was learnt of the columns on the way.

Every lane hands its blocks to one Verdict, which holds nothing but the columns.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from loader.errors import ValueDoesNotFit, shorten
from loader.formats.csv.table import Rows
from loader.types import convert, schema
from loader.types.schema import Column

# What a declared type may be stored as instead, as long as its values still are of that type.
_STORED_AS = {"bigint": "numeric", "timestamp": "timestamptz"}


@dataclass(frozen=True)
class _Reason:
    """The first cell found that asked for the type that a column was widened to."""

    row: int
    value: str
    type: str


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
        self._began = tuple(columns)
        self._reasons: dict[int, _Reason] = {}
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
        """Why columns were widened: the first cell that asked for the wider type."""
        return [
            f"{self.columns[index].name}: {reason.type} instead of {self._began[index].type},"
            f" for {shorten(reason.value)!r} in row {reason.row}"
            for index, reason in sorted(self._reasons.items(), key=lambda item: item[1].row)
        ]

    def _convert(self, index: int, cells: pa.StringArray, rows: Rows) -> pa.StringArray:
        column, reason = self.columns[index], self._reasons.get(index)
        read, misfit = self._read(column, cells)
        # A lane may widen for a later row than this block's: then look for an earlier reason.
        overtaken = reason is not None and rows.block.first_row < reason.row
        if overtaken or misfit is not None or not convert.fits(read, column.kind):
            with self._lock:
                self._widen(index, cells, rows)
        return read

    def _widen(self, index: int, cells: pa.StringArray, rows: Rows) -> None:
        """Widen a column as far as these cells need it, counted from the type it began with."""
        began, now = self._began[index], self.columns[index]
        read, misfit = self._read(began, cells)
        needed = self._needed(began, cells, read, misfit, rows)
        is_wider = _steps(began, needed) > _steps(began, now)
        if is_wider or needed.type == now.type != began.type:
            if misfit is None:
                misfit = convert.first_misfit(read, schema.before(began, needed))
            reason = _Reason(rows.row_number(misfit), cells[misfit].as_py(), needed.type)
            if is_wider or reason.row < self._reasons[index].row:
                self._reasons[index] = reason
        if is_wider:
            # Last: a lane that sees the wider type must see its reason too.
            self.columns[index] = needed
            self.widened = True

    def _needed(
        self,
        column: Column,
        cells: pa.StringArray,
        read: pa.StringArray,
        misfit: int | None,
        rows: Rows,
    ) -> Column:
        """Return the column with the type that holds these cells.

        Raises:
            ValueDoesNotFit: It is declared, and does not give way.
        """
        if column.field is None or self._widen_declared:
            return schema.settle(column, read) if misfit is None else schema.as_text(column)
        if misfit is None and convert.fits(read, column.kind):
            return column
        stored = schema.widen(column, _STORED_AS.get(column.type, column.type))
        if misfit is None and convert.fits(read, stored.kind):
            return stored
        if misfit is None:
            # What would fit the other type is not what is wrong.
            kinds = (column.kind, stored.kind)
            misfit = max(convert.first_misfit(read, kind) for kind in kinds)
        raise _does_not_fit(column, cells[misfit].as_py(), rows.row_number(misfit))

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


def _steps(began: Column, now: Column) -> int:
    """Return how far a column was widened: text holds everything, what is between holds less."""
    return 0 if now.type == began.type else 2 if now.type == "text" else 1


def _does_not_fit(column: Column, value: str, row: int) -> ValueDoesNotFit:
    declared = column.field.type if column.field else column.type
    message = f"does not fit the declared type {declared}"
    is_datetime = any(
        convert.fits(pa.array([value]), kind) for kind in ("timestamp", "timestamptz")
    )
    if declared == "datetime" and not column.has_own_form and is_datetime:
        message = "has a UTC offset or has none, unlike other values of this column"
    return ValueDoesNotFit(
        message,
        row=row,
        column=column.name,
        value=value,
        hint="correct the value, declare another type, or have the column widened",
        option="on_type_error",
    )
