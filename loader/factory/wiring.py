"""The steps of ``loader.factory.tasks`` -> tasks of the DAG that is being defined, in their order.

In: nothing. Out: tasks. Is read with the DAG files: imports nothing of weight but Airflow's SDK.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, task

from loader.factory import on_airflow

# A passing fault is tried again; what no retry can help fails at once.
_RETRIES = {
    "retries": 4,
    "retry_delay": timedelta(seconds=float(os.environ.get("AIRCAN_RETRY_DELAY_S", "15"))),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}

# A load takes a slot of its database by itself; one through CKAN's API, which knows no database,
# is counted by Airflow, with all others of its DAG. What is no number, the task complains of.
_MAX_LOADS = os.environ.get("AIRCAN_MAX_LOADS", "").strip()
_LOADS = {"max_active_tis_per_dag": int(_MAX_LOADS) or None} if _MAX_LOADS.isdecimal() else {}


def common(params: Mapping[str, Mapping[str, Any]], doc: str | None) -> dict[str, Any]:
    """Return what all DAGs have in common.

    Args:
        params: Of ``loader.factory.conf``.
        doc: The DAG's docstring, which Airflow shows.
    """
    return {
        "schedule": None,
        "catchup": False,
        "max_active_runs": int(os.environ.get("AIRCAN_MAX_ACTIVE_RUNS", "16")),
        "dagrun_timeout": timedelta(hours=float(os.environ.get("AIRCAN_TIMEOUT_HOURS", "24"))),
        "default_args": _RETRIES,
        "params": {name: Param(**param) for name, param in params.items()},
        "tags": ["aircan"],
        "doc_md": doc,
    }


def load_one() -> None:
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


def validate_one() -> None:
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
