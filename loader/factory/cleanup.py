"""What nobody needs any more -> deleted: artifacts of old runs, tables that killed loads left.

In: the run of the cleanup, an age. Out: its report.json. Holds what ``retention`` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone

from loader.copy import database, relation
from loader.factory.conf import STEPS
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
        AircanError: Artifacts or tables cannot be listed.
    """
    now = datetime.now(timezone.utc)
    tables = _orphans(run.datastore_url(), dry_run=dry_run)  # may fail: before what is told of
    for table in tables:
        _log.info("%s %s", "would drop" if dry_run else "dropped", table)
    swept = sweep(run.artifacts, older_than, is_going, dag_ids=_DAGS, dry_run=dry_run, now=now)
    run.place("clean_up").write(REPORT, swept.to_dict() | {"tables": tables})


def _orphans(url: str | None, *, dry_run: bool) -> list[str]:
    if url is None:
        return []
    with closing(database.connect(database.normalise_url(url), "cleanup")) as connection:
        return relation.drop_all_orphans(connection, dry_run=dry_run)
