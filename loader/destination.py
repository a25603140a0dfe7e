"""What every destination offers; COPY into the DataStore's database and CKAN's API are two.

A destination is opened before the source is, and closed after the last row, whatever happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from loader.report import TableState
from loader.scan.scan import Scan
from loader.types.column import Column


class Destination(Protocol):
    """How verified rows become those of the table that readers see."""

    existed: bool  # whether there was a table before
    has_begun: bool  # whether a try was made to change the table that readers see
    merges: bool  # whether the rows are added to those of the table
    settled: bool  # whether the table has all that readers can do without for a while

    @property
    def table_state(self) -> TableState:
        """What has become of the table that readers see, should the load stop now."""

    def declared(self) -> Mapping[str, str]:
        """Return the types that columns shall have, by name, as Postgres or CKAN call them."""

    def columns(self) -> Sequence[Column]:
        """Return the table's columns, with their entries in the Data Dictionary."""

    def check(self, columns: Sequence[Column]) -> None:
        """Raise SchemaDiffers if the table cannot take these columns."""

    def replaced(self) -> Sequence[str]:
        """Return the columns of the table whose rows the new ones replace, if it has any."""

    def store(self, scan: Scan) -> int:
        """Take all rows of a scan, where no reader sees them yet; return how many there are.

        Once a column was widened it takes none, but shows every block to the scan.
        """

    def finish(self, scan: Scan) -> tuple[int, list[str]]:
        """Let readers see what was stored; return how many rows, and warnings."""

    def settle(self) -> list[str]:
        """Make what is still missing while readers see the rows; return warnings."""

    def withdraw(self) -> bool:
        """Drop the table of a resource that CKAN says is gone; return whether none can be read.

        Its state is ``dropped`` then.
        """
