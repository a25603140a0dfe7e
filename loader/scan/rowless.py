"""The columns of a table without a row -> nothing, or the error that it is no table to load.

Whether a file with a header alone may be a table at all, its format says.
"""

from __future__ import annotations

from collections.abc import Sequence

from loader.errors import NoRows
from loader.types.column import Column

_FAMILIAR = 0.5  # of the columns, if a table is to be emptied: a new version may have other ones


def check_familiar(columns: Sequence[Column], replaced: Sequence[str], header_row: int) -> None:
    """Refuse to empty a table of which the header has too few columns to be of the same file.

    What one line says cannot be told for certain: a server's message may have a comma.

    Args:
        columns: Of the header.
        replaced: The names of the table's columns, if it has rows.
        header_row: The header's place in the file.

    Raises:
        NoRows: Less than half of the header's columns are in the table.
    """
    known = {name.strip().casefold() for name in replaced}
    familiar = sum(column.name.strip().casefold() in known for column in columns)
    if known and familiar < _FAMILIAR * len(columns):
        raise NoRows(
            f"the file has one line and no row, and of its {len(columns)} cells {familiar} are"
            " columns of the table, which it would empty",
            row=header_row,
            hint=f"is it a message of the server's? header row {header_row} takes it for a header",
            option="header_row",
        )
