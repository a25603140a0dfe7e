"""Artifacts of runs that ended long ago, and tables that killed loads have left: deleted."""

from airflow.sdk import DAG, task

from loader.factory import conf, dag_parts, environment, on_airflow

with DAG(
    "aircan_cleanup",
    **dag_parts.arguments("aircan_cleanup", conf.CLEANUP, __doc__)
    | {"schedule": environment.CLEANUP_SCHEDULE.tolerant(), "max_active_runs": 1},
):

    @task
    def clean_up() -> None:
        on_airflow.clean_up()

    clean_up()
