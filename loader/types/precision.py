"""A type of limited precision -> whether it would change a value: Postgres rounds in silence.

Only tables that were not made by a load have such types; ours hold every value that was verified.
In: a column of such a table, and verified cells. Out: nothing, or an error for the first value that
would not come back as it is. Holds the block's cells once more.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from loader.errors import ValueDoesNotFit
from loader.types import registry
from loader.types.rounding import Changes


@dataclass(frozen=True)
class Limit:
    """A column whose type in the table may round, cut or refuse a value.

    Attributes:
        column: Its name.
        type: Such as ``numeric(10,2)``.
        changes: Tells whether the type does that to a value.
    """

    column: str
    type: str
    changes: Changes

    def check(self, cells: pa.StringArray) -> None:
        """Refuse a value that would not come back as it is.

        Raises:
            ValueDoesNotFit: The first one.
        """
        for value in cells.to_pylist():
            if value is not None and self.changes(value):
                raise misfit(self.column, self.type, value)


def misfit(column: str, kind: str, value: str | None = None, why: str = "") -> ValueDoesNotFit:
    """Return the error for a value that a column's type in the table would change."""
    return ValueDoesNotFit(
        f"does not fit the table's type {kind}{why}",
        column=column,
        value=value,
        hint="correct the value, or let the file replace the table",
        option="mode",
    )


def limit_of(column: str, kind: str) -> Limit | None:
    """Return the limit of a column's type, if it has one.

    Args:
        column: Its name.
        kind: Its type, as ``registry.sql_name`` returns it; the values to be checked are text that
            ``registry.verified_as(kind)`` holds.
    """
    changes = registry.changes(kind)
    return Limit(column, kind, changes) if changes else None
