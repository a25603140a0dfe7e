"""What somebody asks for once more: a resource, the resources of a dataset, or all that failed."""

from airflow.sdk import DAG, task, task_group

from loader.factory import conf, dag_parts, on_airflow

with DAG("aircan_reload", **dag_parts.arguments("aircan_reload", conf.RELOAD, __doc__)):

    @task
    def find() -> list[int]:
        return on_airflow.find()

    @task_group
    def resource(number: int) -> None:  # noqa: ARG001  (its tasks know theirs by their map index)
        dag_parts.load()

    resource.expand(number=find())
