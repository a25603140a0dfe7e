"""What becomes of jobs that Airflow loses; what operators do; what plugins have a say in."""

from __future__ import annotations

import json
import re
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from parts import Jobs, until
from portal import Portal, Refused

LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def factory_portal(factory_portal_212: Portal) -> Portal:
    """The newer CKAN only: nothing here hangs on its version, and each load takes its time."""
    return factory_portal_212


def change(portal: Portal, job_id: str, info: dict[str, Any] | None = None, **columns: Any) -> None:
    """Change a job behind CKAN's back: time passes faster this way."""
    with psycopg.connect(portal.main_url) as connection:
        for name, value in columns.items():
            connection.execute(f"UPDATE aircan_job SET {name} = %s WHERE id = %s", [value, job_id])
        connection.execute(
            "UPDATE aircan_job SET info = info || %s WHERE id = %s",
            [json.dumps(info or {}), job_id],
        )


def tell(portal: Portal, job: dict[str, Any], **told: Any) -> dict[str, Any]:
    """Tell of a job's run what the factory tells."""
    update = {
        "job_id": job["id"],
        "job_type": job["job_type"],
        "dag_id": job["info"]["dag_id"],
        "run_id": job["factory_id"],
        "resource_id": job["resource"],
        "sequence": time.time_ns() // 1000,
        "status": "RUNNING",
        "step": "load",
        "message": "copying rows",
        "info": {},
    }
    return portal.action("aircan_status_update", **update | told)


@pytest.fixture
def waiting(factory_portal: Portal, airflow, jobs: Jobs):
    """A validation that Airflow does not begin: that DAG is paused."""
    airflow.pause("aircan_validate")
    resource = factory_portal.new_resource(upload=b"n\n1\n", format="TXT")["id"]
    ask = {"resource_id": resource, "dag_id": "aircan_validate"}
    job_id = factory_portal.action("aircan_submit", **ask)["id"]
    until(lambda: jobs.of(resource)[0]["info"].get("submitted"))
    yield jobs.of(resource)[0]
    airflow.pause("aircan_validate", paused=False)
    with suppress(Refused):
        factory_portal.action("aircan_job_cancel", id=job_id)


