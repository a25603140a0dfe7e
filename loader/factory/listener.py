"""DagRuns that end without their last task -> the job's status in CKAN.

Of a run that times out, or that somebody marks failed, Airflow's scheduler or API server informs
listeners only. This is one, a plugin that Airflow finds by its entry point. In: the run.
Out: one call of CKAN for each resource whose end was not told yet, in a thread of its own, since a
slow CKAN must not stop the scheduler.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from loader.errors import loggable
from loader.factory.conf import STEPS

_log = logging.getLogger(__name__)
# What Airflow's scheduler calls them.
_REASONS = {"timed_out": "it took too long", "task_failure": "one of its tasks did"}


@dataclass(frozen=True)
class _Ended:
    """What is kept of a run: Airflow's object is bound to its session."""

    dag_id: str
    run_id: str
    conf: Mapping[str, Any]
    reason: str


class Listener:
    """Hears of the ends of runs."""

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:  # noqa: ANN401
        """Tell CKAN, unless a task has told it already."""
        _hear(dag_run, f"the run failed: {_REASONS.get(msg, 'it was stopped in Airflow')}")

    @hookimpl
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:  # noqa: ANN401, ARG002
        """Do the same, for a run of which single tasks were done again."""
        _hear(dag_run, "")


def _hear(dag_run: Any, reason: str) -> None:  # noqa: ANN401
    if dag_run.dag_id in STEPS:
        ended = _Ended(dag_run.dag_id, dag_run.run_id, dict(dag_run.conf or {}), reason)
        threading.Thread(target=_report_ends, args=(ended,), name="aircan-status").start()


def _report_ends(ended: _Ended) -> None:
    from loader.factory import ending, on_airflow  # noqa: PLC0415  (nobody else here needs them)
    from loader.factory.run import Run  # noqa: PLC0415

    try:
        artifacts, settings = on_airflow.artifacts(), on_airflow.settings(ended.dag_id)
    except Exception as error:  # noqa: BLE001  the outermost edge: nobody hears this thread
        _log.warning("CKAN was not told how %s ended: %s", ended.run_id, loggable(error))
        return
    run = Run(ended.dag_id, ended.run_id, artifacts, on_airflow.connection, settings)
    ending.tell(run, ended.conf, ended.reason)


class AircanPlugin(AirflowPlugin):
    """What Airflow loads."""

    name = "aircan"
    listeners: ClassVar = [Listener()]
