"""What is deleted or made private is not loaded any more, and leaves nothing that can be read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from http_server import HttpServer
from loads import settings, sql
from parts import Jobs, until
from portal import ORGANIZATION, Portal, Refused
from standalone import Airflow

from loader import errors, load
from loader.ckan.settings import BatchSettings

CSV = b"id,name\n1,Linde\n2,Eiche\n"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(CSV) as server:
        yield server


@pytest.fixture
def paused(airflow: Airflow) -> Iterator[None]:
    """No load begins."""
    airflow.pause("aircan_load")
    yield
    airflow.pause("aircan_load", paused=False)


def resource_delete(portal: Portal, resource: dict[str, Any]) -> None:
    portal.action("resource_delete", id=resource["id"])


def left_out(portal: Portal, resource: dict[str, Any]) -> None:
    shown = portal.action("package_show", id=resource["package_id"])
    kept = [one for one in shown["resources"] if one["id"] != resource["id"]]
    portal.action("package_update", **shown | {"resources": kept})


def package_delete(portal: Portal, resource: dict[str, Any]) -> None:
    portal.action("package_delete", id=resource["package_id"])


def dataset_purge(portal: Portal, resource: dict[str, Any]) -> None:
    portal.action("dataset_purge", id=resource["package_id"])


def package_patch(portal: Portal, resource: dict[str, Any]) -> None:
    portal.action("package_patch", id=resource["package_id"], private=True)


def bulk_update_delete(portal: Portal, resource: dict[str, Any]) -> None:
    bulk(portal, "bulk_update_delete", resource)


def bulk_update_private(portal: Portal, resource: dict[str, Any]) -> None:
    bulk(portal, "bulk_update_private", resource)


def bulk(portal: Portal, action: str, resource: dict[str, Any]) -> None:
    organization = portal.action("organization_show", id=ORGANIZATION)["id"]
    portal.action(action, datasets=[resource["package_id"]], org_id=organization)


Way = Callable[[Portal, dict[str, Any]], None]
WAYS = [
    (resource_delete, "resource_deleted", "the resource was deleted"),
    (left_out, "resource_deleted", "the resource was deleted"),
    (package_delete, "dataset_deleted", "the dataset was deleted"),
    (bulk_update_delete, "dataset_deleted", "the dataset was deleted"),
    (dataset_purge, "dataset_deleted", "the dataset was deleted"),
    (package_patch, "made_private", "the dataset was made private"),
    (bulk_update_private, "made_private", "the dataset was made private"),
]


def found(portal: Portal, resource_id: str) -> list[tuple[Any, ...]]:
    """Return the jobs of a resource that CKAN may no longer know, the newest first."""
    with psycopg.connect(portal.main_url) as connection:
        return connection.execute(
            "SELECT id, status, factory_id, info FROM aircan_job WHERE resource = %s"
            " ORDER BY created DESC",
            [resource_id],
        ).fetchall()


def stopped(portal: Portal, airflow: Airflow, run_id: str) -> None:
    """Wait for the end of a run; an Airflow that was too busy to end it is asked again."""

    def look() -> bool:
        if airflow.request("GET", f"dags/aircan_load/dagRuns/{run_id}")["state"] == "failed":
            return True
        if "could not be stopped" in portal.log("worker"):
            portal.ckan("aircan", "reconcile")
        return False

    until(look)


def has_table(portal: Portal, resource_id: str) -> bool:
    return sql(portal, "SELECT to_regclass(quote_ident(%s)) IS NOT NULL", resource_id)[0][0]


def asked_by_nobody(portal: Portal, resource_id: str) -> list[Any]:
    """Return the rows that somebody without an account gets."""
    rows = []
    for action, asked in (
        ("datastore_search", {"resource_id": resource_id}),
        ("datastore_search_sql", {"sql": f'SELECT * FROM "{resource_id}"'}),
    ):
        try:
            rows += portal.action(action, "", **asked)["records"]
        except Refused as refused:
            if refused.status not in (403, 404, 409):
                raise
    return rows


@pytest.mark.usefixtures("paused")
@pytest.mark.parametrize(("way", "why", "message"), WAYS, ids=[way.__name__ for way, _, _ in WAYS])
def test_what_waits_is_cancelled_and_its_run_ended(
    factory_portal: Portal,
    jobs: Jobs,
    airflow: Airflow,
    server: HttpServer,
    way: Way,
    why: str,
    message: str,
):
    resource = factory_portal.new_resource(server.url)
    sibling = factory_portal.new_resource(server.url)  # in a dataset of its own
    until(lambda: jobs.of(resource["id"])[0]["info"].get("submitted"))
    factory_portal.action("resource_patch", id=resource["id"], url=f"{server.url}?2")  # held
    way(factory_portal, resource)
    held, begun = found(factory_portal, resource["id"])
    for _, status, _, info in (held, begun):
        assert (status, info["why"], info["message"]) == ("CANCELLED", why, f"cancelled: {message}")
    assert held[2] is None
    stopped(factory_portal, airflow, begun[2])
    assert not has_table(factory_portal, resource["id"])
    (other,) = jobs.of(sibling["id"])
    assert other["status"] == "WAITING"
    factory_portal.action("aircan_job_cancel", id=other["id"])


class TestPrivate:
    def test_who_asks_again_has_it_loaded(
        self, factory_portal: Portal, jobs: Jobs, airflow: Airflow, server: HttpServer
    ):
        airflow.pause("aircan_load")
        try:
            resource = factory_portal.new_resource(server.url)
            until(lambda: jobs.of(resource["id"])[0]["info"].get("submitted"))
            package_patch(factory_portal, resource)
            stopped(factory_portal, airflow, jobs.of(resource["id"])[0]["factory_id"])
        finally:
            airflow.pause("aircan_load", paused=False)
        factory_portal.action("aircan_submit", resource_id=resource["id"], trigger="rerun")
        package_patch(factory_portal, resource)  # saved once more, and as private as before
        new, old = jobs.ended(resource["id"], 2)
        assert (new["status"], old["status"]) == ("DONE", "CANCELLED")
        assert factory_portal.search(resource["id"])["total"] == 2
        assert asked_by_nobody(factory_portal, resource["id"]) == []

    def test_one_from_the_beginning_is_loaded(
        self, factory_portal: Portal, jobs: Jobs, server: HttpServer
    ):
        resource = factory_portal.new_resource(server.url, private=True)
        assert jobs.ended(resource["id"])[0]["status"] == "DONE"
        files = {"upload": ("data.csv", b"id\n1\n")}
        factory_portal.post("resource_patch", data={"id": resource["id"]}, files=files)
        assert [job["status"] for job in jobs.ended(resource["id"], 2)] == ["DONE", "DONE"]


@pytest.mark.parametrize("way", [resource_delete, left_out, dataset_purge])
def test_a_running_load_brings_nothing_back(
    factory_portal: Portal, jobs: Jobs, airflow: Airflow, way: Way
):
    content = b"id,name\n" + b"1234567,Linde\n" * 40_000
    with HttpServer(content, bytes_per_s=20_000) as slow:
        resource = factory_portal.new_resource(slow.url)
        until(lambda: jobs.of(resource["id"])[0]["info"].get("step") == "load")
        way(factory_portal, resource)
        ((_, status, run_id, _),) = found(factory_portal, resource["id"])
        assert status == "CANCELLED"
        stopped(factory_portal, airflow, run_id)
        slow.bytes_per_s = None
    until(lambda: not shadows_of(factory_portal))
    assert not has_table(factory_portal, resource["id"])
    assert asked_by_nobody(factory_portal, resource["id"]) == []
    assert found(factory_portal, resource["id"])[0][1] == "CANCELLED"


def shadows_of(portal: Portal) -> list[Any]:
    """Return the shadows of loads that have not been killed: these drop their own."""
    return sql(
        portal,
        "SELECT application_name FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'aircan%%'",
    )


class TestTables:
    """Of what AirCan has loaded, and of what others have."""

    @pytest.fixture
    def loaded(self, factory_portal: Portal, jobs: Jobs, server: HttpServer) -> dict[str, Any]:
        resource = factory_portal.new_resource(server.url)
        assert jobs.ended(resource["id"])[0]["status"] == "DONE"
        return factory_portal.action("resource_show", id=resource["id"])

    @pytest.mark.parametrize("way", [resource_delete, left_out, dataset_purge])
    def test_go_with_their_resource(self, factory_portal: Portal, loaded: dict[str, Any], way: Way):
        """CKAN leaves the table of a resource that a dataset is saved without."""
        way(factory_portal, loaded)
        until(lambda: not has_table(factory_portal, loaded["id"]))
        assert asked_by_nobody(factory_portal, loaded["id"]) == []

    @pytest.fixture
    def taken(self, factory_portal: Portal, jobs: Jobs, server: HttpServer) -> dict[str, Any]:
        """A resource with the id of a private dataset's that was deleted, and with its rows.

        CKAN gives the id of a deleted resource to whoever asks for it, in any dataset.
        """
        private = factory_portal.new_resource(server.url, private=True)
        assert jobs.ended(private["id"])[0]["status"] == "DONE"
        with psycopg.connect(factory_portal.main_url) as connection:  # as if nobody had noticed
            connection.execute(
                "UPDATE resource SET state = 'deleted' WHERE id = %s", [private["id"]]
            )
        public = factory_portal.new_dataset()["id"]
        fields = {"url": "http://a.org/b.pdf", "format": "PDF", "package_id": public}
        factory_portal.action("resource_create", id=private["id"], **fields)
        assert len(asked_by_nobody(factory_portal, private["id"])) == 4
        return private

    @pytest.mark.parametrize("forged", [False, True])
    def test_are_not_passed_on_with_an_id(
        self, factory_portal: Portal, taken: dict[str, Any], forged: bool
    ):
        asked = {"resource": taken["id"]}
        assert factory_portal.action("aircan_job_list", "", **asked)["count"] == 0
        both = {**asked, "dataset": taken["package_id"]}
        assert factory_portal.action("aircan_job_list", **both)["count"] == 0
        status = factory_portal.action("aircan_status", "", resource_id=taken["id"])
        assert status == {"status": "NONE", "job": None}
        if forged:  # by whoever has taken the id
            told = {"job_type": "LOAD", "dag_id": "aircan_load", "run_id": "manual__1"}
            told |= {"sequence": 5, "status": "DONE", "step": "report", "message": "loaded"}
            factory_portal.action("aircan_status_update", resource_id=taken["id"], **told)
        factory_portal.ckan("aircan", "reconcile")
        assert not has_table(factory_portal, taken["id"])
        self.put_rows(factory_portal, taken["id"])
        factory_portal.ckan("aircan", "reconcile")
        assert factory_portal.search(taken["id"])["total"] == 1

    @staticmethod
    def put_rows(portal: Portal, resource_id: str) -> None:
        fields = [{"id": "a", "type": "text"}]
        given = {"fields": fields, "records": [{"a": "x"}], "force": True}
        portal.action("datastore_create", resource_id=resource_id, **given)

    def test_that_others_put_into_an_id_of_ours_stay(
        self, factory_portal: Portal, loaded: dict[str, Any]
    ):
        resource_delete(factory_portal, loaded)
        factory_portal.action("package_patch", id=loaded["package_id"], private=True)
        taken = {"id": loaded["id"], "package_id": factory_portal.new_dataset()["id"]}
        factory_portal.action("resource_create", url="http://a.org/b.pdf", format="PDF", **taken)
        self.put_rows(factory_portal, loaded["id"])
        factory_portal.ckan("aircan", "reconcile")
        assert factory_portal.search(loaded["id"])["total"] == 1

    @pytest.mark.parametrize("mark", ["for https://demo.ckan.org", "", "for https://a.org/ "])
    def test_whose_mark_names_no_dataset_stay(
        self, factory_portal: Portal, loaded: dict[str, Any], mark: str
    ):
        with psycopg.connect(factory_portal.datastore_url) as connection:
            connection.execute(
                f'COMMENT ON SEQUENCE "{loaded["id"]}__id_seq" IS'
                f" 'of a table that AirCan has loaded {mark}'"
            )
        factory_portal.ckan("aircan", "reconcile")
        assert factory_portal.search(loaded["id"])["total"] == 2

    def test_of_a_resource_that_was_moved_stay(
        self, factory_portal: Portal, loaded: dict[str, Any]
    ):
        to = factory_portal.new_dataset()["id"]
        with psycopg.connect(factory_portal.main_url) as connection:
            connection.execute(
                "UPDATE resource SET package_id = %s WHERE id = %s", [to, loaded["id"]]
            )
        factory_portal.ckan("aircan", "reconcile")
        assert factory_portal.search(loaded["id"])["total"] == 2

    def test_of_who_has_the_id_now_stay(
        self, factory_portal: Portal, jobs: Jobs, loaded: dict[str, Any], server: HttpServer
    ):
        left_out(factory_portal, loaded)
        until(lambda: not has_table(factory_portal, loaded["id"]))
        taken = {"id": loaded["id"], "package_id": factory_portal.new_dataset()["id"]}
        factory_portal.action("resource_create", url=server.url, format="CSV", **taken)
        (job,) = jobs.ended(loaded["id"])
        assert (job["status"], job["dataset"]) == ("DONE", taken["package_id"])
        factory_portal.ckan("aircan", "reconcile")
        assert factory_portal.search(loaded["id"])["total"] == 2

    def test_come_back_with_it(self, factory_portal: Portal, jobs: Jobs, loaded: dict[str, Any]):
        before = factory_portal.action("package_show", id=loaded["package_id"])
        left_out(factory_portal, loaded)
        factory_portal.ckan("aircan", "reconcile")
        factory_portal.action("package_update", **before)
        assert [job["status"] for job in jobs.ended(loaded["id"], 2)] == ["DONE", "DONE"]
        assert factory_portal.search(loaded["id"])["total"] == 2

    def test_stay_with_a_dataset_that_may_be_restored(
        self, factory_portal: Portal, loaded: dict[str, Any]
    ):
        package_delete(factory_portal, loaded)
        factory_portal.ckan("aircan", "reconcile")
        assert has_table(factory_portal, loaded["id"])
        assert asked_by_nobody(factory_portal, loaded["id"]) == []
        factory_portal.action("package_patch", id=loaded["package_id"], state="active")
        assert factory_portal.search(loaded["id"])["total"] == 2
        assert len(asked_by_nobody(factory_portal, loaded["id"])) == 4

    def test_of_others_stay(self, factory_portal: Portal):
        resource = factory_portal.new_resource(format="TXT")
        fields = [{"id": "a", "type": "text"}]
        given = {"fields": fields, "records": [{"a": "x"}], "force": True}
        factory_portal.action("datastore_create", resource_id=resource["id"], **given)
        left_out(factory_portal, resource)
        factory_portal.ckan("aircan", "reconcile")
        assert has_table(factory_portal, resource["id"])


def test_what_nobody_told_us_of_is_cancelled_all_the_same(
    factory_portal: Portal, jobs: Jobs, paused: None, airflow: Airflow, server: HttpServer
):
    """By SQL, for one."""
    resource = factory_portal.new_resource(server.url)
    until(lambda: jobs.of(resource["id"])[0]["info"].get("submitted"))
    with psycopg.connect(factory_portal.main_url) as connection:
        connection.execute("UPDATE resource SET state = 'deleted' WHERE id = %s", [resource["id"]])
    factory_portal.ckan("aircan", "reconcile")
    ((_, status, run_id, info),) = found(factory_portal, resource["id"])
    assert (status, info["why"]) == ("CANCELLED", "resource_deleted")
    stopped(factory_portal, airflow, run_id)


def test_a_run_that_airflow_could_not_end_is_ended_later(
    factory_portal_212: Portal, paused: None, airflow: Airflow, server: HttpServer
):
    portal, jobs = factory_portal_212, Jobs(factory_portal_212)
    resource = portal.new_resource(server.url)
    until(lambda: jobs.of(resource["id"])[0]["info"].get("submitted"))
    (job,) = jobs.of(resource["id"])
    with psycopg.connect(portal.main_url) as connection:
        connection.execute(
            "UPDATE aircan_job SET status = 'CANCELLED', info = info || '{\"to_stop\": true}'"
            " WHERE id = %s",
            [job["id"]],
        )

    def asked_again() -> bool:
        portal.ckan("aircan", "reconcile")
        return portal.action("aircan_job_show", id=job["id"])["info"]["to_stop"] is False

    until(asked_again)
    stopped(portal, airflow, job["factory_id"])


class Deleting:
    """Progress that deletes a resource when so many rows have been sent."""

    def __init__(self, delete: Callable[[], None], rows: int) -> None:
        self._delete, self._rows, self._sends = delete, rows, False
        self.done = False

    def begin(self, title: str) -> None:
        self._sends = title == "sending the rows to CKAN"

    def expect(self, size: int | None) -> None:
        pass

    def advance(self, bytes_read: int, rows: int) -> None:
        if self._sends and rows >= self._rows and not self.done:
            self.done = True
            self._delete()


@pytest.mark.parametrize("way", [resource_delete, left_out])
def test_a_load_through_the_api_can_have_its_rows_dropped(
    factory_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way
):
    """For which CKAN 2.12 has no action."""
    monkeypatch.chdir(tmp_path)
    resource = factory_portal.new_resource(format="TXT")
    path = tmp_path / "data.csv"
    path.write_text("a\n" + "1\n" * 40)
    given = settings(factory_portal) | {"via": "api", "batches": BatchSettings(rows=10, settle_s=1)}
    at = Deleting(lambda: way(factory_portal, resource), 20)
    with pytest.raises(errors.CkanNotFound, match="its table was dropped"):
        load(path, **given, resource_id=resource["id"], progress=at)
    assert at.done
    assert not has_table(factory_portal, resource["id"])
    assert asked_by_nobody(factory_portal, resource["id"]) == []


def test_only_editors_drop_tables_and_of_deleted_resources_only(
    factory_portal: Portal, jobs: Jobs, people: dict[str, Any], server: HttpServer
):
    resource = factory_portal.new_resource(server.url)
    jobs.ended(resource["id"])
    ask = {"resource_id": resource["id"]}
    with pytest.raises(Refused, match="not deleted"):
        factory_portal.action("aircan_table_drop", people["editor"].token, **ask)
    with psycopg.connect(factory_portal.main_url) as connection:
        connection.execute("UPDATE resource SET state = 'deleted' WHERE id = %s", [resource["id"]])
    for token in ("", people["outsider"].token, people["member"].token):
        with pytest.raises(Refused, match="403"):
            factory_portal.action("aircan_table_drop", token, **ask)
    assert has_table(factory_portal, resource["id"])
    factory_portal.action("aircan_table_drop", people["editor"].token, **ask)
    assert not has_table(factory_portal, resource["id"])


OWN_TABLES = {
    "the DataStore's": ('CREATE TABLE "{}" (_id serial, _full_text tsvector, n text)', 404),
    "another application's": ('CREATE TABLE "{}" (id integer)', 404),
    "hidden": ('CREATE TABLE "_{}" (_id serial, _full_text tsvector)', 404),
    "a view": ('CREATE VIEW "{}" AS SELECT 1 AS _id, 2 AS _full_text', 404),
}


@pytest.mark.parametrize(("statement", "status"), OWN_TABLES.values(), ids=OWN_TABLES)
def test_a_table_that_never_had_a_resource_is_not_dropped(
    factory_portal: Portal, statement: str, status: int
):
    """Not even by a sysadmin."""
    name = str(uuid.uuid4())
    sql(factory_portal, statement.format(name))
    name = f"_{name}" if '"_' in statement else name
    with pytest.raises(Refused, match=str(status)):
        factory_portal.action("aircan_table_drop", resource_id=name)
    assert has_table(factory_portal, name)


@pytest.mark.parametrize("asks", ["aircan_table_drop", "reconcile"])
def test_an_id_that_an_editor_has_chosen_drops_no_other_table(
    factory_portal: Portal, paused: None, asks: str
):
    """CKAN takes whatever has the form of its ids; other applications may have such tables."""
    name = str(uuid.uuid4())
    sql(factory_portal, f'CREATE TABLE "{name}" (id integer)')
    resource = factory_portal.new_resource(id=name, format="TXT")
    add_job(factory_portal, resource)
    left_out(factory_portal, resource)
    if asks == "reconcile":
        factory_portal.ckan("aircan", "reconcile")
    else:
        factory_portal.action("aircan_table_drop", resource_id=name)
    assert has_table(factory_portal, name)


def test_the_table_of_a_purged_resource_is_dropped_if_it_had_a_load(factory_portal: Portal):
    resource = factory_portal.new_resource(format="TXT")
    fields = [{"id": "a", "type": "text"}]
    factory_portal.action("datastore_create", resource_id=resource["id"], force=True, fields=fields)
    dataset_purge(factory_portal, resource)
    with pytest.raises(Refused, match="404"):
        factory_portal.action("aircan_table_drop", resource_id=resource["id"])
    assert has_table(factory_portal, resource["id"])
    add_job(factory_portal, resource)
    factory_portal.action("aircan_table_drop", resource_id=resource["id"])
    assert not has_table(factory_portal, resource["id"])


def add_job(portal: Portal, resource: dict[str, Any]) -> None:
    """A load that has ended."""
    with psycopg.connect(portal.main_url) as connection:
        connection.execute(
            "INSERT INTO aircan_job (id, factory_id, job_type, created, updated, dataset, resource,"
            " status, info) VALUES (%s, 'a run', 'LOAD', now(), now(), %s, %s, 'DONE', '{}')",
            [str(uuid.uuid4()), resource["package_id"], resource["id"]],
        )


def test_the_page_says_why_in_both_languages(
    factory_portal_212: Portal, airflow: Airflow, server: HttpServer, paused: None
):
    portal = factory_portal_212
    resource = portal.new_resource(server.url)
    resource_delete(portal, resource)
    ((job, *_),) = found(portal, resource["id"])
    dataset = portal.action("package_show", id=resource["package_id"])["name"]
    for prefix, said in (
        ("", "The resource was deleted, so its load was cancelled."),
        ("/de", "Die Ressource wurde gelöscht, deshalb wurde ihr Laden abgebrochen."),
    ):
        place = f"{portal.url}{prefix}/@{ORGANIZATION}/{dataset}/actions"
        for page in (f"{place}/", f"{place}/runs/{job}"):
            assert said in requests.get(page, timeout=60).text
