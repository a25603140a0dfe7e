"""What the tasks of a job have logged -> a page of lines, from Airflow while it has them.

In: a job, a step, a page. Out: lines, the newest last. Holds the log of one task.
"""

from __future__ import annotations

from typing import Any

from ckanext.aircan import config, jobs
from ckanext.aircan.airflow import AirflowError
from ckanext.aircan.model import Job

_LINES = 200  # of a page


def page(job: Job, step: str | None, number: int | None) -> dict[str, Any]:
    """Return a page of a log.

    Args:
        job: The job.
        step: The task; by default the first that failed, or else the one that began last.
        number: Of the page, from 1; by default the last.

    Returns:
        ``step``, ``steps``, ``page``, ``pages``, ``lines``, and ``problem``: why it is not
        Airflow's log, but what the job has told CKAN.
    """
    try:
        steps, step, lines = _of_airflow(job, step)
        problem = None
    except AirflowError as error:
        steps, step, lines, problem = [], None, _messages(job), str(error)
    pages = max(1, -(-len(lines) // _LINES))
    number = min(number or pages, pages)
    return {
        "step": step,
        "steps": steps,
        "page": number,
        "pages": pages,
        "lines": lines[(number - 1) * _LINES : number * _LINES],
        "problem": problem,
    }


def _of_airflow(job: Job, step: str | None) -> tuple[list[str], str | None, list[str]]:
    airflow = config.airflow()
    if not job.is_submitted:
        return [], None, _messages(job)
    if not jobs.is_alone(job, airflow):
        hint = "see it there"
        raise AirflowError("the run is about other resources, too: its log is in Airflow", hint)
    dag_id = job.info["dag_id"]
    tasks = [task for task in airflow.tasks(dag_id, job.factory_id) if task.started]
    steps = [task.task_id for task in tasks]
    if not tasks:
        return [], None, _messages(job)
    asked = [task for task in tasks if task.task_id == step]
    failed = [task for task in tasks if task.state == "failed"]
    task = [*asked, *failed, tasks[-1]][0]
    lines = airflow.log(dag_id, job.factory_id, task.task_id, task.tries, task.map_index)
    return steps, task.task_id, lines


def _messages(job: Job) -> list[str]:
    return [
        " ".join(filter(None, (update["at"], update["step"], update["message"])))
        for update in job.info.get("messages", [])
    ]
