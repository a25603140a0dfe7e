"""A DagRun that ended without its last task -> CKAN is told how each of its resources did.

In: the run, as those know it who hear of its end, and its conf. Out: the ``report`` step, done for
each resource whose end was not told yet. Holds a line for each resource.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from loader.errors import ArtifactsError, loggable
from loader.factory import conf as confs
from loader.factory import selection, tasks
from loader.factory.run import REPORT, Run

_log = logging.getLogger(__name__)

# A thousand resources take a CKAN three minutes, and one that is away 40 s each. A run's end is
# known to Airflow too, which CKAN asks after jobs that it has heard nothing of.
_LONGEST_S = 900.0


def tell(run: Run, conf: Mapping[str, Any], reason: str, longest_s: float = _LONGEST_S) -> None:
    """Tell CKAN the end of all that the run was to load; what goes wrong with that is logged.

    Args:
        run: The run, without a conf.
        conf: What the run was asked for.
        reason: Why it failed, where no step left an error.
        longest_s: Seconds after which the resources that are left are not told any more.
    """
    try:
        parts = list(_parts(run, conf))
    except Exception as error:  # noqa: BLE001  the outermost edge: nobody hears this thread
        _log.warning("CKAN was not told how %s ended: %s", run.run_id, loggable(error))
        return
    end = time.monotonic() + longest_s
    for number, part in enumerate(parts):
        if time.monotonic() >= end:
            _log.warning(
                "CKAN is too slow to be told how %d of the %d resources of %s ended",
                len(parts) - number,
                len(parts),
                run.run_id,
            )
            return
        _report_end(part, reason)


def _report_end(run: Run, reason: str) -> None:
    """Tell CKAN how the load of one resource ended; an error here must not stop the next ones."""
    try:
        if not _is_reported(run) and isinstance(end := tasks.tell_end(run, reason), ArtifactsError):
            _log.warning("how %s of %s ended is unknown: %s", run.conf.resource_id, run.run_id, end)
    except Exception as error:  # noqa: BLE001  as above
        named = run.conf.resource_id
        _log.warning("CKAN was not told how %s of %s ended: %s", named, run.run_id, loggable(error))


def _is_reported(run: Run) -> bool:
    try:
        return run.place("report").exists(REPORT)
    except ArtifactsError:
        return False  # better twice than not at all


def _parts(run: Run, conf: Mapping[str, Any]) -> Iterator[Run]:
    """Yield a run for each resource that it was to load."""
    if run.dag_id != "aircan_reload":
        yield replace(run, conf=confs.read(conf))
        return
    for number, resource_id in selection.numbered(run):
        part = replace(run, group="resource.", index=str(number))
        yield replace(part, conf=confs.read_without_resource(conf, resource_id))
