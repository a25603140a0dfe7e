"""Artifacts of finished runs -> deleted, once they are older than the retention.

In: the artifacts, an age, and how to ask Airflow whether a run still goes. Out: what was freed.
Holds a line for each run that is old enough.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from loader.errors import ArtifactsError, loggable
from loader.factory.artifacts import Artifacts, RunFolder

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A run that is old enough, or whose age nobody can tell, and whose artifacts stay.

    Attributes:
        run_id: Empty, if it is the folder of a DAG that cannot be looked into.
        reason: What went wrong; some of the artifacts may be gone.
    """

    dag_id: str
    run_id: str
    reason: str


@dataclass(frozen=True)
class Swept:
    """What was freed, or would be if it is a dry run."""

    dry_run: bool
    freed: tuple[RunFolder, ...]
    kept: tuple[Kept, ...]

    @property
    def runs(self) -> int:
        """How many runs left no artifacts any more."""
        return len(self.freed)

    @property
    def files(self) -> int:
        """How many files that were."""
        return sum(run.files for run in self.freed)

    @property
    def bytes(self) -> int:
        """How many bytes those were."""
        return sum(run.bytes for run in self.freed)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "dry_run": self.dry_run,
            "runs": self.runs,
            "files": self.files,
            "bytes": self.bytes,
            "freed": [
                {
                    "dag_id": run.dag_id,
                    "run_id": run.run_id,
                    "newest": run.newest.isoformat(),
                    "files": run.files,
                    "bytes": run.bytes,
                }
                for run in self.freed
            ],
            "kept": [
                {"dag_id": run.dag_id, "run_id": run.run_id, "reason": run.reason}
                for run in self.kept
            ],
        }


def sweep(  # noqa: PLR0913  (one job, and whose artifacts it may touch)
    artifacts: Artifacts,
    older_than: timedelta,
    is_going: Callable[[str, str], bool],
    *,
    dag_ids: Sequence[str],
    dry_run: bool,
    now: datetime,
) -> Swept:
    """Delete the artifacts of runs that wrote nothing for a time, and that have ended.

    Args:
        artifacts: Where they are.
        older_than: How long the newest of a run's files is kept.
        is_going: Whether a run, by its dag_id and run_id, has not ended yet. Of a run that it
            cannot tell for, nothing is deleted.
        dag_ids: Of these DAGs only: all else below BASE belongs to somebody else.
        dry_run: Only list.
        now: The time, with its zone.

    Returns:
        What was freed, and the runs for which something went wrong.

    Raises:
        ArtifactsError: The artifacts cannot be listed.
    """
    freed: list[RunFolder] = []
    kept: list[Kept] = []

    def unreadable(parts: tuple[str, ...], error: ArtifactsError) -> None:
        _note(kept, Kept(parts[0], "/".join(parts[1:]), str(error)))

    # All of them before the first is deleted: no list changes while it is read.
    listed = artifacts.runs(dag_ids, unreadable)
    old = [run for run in listed if now - run.newest > older_than]
    for run in old:
        try:
            if is_going(run.dag_id, run.run_id):
                continue
            if not dry_run:
                artifacts.delete(run)
        except Exception as error:  # noqa: BLE001  whatever Airflow's client raises: in doubt it stays
            _note(kept, Kept(run.dag_id, run.run_id, loggable(error)))
        else:
            freed.append(run)
    swept = Swept(dry_run, tuple(freed), tuple(kept))
    done = "to be deleted" if dry_run else "deleted"
    _log.info("artifacts of %d runs %s: %d bytes", swept.runs, done, swept.bytes)
    return swept


def _note(kept: list[Kept], run: Kept) -> None:
    kept.append(run)
    _log.warning("%s/%s stays: %s", run.dag_id, run.run_id, run.reason)
