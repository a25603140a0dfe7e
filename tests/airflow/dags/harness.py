"""A DAG to try the tests' Airflow with: mapped tasks, and a last one that fails if asked to."""

from __future__ import annotations

import logging
import os

from airflow.sdk import Param, dag, task

log = logging.getLogger(__name__)


@dag(
    schedule=None,
    params={
        "upto": Param(3, type="integer", minimum=1, maximum=100),
        "fail": Param(default=False, type="boolean"),
    },
)
def harness():
    @task
    def numbers(params: dict) -> list[int]:
        import loader  # noqa: PLC0415

        log.info("loader %s, artifacts %s", loader.__version__, os.environ["AIRCAN_ARTIFACTS"])
        return list(range(params["upto"]))

    @task
    def double(number: int) -> int:
        return 2 * number

    @task
    def add(doubles: list[int], params: dict) -> int:
        if params["fail"]:
            raise ValueError("asked to fail")
        return sum(doubles)

    add(double.expand(number=numbers()))


harness()
