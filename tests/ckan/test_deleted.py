"""A resource that is deleted while it loads: nobody reads its rows, however it goes, and when."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cases import in_turn
from loads import load_text, rows, settings, sql
from portal import Portal, Refused
from psycopg.sql import SQL, Identifier
from typer.testing import CliRunner
from unsteady import Call, Fault, Unsteady, cut_before, refused

from loader import Options, errors, load
from loader.ckan.client import Ckan
from loader.ckan.settings import BatchSettings
from loader.cli import commands as cli
from loader.copy import database, gone, locks, relation, resource_lock, shadow
from loader.pipeline.load import load as load_source
from loader.pipeline.separate import register
from loader.types.column import Column

OLD = "tree,height\nLinde,12\nEiche,20\n"
NEW = "tree,height\n" + "Ulme,7\n" * 40
BATCHES = BatchSettings(rows=10, settle_s=1)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# How it goes


def resource_delete(portal: Portal, resource: dict[str, Any]) -> None:
    portal.action("resource_delete", id=resource["id"])


def left_out(portal: Portal, resource: dict[str, Any]) -> None:
    shown = portal.action("package_show", id=resource["package_id"])
    portal.action("package_update", **shown | {"resources": []})


def package_delete(portal: Portal, resource: dict[str, Any]) -> None:
    portal.action("package_delete", id=resource["package_id"])


def dataset_purge(portal: Portal, resource: dict[str, Any]) -> None:
    package_delete(portal, resource)
    portal.action("dataset_purge", id=resource["package_id"])


def id_taken(portal: Portal, resource: dict[str, Any]) -> None:
    """CKAN gives the id of a deleted resource to whoever asks for it, in any dataset."""
    left_out(portal, resource)
    public = portal.new_dataset()["id"]
    portal.action("resource_create", package_id=public, id=resource["id"], url="http://a.org/b.pdf")


def id_taken_as_name(portal: Portal, resource: dict[str, Any]) -> None:
    """CKAN finds a resource by its name, too."""
    left_out(portal, resource)
    portal.action("dataset_purge", id=resource["package_id"])
    portal.new_resource(name=resource["id"])


Deletion = Callable[[Portal, dict[str, Any]], None]


# When


class At:
    """Progress that does something once, when a step begins or rows have come so far."""

    def __init__(self, title: str, act: Callable[[], None], rows: int = 0) -> None:
        self._title, self._act, self._rows = title, act, rows
        self._now = ""
        self.acted = False

    def begin(self, title: str) -> None:
        self._now = title
        self._look(0)

    def expect(self, size: int | None) -> None:
        pass

    def advance(self, bytes_read: int, rows: int) -> None:
        self._look(rows)

    def _look(self, rows: int) -> None:
        if not self.acted and self._now == self._title and rows >= self._rows:
            self.acted = True
            self._act()


# What is left


def asked_by_nobody(portal: Portal, resource_id: str) -> list[Any]:
    """Return the rows that somebody without an account gets."""
    found = []
    for action, asked in (
        ("datastore_search", {"resource_id": resource_id}),
        ("datastore_search_sql", {"sql": f'SELECT * FROM "{resource_id}"'}),
    ):
        try:
            found += portal.action(action, "", **asked)["records"]
        except Refused as refused:
            if refused.status not in (403, 404, 409):
                raise
    return found


def has_table(portal: Portal, resource_id: str) -> bool:
    return sql(portal, "SELECT to_regclass(quote_ident(%s)) IS NOT NULL", resource_id)[0][0]


def shadows(portal: Portal) -> list[Any]:
    return sql(
        portal,
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s",
        r"\_aircan\_%",
    )


@pytest.fixture(autouse=True)
def _no_shadows(portal: Portal) -> None:
    """Drop those that killed loads of other tests have left."""
    with psycopg.connect(portal.datastore_url) as connection:
        for (name,) in shadows(portal):
            connection.execute(SQL("DROP TABLE {}").format(Identifier(name)))


@pytest.fixture(params=["first load", "reload"])
def resource(request: pytest.FixtureRequest, portal: Portal, tmp_path: Path) -> dict[str, Any]:
    """A resource that was never loaded, or was."""
    made = portal.new_resource()
    if request.param == "reload":
        load_text(portal, made["id"], OLD, tmp_path)
    return made


def load_until(
    portal: Portal, resource: dict[str, Any], folder: Path, at: At, **options: Any
) -> errors.CkanNotFound:
    with pytest.raises(errors.CkanNotFound, match="deleted while it was loaded") as caught:
        load_text(portal, resource["id"], NEW, folder, progress=at, batches=BATCHES, **options)
    assert at.acted
    assert shadows(portal) == []
    return caught.value


BEFORE = ["copying rows", "adding the primary key", "swapping the tables"]


@pytest.mark.parametrize("step", BEFORE)
def test_deleted_before_the_swap(
    portal: Portal, resource: dict[str, Any], tmp_path: Path, step: str
):
    at = At(step, lambda: resource_delete(portal, resource))
    error = load_until(portal, resource, tmp_path, at, via="copy")
    assert not error.retryable
    assert asked_by_nobody(portal, resource["id"]) == []
    assert not has_table(portal, resource["id"])


@pytest.mark.parametrize(
    ("delete", "via"),
    in_turn([dataset_purge, package_delete, left_out, id_taken, id_taken_as_name], ["copy", "api"]),
)
def test_what_else_deletes_before_the_swap(
    portal: Portal, resource: dict[str, Any], tmp_path: Path, delete: Deletion, via: str
):
    """CKAN leaves the old table there; nothing is changed of it."""
    before = rows(portal, resource["id"]) if has_table(portal, resource["id"]) else None
    at = At("copying rows", lambda: delete(portal, resource))
    load_until(portal, resource, tmp_path, at, via=via)
    assert has_table(portal, resource["id"]) == (before is not None)
    if before is not None:
        assert rows(portal, resource["id"]) == before


AFTER = ["telling CKAN", "indexing the full text"]


@pytest.mark.parametrize(
    ("delete", "step"),
    in_turn([resource_delete, left_out, dataset_purge, id_taken, id_taken_as_name], AFTER),
)
def test_deleted_after_the_swap(
    portal: Portal, resource: dict[str, Any], tmp_path: Path, step: str, delete: Deletion
):
    if step != AFTER[0] and has_table(portal, resource["id"]):
        step = AFTER[0]  # of a reload, the index is there before the swap
    at = At(step, lambda: delete(portal, resource))
    error = load_until(portal, resource, tmp_path, at, via="copy")
    assert error.message.endswith("its table was dropped")
    assert asked_by_nobody(portal, resource["id"]) == []
    assert not has_table(portal, resource["id"])


def test_a_dataset_that_may_be_restored_has_all_its_rows_then(
    portal: Portal, resource: dict[str, Any], tmp_path: Path
):
    at = At("telling CKAN", lambda: package_delete(portal, resource))
    load_text(portal, resource["id"], NEW, tmp_path, via="copy", progress=at)
    assert at.acted
    assert asked_by_nobody(portal, resource["id"]) == []
    portal.action("package_patch", id=resource["package_id"], state="active")
    assert portal.search(resource["id"])["total"] == 40
    assert portal.action("resource_show", id=resource["id"])["datastore_active"] is True


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize("step", ["copying rows", "telling CKAN"])
def test_rows_are_added_to_no_deleted_resource(
    portal: Portal, tmp_path: Path, mode: str, step: str
):
    resource = portal.new_resource()
    load_text(portal, resource["id"], OLD, tmp_path, key=["tree"])
    at = At(step, lambda: resource_delete(portal, resource))
    content = "tree,height\nUlme,7\n"
    with pytest.raises(errors.AircanError) as caught:
        load_text(portal, resource["id"], content, tmp_path, mode=mode, via="copy", progress=at)
    assert isinstance(caught.value, errors.CkanNotFound), caught.value
    assert asked_by_nobody(portal, resource["id"]) == []
    assert shadows(portal) == []
    assert not has_table(portal, resource["id"])


def test_rows_are_not_loaded_by_the_name_of_another(portal: Portal, tmp_path: Path):
    named = str(uuid.uuid4())
    portal.new_resource(name=named)
    with pytest.raises(errors.CkanNotFound):
        load_text(portal, named, NEW, tmp_path)
    assert not has_table(portal, named)


# Through CKAN's API


API = [("copying rows", 0), ("sending the rows to CKAN", 0)]
API_LATER = [("sending the rows to CKAN", 20), ("telling CKAN", 0)]


@pytest.mark.parametrize(("step", "count"), API)
def test_deleted_before_any_row_is_sent(
    portal: Portal, resource: dict[str, Any], tmp_path: Path, step: str, count: int
):
    at = At(step, lambda: resource_delete(portal, resource), count)
    load_until(portal, resource, tmp_path, at, via="api")
    assert asked_by_nobody(portal, resource["id"]) == []
    assert not has_table(portal, resource["id"])


@pytest.mark.parametrize(
    ("delete", "step", "count"),
    [(delete, *at) for delete, at in in_turn([resource_delete, left_out, id_taken], API_LATER)],
)
def test_deleted_after_rows_were_sent(
    portal: Portal,
    resource: dict[str, Any],
    tmp_path: Path,
    step: str,
    count: int,
    delete: Deletion,
):
    """CKAN 2.12 deletes no table of a deleted resource: the error says how it goes."""
    at = At(step, lambda: delete(portal, resource), count)
    error = load_until(portal, resource, tmp_path, at, via="api")
    if portal.version.startswith("2.12") and delete is not id_taken:
        assert "could not be dropped" in error.message
        assert error.table != "dropped"
        assert error.hint
        sql(portal, error.hint[error.hint.index("DROP TABLE") :])
    else:
        assert error.message.endswith("its table was dropped")
        assert error.table == "dropped"
    assert asked_by_nobody(portal, resource["id"]) == []
    assert not has_table(portal, resource["id"])


# In between two calls


@pytest.fixture
def front(portal: Portal) -> Iterator[Unsteady]:
    """CKAN, with somebody in front of it who deletes at a certain call."""
    with Unsteady(portal.url) as front:
        yield front


def answer(handler: Any, call: Any) -> None:
    got = handler.proxy.forward(call)
    handler.answer(got.status_code, got.content, {"Content-Type": got.headers["Content-Type"]})


def after(act: Callable[[], None]) -> Callable[..., None]:
    def fault(handler: Any, call: Any) -> None:
        answered = handler.proxy.forward(call)
        act()
        kind = {"Content-Type": answered.headers["Content-Type"]}
        handler.answer(answered.status_code, answered.content, kind)

    return fault


def before(act: Callable[[], None]) -> Callable[..., None]:
    def fault(handler: Any, call: Any) -> None:
        act()
        answer(handler, call)

    return fault


def load_through(
    front: Unsteady, portal: Portal, resource: dict[str, Any], folder: Path, **options: Any
) -> errors.CkanNotFound:
    path = folder / "data.csv"
    path.write_text(NEW, encoding="utf-8")
    given = settings(portal) | {"ckan_url": front.url}
    with pytest.raises(errors.CkanNotFound, match="deleted while it was loaded") as caught:
        load(path, **given, resource_id=resource["id"], batches=BATCHES, **options)
    assert shadows(portal) == []
    return caught.value


def test_deleted_between_the_last_question_and_the_swap(
    portal: Portal, front: Unsteady, resource: dict[str, Any], tmp_path: Path
):
    delete = after(lambda: resource_delete(portal, resource))
    front.faults = {"datastore_upsert": [None, delete]}
    error = load_through(front, portal, resource, tmp_path, via="copy")
    assert error.message.endswith("its table was dropped")
    assert asked_by_nobody(portal, resource["id"]) == []
    assert not has_table(portal, resource["id"])


@pytest.mark.parametrize("via", ["copy", "api"])
@pytest.mark.usefixtures("hasty")
def test_deleted_between_two_calls_of_registering(portal_212: Portal, tmp_path: Path, via: str):
    """CKAN 2.12 answers the patch of a deleted resource with HTTP 500."""
    portal, resource = portal_212, portal_212.new_resource()
    with Unsteady(portal.url) as front:
        delete = before(lambda: left_out(portal, resource))
        front.faults = {"resource_create_default_resource_views": [delete]}
        error = load_through(front, portal, resource, tmp_path, via=via)
    assert ("was dropped" in error.message) == (via == "copy")
    if via == "copy":
        assert asked_by_nobody(portal, resource["id"]) == []


# Nothing is dropped that CKAN does not say is gone


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (404, b"<html>not here</html>", "text/html"),
        (403, b'{"success": false, "error": {"__type": "Authorization Error"}}', None),
        (500, b'{"success": false, "error": {"__type": "Internal Server Error"}}', None),
        (404, b'{"success": false, "error": {"__type": "Search Index Error"}}', None),
        (200, b'{"success": true}', None),
    ],
)
@pytest.mark.usefixtures("hasty")
def test_no_other_answer_takes_a_table_away(
    portal_212: Portal, tmp_path: Path, status: int, content: bytes, kind: str | None
):
    portal, resource = portal_212, portal_212.new_resource()
    load_text(portal, resource["id"], OLD, tmp_path)

    def refused(handler: Any, call: Any) -> None:
        handler.answer(status, content, {"Content-Type": kind or "application/json"})

    path = tmp_path / "data.csv"
    path.write_text(NEW, encoding="utf-8")
    with Unsteady(portal.url) as front:

        def refuse() -> None:
            front.always = refused

        given = settings(portal) | {"ckan_url": front.url}
        at = At("telling CKAN", refuse)
        with pytest.raises(errors.CkanError, match="CKAN was not told of the rows") as caught:
            load(path, **given, resource_id=resource["id"], via="copy", progress=at)
    assert caught.value.table == "replaced"
    assert len(rows(portal, resource["id"])) == 40
    assert shadows(portal) == []


def test_a_ckan_that_does_not_list_the_table_takes_none_away(
    portal_212: Portal, portal_211: Portal, tmp_path: Path
):
    """Another CKAN knows no such resource, which says nothing."""
    resource_id = portal_212.new_resource()["id"]
    report = load_text(portal_212, resource_id, OLD, tmp_path, via="copy")
    other = settings(portal_211) | {"datastore_url": portal_212.datastore_url}
    with pytest.raises(errors.CkanNotFound, match="could not be dropped"):
        register(report, Options(**other, resource_id=resource_id))
    assert len(rows(portal_212, resource_id)) == 2


# What is left of loads that never asked again, as those that were killed


@pytest.fixture
def tables(portal: Portal, tmp_path: Path) -> dict[str, str]:
    """Tables by what became of their resource since they were loaded."""
    made = {}
    for what in (
        "gone",
        "purged",
        "in a deleted dataset",
        "there",
        "private",
        "passed on",
        "passed on, of a public dataset",
    ):
        resource = portal.new_resource(private=what in ("private", "passed on"))
        load_text(portal, resource["id"], OLD, tmp_path, via="copy")
        load_text(portal, resource["id"], NEW, tmp_path, via="copy")
        if delete := {
            "gone": left_out,
            "purged": dataset_purge,
            "in a deleted dataset": package_delete,
            "passed on": id_taken,
            "passed on, of a public dataset": id_taken,
        }.get(what):
            delete(portal, resource)
        made[what] = resource["id"]
    resource = portal.new_resource()
    fields = [{"id": "a", "type": "text"}]
    portal.action("datastore_create", resource_id=resource["id"], force=True, fields=fields)
    left_out(portal, resource)
    return made | {"of others": resource["id"]}


def clean(*options: str, **environment: str) -> list[str]:
    """Return the tables that ``aircan cleanup`` names."""
    done = CliRunner().invoke(cli.app, ["cleanup", *options], env=environment)
    assert done.exit_code == 0, done.output
    return [line.split()[-1] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("token", ["the admin's", "none"])
def test_cleanup_drops_the_tables_of_what_is_gone(
    portal: Portal, tables: dict[str, str], token: str
):
    environment = portal.environment
    if token == "none":
        del environment["AIRCAN_CKAN_TOKEN"]
    unnamed = {name: v for name, v in environment.items() if name != "AIRCAN_CKAN_URL"}
    assert not set(clean(**unnamed)) & set(tables.values())
    named = set(clean("--dry-run", **environment)) & set(tables.values())
    assert named == {tables["gone"], tables["purged"], tables["passed on"]}
    assert all(has_table(portal, one) for one in tables.values())
    assert set(clean(**environment)) & set(tables.values()) == named
    left = {what for what, one in tables.items() if has_table(portal, one)}
    assert left == tables.keys() - {"gone", "purged", "passed on"}
    assert len(rows(portal, tables["there"])) == 40


def test_cleanup_leaves_alone_what_is_being_loaded(portal: Portal, tables: dict[str, str]):
    url = portal.datastore_url
    with closing(database.connect(url, "test")) as connection:
        resource_lock.take(relation.Relation(connection, relation.name(tables["gone"])))
        assert tables["gone"] not in clean(**portal.environment)
        assert has_table(portal, tables["gone"])


def test_cleanup_believes_only_the_ckan_of_this_datastore(
    portal_212: Portal, portal_211: Portal, tmp_path: Path
):
    resource = portal_212.new_resource()
    load_text(portal_212, resource["id"], OLD, tmp_path, via="copy")
    load_text(portal_211, portal_211.new_resource()["id"], OLD, tmp_path, via="copy")
    mixed = portal_211.environment | {"AIRCAN_DATASTORE_URL": portal_212.datastore_url}
    done = CliRunner().invoke(cli.app, ["cleanup"], env=mixed)
    assert done.exit_code == 0
    assert f"not known to be the DataStore of {portal_211.url}" in done.stderr
    assert len(rows(portal_212, resource["id"])) == 2


def test_cleanup_waits_for_nobody_who_reads(
    portal_212: Portal, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    portal, resource = portal_212, portal_212.new_resource()
    load_text(portal, resource["id"], OLD, tmp_path, via="copy")
    left_out(portal, resource)
    with psycopg.connect(portal.datastore_url) as reader:
        reader.execute(f'SELECT count(*) FROM "{resource["id"]}"')
        assert resource["id"] not in clean(**portal.environment)
        assert f"{resource['id']} stays: " in caplog.text
        assert f"locked by pid {reader.info.backend_pid} (" in caplog.text
    assert resource["id"] in clean(**portal.environment)


def test_a_drop_waits_for_a_reader_and_lets_others_go_ahead(
    portal_212: Portal, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    portal, resource = portal_212, portal_212.new_resource()
    count = f'SELECT count(*) FROM "{resource["id"]}"'
    counted = []
    with psycopg.connect(portal.datastore_url) as reader:

        def read() -> None:
            """Read while the drop waits, then let it go on."""
            until_logged(caplog, "waiting: dropping the table")
            for _ in range(3):
                with psycopg.connect(portal.datastore_url) as another:
                    another.execute("SET lock_timeout = '10s'")
                    counted.extend(another.execute(count).fetchone() or ())
            reader.rollback()

        def delete() -> None:
            reader.execute(count)
            left_out(portal, resource)
            reading.start()

        reading = threading.Thread(target=read)
        at = At("telling CKAN", delete)
        error = load_until(portal, resource, tmp_path, at, via="copy")
        reading.join()
    assert counted == [40, 40, 40]
    assert error.message.endswith("its table was dropped")
    assert not has_table(portal, resource["id"])


def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    end = time.monotonic() + 60
    while text not in caplog.text:
        assert time.monotonic() < end
        time.sleep(0.05)


# Whose tables they are


def told_site(url: str) -> Callable[..., None]:
    """CKAN tells that this is its own URL."""
    content = json.dumps({"success": True, "result": {"site_url": url}}).encode()
    return lambda handler, call: handler.answer(200, content, {"Content-Type": "application/json"})


def by_hand(portal: Portal, resource_id: str, folder: Path) -> None:
    """Load without a CKAN."""
    path = folder / "data.csv"
    path.write_text(NEW, encoding="utf-8")
    load(path, datastore_url=portal.datastore_url, resource_id=resource_id)


def into_another(portal: Portal, resource_id: str, folder: Path) -> None:
    """Load into another CKAN that has the same database."""
    path = folder / "data.csv"
    path.write_text(NEW, encoding="utf-8")
    with Unsteady(portal.url) as other:
        other.faults = {"status_show": [told_site("https://other.org")]}
        given = settings(portal) | {"ckan_url": other.url}
        load(path, **given, resource_id=resource_id, via="copy")
        assert other.faults == {"status_show": []}


def as_before(portal: Portal, resource_id: str, folder: Path) -> None:
    """Load as an AirCan did that did not tell CKANs apart."""
    by_hand(portal, resource_id, folder)
    sql(portal, f'COMMENT ON SEQUENCE "{resource_id}__id_seq" IS $${relation.MARK}$$')


Loading = Callable[[Portal, str, Path], None]
OF_OTHERS = [by_hand, into_another, as_before]


@pytest.mark.parametrize("was_ours", [True, False], ids=["replaced", "new"])
@pytest.mark.parametrize("way", OF_OTHERS)
def test_no_cleanup_drops_what_was_not_loaded_into_this_ckan(
    portal: Portal, tmp_path: Path, way: Loading, was_ours: bool
):
    resource = portal.new_resource()
    if was_ours:
        load_text(portal, resource["id"], OLD, tmp_path, via="copy")
    way(portal, resource["id"], tmp_path)
    left_out(portal, resource)
    assert resource["id"] not in clean("--dry-run", **portal.environment)
    assert resource["id"] not in clean(**portal.environment)
    assert len(rows(portal, resource["id"])) == 40


@pytest.mark.parametrize("name", ["measurements", "7b5d8d2c-3f0e-4c39-9f2b-3a8f0d1f6a11"])
def test_a_table_that_never_had_a_resource_stays(portal: Portal, tmp_path: Path, name: str):
    by_hand(portal, name, tmp_path)
    try:
        assert name not in clean("--dry-run", **portal.environment)
        assert name not in clean(**portal.environment)
        report = load_text(portal, portal.new_resource()["id"], OLD, tmp_path, via="copy")
        report.resource_id = name
        with pytest.raises(errors.CkanNotFound, match="could not be dropped"):
            register(report, Options(**settings(portal), resource_id=name))
        assert len(rows(portal, name)) == 40
    finally:
        sql(portal, f'DROP TABLE "{name}"')


def test_a_ckan_is_known_again_by_whatever_url_it_is_reached(portal: Portal, tmp_path: Path):
    resource = portal.new_resource()
    path = tmp_path / "data.csv"
    path.write_text(OLD, encoding="utf-8")
    with Unsteady(portal.url) as front:
        given = settings(portal) | {"ckan_url": front.url}
        load(path, **given, resource_id=resource["id"], via="copy")
    left_out(portal, resource)
    assert resource["id"] in clean(**portal.environment)


SITES = {
    "as it is": ("https://demo.org", "https://demo.org"),
    "a slash": ("https://demo.org/", "https://demo.org"),
    "capitals": ("HTTPS://Demo.ORG/Data", "https://demo.org/Data"),
    "a port that is meant anyway": ("https://demo.org:443", "https://demo.org"),
    "another port": ("http://demo.org:443/a", "http://demo.org:443/a"),
    "an address": ("http://[2001:DB8::1]:5000", "http://[2001:db8::1]:5000"),
    "none": ("", None),
    "no URL": ("demo", None),
    "a user": ("https://me:secret@demo.org", None),
}


@pytest.mark.parametrize(("said", "site"), SITES.values(), ids=SITES)
def test_the_url_by_which_a_ckan_calls_itself(portal_212: Portal, said: str, site: str | None):
    with Unsteady(portal_212.url) as front:
        front.faults = {"status_show": [told_site(said)]}
        assert Ckan(front.url).site() == site


# CKAN fails


@pytest.mark.parametrize("fault", [refused(503), refused(502), cut_before])
def test_a_cleanup_stops_when_ckan_goes_away_and_says_what_it_did(
    portal_212: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
):
    monkeypatch.setattr(gone, "TABLES_AT_ONCE", 1)
    portal, lost = portal_212, []
    clean(**portal.environment)  # what other tests have left
    for _ in range(4):
        resource = portal.new_resource()
        load_text(portal, resource["id"], OLD, tmp_path, via="copy")
        left_out(portal, resource)
        lost.append(resource["id"])
    lost.sort()
    with closing(database.connect(portal.datastore_url, "test")) as connection:
        names = relation.name("killed")
        shadow.create(relation.Relation(connection, names), [Column("a", "text")], None)
    asked: list[str] = []

    def away_after_the_first(handler: Any, call: Call) -> None:
        asked.append(json.loads(call.body)["id"])
        if asked[-1] > lost[0]:
            fault(handler, call)
        else:
            handler.pass_on(call)

    with Unsteady(portal.url) as front:
        front.faults = {"resource_show": [away_after_the_first] * 1000}
        environment = portal.environment | {"AIRCAN_CKAN_URL": front.url}
        done = CliRunner().invoke(cli.app, ["cleanup"], env=environment)
    assert sum(1 for one in asked if one > lost[0]) == 1
    assert done.exit_code == 1
    dropped = [line.split()[-1] for line in done.stdout.splitlines()]
    assert dropped == [names.shadow, lost[0]]
    assert "aircan: " in done.stderr
    assert [has_table(portal, one) for one in lost] == [False, True, True, True]
    assert set(clean(**portal.environment)) >= set(lost[1:])


def test_a_cleanup_asks_which_tables_there_are_a_hundred_at_a_time(
    portal_212: Portal, tmp_path: Path
):
    portal, lost = portal_212, set()
    for _ in range(3):
        resource = portal.new_resource()
        load_text(portal, resource["id"], OLD, tmp_path, via="copy")
        left_out(portal, resource)
        lost.add(resource["id"])
    with Unsteady(portal.url) as front:
        environment = portal.environment | {"AIRCAN_CKAN_URL": front.url}
        assert set(clean("--dry-run", **environment)) >= lost
        assert len(front.made("datastore_search")) == 2  # is it its DataStore, and which are there


@pytest.mark.usefixtures("hasty")
def test_after_a_swap_a_ckan_that_is_away_is_asked_once_whether_it_is_gone(
    portal_212: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Here the index cannot be made: CKAN might have dropped the table."""
    monkeypatch.setattr(locks, "GIVE_UP_AFTER_S", 0.1)
    monkeypatch.setattr(locks, "VACUUM_YIELDS_MS", 100)
    portal, resource = portal_212, portal_212.new_resource()
    path = tmp_path / "data.csv"
    path.write_text(NEW, encoding="utf-8")
    with Unsteady(portal.url) as front, psycopg.connect(portal.datastore_url) as other:

        def go_away() -> None:
            other.execute(f'LOCK TABLE "{resource["id"]}" IN SHARE ROW EXCLUSIVE MODE')
            front.calls.clear()
            front.always = refused(503)

        at = At("indexing the full text", go_away)
        given = settings(portal) | {"ckan_url": front.url}
        report = load(path, **given, resource_id=resource["id"], via="copy", progress=at)
        assert at.acted
        tried = [call.action for call in front.calls]
    assert len(rows(portal, resource["id"])) == 40
    assert "the rows are not indexed" in report.warnings[-1]
    assert tried == ["resource_show"]


