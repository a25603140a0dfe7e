"""What verification leaves out of cells, or cannot decide -> warnings, and numbers for the report.

In: the cells of blocks before and after, from several threads at a time. Out: sentences. Holds a
few numbers for each column.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.errors import shorten
from loader.types import nulls, registry
from loader.types.column import Column
from loader.types.notation import Habits

_MOST_LISTED = 10  # columns in one warning


class Findings:
    """What was found in the cells of one reading; safe to share between threads.

    Args:
        habits: What is left out of cells.
    """

    def __init__(self, habits: Habits) -> None:
        self._habits = habits
        self._signs: dict[int, Counter[str]] = {}
        self._spaces: Counter[int] = Counter()
        self._first_spaced = 0
        self._examples: dict[int, str] = {}
        self._lock = threading.Lock()

    def signs(self, index: int) -> dict[str, int]:
        """Return the signs for no value in a column, and how often each is there."""
        return dict(self._signs.get(index, {}))

    def example(self, index: int, cells: pa.StringArray) -> None:
        """Remember a cell of a column whose reading is not decided."""
        if index not in self._examples:
            self._examples[index] = cells.drop_null()[0].as_py()

    def forget(self, index: int) -> None:
        """Forget the signs of a column that is text without them too."""
        self._signs.pop(index, None)

    def count_signs(self, index: int, before: pa.StringArray, after: pa.StringArray) -> None:
        """Count the cells that are null now."""
        is_sign = pc.and_(pc.is_valid(before), pc.is_null(after))
        counted = before.filter(is_sign).value_counts()
        with self._lock:
            signs = self._signs.setdefault(index, Counter())
            for one in counted.to_pylist():
                signs[one["values"]] += one["counts"]

    def add(
        self,
        index: int,
        column: Column,
        cells: tuple[pa.StringArray, pa.StringArray],
        row_number: Callable[[int], int],
    ) -> None:
        """Count what was left out of the cells of a column.

        Args:
            index: The column's place.
            column: As it was read.
            cells: Those of a block, and the same as they were taken.
            row_number: Tells the place in the file of one.
        """
        before, after = cells
        without = nulls.trimmed(before)
        spaced = np.flatnonzero(np.asarray(nulls.changed(before, without), dtype=bool))
        if column.type != registry.TEXT and self._habits.nulls_signs:
            self.count_signs(index, without, after)
        if not len(spaced):
            return
        row = row_number(int(spaced[0]))
        with self._lock:
            self._spaces[index] += len(spaced)
            self._first_spaced = min(row, self._first_spaced or row)

    def warnings(self, columns: Sequence[Column]) -> list[str]:
        """Return them, once all blocks are through."""
        found = []
        if self._spaces:
            names = [columns[index].name for index in sorted(self._spaces)]
            listed = ", ".join(names[:_MOST_LISTED]) + ", ..." * (len(names) > _MOST_LISTED)
            found.append(
                f"spaces around values left out: {self._spaces.total():,} in {listed};"
                f" the first in row {self._first_spaced}"
            )
        for index, column in enumerate(columns):
            found += self._of_signs(index, column) + self._of_doubt(index, column)
        return found

    def _of_signs(self, index: int, column: Column) -> list[str]:
        signs = self._signs.get(index)
        would_be = column.would_be
        if signs:
            listed = ", ".join(f"{sign!r} ({count:,})" for sign, count in signs.most_common(5))
            if would_be is None:
                return [f"{column.name}: NULL for {listed}"]
            if would_be.form is not None and would_be.notation is None:
                form = would_be.form
                return [f"{column.name}: text for {listed}; the rest {form.doubt}; {form.hint}"]
            return [
                f"{column.name}: text for {listed}, {would_be.type} without;"
                " missing=auto reads such signs as NULL"
            ]
        if column.narrower:
            return [
                f"{column.name}: {column.type} is kept, {column.narrower} would hold all values"
            ]
        return []

    def _of_doubt(self, index: int, column: Column) -> list[str]:
        form, example = column.form, self._examples.get(index)
        if column.notation is not None or form is None or example is None or not form.is_doubtful:
            return []
        return [f"{column.name}: text, {shorten(example)!r} {form.doubt}; {form.hint}"]
