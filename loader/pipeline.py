"""A source's URI -> a loaded table and its Report. Only this module knows the order of the steps.

    source: content -> formats: blocks -> scan: verified blocks -> copy or ckan: stored
    -> keys and index -> swap -> register        (a first load: keys -> swap -> register -> index)

No environment variable is read here: what names a database, a CKAN or a token is in the options.
Holds a few blocks for each lane, and nothing that grows with the file but the keys of an upsert
through CKAN's API.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from loader.choices import TakenVia
from loader.copy import database
from loader.copy import destination as copy_destination
from loader.destination import Destination
from loader.embedded import server as embedded
from loader.errors import (
    AircanError,
    AuthenticationFailed,
    Cancelled,
    CkanError,
    CkanNotFound,
    CkanUnreachable,
    DatabaseFull,
    DatabaseUnreachable,
    PermissionDenied,
    RowsLost,
    TooManyBadRows,
    UsageError,
    memory_ours,
)
from loader.net.failures import changed
from loader.net.uri import mask_uri
from loader.options import Options, default_resource_id
from loader.progress import Progress, Silent
from loader.report import BadRows, Report, TableState
from loader.scan import rowless
from loader.scan.head import read
from loader.scan.reading import Reading
from loader.scan.rejects import Rejects, check_place, remove_leftovers, remove_stale
from loader.scan.scan import Scan
from loader.source.content import Content, open_content
from loader.source.identity import Identity
from loader.source.local import local_path
from loader.steps import BeforeColumnsChange, Steps
from loader.types import registry
from loader.types.column import Column
from loader.types.verification import Verification

if TYPE_CHECKING:
    from loader.ckan.actions import Table
    from loader.ckan.client import Ckan
    from loader.ckan.destination import Batching

_log = logging.getLogger(__name__)

# Who may not copy may still call CKAN's API. It empties the table first: a fault that may pass,
# such as a restart of the database, is no reason to take it.
_DENIALS = (AuthenticationFailed, PermissionDenied)
_NOT_NAMED = "the DataStore's database is not named"


@dataclass(frozen=True)
class Converted:
    """What ``convert`` has found.

    Attributes:
        report: Of the rows.
        table: The table as it was when the load began; None if there was none.
        is_replacing: Whether a try of ``send`` has begun to change it since.
    """

    report: Report
    table: Table | None
    is_replacing: bool = False


def _tell_nobody() -> None:
    """Do nothing."""


def load(  # noqa: PLR0913  (what is loaded, how, and whom to ask and tell)
    uri: str | os.PathLike[str],
    options: Options = Options(),
    progress: Progress | None = None,
    *,
    registers: bool = True,
    before_columns_change: BeforeColumnsChange | None = None,
    before_change: Callable[[], None] = _tell_nobody,
) -> Report:
    """Load a CSV into a DataStore table, which is replaced when the new one is whole.

    Args:
        uri: A local path, or an http(s):// or gs:// URL.
        options: How to load.
        progress: Is told of every step and block.
        registers: Whether CKAN is told in the end; else it is left to ``register``.
        before_columns_change: Is called once with the old columns and the new ones, id and type
            of each, directly before they change; what it raises stops the load.
        before_change: Is called directly before the table changes, or rows are sent: should the
            process be killed from then on, nobody can know how far it came.

    Returns:
        What was loaded.

    Raises:
        AircanError: ``error.table`` tells what has become of the table, and ``error.report`` how
            far the load came. Ctrl-C raises Cancelled.
    """
    attempt = _begin(uri, options, progress)
    attempt.steps.before_columns_change = before_columns_change
    attempt.steps.before_change = before_change
    with _reported(attempt):
        attempt.run(registers=registers)
    return attempt.report


def convert(
    uri: str | os.PathLike[str],
    rows: IO[bytes],
    options: Options = Options(),
    progress: Progress | None = None,
) -> Converted:
    """Verify every row of a CSV and write them down as ``send`` takes them; no table is touched.

    Args:
        uri: As for ``load``.
        rows: Gets the columns' names, then each row, as a JSON array on a line of its own.
        options: As for ``load``, with a CKAN and a resource of it.
        progress: Is told of every step and block.

    Returns:
        What was read, and what ``send`` is to know of the table.

    Raises:
        AircanError: As ``load``.
    """
    attempt = _begin(uri, options, progress)
    with _reported(attempt):
        table = attempt.convert(rows)
    return Converted(attempt.report, table)


def send(  # noqa: PLR0913  (what is sent, how, and whom to ask)
    rows: Iterator[bytes],
    converted: Converted,
    options: Options = Options(),
    progress: Progress | None = None,
    *,
    before_columns_change: BeforeColumnsChange | None = None,
    before_change: Callable[[], None] = _tell_nobody,
    on_replacing: Callable[[], None] = _tell_nobody,
) -> Report:
    """Send what ``convert`` wrote to CKAN's API; it is left to ``register`` to show it.

    Args:
        rows: The lines that were written.
        converted: Of ``convert``.
        options: As for ``convert``.
        progress: Is told of every batch.
        before_columns_change: As for ``load``.
        before_change: As for ``load``.
        on_replacing: Is called directly before a table that is to be replaced is changed: what it
            has from then on is no longer what ``convert`` has seen.

    Returns:
        The report of both.

    Raises:
        AircanError: As ``load``.
    """
    report = converted.report
    attempt = _Load(report.source, options, report, progress or Silent())
    if converted.is_replacing:  # how far that try has come, this one does not know
        attempt.earlier = "unknown"
    attempt.steps.before_columns_change = before_columns_change
    attempt.steps.before_change = before_change
    with _reported(attempt):
        attempt.send(rows, converted, on_replacing)
    return report


def register(report: Report, options: Options = Options()) -> None:
    """Let CKAN show the table of a load, and know its file when nothing is left to do.

    Args:
        report: Of the load.
        options: Name CKAN, and the database if the rows went there.

    Raises:
        UsageError: They name no CKAN.
        CkanNotFound: The resource was deleted; its table was dropped, unless the error denies it.
        CkanError: CKAN was not told.
    """
    try:
        _register_or_withdraw(report, options)
    except AircanError as error:
        error.table = report.table
        raise


def _register_or_withdraw(report: Report, options: Options) -> None:
    with required_ckan(options) as ckan:
        try:
            _register(ckan, report)
        except AircanError as error:
            if not _is_gone(ckan, report.resource_id):
                raise
            if dropped := _withdraw(ckan, report, options):
                report.table = "dropped"
            raise _gone(report.resource_id, dropped=dropped) from error


def _named(options: Options) -> Ckan | None:
    if not options.ckan_url:
        return None
    from loader.ckan.client import Ckan  # noqa: PLC0415  (0.4 s: only those who need it pay)

    ckan = Ckan(options.ckan_url, options.ckan_token, guard=options.ckan_guard)
    if options.resource_id and options.dataset_id:
        ckan.expect(options.resource_id, options.dataset_id)
    return ckan


def required_ckan(options: Options) -> Ckan:
    """Return the CKAN that the options name; the caller closes it.

    Raises:
        UsageError: They name none.
    """
    ckan = _named(options)
    if ckan is None:
        raise UsageError("no CKAN is named", hint="name it, and a token of it", option="ckan_url")
    return ckan


def _withdraw(ckan: Ckan, report: Report, options: Options) -> bool:
    url = None if options.via == "api" else options.datastore_url
    try:
        if report.via == "copy" and url is not None:
            return copy_destination.withdraw(url, ckan, report.resource_id)
        return ckan.drop_table(report.resource_id)
    except AircanError as error:
        _log.warning("the table of %s is not dropped: %s", report.resource_id, error)
        return False


def _is_gone(ckan: Ckan, resource_id: str) -> bool:
    """Tell whether CKAN says so; where it cannot be asked, the load's own error is to be told."""
    try:
        return ckan.is_gone(resource_id)
    except CkanUnreachable as error:  # the cleanup asks again
        _log.info("whether %s is gone is unknown: %s", resource_id, error)
        return False