@pytest.mark.parametrize("registers", [True, False])
def test_after_a_swap_it_is_asked_once_whether_a_resource_is_gone(
    portal_212: Portal, tmp_path: Path, registers: bool
):
    portal, resource = portal_212, portal_212.new_resource()
    path = tmp_path / "data.csv"
    path.write_text(NEW, encoding="utf-8")
    with Unsteady(portal.url) as front:

        def delete() -> None:
            left_out(portal, resource)
            front.calls.clear()

        at = At("telling CKAN", delete)
        options = Options(
            **settings(portal) | {"ckan_url": front.url}, resource_id=resource["id"], via="copy"
        )
        with pytest.raises(errors.CkanNotFound, match="its table was dropped"):
            load_source(path, options, at, registers=registers)
        asked = [call.action for call in front.calls]
    assert asked.count("resource_show") == 2  # by the registering, and whether it is gone
    assert not has_table(portal, resource["id"])


@pytest.mark.parametrize("is_private", [True, False])
def test_what_is_hidden_is_forbidden_and_not_gone(portal: Portal, is_private: bool):
    resource = portal.new_resource(private=is_private)
    if not is_private:
        package_delete(portal, resource)
    ckan = Ckan(portal.url)
    with pytest.raises(errors.CkanForbidden):
        ckan.resource(resource["id"])
    with pytest.raises(errors.CkanForbidden):
        ckan.dataset(resource["package_id"])
    assert not ckan.is_gone(resource["id"])
    with pytest.raises(errors.CkanNotFound):
        ckan.resource(str(uuid.uuid4()))
