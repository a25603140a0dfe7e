"""The steps of a load that may each have a process of their own, as the data factory's tasks have.

In: a source's rows, which ``convert`` writes down and ``send`` sends to CKAN's API; the report of
a load, by which ``register`` tells CKAN of it. Holds what ``intake`` holds, or one batch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from loader.ckan import destination as api
from loader.errors import AircanError
from loader.options import Options
from loader.pipeline import portal, rejects_file
from loader.pipeline.intake import Intake, take_in
from loader.pipeline.registration import Registration, gone, is_gone, tell_ckan
from loader.pipeline.reported import new_report, reported
from loader.progress import Progress, Silent
from loader.report import Report, TableState
from loader.steps import BeforeColumnsChange, Steps, do_nothing

if TYPE_CHECKING:
    from loader.ckan.actions import Table
    from loader.ckan.client import Ckan

_log = logging.getLogger(__name__)


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
    uri = os.fspath(uri)
    report = new_report(uri, options)
    steps = Steps(report, progress or Silent())
    with reported(report) as ending, portal.opened(options) as ckan:
        with api.opened(ckan, report.resource_id, options.sending, steps) as destination:
            ending.destination = destination
            fetching = portal.fetching(ckan, uri, options)
            scan, report.hash = take_in(Intake(uri, fetching, steps, destination, hashed=True))
            report.rows, warnings = destination.write(scan, rows)
            report.warnings += warnings
        rejects_file.remove_stale(options, report)
    return Converted(report, destination.table)


def send(  # noqa: PLR0913  (what is sent, how, and whom to ask)
    rows: Iterator[bytes],
    converted: Converted,
    options: Options = Options(),
    progress: Progress | None = None,
    *,
    before_columns_change: BeforeColumnsChange | None = None,
    before_change: Callable[[], None] = do_nothing,
    on_replacing: Callable[[], None] = do_nothing,
) -> Report:
    """Send what ``convert`` wrote to CKAN's API; it is left to ``register`` to show it.

    Args:
        rows: The lines that were written.
        converted: Of ``convert``.
        options: As for ``convert``.
        progress: Is told of every batch.
        before_columns_change: As for ``load``.
        before_change: As for ``load``.
        on_replacing: Is called directly before a table that is to be replaced is changed: from
            then on it is no longer as ``convert`` has seen it.

    Returns:
        The report of both.

    Raises:
        AircanError: As ``load``.
    """
    report = converted.report
    steps = Steps(report, progress or Silent(), before_columns_change, before_change)
    # This try does not know how far an earlier one came.
    earlier: TableState = "unknown" if converted.is_replacing else "untouched"
    with (
        reported(report, earlier) as ending,
        portal.opened(options) as ckan,
        api.opened(ckan, report.resource_id, options.sending, steps) as destination,
    ):
        ending.destination = destination
        table = destination.table if converted.is_replacing else converted.table
        destination.go_on(table, on_replacing)
        with Registration(ckan, steps, destination).withdrawn_if_gone():
            report.rows, warnings = destination.send(report.columns, rows)
        report.warnings += warnings
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
    with portal.required_ckan(options) as ckan:
        try:
            tell_ckan(ckan, report)
        except AircanError as error:
            if not is_gone(ckan, report.resource_id):
                raise
            if dropped := _withdraw(ckan, report, options):
                report.table = "dropped"
            raise gone(report.resource_id, dropped=dropped) from error


def _withdraw(ckan: Ckan, report: Report, options: Options) -> bool:
    url = None if options.via == "api" else options.datastore_url
    try:
        if report.via == "copy" and url is not None:
            from loader.copy import destination as copy  # noqa: PLC0415  (CKAN's API needs no psycopg)

            return copy.withdraw(url, ckan, report.resource_id)
        return ckan.drop_table(report.resource_id)
    except AircanError as error:
        _log.warning("the table of %s is not dropped: %s", report.resource_id, error)
        return False