class TestReconcile:
    def test_a_run_that_airflow_lost(self, factory_portal, waiting, airflow):
        airflow.request("DELETE", f"dags/aircan_validate/dagRuns/{waiting['factory_id']}")
        factory_portal.ckan("aircan", "reconcile")
        show = {"id": waiting["id"]}
        assert factory_portal.action("aircan_job_show", **show)["status"] == "WAITING"
        change(factory_portal, waiting["id"], {"submitted": LONG_AGO})
        factory_portal.ckan("aircan", "reconcile")
        job = factory_portal.action("aircan_job_show", **show)
        assert job["status"] == "FAILED"
        assert job["info"]["error"]["message"] == (
            f"Airflow has no run {waiting['factory_id']} of aircan_validate"
        )

    def test_a_job_that_takes_too_long(self, factory_portal, waiting, airflow):
        change(factory_portal, waiting["id"], {"started": LONG_AGO}, status="RUNNING")
        factory_portal.ckan("aircan", "reconcile")
        job = factory_portal.action("aircan_job_show", id=waiting["id"])
        assert (job["status"], job["info"]["message"]) == (
            "FAILED",
            "it has not ended within 25 hours",
        )
        run = airflow.request("GET", f"dags/aircan_validate/dagRuns/{waiting['factory_id']}")
        assert run["state"] == "failed"
        assert tell(factory_portal, waiting)["status"] == "FAILED"  # it has not heard of it yet
        assert tell(factory_portal, waiting, status="DONE")["status"] == "DONE"

    def test_a_cancelling_that_was_interrupted_does_not_hide_a_failure(
        self, factory_portal, waiting
    ):
        error = {"type": "UnclosedQuote", "message": "row 3", "row": 3}
        change(factory_portal, waiting["id"], {"cancelling": LONG_AGO})
        job = tell(factory_portal, waiting, status="FAILED", info={"error": error})
        assert (job["status"], job["info"]["error"]["row"]) == ("FAILED", 3)

    def test_a_job_that_waits_long_in_airflow_s_queue(self, factory_portal, waiting):
        change(factory_portal, waiting["id"], {"submitted": LONG_AGO})
        factory_portal.ckan("aircan", "reconcile")
        job = factory_portal.action("aircan_job_show", id=waiting["id"])
        assert job["status"] == "WAITING"

    def test_a_dag_that_is_paused_says_so(self, factory_portal, waiting):
        job = factory_portal.action("aircan_job_show", id=waiting["id"])
        problem = "the DAG aircan_validate is paused in Airflow"
        assert (job["status"], job["info"]["problem"]) == ("WAITING", problem)

    def test_a_submission_that_was_interrupted(self, factory_portal, waiting, airflow, jobs):
        airflow.request("DELETE", f"dags/aircan_validate/dagRuns/{waiting['factory_id']}")
        with psycopg.connect(factory_portal.main_url) as connection:
            connection.execute(
                "UPDATE aircan_job SET info = info - 'submitted' WHERE id = %s", [waiting["id"]]
            )
        change(factory_portal, waiting["id"], {"claimed": LONG_AGO, "attempts": 5000})
        factory_portal.ckan("aircan", "reconcile")
        (job,) = jobs.of(waiting["resource"])
        assert (job["factory_id"], job["info"]["problem"]) == (None, "Airflow has not got it")
        change(factory_portal, waiting["id"], {"next_attempt": None})
        factory_portal.ckan("aircan", "reconcile")
        (job,) = jobs.of(waiting["resource"])
        assert job["factory_id"] == waiting["factory_id"]

    def test_what_was_deleted_is_not_submitted(self, factory_portal, jobs):
        dataset = factory_portal.new_dataset()["id"]
        fields = {"package_id": dataset, "format": "TXT", "name": "stumbled over"}
        resource = factory_portal.new_resource(upload=b"n\n1\n", **fields)["id"]
        factory_portal.action("resource_patch", id=resource, format="CSV")
        until(lambda: jobs.of(resource)[0]["info"].get("problem"))
        with psycopg.connect(factory_portal.main_url) as connection:
            connection.execute("UPDATE package SET state = 'deleted' WHERE id = %s", [dataset])
        (job,) = jobs.of(resource)
        change(factory_portal, job["id"], {"next_attempt": None})
        factory_portal.ckan("aircan", "reconcile")
        (job,) = jobs.of(resource)
        assert (job["status"], job["info"]["message"]) == (
            "CANCELLED",
            "cancelled: the dataset was deleted",
        )

    @pytest.mark.parametrize(
        ("state", "status", "message"),
        [
            ("success", "DONE", "Airflow says that it went well; its own report did not come"),
            (
                "failed",
                "FAILED",
                "the run failed in Airflow, and its own report did not come",
            ),
        ],
    )
    def test_a_run_whose_end_was_never_told(
        self, factory_portal, jobs, airflow, state, status, message
    ):
        resource = factory_portal.new_resource(upload=b"n\n1\n")["id"]
        (job,) = jobs.ended(resource)
        change(factory_portal, job["id"], status="RUNNING")
        show = {"id": job["id"]}
        assert factory_portal.action("aircan_job_show", **show)["status"] == "RUNNING", (
            "its word may be on its way"
        )
        with psycopg.connect(airflow.database_url) as connection:
            connection.execute(
                "UPDATE dag_run SET state = %s, end_date = now() - interval '3 minutes' "
                "WHERE run_id = %s",
                [state, job["factory_id"]],
            )
        shown = factory_portal.action("aircan_job_show", **show)
        assert (shown["status"], shown["info"]["message"]) == (status, message)


