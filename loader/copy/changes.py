"""Concurrent writes as data: the live table when a load began, and what was done to it since.

In: figures that ``concurrent_writes`` has read. Out: warnings, or the error that ends the load.
Holds a few numbers, and the gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from loader.choices import OnConcurrentWrites
from loader.copy.gaps import ALL, Free
from loader.errors import TableChanged

_HINT = (
    "these rows are in the old table, which the next load replaces: save them first, or have the"
    " load keep them"
)
_HINT_DROPPED = (
    "see who has dropped or renamed the table, and load again if it is to be"
    " there; a table that they made in its place, the next load replaces"
)
_DROPPED = (
    "others dropped the old table during the load: its Data Dictionary, aliases and grants are gone"
    " with it"
)
MOST_COUNTED = 1_000_000  # rows are counted under the swap's lock: so many take 0.2 s


@dataclass(frozen=True)
class Counts:
    """How many rows were inserted, updated and deleted."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def since(self, before: Counts) -> Counts:
        """Return what was done since; never less than 0, though a crash resets the statistics."""
        return Counts(
            max(0, self.inserted - before.inserted),
            max(0, self.updated - before.updated),
            max(0, self.deleted - before.deleted),
        )


@dataclass(frozen=True)
class Before:
    """The live table when a load began.

    If rows of others were carried over before the swap, this is the table as it was after that; the
    last four attributes are then what was found out before.

    Attributes:
        table: Its oid; None if there was no table.
        free: The ``_id`` that no row had.
        statistics: How many rows the server had counted as inserted, updated and deleted.
        file: The number of the file that its rows were in. It changes when the table is emptied by
            ``TRUNCATE``, or rewritten by ``VACUUM FULL`` or ``ALTER TABLE``.
        form: A fingerprint of the columns and of how the table is stored. It changes with whatever
            ``ALTER TABLE`` rewrites the rows for, even if a column was changed and changed back.
        xid: The first transaction id that had not been given out.
        running: The transaction ids that had been given out and had not ended.
        emptied: Whether the table was emptied.
        looked_at: How many rows the statistics counted as inserted and deleted when the whole table
            was last searched for rows of others.
        dropped: Whether the table was dropped or renamed.
        renamed: Its new name, if it was renamed.
    """

    table: int | None = None
    free: Free = ALL
    statistics: Counts = Counts()
    file: int | None = None
    form: str | None = None
    xid: str | None = None
    running: Sequence[str] = ()
    emptied: bool = False
    looked_at: tuple[int, int] | None = None
    dropped: bool = False
    renamed: str | None = None


@dataclass(frozen=True)
class Others:
    """How a load deals with concurrent writes.

    Attributes:
        policy: ``warn``, ``keep`` or ``refuse``.
        before: The table when the load began, from ``concurrent_writes.remember``.
    """

    policy: OnConcurrentWrites
    before: Before


@dataclass(frozen=True)
class Changes:
    """What others have done since the load began.

    Attributes:
        free: The ``_id`` that were free: rows that have one now were inserted by others.
        inserted: How many rows these are, counted.
        about: How many rows others have inserted, updated and deleted by the server's statistics,
            which are not exact. Rows in ``inserted`` are not counted again.
        dropped: Whether others have dropped or renamed the table. Another one may be in its place.
        renamed: Its new name, if it was renamed.
        emptied: Whether others have emptied it by ``TRUNCATE``.
        may_hide: Whether there may be inserted rows beside those counted, which can be found only
            by reading the whole table.
    """

    free: Free
    inserted: int
    about: Counts = Counts()
    dropped: bool = False
    emptied: bool = False
    may_hide: bool = False
    renamed: str | None = None

    def __bool__(self) -> bool:
        """Return whether others have changed anything."""
        done = self.inserted or self.dropped or self.emptied
        return bool(done) or self.about != Counts()

    def warnings(self, carried: int = 0) -> list[str]:
        """Return warnings.

        Args:
            carried: How many of the inserted rows were carried over into the new table.
        """
        warnings = [self._gone] if self.dropped else []
        if self.emptied:
            warnings.append("others emptied the old table during the load")
        if carried:
            warnings.append(
                "rows that others inserted during the load, kept behind those of the file:"
                f" {carried}"
            )
        elif self.inserted:
            warnings.append(
                "rows that others inserted during the load, gone with the old table:"
                f" {self._inserted_rows}"
            )
        hints = self._hints()
        if hints:
            warnings.append(
                f"others changed the old table during the load, which is lost: {', '.join(hints)},"
                " by the server's statistics"
            )
        return warnings

    @property
    def _gone(self) -> str:
        if self.renamed is None:
            return _DROPPED
        return (
            f"others renamed the old table to {self.renamed} during the load: its Data Dictionary,"
            " aliases and grants went with it"
        )

    @property
    def _inserted_rows(self) -> str:
        more = self.inserted > MOST_COUNTED
        return f"more than {MOST_COUNTED}" if more else str(self.inserted)

    def _hints(self) -> list[str]:
        return [f"about {count} rows {done}" for done, count in asdict(self.about).items() if count]

    def refused(self, name: str) -> TableChanged:
        """Return the error for these changes to the table of this name."""
        done = ["the table was dropped"] if self.dropped and self.renamed is None else []
        done += [f"the table was renamed to {self.renamed}"] if self.renamed is not None else []
        done += ["the table was emptied"] if self.emptied else []
        done += [f"{self._inserted_rows} rows inserted"] if self.inserted else []
        return TableChanged(
            f"others changed {name} during the load: {', '.join(done + self._hints())}",
            hint=_HINT_DROPPED if self.dropped else _HINT,
            option=None if self.dropped else "on_concurrent_writes",
        )
