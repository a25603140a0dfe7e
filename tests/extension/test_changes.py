"""Which changes of resources load them: once each, after the commit, whatever way they come."""

from __future__ import annotations

import socket
import uuid

import psycopg
import pytest
import requests
from http_server import HttpServer
from parts import Jobs, until
from portal import ADMIN, Portal
from standalone import Airflow

CSV = b"id,name,when\n1,Stra\xc3\x9fe,2020-02-29\n2,,1999-01-01\n3,x y,2001-01-01\n"


def upload(portal: Portal, content: bytes = CSV, **fields: str) -> str:
    return portal.new_resource(upload=content, **fields)["id"]


@pytest.fixture
def server():
    with HttpServer(CSV) as server:
        yield server


class TestLoads:
    def test_an_upload(self, factory_portal, jobs):
        resource = upload(factory_portal)
        (job,) = jobs.ended(resource)
        assert (job["status"], job["job_type"]) == ("DONE", "LOAD")
        assert job["factory_id"] == f"aircan__{job['id']}"
        assert job["info"]["trigger"] == "change"
        assert job["info"]["rows"] == 3
        assert [step["name"] for step in job["info"]["steps"]] == [
            "prepare",
            "load",
            "register",
            "report",
        ]
        rows = factory_portal.search(resource)["records"]
        assert [row["name"] for row in rows] == ["Straße", None, "x y"]
        assert rows[0]["when"] == "2020-02-29"

    def test_another_file_of_the_same_name(self, factory_portal, jobs):
        resource = upload(factory_portal)
        jobs.ended(resource)
        files = {"upload": ("data.csv", b"id,name\n1,new\n")}
        factory_portal.post("resource_patch", data={"id": resource}, files=files)
        assert [job["status"] for job in jobs.ended(resource, 2)] == ["DONE", "DONE"]
        assert [row["name"] for row in factory_portal.search(resource)["records"]] == ["new"]

    def test_a_format_that_is_put_right(self, factory_portal, jobs, server):
        resource = factory_portal.new_resource(server.url, format="unknown")["id"]
        assert jobs.of(resource) == []
        factory_portal.action("resource_patch", id=resource, format="CSV")
        assert jobs.ended(resource)[0]["status"] == "DONE"


class TestLeavesAlone:
    def test_what_did_not_change_and_its_siblings(self, factory_portal, jobs, server):
        dataset = factory_portal.new_dataset()["id"]
        first = factory_portal.new_resource(server.url, package_id=dataset)["id"]
        jobs.ended(first)
        second = factory_portal.new_resource(server.url, package_id=dataset)["id"]
        jobs.ended(second)
        factory_portal.action("resource_patch", id=first, description="other words")
        factory_portal.action("package_patch", id=dataset, notes="other words")
        shown = factory_portal.action("package_show", id=dataset)
        factory_portal.action("package_update", **shown)
        assert [len(jobs.of(one)) for one in (first, second)] == [1, 1]

    def test_other_formats(self, factory_portal, jobs, server):
        resource = factory_portal.new_resource(server.url, format="PDF")["id"]
        assert jobs.of(resource) == []

    def test_tables_without_a_file(self, factory_portal, jobs):
        dataset = factory_portal.new_dataset()["id"]
        made = factory_portal.action(
            "datastore_create",
            resource={"package_id": dataset, "format": "CSV"},
            fields=[{"id": "a", "type": "int"}],
        )
        assert jobs.of(made["resource_id"]) == []

    def test_a_change_that_is_not_committed(self, factory_portal, jobs, server):
        dataset = factory_portal.new_dataset()["id"]
        resource = {"url": server.url, "format": "CSV", "name": "a", "id": str(uuid.uuid4())}
        bad = resource | {"id": resource["id"], "size": "no number"}
        with pytest.raises(Exception, match="size"):
            factory_portal.action("package_patch", id=dataset, resources=[resource, bad])
        assert jobs.of_dataset(dataset) == []


