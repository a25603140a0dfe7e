"""What nobody needs any more -> deleted: artifacts of old runs, tables that killed loads left.

The tables of resources that are gone are no longer to be seen by anybody: they go too.

In: the run of the cleanup, an age. Out: its report.json. Holds what ``retention`` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from loader.copy import database, gone, shadow
from loader.errors import AircanError, CkanError
from loader.factory.conf import STEPS
from loader.factory.connections import NoConnection
from loader.factory.retention import sweep
from loader.factory.run import REPORT, Run

_log = logging.getLogger(__name__)
_DAGS = (*STEPS, "aircan_cleanup")


@dataclass
class _Tables:
    """What became of tables, as far as it came: what fails later does not hide it."""

    orphans: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        _log.warning("%s", message)
        self.warnings.append(message)


def clean_up(
    run: Run, older_than: timedelta, is_going: Callable[[str, str], bool], *, dry_run: bool
) -> None:
    """Delete what is old enough and belongs to no run that is still going.

    Args:
        run: This one.
        older_than: How long artifacts are kept.
        is_going: Whether a run, by its dag_id and run_id, has not ended yet.
        dry_run: Only list.

    Raises:
        AircanError: Artifacts or tables cannot be listed. What could be deleted is, all the same.
    """
    now = datetime.now(timezone.utc)
    found = _Tables()
    failure: AircanError | None = None
    try:
        _drop_tables(run, found, dry_run=dry_run)
    except AircanError as error:  # the artifacts need no database
        _log.warning("the tables that nobody needs any more stay: %s", error)
        failure = error
    for table in found.orphans + found.gone:
        _log.info("%s %s", "would drop" if dry_run else "dropped", table)
    swept = sweep(run.artifacts, older_than, is_going, dag_ids=_DAGS, dry_run=dry_run, now=now)
    report = {
        "tables": found.orphans,
        "gone": found.gone,
        "warnings": found.warnings,
        "error": failure.to_dict() if failure else None,
    }
    run.place("clean_up").write(REPORT, swept.to_dict() | report)
    if failure:
        raise failure


def _drop_tables(run: Run, found: _Tables, *, dry_run: bool) -> None:
    """Drop what killed loads have left, and the tables of resources that are gone."""
    url = run.datastore_url()
    if url is None:
        return
    with closing(database.connect(database.normalise_url(url), "cleanup")) as connection:
        for table in shadow.drop_all_orphans(connection, dry_run=dry_run):
            found.orphans.append(table)
        try:
            _drop_gone(run, connection, found, dry_run=dry_run)
        except (NoConnection, CkanError) as error:  # the artifacts are to go all the same
            found.warn(f"tables of deleted resources may be left: {error}")


def _drop_gone(run: Run, connection: database.Connection, found: _Tables, *, dry_run: bool) -> None:
    with run.ckan() as ckan:
        if not gone.is_datastore_of(connection, ckan):
            is_unknown = f"is this {ckan.url}'s DataStore?"
            found.warn(f"no tables of deleted resources are dropped: {is_unknown}")
            return
        for table in gone.drop_all(connection, ckan, dry_run=dry_run):
            found.gone.append(table)
