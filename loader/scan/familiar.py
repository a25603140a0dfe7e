"""The columns of a file, and of the table that it would replace -> an error if it is none of it.

A message of a server has status 200 at times, and looks like a header alone or like one column.
Whether it may be a table at all, its format says; here a published table is protected from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from loader.errors import NoRows, NotATable
from loader.scan.reading import Reading
from loader.types.column import Column

_FAMILIAR = 0.5  # of the columns, if a table is to be emptied: a new version may have other ones


def check(reading: Reading, replaced: Callable[[], Sequence[str]]) -> None:
    """Refuse to replace a published table by what may be no table.

    Args:
        reading: Of the file.
        replaced: Gives the names of the columns of the table whose rows it would replace, if it
            has any.

    Raises:
        NoRows: There is no row, and less than half of the header's columns are in the table.
        NotATable: There is one column, found because no delimiter was, and the table has others.
    """
    if not reading.header_is_guessed:
        return
    if reading.is_rowless:
        _check_rowless(reading.columns, replaced(), reading.table.header_row)
    elif len(reading.columns) == 1:
        _check_narrow(reading.columns[0], replaced(), reading.table.header_row)


def _check_rowless(columns: Sequence[Column], replaced: Sequence[str], header_row: int) -> None:
    """Refuse to empty a table of which the header has too few columns to be of the same file.

    What one line says cannot be told for certain: a server's message may have a comma.
    """
    known = _names(replaced)
    familiar = len(known & _names(column.name for column in columns))
    if known and familiar < _FAMILIAR * len(columns):
        raise NoRows(
            f"the file has one line and no row, and of its {len(columns)} cells {familiar} are"
            " columns of the table, which it would empty",
            row=header_row,
            hint=f"is it a message of the server's? header row {header_row} takes it for a header",
            option="header_row",
        )


def _check_narrow(column: Column, replaced: Sequence[str], header_row: int) -> None:
    """Refuse to put a single column in the place of several others: it may be a text of lines."""
    known = _names(replaced)
    if len(known) > 1 and not known & _names([column.name]):
        raise NotATable(
            f"the file has one column, which is none of the {len(known)} of the table",
            row=header_row,
            hint="is it a message of the server's? name the delimiter, or the header's row if it"
            " is one column",
            option="header_row",
        )


def _names(names: Iterable[str]) -> set[str]:
    return {name.strip().casefold() for name in names}