class TestOnTheNewerOnly:
    """What does not hang on CKAN's version: each load takes its time."""

    @pytest.fixture
    def factory_portal(self, factory_portal_212):
        return factory_portal_212

    def test_a_link_in_a_dataset_made_at_once(self, factory_portal, jobs, server):
        resources = [
            {"url": f"{server.url}/{name}.csv", "name": name, "format": "CSV"} for name in "ab"
        ]
        made = factory_portal.new_dataset(resources=resources)["resources"]
        assert [jobs.ended(one["id"])[0]["status"] for one in made] == ["DONE", "DONE"]

    def test_another_url(self, factory_portal, jobs, server):
        resource = factory_portal.new_resource(f"{server.url}/a.csv")["id"]
        jobs.ended(resource)
        factory_portal.action("resource_patch", id=resource, url=f"{server.url}/b.csv")
        assert len(jobs.ended(resource, 2)) == 2

    def test_a_large_file_has_a_dag_of_its_own(self, factory_portal, jobs):
        resource = upload(factory_portal, b"n\n" + b"1234567890\n" * 100_000)
        (job,) = jobs.ended(resource)
        assert (job["status"], job["info"]["dag_id"]) == ("DONE", "aircan_load_large")

    def test_a_second_change_while_one_waits(self, factory_portal, jobs, airflow, server):
        airflow.pause("aircan_load")
        try:
            resource = factory_portal.new_resource(f"{server.url}/a.csv")["id"]
            until(lambda: jobs.of(resource)[0]["info"].get("submitted"))
            for name in "bcd":  # the run was made for a.csv: one more is needed, not three
                factory_portal.action("resource_patch", id=resource, url=f"{server.url}/{name}.csv")
            held, begun = jobs.of(resource)
            assert (held["factory_id"], begun["status"]) == (None, "WAITING")
        finally:
            airflow.pause("aircan_load", paused=False)
        done = jobs.ended(resource, 2)
        assert done[0]["status"] == "DONE"
        assert len(done) == 2
        assert done[0]["info"]["report"]["source"].endswith("/d.csv")


class TestAirflowIsAway:
    @pytest.fixture
    def lonely(self, factory_portal_212: Portal, airflow: Airflow):
        """A portal whose Airflow is down."""
        factory_portal_212.reconfigure({"ckanext.aircan.airflow_url": "http://127.0.0.1:9"})
        yield factory_portal_212
        factory_portal_212.reconfigure({"ckanext.aircan.airflow_url": airflow.url})

    def test_saving_works_and_the_job_waits_until_airflow_is_back(self, lonely, airflow):
        jobs = Jobs(lonely)
        resource = upload(lonely)
        job = until(lambda: (j := jobs.of(resource)[0])["info"].get("problem") and j)
        assert job["status"] == "WAITING"
        assert job["info"]["problem"] == "Airflow cannot be reached at http://127.0.0.1:9"
        assert job["info"]["attempts"] == 1
        assert job["info"]["next_attempt"] > job["created"]
        lonely.ckan("config-tool", str(lonely.ini), f"ckanext.aircan.airflow_url={airflow.url}")
        with psycopg.connect(lonely.main_url) as connection:  # its pause is over
            connection.execute(
                "UPDATE aircan_job SET info = info || '{\"next_attempt\": null}' WHERE id = %s",
                [job["id"]],
            )
        lonely.ckan("aircan", "reconcile")
        (done,) = jobs.ended(resource)
        assert (done["id"], done["status"]) == (job["id"], "DONE")
        assert done["info"]["problem"] is None

    def test_saving_does_not_wait_for_an_airflow_that_hangs(self, factory_portal_212, airflow):
        portal, jobs = factory_portal_212, Jobs(factory_portal_212)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            hanging = {"airflow_url": url, "airflow_timeout_s": "30"}
            portal.reconfigure({f"ckanext.aircan.{name}": one for name, one in hanging.items()})
            try:
                resource = upload(portal)
                (first,) = until(lambda: (j := jobs.of(resource))[0]["factory_id"] and j)
                files = {"upload": ("data.csv", CSV + b"4,,\n")}
                portal.post("resource_patch", data={"id": resource}, files=files)
                second, still = jobs.of(resource)
                assert (second["factory_id"], still["factory_id"]) == (None, first["factory_id"])
                assert "submitted" not in still["info"]
                (left,) = until(lambda: len(j := jobs.of(resource)) == 1 and j)
                assert left["id"] == second["id"]
            finally:
                mended = {"airflow_url": airflow.url, "airflow_timeout_s": "10"}
                portal.reconfigure({f"ckanext.aircan.{name}": one for name, one in mended.items()})


def test_a_form_s_upload_is_loaded_once(factory_portal, jobs):
    """As a browser does it, in CKAN's own session."""
    dataset = factory_portal.new_dataset()
    session = requests.Session()
    factory_portal.log_in(session)
    place = f"{factory_portal.url}/dataset/{dataset['name']}/resource/new"
    form = {"id": "", "save": "go-metadata", "name": "by form", "format": "CSV", "url": "data.csv"}
    form |= factory_portal.csrf(session, place)
    answer = session.post(place, data=form, files={"upload": ("data.csv", CSV)}, timeout=60)
    assert answer.ok
    (resource,) = factory_portal.action("package_show", id=dataset["id"])["resources"]
    (job,) = jobs.ended(resource["id"])
    admin = factory_portal.action("user_show", id=ADMIN)["id"]
    assert (job["status"], job["user"]) == ("DONE", admin)
