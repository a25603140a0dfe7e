"""A source -> its rows in the destination, read until the columns' types settle.

In: a URI, and an open destination, where no reader sees the rows yet. Out: the scan that was
stored. Holds a few blocks for each lane, and nothing that grows with the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from loader.destination import Destination
from loader.errors import RowsLost, UsageError
from loader.net.failures import changed
from loader.options import Options
from loader.pipeline import rejects_file
from loader.report import BadRows, Report
from loader.scan import familiar
from loader.scan.head import read
from loader.scan.reading import Known, Reading
from loader.scan.rejects import Rejects
from loader.scan.scan import Scan
from loader.source.content import Content, open_content
from loader.source.identity import Identity
from loader.steps import Steps
from loader.types import registry
from loader.types.column import Column
from loader.types.verification import Verification


@dataclass(frozen=True)
class Intake:
    """What is taken in, and where to.

    Attributes:
        uri: Of the source.
        options: How to read it.
        steps: Are told of every step and block; the report gets what was read.
        destination: Stores the rows.
        hashed: Whether the source's MD5 is asked for.
    """

    uri: str
    options: Options
    steps: Steps
    destination: Destination
    hashed: bool


@dataclass(frozen=True)
class _Pass:
    """One reading of the source, from its first byte to its last.

    Attributes:
        scan: Was stored, unless a column was widened.
        verification: The columns, as far as they have settled.
        identity: The version that was read, if the source tells.
        md5: Of what was read; '' where nobody needs it.
        seen: Rows, blank lines, and the MD5 where the identity is not certain: the same in every
            pass if the source is the same.
    """

    scan: Scan
    verification: Verification
    identity: Identity | None
    md5: str
    seen: tuple[int, int, str]


def take_in(intake: Intake) -> tuple[Scan, str]:
    """Store a source's rows with the guessed types, and again if the rows proved one wrong.

    Returns:
        The scan that was stored; the source's MD5, or '' if it was not asked for.

    Raises:
        AircanError: The source cannot be read or stored, is not the same a second time, or has
            columns that the options or the table do not allow.
    """
    known = _known(intake)
    earlier: _Pass | None = None
    while True:
        this = _read_source(intake, known, earlier)
        intake.steps.report.warnings += this.verification.reasons
        if not this.verification.widened:
            return this.scan, this.md5 if intake.hashed else ""
        earlier = this


def _known(intake: Intake) -> Known:
    """Return what is known of the columns of the table that the rows go to."""
    destination = intake.destination
    return Known(
        types=_declared(intake),
        columns=destination.columns(),
        merges=destination.merges,
        keeps_types=intake.options.keep_types,
    )


def _declared(intake: Intake) -> dict[str, str]:
    """Return the types that the destination declares, as far as we know them."""
    types = {}
    for name, kind in intake.destination.declared().items():
        known = registry.type_meant(kind)
        if known is None:
            intake.steps.warn(f"{name}: the type {kind!r} is not known: inferred")
        else:
            types[name] = known
    return types


def _read_source(intake: Intake, known: Known, earlier: _Pass | None) -> _Pass:
    """Read the source with the guessed types, or with those that the earlier pass has found."""
    options, steps, destination = intake.options, intake.steps, intake.destination
    with ExitStack() as stack:
        title = "beginning again with wider columns" if earlier else "reading the header"
        with steps.step("infer", title):
            expected = earlier.identity if earlier else None
            content = stack.enter_context(
                open_content(intake.uri, options.source, expected, hashed=intake.hashed)
            )
            reading = read(content.stream, options.reading, known)
            steps.report.bytes = content.source.bytes_read
        columns = earlier.verification.columns if earlier else reading.columns
        if _headers(columns) != _headers(reading.columns):
            # Where a server gives no identity, this may be all that shows the change.
            raise changed(content.source.uri)
        identity = content.source.identity
        verification = Verification(
            columns,
            reading.missing,
            widen_declared=options.on_type_error == "widen",
            habits=reading.habits,
        )
        _check_key(options.key, columns)
        destination.check(columns)
        familiar.check(reading, destination.replaced)
        steps.progress.expect(content.source.size)
        with steps.step("copy", "copying rows"):
            scan = _store(intake, content, reading, verification)
        is_certain, is_last = content.source.is_certain, not verification.widened
        md5 = content.source.md5() if not is_certain or (intake.hashed and is_last) else ""
    seen = (scan.rows_read, scan.blank_lines, "" if is_certain else md5)
    if earlier and earlier.seen != seen:
        raise changed(content.source.uri)
    return _Pass(scan, verification, identity, md5, seen)


def _headers(columns: Sequence[Column]) -> list[str]:
    return [column.header for column in columns]


def _check_key(key: Sequence[str], columns: Sequence[Column]) -> None:
    names = [column.name for column in columns]
    if lacking := [name for name in key if name not in names]:
        raise UsageError(
            f"the file has no column {lacking[0]!r}, which the key names",
            hint=f"it has: {', '.join(names[:20])}",
        )


def _store(intake: Intake, content: Content, reading: Reading, verification: Verification) -> Scan:
    """Store the rows, unless a column has to be widened; raise an error if one is lost."""
    report, progress = intake.steps.report, intake.steps.progress
    with rejects_file.collector(intake.uri, intake.options, report.resource_id) as rejects:

        def advance(rows: int) -> None:
            progress.advance(content.source.bytes_read, rows)

        scan = Scan(reading, verification, rejects, advance)
        try:
            stored = intake.destination.store(scan)
        finally:
            report.bytes = content.source.bytes_read
            _fill_report(report, scan, rejects)
        if verification.widened:
            rejects.discard()
            return scan
    if not scan.rows_read - rejects.count == scan.rows_verified == stored:
        raise RowsLost(
            f"{scan.rows_read} rows read, {rejects.count} set aside, {stored} stored",
            hint="does a trigger leave rows out? if not, report this file",
        )
    rejects.check(scan.rows_read, stored)
    intake.steps.stored = stored
    report.warnings += _warnings(intake.options, content, scan)
    return scan


def _fill_report(report: Report, scan: Scan, rejects: Rejects) -> None:
    """Put the columns and bad rows into the report, also if the rows could not be stored."""
    report.columns = [
        {
            "id": column.name,
            "type": column.type,
            "label": column.label,
            "inferred_as": column.inferred_as,
            "widened_from": column.widened_from,
            "read_as": column.read_as,
            "missing": scan.signs(index),
            "would_be": column.narrower,
        }
        for index, column in enumerate(scan.columns)
    ]
    report.bad_rows = BadRows(
        rejected=rejects.count,
        repaired=scan.rows_repaired,
        rejects=str(rejects.path) if rejects.count and rejects.path is not None else None,
        first=[{"row": reject.row, "reason": reject.reason} for reject in rejects.first],
    )


def _warnings(options: Options, content: Content, scan: Scan) -> list[str]:
    warnings = scan.warnings(empties=options.mode == "replace")
    if not content.tells_its_end:
        warnings.append(
            "the server does not tell where the file ends: had the connection been cut,"
            " nobody would know"
        )
    return warnings
