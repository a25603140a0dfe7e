"""Artifacts of runs that ended long ago, and tables that killed loads have left: deleted."""

import os

from airflow.sdk import DAG, task

from loader.factory import conf, on_airflow, wiring

with DAG(
    "aircan_cleanup",
    **wiring.common(conf.CLEANUP, __doc__)
    | {"schedule": os.environ.get("AIRCAN_CLEANUP_SCHEDULE", "@daily"), "max_active_runs": 1},
):

    @task
    def clean_up() -> None:
        on_airflow.clean_up()

    clean_up()
