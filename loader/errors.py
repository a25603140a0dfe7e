"""Every error a load can end with: one tree, one line each, with its place and a hint.

    AircanError
    +-- UsageError                  a wrong option, descriptor or URL
    +-- SourceError                 the bytes cannot be had
    |   +-- SourceNotFound
    |   +-- SourceForbidden
    |   +-- AddressRefused
    |   +-- SourceUnreachable       (a retry can help)
    |   +-- SourceChanged           (a retry can help)
    |   +-- SourceTooLarge
    |   +-- SourceTooSlow           (a retry can help)
    |   +-- CompressionError
    +-- TableError                  the bytes are not a table
    |   +-- EmptySource
    |   +-- NoRows
    |   +-- NotATable
    |   +-- EncodingError
    |   +-- UnclosedQuote
    |   +-- TooManyColumns
    |   +-- TooManyBadRows
    |   +-- ValueDoesNotFit
    |   +-- SchemaDiffers
    +-- DatabaseError               the DataStore's database said no
    |   +-- DatabaseUnreachable     (a retry can help)
    |   +-- AuthenticationFailed
    |   +-- PermissionDenied
    |   +-- DatabaseFull            (a retry can help)
    |   +-- LoadInProgress          (a retry can help)
    |   +-- TooManyLoads            (a retry can help)
    |   +-- TableBusy               (a retry can help)
    |   +-- TableChanged
    |   +-- NotADataStoreTable
    |   +-- DependentObjects
    |   +-- RowRefused
    |   +-- KeyViolated
    +-- CkanError                   CKAN's API said no
    |   +-- NotACkan
    |   +-- CkanUnreachable         (a retry can help)
    |   +-- CkanForbidden
    |   +-- CkanNotFound
    |   +-- CkanRefused
    |       +-- ColumnsRefused
    +-- RowsLost                    rows read and rows stored differ
    +-- RowsInDoubt                 rows may have been added by an earlier try
    +-- StepFailed                  a step of a DagRun failed before this one
    +-- RejectsNotWritten           the rows set aside have no place to go
    +-- ArtifactsError              what a step of a DagRun leaves for the next, or what it left
    |   +-- ArtifactsUnreachable    (a retry can help)
    +-- OutOfMemory                 the process may take no more memory
    +-- Cancelled
    +-- Unexpected                  a fault of AirCan's own

Messages never hold a password or a signed URL: whoever raises masks first.

The exceptions of another package become these where that package is used. The context manager that
does it is called ``ours`` everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from loader import printable

if TYPE_CHECKING:
    from loader.report import Report, TableState

_VALUE_SHOWN = 100  # characters of an offending value that a one-line error shows


class AircanError(Exception):
    """The root of the tree.

    Args:
        message: What is wrong, in one line, without a final stop.
        hint: What the user can do about it, in one line. It has no option's name: those who show
            it name the option in their own words, which differ.
        option: The setting that would help: a field of ``Options``, or of its limits.
        row: Record of the source file, counted from 1, the header included.
        column: The column's name.
        value: The offending cell exactly as written.
        of_machine: Whether the fault is in the machine that runs the load, such as a full disk.

    Attributes:
        table: What has become of the table, set by the load that ends with this error; ``unknown``
            until then.
    """

    retryable: ClassVar[bool] = False  # whether the same call may succeed later
    table: TableState = "unknown"

    def __init__(  # noqa: PLR0913  (what is wrong, and all that is known of where)
        self,
        message: str,
        *,
        hint: str | None = None,
        option: str | None = None,
        row: int | None = None,
        column: str | None = None,
        value: str | None = None,
        of_machine: bool = False,
    ) -> None:
        # It may quote a file or a server, and stands in logs, which are read line by line.
        message = printable.one_line(message)
        super().__init__(message)
        self.message = message
        self.hint = None if hint is None else printable.one_line(hint)
        self.option = option
        self.row = row
        self.column = column
        self.value = value
        self.of_machine = of_machine
        self.report: Report | None = None  # how far the load had come; set by the pipeline

    def __str__(self) -> str:
        """Return one line: place, then what is wrong."""
        place = []
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column is not None:
            place.append(f"column {self.column!r}")
        if self.value is not None:
            place.append(f"value {shorten(self.value)!r}")
        line = f"{', '.join(place)}: {self.message}" if place else self.message
        return printable.one_line(line)

    def to_dict(self) -> dict[str, object]:
        """Return the ``error`` object of the JSON report."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "option": self.option,
            "row": self.row,
            "column": self.column,
            "value": None if self.value is None else shorten(self.value),
            "retryable": self.retryable,
            "table": self.table,
        }


@contextmanager
def untouched() -> Iterator[None]:
    """Let every error know that no load has changed a table yet."""
    try:
        yield
    except AircanError as error:
        error.table = "untouched"
        raise


@contextmanager
def memory_ours() -> Iterator[None]:
    """Turn a lack of memory, Arrow's and NumPy's among them, into ours.

    Raises:
        OutOfMemory: There was one.
    """
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(
            "the memory that this process may take is used up",
            hint="give it more, or use fewer lanes; a quote that is not closed makes one long row"
            " of many",
            option="lanes",
        ) from error


def shorten(value: str) -> str:
    """Return a value short enough for one line."""
    return value if len(value) <= _VALUE_SHOWN else value[: _VALUE_SHOWN - 3] + "..."