def _gone(resource_id: str, *, dropped: bool) -> CkanNotFound:
    deleted = f"the resource {resource_id} was deleted while it was loaded"
    if dropped:
        return CkanNotFound(
            f"{deleted}: its table was dropped",
            hint="nothing is left to do, unless it was deleted by mistake",
        )
    return CkanNotFound(
        f"{deleted}, and its table could not be dropped",
        hint="whoever sees the dataset can read the rows: run in the DataStore's database"
        f' DROP TABLE "{resource_id}" CASCADE',
    )


def choose_via(options: Options) -> tuple[TakenVia, str]:
    """Tell which way into the DataStore a load through a CKAN has.

    Args:
        options: Of the load.

    Returns:
        The way; and why it is not the faster one, or nothing.

    Raises:
        DatabaseError: Whether the faster one is open cannot be told now.
    """
    if options.via != "auto":
        return options.via, ""
    url = options.datastore_url
    if not url:
        return "api", _NOT_NAMED
    try:
        copy_destination.check_rights(database.normalise_url(url), options.resource_id or "")
    except _DENIALS as error:
        return "api", str(error)
    return "copy", ""


def _register(ckan: Ckan, report: Report) -> None:
    # Added rows make the table no copy of any file: a reload would undo them.
    file_hash = report.hash if report.mode == "replace" else None
    try:
        ckan.register(report.resource_id, file_hash, complete=not report.bad_rows.rejected)
    except AircanError as error:
        error.message = f"CKAN was not told of the rows: {error.message}"
        raise


