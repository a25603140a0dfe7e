"""What is known of concurrent writes: the table when a load began, and what was done since.

In: figures that ``concurrent_writes`` has read. Out: warnings, or the error that refuses them.
Holds two lines, and the gaps.
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
MOST_COUNTED = 1_000_000  # under the lock; 0.2 s


@dataclass(frozen=True)
class Counts:
    """How many rows were inserted, updated and deleted."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def since(self, before: Counts) -> Counts:
        """Return what was done since; the server may have set its statistics back."""
        return Counts(
            max(0, self.inserted - before.inserted),
            max(0, self.updated - before.updated),
            max(0, self.deleted - before.deleted),
        )


@dataclass(frozen=True)
class Before:
    """The live table when a load began.

    Attributes:
        table: Its oid; None where there was none.
        free: The ``_id`` that no row had.
        statistics: How many rows the server has seen inserted, updated and deleted.
        file: The file that its rows were in; another one has those of a table that was emptied, or
            that a ``VACUUM FULL`` has written anew.
        form: What ``ALTER TABLE`` writes the rows anew for: their columns, also if one was changed
            and changed back.
        xid: The first transaction that had not begun then.
        running: Those that had, and had not ended.
        emptied: Whether the table was emptied before, while rows were kept.
        looked_at: What the statistics counted as inserted and deleted when the whole table was
            last looked through.
        dropped: Whether the table was dropped or renamed before, while rows were kept.
        renamed: What it is called then.
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
    """What is to be done about concurrent writes.

    Attributes:
        policy: ``warn``, ``keep`` or ``refuse``.
        before: As ``concurrent_writes.remember`` has found the table.
    """

    policy: OnConcurrentWrites
    before: Before


@dataclass(frozen=True)
class Changes:
    """What others have done since the load began.

    Attributes:
        free: The rows with one of these ``_id`` are theirs.
        inserted: How many these are.
        about: About how many rows they have inserted, updated and deleted; of those inserted only
            what could not be counted.
        dropped: Whether they have dropped or renamed the table; there may be another one in its
            place.
        renamed: Its new name.
        emptied: Whether they have emptied it by ``TRUNCATE``.
        may_hide: Whether there may be more rows of theirs, which only the whole table can tell.
    """

    free: Free
    inserted: int
    about: Counts = Counts()
    dropped: bool = False
    emptied: bool = False
    may_hide: bool = False
    renamed: str | None = None

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        done = self.inserted or self.dropped or self.emptied
        return bool(done) or self.about != Counts()

    def warnings(self, carried: int = 0) -> list[str]:
        """Return warnings.

        Args:
            carried: How many of the rows inserted are in the new table.
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
        """Return the error that tells of them, by the table's name."""
        done = ["the table was dropped"] if self.dropped and self.renamed is None else []
        done += [f"the table was renamed to {self.renamed}"] if self.renamed is not None else []
        done += ["the table was emptied"] if self.emptied else []
        done += [f"{self._inserted_rows} rows inserted"] if self.inserted else []
        return TableChanged(
            f"others changed {name} during the load: {', '.join(done + self._hints())}",
            hint=_HINT_DROPPED if self.dropped else _HINT,
            option=None if self.dropped else "on_concurrent_writes",
        )
