"""Rows as text -> rows as the columns' types, and what was learnt of the columns on the way.

In: blocks of rows, from several threads at a time. Out: the same rows, every value checked against
its column's type, and written anew where a column has a notation or a field a form of its own; the
columns, widened where a value did not fit. Holds nothing but the columns, and the block's cells
once more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import pyarrow as pa

from loader.errors import ValueDoesNotFit, shorten
from loader.types import convert, notation, nulls, registry, widening
from loader.types.checks import Check, all_match
from loader.types.column import Column
from loader.types.findings import Findings
from loader.types.notation import STRICT, Habits


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


@dataclass(frozen=True)
class _Fitted:
    """A block's cells of one column, as its type has them.

    Attributes:
        values: As Postgres has them, if they fit.
        fits: Whether they do.
        misfit: The index of the first that the column's form cannot read; None if it can read all.
        plain: The cells without what is left out, before they were converted.
    """

    values: pa.StringArray
    fits: bool
    misfit: int | None
    plain: pa.StringArray


class Verification:
    """The columns' types, as far as the rows seen allow them. Safe to share between threads.

    Args:
        columns: Declared, and guessed from a sample.
        missing: The schema's ``missingValues``.
        widen_declared: Whether a declared type gives way like a guessed one.
        habits: What is made of cells that are not written as Postgres writes them.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        missing: Sequence[str],
        *,
        widen_declared: bool = False,
        habits: Habits = STRICT,
    ) -> None:
        self.columns = list(columns)
        self.widened = False
        self.found = Findings(habits)
        self._began = tuple(columns)
        self._reasons: dict[int, _Reason] = {}
        self._missing = pa.array([value for value in missing if value], pa.string())
        self._given_missing = missing
        self._widen_declared = widen_declared
        self._habits = habits
        # A column without its signs for no value is a column of its own.
        self._without: dict[int, Verification] = {}
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
    def looks_at_all(self) -> bool:
        """Whether every block is to be verified, although its records may be in order."""
        return self._habits.strips or any(column.is_watched for column in self.columns)

    @property
    def reasons(self) -> list[str]:
        """Why columns were widened: the first cell that asked for the wider type."""
        return [
            f"{self.columns[index].name}: {reason.type} instead of"
            f" {_described(self._began[index])},"
            f" for {shorten(reason.value)!r} in row {reason.row}"
            for index, reason in sorted(self._reasons.items(), key=lambda item: item[1].row)
        ]

    def warnings(self) -> list[str]:
        """Return what was left out of cells, or not decided, once all blocks are through."""
        return self.found.warnings(self.columns)

    def _verify(self, index: int, cells: pa.StringArray, rows: Rows) -> pa.StringArray:
        column, reason = self.columns[index], self._reasons.get(index)
        if len(self._missing):
            cells = nulls.missing_to_null(cells, self._missing)
        fitted = self._fit(column, cells)
        # A lane may widen for a later row than this block's: then look for an earlier reason.
        overtaken = reason is not None and rows.first_row < reason.row
        if overtaken or not fitted.fits:
            with self._lock:
                if not self._adapt(index, cells, rows):
                    self._widen(index, cells, rows)
                column = self.columns[index]
            if not self.widened:  # it is read in another way, and of the same type
                fitted = self._fit(column, cells)
        if column.is_watched:
            self._watch(index, cells, rows)
        if fitted.plain is not cells:
            self.found.add(index, column, (cells, fitted.plain), rows.row_number)
        return fitted.values

    # Cells as values of a column

    def _fit(self, column: Column, cells: pa.StringArray) -> _Fitted:
        """Return the cells as values of the column, without spaces and signs where that helps."""
        if column.type == registry.TEXT:
            plain = nulls.trimmed(cells) if self._habits.strips else cells
            return _Fitted(plain, fits=True, misfit=None, plain=plain)
        fitted = self._convert(column, cells)
        if fitted.fits or not self._habits.is_lenient:
            return fitted
        fitted = self._convert(column, nulls.trimmed(cells))
        if fitted.fits or not self._nulls_signs:
            return fitted
        return self._convert(column, nulls.signs_to_null(fitted.plain))

    @property
    def _nulls_signs(self) -> bool:
        """Whether signs for no value are NULL: a schema's own ones decide where there are any."""
        return self._habits.nulls_signs and not len(self._missing)

    def _convert(self, column: Column, plain: pa.StringArray) -> _Fitted:
        cells = nulls.empty_to_null(plain)
        values, misfit = cells, None
        written = column.notation
        if written is not None:
            read = written.read(cells)
            if read is None:
                misfit = _first(partial(all_match, pattern=written.pattern), cells)
            else:
                values = read
        elif column.declared is not None and column.is_in_own_form:
            values, misfit = convert.convert(cells, column.declared)
        fits = misfit is None and column.check.fits(values)
        return _Fitted(values, fits, misfit, plain)

    # Columns that are read in another way than Postgres writes

    def _adapt(self, index: int, cells: pa.StringArray, rows: Rows) -> bool:
        """Change a column as far as notations and signs for no value are concerned.

        Returns:
            Whether that is all that these cells ask for.
        """
        now = self.columns[index]
        if not self._habits.is_notating and now.notation is None:
            return False
        fitted = self._fit(now, cells)
        if fitted.fits:
            return now.form is not None or self._began[index].form is not None
        changed = self._next(now, fitted)
        is_other = changed.form is not None or changed.would_be is not None
        if not is_other and now.form is None and self._began[index].form is None:
            return False
        if now.declared is not None and (changed.type != now.type or changed.notation is None):
            if now.notation is not None and not self._widen_declared:
                place = _first(partial(self._would_fit, now), cells)
                raise _does_not_fit(now, cells[place].as_py(), rows.row_number(place))
            return False
        if changed.type != now.type or not _means_the_same(now, changed):
            place = self._first_misfit(now, cells)
            reason = _Reason(rows.row_number(place), cells[place].as_py(), _described(changed))
            self._give_reason(index, reason)
            self._set(index, changed)
            self.widened = True
        else:
            self._set(index, changed)
        return True

    def _next(self, column: Column, fitted: _Fitted) -> Column:
        """Return what a column becomes that does not fit these cells."""
        cells = nulls.empty_to_null(nulls.trimmed(fitted.plain))
        seed = column.form or notation.plain(column.type)
        form = seed and notation.learn(cells, column.header or column.name, seed)
        if column.form is None and fitted.misfit is None:
            settled = widening.settle(column, fitted.values)
            if settled.type != registry.TEXT:
                return settled
        if form is not None and form != column.form:
            changed = widening.written_as(column, form, self._habits.deciding)
            if column.declared:  # such as a timestamp of dates: it keeps its type
                changed = replace(changed, type=column.type)
            if changed.notation is None or self._fit(changed, cells).fits:
                return changed
        if column.form is not None and column.form.fallback != registry.TEXT:
            bare = replace(column, form=None, type=column.form.fallback)
            settled = widening.settle(replace(bare, notation=None), cells)
            if settled.type != registry.TEXT:
                return replace(settled, widened_from=column.widened_from or column.type)
        without = None if len(self._missing) else self._without_signs(column, cells)
        return replace(widening.as_text(column), form=None, notation=None, would_be=without)

    def _would_fit(self, column: Column, cells: pa.StringArray) -> bool:
        """Tell whether a column has these cells, or may have them beside those of before."""
        fitted = self._fit(column, cells)
        return fitted.fits or self._next(column, fitted).type == column.type

    def _without_signs(self, column: Column, cells: pa.StringArray) -> Column | None:
        """Return the column as it would be without signs for no value; None if it were text."""
        rest = nulls.signs_to_null(cells)
        if rest.null_count == cells.null_count:
            return None
        fitted = self._fit(column, rest)
        without = column if fitted.fits else self._next(column, fitted)
        return None if without.type == registry.TEXT and without.form is None else without

    def _first_misfit(self, column: Column, cells: pa.StringArray) -> int:
        return _first(lambda some: self._fit(column, some).fits, cells)

    def _set(self, index: int, column: Column) -> None:
        self.columns[index] = column
        if column.would_be is None:
            self._without.pop(index, None)

    def _watch(self, index: int, cells: pa.StringArray, rows: Rows) -> None:
        """See what a column might be that is text, or of a type that it keeps."""
        with self._lock:
            column = self.columns[index]
            if not column.is_watched:
                return
            plain = nulls.empty_to_null(nulls.trimmed(cells))
            if self._nulls_signs:
                plain = nulls.signs_to_null(plain)
            if column.would_be is not None:
                self._watch_signs(index, column, plain, rows)
            elif column.form is not None:
                self._watch_readings(index, column, plain, rows)

    def _watch_readings(
        self, index: int, column: Column, cells: pa.StringArray, rows: Rows
    ) -> None:
        """Narrow the readings of a column, down to the one that a cell proves."""
        if column.form is None or cells.null_count == len(cells):
            return
        self.found.example(index, cells)
        readings = column.form.readings(self._habits.deciding)
        tells_nothing = all(all_match(cells, reading.pattern) for reading in readings)
        if tells_nothing and not column.form.needs_every_cell:
            return
        form = notation.learn(cells, column.header or column.name, column.form)
        if form is None:
            without = None if len(self._missing) else self._without_signs(column, cells)
            self._set(index, replace(column, form=None, would_be=without))
            if without is not None:  # the signs of these cells count, too
                self._watch_signs(index, self.columns[index], cells, rows)
            return
        changed = widening.written_as(column, form, self._habits.deciding)
        if changed.notation is not None and not self._fit(changed, cells).fits:
            self._set(index, replace(column, form=None))  # such as 31/02/2020
            return
        if changed.notation is not None:
            others = [other for other in readings if other.read_as != changed.read_as]
            place = min(
                (_first(partial(all_match, pattern=other.pattern), cells) for other in others),
                default=0,
            )
            reason = _Reason(rows.row_number(place), cells[place].as_py(), _described(changed))
            self._give_reason(index, reason)
            self.widened = True
        # Last: a lane that sees the other reading must see its reason too.
        self._set(index, changed)

    def _give_reason(self, index: int, reason: _Reason) -> None:
        """Keep the reason of the earliest row, of those for the same type."""
        known = self._reasons.get(index)
        if known is None or known.type != reason.type or reason.row < known.row:
            self._reasons[index] = reason

    def _watch_signs(self, index: int, column: Column, cells: pa.StringArray, rows: Rows) -> None:
        """Verify the column as it would be, and count the signs that it is text for."""
        rest = nulls.signs_to_null(cells) if column.type == registry.TEXT else cells
        inner = self._without.get(index)
        if inner is None:
            habits = replace(self._habits, nulls_signs=False, strips=False)
            missing = self._given_missing
            inner = Verification([column.would_be], missing, habits=habits)  # type: ignore[list-item]
            self._without[index] = inner
        inner._verify(0, rest, rows)
        would_be = inner.columns[0]
        is_text = would_be.type == registry.TEXT and would_be.form is None
        is_kept = column.type != registry.TEXT and would_be.type == column.type
        if is_text or (is_kept and would_be.read_as == column.read_as):
            self._set(index, replace(column, would_be=None))
            self.found.forget(index)
            return
        if would_be is not column.would_be:
            self._set(index, replace(column, would_be=would_be))
        self.found.count_signs(index, cells, rest)

    # Columns that Postgres's own forms are enough for

    def _widen(self, index: int, cells: pa.StringArray, rows: Rows) -> None:
        """Widen a column as far as these cells need it, counted from the type it began with."""
        began, now = self._began[index], self.columns[index]
        fitted = self._fit(began, cells)
        needed = self._needed(began, fitted, cells, rows)
        is_wider = widening.steps(began, needed) > widening.steps(began, now)
        if is_wider or needed.type == now.type != began.type:
            misfit = fitted.misfit
            if misfit is None:
                narrower = registry.type_named(widening.before(began, needed))
                misfit = narrower.check.first_misfit(fitted.values)
            reason = _Reason(rows.row_number(misfit), cells[misfit].as_py(), needed.type)
            if is_wider or reason.row < self._reasons[index].row:
                self._reasons[index] = reason
        if is_wider:
            # Last: a lane that sees the wider type must see its reason too.
            self._set(index, needed)
            self.widened = True

    def _needed(self, column: Column, fitted: _Fitted, cells: pa.StringArray, rows: Rows) -> Column:
        """Return the column with the type that holds these cells.

        Raises:
            ValueDoesNotFit: It is declared, and does not give way.
        """
        values, misfit = fitted.values, fitted.misfit
        if column.declared is None or self._widen_declared:
            if misfit is None:
                return widening.settle(column, values)
            return replace(widening.as_text(column), form=None)
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


def _first(fits: Callable[[pa.StringArray], bool], cells: pa.StringArray) -> int:
    """Return the index of the first cell that does not fit, of an array that does not."""
    return Check(fits).first_misfit(cells)


def _means_the_same(one: Column, other: Column) -> bool:
    """Tell whether values read before are the same ones if read now."""
    return other.notation is None or other.notation.keeps(one.notation)


def _described(column: Column) -> str:
    return f"{column.type} as {column.read_as}" if column.read_as else column.type


def _does_not_fit(column: Column, value: str, row: int) -> ValueDoesNotFit:
    declared = column.declared["type"] if column.declared else column.type
    if not registry.type_named(column.type).frictionless:
        declared = column.type  # which frictionless has no name for
    message = f"does not fit the declared type {declared}"
    if column.read_as:
        message = f"does not fit the type {column.type}, written as {column.read_as}"
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