def _begin(uri: str | os.PathLike[str], options: Options, progress: Progress | None) -> _Load:
    uri = os.fspath(uri)
    resource_id = options.resource_id or default_resource_id(uri)
    report = Report(resource_id, mask_uri(uri), mode=options.mode)
    return _Load(uri, options, report, progress or Silent())


@contextmanager
def _reported(attempt: _Load) -> Iterator[None]:
    """Let an error know the report, and the report the error; both, what became of the table."""
    report = attempt.report
    try:
        with _ours(), memory_ours(), report.timing("total"):
            yield
    except AircanError as error:
        error.report, report.error = report, error
        error.table = attempt.table_state
        raise
    finally:
        report.table = attempt.table_state


@contextmanager
def _ours() -> Iterator[None]:
    """Turn Ctrl-C, and SIGTERM where it is taken as that, into ours."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Cancelled("the load was stopped") from interrupt


class _Load:
    """One load: what every step needs."""

    def __init__(self, uri: str, options: Options, report: Report, progress: Progress) -> None:
        self.uri = uri
        self.options = options
        self.report = report
        self.steps = Steps(report, progress)
        self.destination: Destination | None = None
        self.earlier: TableState = "untouched"  # what earlier tries made of the table
        self._is_dropped = False
        self._has_gone = False  # CKAN has said so, and need not be asked again
        self.rejects: Path | None = None
        if options.rejects is not None:
            self.rejects = Path(options.rejects)
        elif options.rejects_folder is not None:
            name = f"{report.resource_id.replace('/', '_')}.rejects.csv"
            self.rejects = Path(options.rejects_folder, name)

    def run(self, *, registers: bool) -> None:
        """Take the source's rows in, let readers see them, tell CKAN."""
        with ExitStack() as stack:
            ckan = self._ckan(stack)
            self.destination = destination = self._open(stack, ckan)
            done, md5 = self._take_until_settled(destination, hashed=ckan is not None)
            with self._withdrawn_if_gone(ckan, destination):
                self._finish(destination, done)
                if not destination.settled:
                    self._show(ckan, registers=registers)
                    self.report.warnings += destination.settle()
                    self._check_indexed(ckan, destination)
                    registers = registers and destination.settled
                self.report.hash = (md5 or None) if destination.settled else None
                if registers:
                    self._register(ckan)
        self._remove_stale_rejects()

    @contextmanager
    def _withdrawn_if_gone(self, ckan: Ckan | None, destination: Destination) -> Iterator[None]:
        """Drop the table that this load has put there if its resource was deleted meanwhile."""
        resource_id = self.report.resource_id
        try:
            yield
        except AircanError as error:
            if ckan is None or not destination.has_begun or not self._is_gone(ckan):
                raise
            try:
                dropped = destination.withdraw()
            except AircanError as second:
                _log.warning("the table of %s is not dropped: %s", resource_id, second)
                dropped = False
            self._is_dropped = dropped
            raise _gone(resource_id, dropped=dropped) from error

    def _show(self, ckan: Ckan | None, *, registers: bool) -> None:
        """Let CKAN show the table, but not know its file: not all is done."""
        try:
            self._register(ckan)
        except CkanError as error:
            if registers or (ckan and self._is_gone(ckan)):
                raise
            _log.warning("not shown before it is registered: %s", error)

    def _check_indexed(self, ckan: Ckan | None, destination: Destination) -> None:
        """See whether the rows have no index because CKAN has dropped the table."""
        if not destination.settled and ckan is not None and self._is_gone(ckan):
            raise CkanNotFound(f"the resource {self.report.resource_id} was deleted")

    def _is_gone(self, ckan: Ckan) -> bool:
        self._has_gone = self._has_gone or _is_gone(ckan, self.report.resource_id)
        return self._has_gone

    def convert(self, rows: IO[bytes]) -> Table | None:
        """Write the source's rows down, as CKAN's API shall have them; return the old table."""
        with ExitStack() as stack:
            ckan = self._named_ckan(stack)
            self.destination = destination = self._open_api(stack, ckan)
            done, self.report.hash = self._take_until_settled(destination, hashed=True)
            self.report.rows, warnings = destination.write(done, rows)
            self.report.warnings += warnings
        self._remove_stale_rejects()
        return destination.table

    def send(
        self, rows: Iterator[bytes], converted: Converted, on_replacing: Callable[[], None]
    ) -> None:
        """Send rows that were written down."""
        with ExitStack() as stack:
            ckan = self._named_ckan(stack)
            self.destination = destination = self._open_api(stack, ckan)
            table = destination.table if converted.is_replacing else converted.table
            destination.go_on(table, on_replacing)
            with self._withdrawn_if_gone(ckan, destination):
                self.report.rows, warnings = destination.send(self.report.columns, rows)
            self.report.warnings += warnings

    def _remove_stale_rejects(self) -> None:
        is_ours = self.options.rejects is None  # as it is named
        if self.rejects is not None and is_ours and not self.report.bad_rows.rejected:
            remove_stale(self.rejects)

    @property
    def table_state(self) -> TableState:
        """What has become of the table, should the load stop now."""
        if self._is_dropped:
            return "dropped"
        state = self.destination.table_state if self.destination else "untouched"
        return self.earlier if state == "untouched" else state

    def _named_ckan(self, stack: ExitStack) -> Ckan:
        ckan = self._ckan(stack)
        if ckan is None:
            raise _no_ckan()
        return ckan

    def _ckan(self, stack: ExitStack) -> Ckan | None:
        """Return the CKAN that is named, if any, having seen that it has the resource."""
        ckan = _named(self.options)
        if ckan is None:
            if self.options.via == "api":
                raise _no_ckan()
            return None
        if self.options.resource_id is None:
            raise UsageError(
                "a resource's id is needed to load into CKAN",
                hint="name it, or no CKAN to load without one",
                option="resource_id",
            )
        stack.enter_context(ckan)
        ckan.check_editable(self.options.resource_id)
        settings = ckan.fetching(self.uri, self.options.resource_id, self.options.source)
        self.options = replace(self.options, source=settings)
        return ckan

    def _open(self, stack: ExitStack, ckan: Ckan | None) -> Destination:
        """Open the way that the options name, or the fastest that is open."""
        url = self.options.datastore_url
        if ckan is None:
            return self._open_copy(stack, url or embedded.start(), ckan)
        if self.options.via == "copy":
            if not url:
                raise UsageError(
                    "the database of CKAN's DataStore is not named",
                    hint="name it",
                    option="datastore_url",
                )
            return self._open_copy(stack, url, ckan)
        if self.options.via == "auto":
            try:
                if url:
                    return self._open_copy(stack, url, ckan)
                self._warn_of_api(_NOT_NAMED)
            except _DENIALS as error:
                self._warn_of_api(error)
            except (DatabaseFull, DatabaseUnreachable) as error:
                error.hint = f"{error.hint}; CKAN's API is a way without it"
                error.option = "via"
                raise
        return self._open_api(stack, ckan)

    def _warn_of_api(self, reason: object) -> None:
        self.report.warnings.append(f"loaded through CKAN's API, since {reason}")

    def _open_copy(self, stack: ExitStack, url: str, ckan: Ckan | None) -> Destination:
        url = database.normalise_url(url)
        return stack.enter_context(
            copy_destination.opened(
                url, self.report.resource_id, self.options.copying, self.steps, ckan
            )
        )

    def _open_api(self, stack: ExitStack, ckan: Ckan) -> Batching:
        from loader.ckan import destination as api_destination  # noqa: PLC0415  (as above)

        self.report.via = "api"
        return stack.enter_context(
            api_destination.opened(ckan, self.report.resource_id, self.options.sending, self.steps)
        )

    def _finish(self, destination: Destination, done: Scan) -> None:
        # Two files may have one name.
        warns = self.options.resource_id is None and destination.existed
        self.report.rows, warnings = destination.finish(done)
        self.report.warnings += warnings
        if warns and self.options.mode == "replace":
            self.report.warnings.append(f"replaced the table {self.report.resource_id}")

    def _register(self, ckan: Ckan | None) -> None:
        if ckan is not None:
            with self.steps.step("register", "telling CKAN"):
                _register(ckan, self.report)

    def _take_until_settled(self, destination: Destination, *, hashed: bool) -> tuple[Scan, str]:
        """Take in the source with the guessed types, and again if the rows proved one wrong."""
        verification: Verification | None = None
        identity: Identity | None = None
        seen: tuple[int, int, str] | None = None
        types = self._declared(destination)
        while True:
            with ExitStack() as stack:
                again = "beginning again with wider columns"
                with self.steps.step("infer", again if verification else "reading the header"):
                    content = stack.enter_context(
                        open_content(self.uri, self.options.source, identity, hashed=hashed)
                    )
                    reading = read(content.stream, self.options.reading, types)
                    self.report.bytes = content.source.bytes_read
                if verification and _headers(verification.columns) != _headers(reading.columns):
                    # All that shows it where a server tells no identity.
                    raise changed(content.source.uri)
                identity = content.source.identity
                verification = Verification(
                    verification.columns if verification else reading.columns,
                    reading.missing,
                    widen_declared=self.options.on_type_error == "widen",
                )
                self._check_key(verification.columns)
                destination.check(verification.columns)
                if reading.guessed_rowless:
                    rowless.check_familiar(
                        reading.columns, destination.replaced(), reading.table.header_row
                    )
                self.steps.progress.expect(content.source.size)
                with self.steps.step("copy", "copying rows"):
                    done = self._take(destination, content, reading, verification)
                uncertain = not content.source.is_certain
                is_last = not verification.widened
                md5 = content.source.md5() if uncertain or (hashed and is_last) else ""
            before, seen = seen, (done.rows_read, done.blank_lines, md5 if uncertain else "")
            if before not in (None, seen):
                raise changed(content.source.uri)
            self.report.warnings += verification.reasons
            if not verification.widened:
                return done, md5 if hashed else ""

    def _check_key(self, columns: Sequence[Column]) -> None:
        names = [column.name for column in columns]
        if lacking := [name for name in self.options.key if name not in names]:
            raise UsageError(
                f"the file has no column {lacking[0]!r}, which the key names",
                hint=f"it has: {', '.join(names[:20])}",
            )

    def _declared(self, destination: Destination) -> dict[str, str]:
        """Return the types that the way declares, as far as we know them."""
        types = {}
        for name, kind in destination.declared().items():
            known = registry.type_meant(kind)
            if known is None:
                self.report.warnings.append(f"{name}: the type {kind!r} is not known: inferred")
            else:
                types[name] = known
        return types

    def _take(
        self,
        destination: Destination,
        content: Content,
        reading: Reading,
        verification: Verification,
    ) -> Scan:
        with self._rejects() as rejects:

            def advance(rows: int) -> None:
                self.steps.progress.advance(content.source.bytes_read, rows)

            scan = Scan(reading, verification, rejects, advance)
            try:
                stored = destination.store(scan)
            finally:
                self.report.bytes = content.source.bytes_read
                self._tell(scan, rejects)
            if verification.widened:
                rejects.discard()
                return scan
        if not scan.rows_read - rejects.count == scan.rows_verified == stored:
            raise RowsLost(
                f"{scan.rows_read} rows read, {rejects.count} set aside, {stored} stored",
                hint="does a trigger leave rows out? if not, report this file",
            )
        if rejects.count and not stored:
            raise _no_row_placed(rejects)
        self.steps.stored = stored
        self._warn(content, scan)
        return scan

    def _rejects(self) -> Rejects:
        if self.rejects is not None:
            if _is_the_file(self.uri, self.rejects):
                raise UsageError(
                    f"the rejects file would replace the source: {self.rejects}",
                    hint="name another place",
                    option="rejects",
                )
            if self.options.rejects is None:
                remove_leftovers(self.rejects)
            else:
                check_place(self.rejects)
        return Rejects(self.rejects, self.options.max_bad_rows)

    def _tell(self, scan: Scan, rejects: Rejects) -> None:
        """Put into the report what is known, also when the copy failed."""
        self.report.columns = [
            {
                "id": column.name,
                "type": column.type,
                "label": column.label,
                "inferred_as": column.inferred_as,
                "widened_from": column.widened_from,
            }
            for column in scan.columns
        ]
        self.report.bad_rows = BadRows(
            rejected=rejects.count,
            repaired=scan.rows_repaired,
            rejects=str(rejects.path) if rejects.count and rejects.path is not None else None,
            first=[{"row": reject.row, "reason": reject.reason} for reject in rejects.first],
        )

    def _warn(self, content: Content, scan: Scan) -> None:
        self.report.warnings += scan.warnings(empties=self.options.mode == "replace")
        if not content.tells_its_end:
            self.report.warnings.append(
                "the server does not tell where the file ends: had the connection been cut,"
                " nobody would know"
            )


def _no_ckan() -> UsageError:
    return UsageError("there is no CKAN to load through", hint="name it", option="ckan_url")


def _no_row_placed(rejects: Rejects) -> TooManyBadRows:
    """Return the error for a file all of whose rows are set aside: it is no empty table."""
    first = rejects.first[0]
    return TooManyBadRows(
        f"no row can be placed, so nothing is loaded; the first: {first.reason}",
        row=first.row,
        hint="mend the file, or name its delimiter, header row or encoding",
        option="delimiter",
    )


def _is_the_file(uri: str, path: Path) -> bool:
    """Tell whether a source is a local file at this path, whatever names both have."""
    source = local_path(uri)
    try:
        return source is not None and Path(source).samefile(path)
    except (OSError, ValueError):  # one of them is not there
        return False


def _headers(columns: Sequence[Column]) -> list[str]:
    return [column.header for column in columns]
