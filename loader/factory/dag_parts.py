"""The steps of ``loader.factory.tasks`` -> tasks of the DAG that is being defined, in their order.

In: nothing. Out: tasks. Is read with the DAG files: imports nothing of weight but Airflow's SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, task

from loader.factory import environment, on_airflow

# A passing fault is tried again; what no retry can help fails at once.
_RETRIES = {
    "retries": 4,
    "retry_delay": environment.RETRY_DELAY.tolerant(),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}

# A load takes a slot of its database by itself; one through CKAN's API, which knows no database,
# is counted by Airflow, with all others of its DAG.
_LOADS = {"max_active_tis_per_dag": environment.MAX_LOADS.tolerant()}


def arguments(
    dag_id: str, params: Mapping[str, Mapping[str, Any]], doc: str | None
) -> dict[str, Any]:
    """Return what all DAGs have in common.

    Settings that cannot be are left to the tasks to fail with, and shown with the DAG: the process
    that reads DAG files may have another environment than the workers.

    Args:
        dag_id: The DAG.
        params: Of ``loader.factory.conf``.
        doc: The DAG's docstring, which Airflow shows.
    """
    faults = [f"**{error}**: {error.hint}" for error in environment.faults(dag_id)]
    return {
        "schedule": None,
        "catchup": False,
        "max_active_runs": environment.MAX_ACTIVE_RUNS.tolerant(),
        "dagrun_timeout": environment.TIMEOUT.tolerant(),
        "default_args": _RETRIES,
        "params": {name: Param(**param) for name, param in params.items()},
        "tags": ["aircan"],
        "doc_md": "\n\n".join(filter(None, [doc, *faults])),
    }


def load() -> None:
    """Load one resource."""

    @task
    def prepare() -> None:
        on_airflow.do("prepare")

    @task
    def convert() -> None:
        on_airflow.do("convert")

    @task(trigger_rule="none_failed", **_LOADS)
    def load() -> None:
        on_airflow.do("load")

    @task
    def register() -> None:
        on_airflow.do("register")

    @task(trigger_rule="all_done")
    def report() -> None:
        on_airflow.do("report")

    prepare() >> convert() >> load() >> register() >> report()


def validate() -> None:
    """Validate one resource."""

    @task
    def prepare() -> None:
        on_airflow.do("look_up")

    @task
    def validate() -> None:
        on_airflow.do("validate")

    @task(trigger_rule="all_done")
    def report() -> None:
        on_airflow.do("report")

    prepare() >> validate() >> report()