class TestCommands:
    def test_submit_a_dataset(self, factory_portal, jobs):
        dataset = factory_portal.new_dataset()
        loaded = factory_portal.new_resource(upload=b"n\n1\n", package_id=dataset["id"])["id"]
        jobs.ended(loaded)
        said = factory_portal.ckan("aircan", "submit", dataset["name"])
        assert said == "0 resources submitted, 0 with problems\n"
        said = factory_portal.ckan("aircan", "submit", dataset["name"], "--force", "--dry-run")
        assert said == f"{loaded}  data.csv\n1 resources would be submitted, 0 with problems\n"
        assert len(jobs.of(loaded)) == 1
        said = factory_portal.ckan("aircan", "submit", dataset["name"], "--force")
        assert said.endswith("1 resources submitted, 0 with problems\n")
        assert len(jobs.ended(loaded, 2)) == 2

    def test_submit_a_resource_of_any_format(self, factory_portal, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n", format="TXT")["id"]
        factory_portal.ckan("aircan", "submit", resource)
        assert jobs.ended(resource)[0]["status"] == "DONE"

    def test_what_is_being_loaded_is_not_loaded_beside_it(self, factory_portal, jobs, airflow):
        airflow.pause("aircan_load")
        try:
            resource = factory_portal.new_resource(upload=b"n\n1\n")["id"]
            until(lambda: jobs.of(resource)[0]["info"].get("submitted"))
            said = factory_portal.ckan("aircan", "submit", resource)
            assert said == "0 resources submitted, 0 with problems\n"
            factory_portal.ckan("aircan", "submit", resource, "--force")
            held, going = jobs.of(resource)
            assert (held["factory_id"], going["factory_id"]) == (None, f"aircan__{going['id']}")
        finally:
            airflow.pause("aircan_load", paused=False)
        assert [job["status"] for job in jobs.ended(resource, 2)] == ["DONE", "DONE"]

    def test_a_table_that_was_deleted_is_loaded_again(self, factory_portal, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n")["id"]
        jobs.ended(resource)
        factory_portal.action("datastore_delete", resource_id=resource, force=True)
        factory_portal.ckan("aircan", "submit", resource)
        jobs.ended(resource, 2)
        assert factory_portal.search(resource)["total"] == 1

    def test_submit_nothing_that_is_known(self, factory_portal):
        with pytest.raises(AssertionError, match="there is no resource or dataset none"):
            factory_portal.ckan("aircan", "submit", "none")

    def test_submit_all_lists_the_portal_s(self, factory_portal):
        resource = factory_portal.new_resource(upload=b"n\n1\n", format="TSV")["id"]
        private = factory_portal.new_resource(upload=b"n\n1\n", private=True)["id"]
        other = factory_portal.new_resource(upload=b"n\n1\n", format="TXT")["id"]
        said = factory_portal.ckan("aircan", "submit", "all", "--force", "--dry-run")
        assert resource in said
        assert private in said
        assert other not in said

    def test_status(self, factory_portal, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n")["id"]
        jobs.ended(resource)
        said = factory_portal.ckan("aircan", "status", resource)
        assert re.fullmatch(
            rf"\S+ \S+  DONE       LOAD      {resource}  1 rows in the DataStore\n", said
        )
        assert resource in factory_portal.ckan("aircan", "status")
        with pytest.raises(AssertionError, match="there are no jobs of none"):
            factory_portal.ckan("aircan", "status", "none")

    def test_cleanup_keeps_the_newest_of_each(self, factory_portal, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n")["id"]
        (first,) = jobs.ended(resource)
        factory_portal.action("aircan_submit", resource_id=resource)
        second, _ = jobs.ended(resource, 2)
        for job in (first, second):
            change(factory_portal, job["id"], created="2020-01-01T00:00:00Z")
        change(factory_portal, second["id"], created="2020-01-02T00:00:00Z")
        assert factory_portal.ckan("aircan", "cleanup") == "1 jobs deleted\n"
        assert [job["id"] for job in jobs.of(resource)] == [second["id"]]

    def test_cleanup_forgets_how_what_is_gone_was_to_be_loaded(self, factory_portal):
        there, gone = (factory_portal.new_resource(format="TXT")["id"] for _ in range(2))
        for resource in (there, gone):
            factory_portal.action("aircan_settings_update", resource_id=resource, mode="append")
        with psycopg.connect(factory_portal.main_url) as connection:
            connection.execute("DELETE FROM resource WHERE id = %s", [gone])
        factory_portal.ckan("aircan", "cleanup")
        with psycopg.connect(factory_portal.main_url) as connection:
            rows = connection.execute(
                "SELECT resource FROM aircan_settings WHERE resource IN (%s, %s)", [there, gone]
            ).fetchall()
        assert rows == [(there,)]


class TestPlugins:
    def test_what_a_plugin_refuses_is_not_loaded(self, factory_portal, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n", name="not to be loaded")["id"]
        until(lambda: jobs.of(resource) == [])
        with pytest.raises(Refused, match="A plugin does not let it be loaded"):
            factory_portal.action("aircan_submit", resource_id=resource)
        with pytest.raises(AssertionError, match="a plugin does not let this resource be loaded"):
            factory_portal.ckan("aircan", "submit", resource)

    def test_a_plugin_that_fails_keeps_nobody_else_from_being_loaded(self, factory_portal, jobs):
        stuck = factory_portal.new_resource(upload=b"n\n1\n", name="stumbled over")["id"]
        resource = factory_portal.new_resource(upload=b"n\n1\n")["id"]
        assert jobs.ended(resource)[0]["status"] == "DONE"
        (job,) = jobs.of(stuck)
        assert (job["status"], job["info"]["problem"]) == (
            "WAITING",
            "CKAN could not submit it: RuntimeError, see its log",
        )
        with pytest.raises(
            AssertionError, match=f"{stuck}  stumbled over  a plugin fails: Runtime"
        ):
            factory_portal.ckan("aircan", "submit", stuck)
        factory_portal.action("aircan_job_cancel", id=job["id"])

    def test_a_plugin_hears_of_a_load(self, factory_portal, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n")["id"]
        jobs.ended(resource)
        told = Path(factory_portal.folder, "storage", "after_load.txt")
        until(lambda: told.exists() and f"{resource} DONE 1\n" in told.read_text())

    def test_a_plugin_keeps_columns_from_changing(self, factory_portal, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n", name="fixed columns")["id"]
        jobs.ended(resource)
        files = {"upload": ("data.csv", b"other\n1\n2\n")}
        factory_portal.post("resource_patch", data={"id": resource}, files=files)
        failed = jobs.ended(resource, 2)[0]
        assert failed["status"] == "FAILED"
        assert "other: these must not change" in failed["info"]["error"]["message"]
        assert factory_portal.search(resource)["records"] == [{"_id": 1, "n": 1}]


def test_who_maintains_a_dataset_hears_of_a_failure(factory_portal, jobs, mails):
    somebody = {"maintainer": "Ada", "maintainer_email": f"{uuid.uuid4().hex}@example.org"}
    dataset = factory_portal.new_dataset(title="Trees & <b>shrubs</b>", **somebody)
    other = factory_portal.new_resource(package_id=dataset["id"], format="TXT")
    validation = {"id": None, "job_type": "VALIDATE", "info": {"dag_id": "aircan_validate"}}
    validation |= {"factory_id": f"manual__{uuid.uuid4()}", "resource": other["id"]}
    assert tell(factory_portal, validation, status="FAILED")["status"] == "FAILED"
    resource = factory_portal.new_resource(upload=b'n\n1\n"2\n', package_id=dataset["id"])["id"]
    (job,) = jobs.ended(resource)
    assert job["status"] == "FAILED"

    def mine():
        return [mail for mail in mails.got if somebody["maintainer_email"] in str(mail["To"])]

    (mail,) = until(mine)
    assert mail["Subject"] == "data.csv of Trees & <b>shrubs</b> could not be loaded"
    text = mail.get_body().get_content()
    assert job["info"]["error"]["message"] in text
    assert f"{factory_portal.url}/@city/{dataset['name']}/actions/runs/{job['id']}" in text


def test_no_secret_is_in_a_job(factory_portal, jobs):
    url = f"https://user:very-secret@127.0.0.1:1/{uuid.uuid4()}.csv?token=very-secret"
    resource = factory_portal.new_resource(url)["id"]
    until(lambda: jobs.of(resource)[0]["info"].get("submitted"))
    (job,) = jobs.of(resource)
    factory_portal.action("aircan_job_cancel", id=job["id"])
    time.sleep(1)
    with psycopg.connect(factory_portal.main_url) as connection:
        (row,) = connection.execute(
            "SELECT aircan_job::text FROM aircan_job WHERE id = %s", [job["id"]]
        ).fetchone()
    assert "very-secret" not in row
    assert factory_portal.token not in row
