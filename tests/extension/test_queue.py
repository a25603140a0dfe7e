"""What waits in CKAN's queue, and how long a pass takes: a submission stands behind all of it."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from loads import sql
from parts import Jobs, Mails, until
from portal import Portal
from standalone import Airflow

QUEUE = "aside"  # which nobody works off
LOOK_AFTER = "AirCan: look after what is going"
STOP = "AirCan: stop what was deleted or made private"
MAILS = "AirCan: mails of failures"
IN_VAIN = 3
CLAIM_S = 15  # how long a look of a page was enough


@pytest.fixture
def factory_portal(factory_portal_212: Portal) -> Portal:
    """The newer CKAN only: nothing here hangs on its version."""
    return factory_portal_212


@pytest.fixture
def portal(factory_portal: Portal) -> Portal:
    """It, in short."""
    return factory_portal


@pytest.fixture
def aside(portal: Portal) -> Iterator[Portal]:
    """A portal whose background jobs wait until `work_off` is called."""
    portal.reconfigure({"ckanext.aircan.queue": QUEUE})
    yield portal
    work_off(portal)
    portal.reconfigure({"ckanext.aircan.queue": "default"})


def waiting(portal: Portal, title: str) -> int:
    """Return how many background jobs of a title wait."""
    return portal.ckan("jobs", "list", QUEUE).count(f'"{title}"')


def work_off(portal: Portal) -> None:
    portal.ckan("jobs", "worker", "--burst", QUEUE)


def add_job(portal: Portal, status: str, dataset: str, **info: Any) -> str:
    """Add a job of a resource that never was, which nobody has heard of for a day."""
    job_id, run_id = str(uuid.uuid4()), None
    if status != "WAITING":
        run_id = f"aircan__{job_id}"
    values = (job_id, run_id, dataset, str(uuid.uuid4()), status)
    info = {"dag_id": "aircan_validate", "trigger": "submit", "attempts": 0, **info}
    sql = (
        "INSERT INTO aircan_job (id, factory_id, job_type, created, updated, dataset, resource,"
        " status, info) VALUES (%s, %s, 'VALIDATE', now() - interval '1 day',"
        " now() - interval '1 day', %s, %s, %s, %s)"
    )
    with psycopg.connect(portal.main_url) as connection:
        connection.execute(sql, [*values, json.dumps(info)])
    return job_id


def of_jobs(portal: Portal, key: str, job_ids: list[str]) -> list[Any]:
    """Return what the infos of jobs hold by that key, where they do."""
    with psycopg.connect(portal.main_url) as connection:
        rows = connection.execute(
            "SELECT info->%s FROM aircan_job WHERE id = ANY(%s) AND info ? %s", [key, job_ids, key]
        )
        return [row[0] for row in rows]


@contextmanager
def hanging(at_first: Callable[[], None]) -> Iterator[tuple[str, list[float]]]:
    """Give the URL of an Airflow that takes questions and answers none, and when it was asked."""
    asked: list[float] = []
    held = []

    def listen() -> None:
        while True:
            try:
                held.append(server.accept()[0])
            except OSError:
                return
            if not asked:
                at_first()
            asked.append(time.monotonic())

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


class TestAnAirflowThatHangs:
    @pytest.fixture
    def configured(self, portal: Portal, airflow: Airflow) -> Iterator[Callable[..., None]]:
        """Commands have another Airflow than the web server and the worker."""

        def configure(**options: str) -> None:
            pairs = (f"ckanext.aircan.{name}={value}" for name, value in options.items())
            portal.ckan("config-tool", str(portal.ini), *pairs)

        yield configure
        configure(airflow_url=airflow.url, airflow_timeout_s="10")

    def test_reconcile_asks_it_a_few_times_and_does_first_what_needs_it_not(
        self, portal: Portal, jobs: Jobs, configured: Callable[..., None]
    ):
        dataset = portal.new_dataset()["id"]
        loaded = portal.new_resource(upload=b"n\n1\n")["id"]
        assert jobs.ended(loaded)[0]["status"] == "DONE"
        with psycopg.connect(portal.main_url) as connection:  # as if nobody had noticed
            connection.execute("UPDATE resource SET state = 'deleted' WHERE id = %s", [loaded])
        cancelled = [add_job(portal, "CANCELLED", dataset, to_stop=True) for _ in range(10)]
        there: list[bool] = []

        def look() -> None:
            there.append(
                sql(portal, "SELECT to_regclass(quote_ident(%s)) IS NOT NULL", loaded)[0][0]
            )

        with hanging(look) as (url, asked):
            configured(airflow_url=url, airflow_timeout_s="1")
            portal.ckan("aircan", "reconcile")
            first = len(asked)
            assert there == [False]
            assert len(of_jobs(portal, "stop_tried", cancelled)) == IN_VAIN
            portal.ckan("aircan", "reconcile")
            assert len(of_jobs(portal, "stop_tried", cancelled)) == 2 * IN_VAIN
        assert IN_VAIN <= first <= 3 * IN_VAIN  # to stop, to submit, to ask after
        assert of_jobs(portal, "to_stop", cancelled) == [True] * 10

    def test_what_is_left_is_ended_when_it_is_back(
        self, portal: Portal, configured: Callable[..., None], airflow: Airflow
    ):
        dataset = portal.new_dataset()["id"]
        cancelled = [add_job(portal, "CANCELLED", dataset, to_stop=True) for _ in range(5)]
        with hanging(lambda: None) as (url, _):
            configured(airflow_url=url, airflow_timeout_s="1")
            portal.ckan("aircan", "reconcile")
        configured(airflow_url=airflow.url, airflow_timeout_s="10")

        def asked_again() -> bool:
            portal.ckan("aircan", "reconcile")
            return of_jobs(portal, "to_stop", cancelled) == [False] * 5

        until(asked_again)


class TestPassesDoNotPileUp:
    def test_of_what_pages_look_at(self, aside: Portal):
        dataset = aside.new_dataset()["id"]
        now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        add_job(aside, "RUNNING", dataset, submitted=now, started=now, private=False)
        work_off(aside)  # whatever others have left
        until(lambda: look(aside, dataset) == 1)
        time.sleep(CLAIM_S + 1)
        assert [look(aside, dataset) for _ in range(3)] == [1, 1, 1]

    def test_of_what_is_deleted(self, aside: Portal):
        resources = [aside.new_resource(format="TXT") for _ in range(3)]
        for resource in resources:
            aside.action("aircan_submit", resource_id=resource["id"])
        for resource in resources:
            aside.action("resource_delete", id=resource["id"])
        assert waiting(aside, STOP) == 1
        work_off(aside)
        assert waiting(aside, STOP) == 0
        dataset = aside.new_dataset()["id"]
        add_job(aside, "RUNNING", dataset)  # one that Airflow does not end meanwhile
        aside.action("package_delete", id=dataset)
        assert waiting(aside, STOP) == 1


def look(portal: Portal, dataset: str) -> int:
    """Look at the jobs of a dataset; return how many passes wait then."""
    with psycopg.connect(portal.main_url) as connection:
        connection.execute(
            "UPDATE aircan_job SET updated = now() - interval '1 day' WHERE dataset = %s", [dataset]
        )
    portal.action("aircan_job_list", "", dataset=dataset)
    return waiting(portal, LOOK_AFTER)


class TestMails:
    """Of loads that fail, in great numbers too."""

    def test_are_none_where_nobody_is_to_be_told(self, aside: Portal):
        for somebody in ({}, {"maintainer": "Ada"}, {"author": "Ada", "maintainer_email": ""}):
            resource = aside.new_resource(
                format="TXT", package_id=aside.new_dataset(**somebody)["id"]
            )
            fails(aside, resource["id"])
        assert "mail" not in aside.ckan("jobs", "list", QUEUE)

    @pytest.mark.parametrize("role", ["maintainer", "author"])
    def test_tell_of_all_that_have_failed_at_once(self, aside: Portal, mails: Mails, role: str):
        somebody = {role: "Ada", f"{role}_email": f"{uuid.uuid4().hex}@example.org"}
        dataset = aside.new_dataset(**somebody)
        resources = [
            aside.new_resource(format="TXT", package_id=dataset["id"], name=f"{number}.csv")["id"]
            for number in range(2)
        ]
        failed = [fails(aside, resources[number % 2], f"fault {number}.") for number in range(23)]
        assert waiting(aside, MAILS) == 1
        work_off(aside)
        (mail,) = mails_to(mails, somebody[f"{role}_email"])
        assert mail["Subject"].startswith("0.csv of ")
        text = mail.get_body().get_content()
        told = [f"fault {number}." in text for number in range(23)]
        assert told == [True] * 20 + [False] * 3
        pages = f"{aside.url}/@city/{dataset['name']}/actions/"
        assert [f"{pages}runs/{job}" in text for job in failed] == told
        assert f"And 3 more: {pages}\n" in text

        failed = [fails(aside, resources[1], f"later {number}.") for number in range(2)]
        work_off(aside)
        assert len(mails_to(mails, somebody[f"{role}_email"])) == 1  # a moment ago
        assert of_jobs(aside, "to_mail", failed) == [True, True]
        forget_the_pause(aside, dataset["id"])
        aside.ckan("aircan", "reconcile")
        assert waiting(aside, MAILS) == 1
        work_off(aside)
        _, mail = mails_to(mails, somebody[f"{role}_email"])
        assert mail["Subject"].startswith("1.csv of ")
        text = mail.get_body().get_content()
        assert all(f"later {number}." in text for number in range(2))
        assert "more:" not in text


def fails(portal: Portal, resource: str, message: str = "a fault") -> str:
    """Tell of a load that has failed in Airflow; return its job's id."""
    job = portal.action(
        "aircan_status_update",
        job_type="LOAD",
        dag_id="aircan_reload",
        run_id=f"manual__{uuid.uuid4()}",
        resource_id=resource,
        sequence=time.time_ns() // 1000,
        status="FAILED",
        step="load",
        message=message,
    )
    return job["id"]


def mails_to(mails: Mails, address: str) -> list[Any]:
    return [mail for mail in mails.got if address in str(mail["To"])]


def forget_the_pause(portal: Portal, dataset: str) -> None:
    """Time passes faster this way."""
    site_id = "default"
    with socket.socket(socket.AF_UNIX) as redis:
        redis.connect(f"{portal.folder}/redis.sock")
        redis.sendall(f"DEL ckanext.aircan:{site_id}:mails:{dataset}\r\n".encode())
        assert redis.recv(100) == b":1\r\n"
