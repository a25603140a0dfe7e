"""DAGs to try a client of Airflow's REST API with; both Airflow 2 and Airflow 3 read them."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import Param, dag, task
except ImportError:
    from airflow.decorators import dag, task
    from airflow.models.param import Param

log = logging.getLogger(__name__)

FACTS = {"schedule": None, "start_date": datetime(2020, 1, 1, tzinfo=timezone.utc)}


@dag(
    **FACTS,
    params={
        "name": Param("world", type="string", minLength=3),
        "lines": Param(0, type="integer"),
    },
)
def quick():
    @task
    def greet(params: dict) -> list[str]:
        for number in range(params["lines"]):
            log.info("line %d", number)
        log.warning("hello <%s>\nand goodbye — ünïcode", params["name"])
        return ["a", "b"]

    @task
    def spell(letter: str) -> None:
        log.info("letter %s", letter)

    spell.expand(letter=greet())


@dag(**FACTS)
def sleeping():
    @task
    def sleep() -> None:
        log.info("going to sleep")
        time.sleep(600)

    @task
    def wake() -> None:
        log.info("never")

    sleep() >> wake()


@dag(**FACTS, default_args={"retries": 1, "retry_delay": timedelta(seconds=0)})
def failing():
    @task
    def fail(ti: object = None) -> None:
        raise ValueError(f"asked to fail in try {ti.try_number}\nit was of no use")

    fail()


quick()
sleeping()
failing()
