"""What nobody needs any more -> deleted: artifacts of old runs, tables that killed loads left.

The tables of resources that are gone are no longer to be seen by anybody: they go too.

In: the run of the cleanup, an age. Out: its report.json. Holds what ``retention`` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone

import psycopg
from psycopg.rows import TupleRow

from loader.copy import database, gone, relation
from loader.errors import AircanError, CkanError
from loader.factory.conf import STEPS
from loader.factory.connections import NoConnection
from loader.factory.retention import sweep
from loader.factory.tasks import REPORT, Run

_log = logging.getLogger(__name__)
_DAGS = (*STEPS, "aircan_cleanup")


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
    orphans: list[str] = []
    deleted: list[str] = []
    failure: AircanError | None = None
    try:
        orphans, deleted = _tables(run, dry_run=dry_run)
    except AircanError as error:  # the artifacts need no database
        _log.warning("the tables that nobody needs any more stay: %s", error)
        failure = error
    for table in orphans + deleted:
        _log.info("%s %s", "would drop" if dry_run else "dropped", table)
    swept = sweep(run.artifacts, older_than, is_going, dag_ids=_DAGS, dry_run=dry_run, now=now)
    told = {"tables": orphans, "gone": deleted, "error": failure.to_dict() if failure else None}
    run.place("clean_up").write(REPORT, swept.to_dict() | told)
    if failure:
        raise failure


def _tables(run: Run, *, dry_run: bool) -> tuple[list[str], list[str]]:
    """Drop what killed loads have left, and the tables of resources that are gone."""
    url = run.datastore_url()
    if url is None:
        return [], []
    with closing(database.connect(database.normalise_url(url), "cleanup")) as connection:
        orphans = relation.drop_all_orphans(connection, dry_run=dry_run)
        return orphans, _drop_gone(run, connection, dry_run=dry_run)


def _drop_gone(run: Run, connection: psycopg.Connection[TupleRow], *, dry_run: bool) -> list[str]:
    try:
        ckan = run.ckan()
        dropped = gone.drop_all(connection, ckan, dry_run=dry_run)
        if dropped is not None:
            return dropped
        _log.warning(
            "no tables of deleted resources are dropped: is this %s's DataStore?", ckan.url
        )
    except (NoConnection, CkanError) as error:  # the artifacts are to go all the same
        _log.warning("no tables of deleted resources are dropped: %s", error)
    return []
