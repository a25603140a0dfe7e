"""A source's URI -> a loaded table and its Report. Only this module knows the order of the steps.

    source: content -> formats: blocks -> scan: verified blocks -> copy or ckan: stored
    -> keys and index -> swap -> register        (a first load: keys -> swap -> register -> index)

No environment variable is read here: what names a database, a CKAN or a token is in the options.
Holds a few blocks for each lane, and nothing that grows with the file but the keys of an upsert
through CKAN's API.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from loader.choices import TakenVia
from loader.ckan import destination as api
from loader.destination import Destination
from loader.embedded import server as embedded
from loader.errors import (
    AuthenticationFailed,
    DatabaseFull,
    DatabaseUnreachable,
    PermissionDenied,
    UsageError,
)
from loader.net.uri import split_scheme
from loader.options import Options
from loader.pipeline import portal, rejects_file
from loader.pipeline.intake import Intake, take_in
from loader.pipeline.registration import Registration
from loader.pipeline.reported import new_report, reported
from loader.progress import Progress, Silent
from loader.report import Report
from loader.steps import BeforeColumnsChange, Steps, do_nothing

if TYPE_CHECKING:
    from loader.ckan.client import Ckan

# After these, `auto` goes on with CKAN's API. Not after a fault that may pass, such as a restart of
# the database: the API empties the table before the new rows come.
_DENIALS = (AuthenticationFailed, PermissionDenied)
_NOT_NAMED = "the DataStore's database is not named"


def load(  # noqa: PLR0913  (what is loaded, how, and whom to ask and tell)
    uri: str | os.PathLike[str],
    options: Options = Options(),
    progress: Progress | None = None,
    *,
    registers: bool = True,
    before_columns_change: BeforeColumnsChange | None = None,
    before_change: Callable[[], None] = do_nothing,
) -> Report:
    """Load a CSV into a DataStore table, which is replaced when the new one is whole.

    Args:
        uri: A local path, or an http(s):// or gs:// URL.
        options: How to load.
        progress: Is told of every step and block.
        registers: Whether CKAN is told in the end; else it is left to ``separate.register``.
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
    uri = os.fspath(uri)
    report = new_report(uri, options)
    steps = Steps(report, progress or Silent(), before_columns_change, before_change)
    with reported(report) as ending, ExitStack() as stack:
        ckan = stack.enter_context(portal.opened_if_named(options))
        destination = ending.destination = _open(stack, options, steps, ckan)
        fetching = portal.fetching(ckan, uri, options)
        hashed = ckan is not None  # CKAN remembers which file a table is of
        scan, md5 = take_in(Intake(uri, fetching, steps, destination, hashed))
        registration = Registration(ckan, steps, destination)
        with registration.withdrawn_if_gone():
            report.rows, warnings = destination.finish(scan)
            report.warnings += warnings + _replaced(options, report, destination)
            if not destination.settled:  # a first load: rows are shown before they are indexed
                registration.show(registers=registers)
                report.warnings += destination.settle()
                registration.check_indexed()
            report.hash = (md5 or None) if destination.settled else None
            if registers and destination.settled:
                registration.register()
        rejects_file.remove_stale(options, report)
    return report


def _replaced(options: Options, report: Report, destination: Destination) -> list[str]:
    """Warn if the file's name alone named the table: another file may have the same name."""
    if options.resource_id is None and options.mode == "replace" and destination.existed:
        return [f"replaced the table {report.resource_id}"]
    return []


def _by_copy(
    url: str, options: Options, steps: Steps, ckan: Ckan | None
) -> AbstractContextManager[Destination]:
    from loader.copy import destination as copy  # noqa: PLC0415  (0.6 s: CKAN's API needs neither psycopg nor SQLAlchemy)

    return copy.opened(url, steps.report.resource_id, options.copying, steps, ckan)


def _by_api(ckan: Ckan, options: Options, steps: Steps) -> AbstractContextManager[Destination]:
    return api.opened(ckan, steps.report.resource_id, options.sending, steps)


Opens = Callable[[str, Options, Steps, "Ckan | None"], AbstractContextManager[Destination]]

# What opens the place that ``datastore_url`` names, by the scheme of that URL.
DESTINATIONS: dict[str, Opens] = {"postgresql": _by_copy, "postgres": _by_copy}


def _open(stack: ExitStack, options: Options, steps: Steps, ckan: Ckan | None) -> Destination:
    """Open the destination that the options name, or the fastest that may be used."""
    url = options.datastore_url
    if ckan is None:
        return stack.enter_context(_at(url or embedded.start(), options, steps, ckan))
    if options.via == "api":
        return stack.enter_context(_by_api(ckan, options, steps))
    if options.via == "copy":
        if not url:
            raise UsageError(
                "the database of CKAN's DataStore is not named",
                hint="name it",
                option="datastore_url",
            )
        return stack.enter_context(_at(url, options, steps, ckan))
    reason = _NOT_NAMED
    try:
        if url:
            return stack.enter_context(_at(url, options, steps, ckan))
    except _DENIALS as error:
        reason = str(error)
    except (DatabaseFull, DatabaseUnreachable) as error:
        error.hint = f"{error.hint}; CKAN's API is a way without it"
        error.option = "via"
        raise
    steps.warn(f"loaded through CKAN's API, since {reason}")
    return stack.enter_context(_by_api(ckan, options, steps))


def _at(
    url: str, options: Options, steps: Steps, ckan: Ckan | None
) -> AbstractContextManager[Destination]:
    # `postgresql+psycopg2` is SQLAlchemy's. COPY says what is wrong with a URL of any other scheme.
    scheme = split_scheme(url.strip())[0].partition("+")[0]
    return DESTINATIONS.get(scheme, _by_copy)(url, options, steps, ckan)


def choose_via(options: Options) -> tuple[TakenVia, str]:
    """Return whether a load into a CKAN goes by COPY or through its API.

    Args:
        options: Of the load.

    Returns:
        Which of them; and why it is not COPY, or '' where there is nothing to explain.

    Raises:
        DatabaseError: The database cannot be asked now whether the load may use COPY.
    """
    if options.via != "auto":
        return options.via, ""
    url = options.datastore_url
    if not url:
        return "api", _NOT_NAMED
    from loader.copy import destination as copy  # noqa: PLC0415  (as above)

    try:
        copy.check_rights(url, options.resource_id or "")
    except _DENIALS as error:
        return "api", str(error)
    return "copy", ""