def loggable(error: Exception) -> str:
    """Return what a log may say of an error: another's text may hold a URL with a password."""
    return str(error) if isinstance(error, AircanError) else type(error).__name__


class UsageError(AircanError):
    """A wrong option, descriptor or URL: nothing was started."""

    table = "untouched"


class SourceError(AircanError):
    """The source's bytes cannot be had."""


class SourceNotFound(SourceError):
    """There is nothing at this path or URL."""


class SourceForbidden(SourceError):
    """The source exists and these credentials may not read it."""


class AddressRefused(SourceError):
    """The source is where AirCan may not fetch from: this machine, or a network behind it."""


class SourceUnreachable(SourceError):
    """Network, DNS, timeout or 5xx, after the bounded retries."""

    retryable = True


class SourceChanged(SourceError):
    """The source is not the one the load began with."""

    retryable = True


class SourceTooLarge(SourceError):
    """More bytes than are allowed, or packed so much that it can only be meant to do harm."""


class SourceTooSlow(SourceError):
    """Fewer bytes a second than are worth waiting for."""

    retryable = True


class CompressionError(SourceError):
    """The compressed data is damaged, encrypted, or not one file."""


class TableError(AircanError):
    """The bytes are not a table that can be loaded."""


class EmptySource(TableError):
    """There is not even a header, or no name in it."""


class NoRows(TableError):
    """There is no row, and more than a header, or what may be no header."""


class NotATable(TableError):
    """Another kind of file: a web page, a workbook, an image."""


class EncodingError(TableError):
    """Bytes that are not text in the source's encoding."""


class UnclosedQuote(TableError):
    """A quote opens and never closes."""


class TooManyColumns(TableError):
    """More columns than a Postgres table can have."""


class TooManyBadRows(TableError):
    """More rows set aside than the caller allows."""


class ValueDoesNotFit(TableError):
    """A value that its declared type cannot hold."""


class SchemaDiffers(TableError):
    """The file's columns are not those of the table that its rows are to go into."""


class DatabaseError(AircanError):
    """The DataStore's database refused."""


class DatabaseUnreachable(DatabaseError):
    """No connection, or a connection that was lost."""

    retryable = True


class AuthenticationFailed(DatabaseError):
    """Wrong user, password or database name."""


class PermissionDenied(DatabaseError):
    """The role lacks a right."""


class DatabaseFull(DatabaseError):
    """Disk, memory or connections of the server are used up."""

    retryable = True


class LoadInProgress(DatabaseError):
    """Another load of the same resource holds the lock."""

    retryable = True


class TooManyLoads(DatabaseError):
    """As many loads as the database may have at a time are running."""

    retryable = True


class TableBusy(DatabaseError):
    """The live table stayed locked by others through every try."""

    retryable = True


class TableChanged(DatabaseError):
    """Others wrote into the live table while a load was to replace it.

    To try again at once would replace their rows: a person has to decide.
    """


class NotADataStoreTable(DatabaseError):
    """The name is taken by a relation that AirCan must not replace."""


class DependentObjects(DatabaseError):
    """What depends on the live table cannot be made again over the new one."""


class RowRefused(DatabaseError):
    """Postgres refused a row that had passed every check."""


class CkanError(AircanError):
    """CKAN's API did not do what it was asked."""


class NotACkan(CkanError):
    """Something answers at the URL, and it is no CKAN."""


class CkanUnreachable(CkanError):
    """No connection, a timeout, 429 or 5xx, after the bounded retries.

    Attributes:
        wait_s: How long CKAN asks to be left alone.
        in_doubt: Whether CKAN may have done, or still be doing, what it was asked.
    """

    retryable = True
    wait_s: float = 0.0
    in_doubt: bool = False


class CkanForbidden(CkanError):
    """The token may not do or see this, or is none of this CKAN."""


class CkanNotFound(CkanError):
    """CKAN has no such dataset, resource or table, or has it no more."""


class CkanRefused(CkanError):
    """CKAN found something wrong with what it was sent.

    Attributes:
        fields: What it finds wrong, by the names that CKAN's API gives them.
        reason: The same in CKAN's words.
    """

    fields: tuple[str, ...] = ()
    reason: str = ""


class ColumnsRefused(CkanRefused):
    """CKAN does not let the columns of the table change."""


class KeyViolated(DatabaseError):
    """Rows of the file have the same unique key, or none."""


class RowsLost(AircanError):
    """Rows read, stored and set aside do not add up: the swap does not happen."""


class RowsInDoubt(AircanError):
    """An earlier try of the same run may have added the rows already."""


class StepFailed(AircanError):
    """A step of a DagRun failed before this one."""


class RejectsNotWritten(AircanError):
    """The file of the rows set aside cannot be written: its disk is full, for one."""


class ArtifactsError(AircanError):
    """A step of a DagRun cannot leave what the next one reads, or cannot read what one left."""


class ArtifactsUnreachable(ArtifactsError):
    """The bucket of the artifacts does not answer, after the bounded retries."""

    retryable = True


class OutOfMemory(AircanError):
    """The machine's memory is used up, or what this process may take of it."""


class Cancelled(AircanError):
    """The caller stopped the load."""


class Unexpected(AircanError):
    """An exception that is none of these: a fault of AirCan."""
