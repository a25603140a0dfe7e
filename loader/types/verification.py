"""Rows as text -> rows as the columns' types, and what was learnt of the columns on the way.

In: blocks of rows, from several threads at a time. Out: the same rows, every value checked against
its column's type, and written anew where a field has a form of its own; the columns, widened where
a value did not fit. Holds nothing but the columns, and the block's cells once more.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from loader.errors import ValueDoesNotFit, shorten
from loader.types import convert, nulls, registry, widening
from loader.types.column import Column


class Rows(Protocol):
    """A block's rows as text."""

    @property
    def cells(self) -> Sequence[pa.StringArray]:
        """One string array per column, all of the same length; null is an empty cell."""

    @property
    def first_row(self) -> int:
        """The place of the block in the file: that of its first record."""

    def row_number(self, index: int, /) -> int:
        """Return the place in the file of the row at ``index`` in ``cells``."""


@dataclass(frozen=True)
class _Reason:
    """The first cell found that asked for the type that a column was widened to."""

    row: int
    value: str
    type: str


class Verification:
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

    def verify(self, rows: Rows) -> list[pa.StringArray] | None:
        """Check every value of a block.

        Returns:
            The columns as Postgres shall have them; None when a column had to be widened, now or
            before: then all that was verified is of the wrong type.

        Raises:
            ValueDoesNotFit: A value that its declared type cannot hold.
        """
        verified = [self._verify(i, cells, rows) for i, cells in enumerate(rows.cells)]
        return None if self.widened else verified

    @property
    def reasons(self) -> list[str]:
        """Why columns were widened: the first cell that asked for the wider type."""
        return [
            f"{self.columns[index].name}: {reason.type} instead of {self._began[index].type},"
            f" for {shorten(reason.value)!r} in row {reason.row}"
            for index, reason in sorted(self._reasons.items(), key=lambda item: item[1].row)
        ]

    def _verify(self, index: int, cells: pa.StringArray, rows: Rows) -> pa.StringArray:
        column, reason = self.columns[index], self._reasons.get(index)
        values, misfit = self._convert(column, cells)
        # A lane may widen for a later row than this block's: then look for an earlier reason.
        overtaken = reason is not None and rows.first_row < reason.row
        if overtaken or misfit is not None or not column.check.fits(values):
            with self._lock:
                self._widen(index, cells, rows)
        return values

    def _widen(self, index: int, cells: pa.StringArray, rows: Rows) -> None:
        """Widen a column as far as these cells need it, counted from the type it began with."""
        began, now = self._began[index], self.columns[index]
        values, misfit = self._convert(began, cells)
        needed = self._needed(began, cells, values, misfit, rows)
        is_wider = widening.steps(began, needed) > widening.steps(began, now)
        if is_wider or needed.type == now.type != began.type:
            if misfit is None:
                narrower = registry.type_named(widening.before(began, needed))
                misfit = narrower.check.first_misfit(values)
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
        values: pa.StringArray,
        misfit: int | None,
        rows: Rows,
    ) -> Column:
        """Return the column with the type that holds these cells.

        Raises:
            ValueDoesNotFit: It is declared, and does not give way.
        """
        if column.declared is None or self._widen_declared:
            if misfit is None:
                return widening.settle(column, values)
            return widening.as_text(column)
        if misfit is None and column.check.fits(values):
            return column
        alternative = registry.type_named(column.type).alternative
        stored = widening.widen(column, alternative.type) if alternative else column
        if misfit is None and stored.check.fits(values):
            return stored
        if misfit is None:
            # What would fit the other type is not what is wrong.
            misfit = max(tried.check.first_misfit(values) for tried in (column, stored))
        raise _does_not_fit(column, cells[misfit].as_py(), rows.row_number(misfit))

    def _convert(self, column: Column, cells: pa.StringArray) -> tuple[pa.StringArray, int | None]:
        """Return the values, and the index of the first that the field's own form cannot read."""
        if len(self._missing):
            cells = nulls.missing_to_null(cells, self._missing)
        if column.type == registry.TEXT:
            return cells, None
        cells = nulls.empty_to_null(cells)
        if column.declared is not None and column.is_converted:
            return convert.convert(cells, column.declared)
        return cells, None


def _does_not_fit(column: Column, value: str, row: int) -> ValueDoesNotFit:
    declared = column.declared["type"] if column.declared else column.type
    if not registry.type_named(column.type).frictionless:
        declared = column.type  # which frictionless has no name for
    message = f"does not fit the declared type {declared}"
    moments = registry.types_of("datetime")
    is_datetime = any(moment.check.fits(pa.array([value])) for moment in moments)
    if declared == "datetime" and not column.is_converted and is_datetime:
        message = "has a UTC offset or has none, unlike other values of this column"
    return ValueDoesNotFit(
        message,
        row=row,
        column=column.name,
        value=value,
        hint="correct the value, declare another type, or have the column widened",
        option="on_type_error",
    )
