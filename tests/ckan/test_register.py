"""After a load CKAN knows of it what its own loader would have told it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from loads import load_text, settings
from portal import Portal, Refused

from loader import errors, load

TWO = "tree,height\nLinde,12\nEiche,20\n"
FIVE = f"{TWO}Ulme,7\nEsche,3\nBirke,9\n"
ONE = "tree,height\nTanne,30\n"
MODIFIED = "2020-02-29T12:00:00"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def resource_id(portal: Portal) -> str:
    """A resource that was never loaded."""
    resource = portal.new_resource(last_modified=MODIFIED, hash="of the publisher")
    return resource["id"]


def shown(portal: Portal, resource_id: str) -> dict[str, Any]:
    return portal.action("resource_show", id=resource_id)


def md5(content: str) -> str:
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


def views(portal: Portal, resource_id: str) -> list[str]:
    return [view["view_type"] for view in portal.action("resource_view_list", id=resource_id)]


def test_a_load_changes_of_the_resource_what_ckans_loader_would(
    portal: Portal, resource_id: str, tmp_path: Path
):
    before = shown(portal, resource_id)
    load_text(portal, resource_id, TWO, tmp_path, via="copy")
    after = shown(portal, resource_id)
    changed = {name: after[name] for name in after if before.get(name) != after[name]}
    changed.pop("metadata_modified")
    assert changed == {
        "datastore_active": True,
        "datastore_contains_all_records_of_source_file": True,
        "hash": md5(TWO),
    }
    assert after["last_modified"] == MODIFIED
    assert before.keys() <= after.keys()


def test_the_total_is_right_at_once_after_every_load(
    portal: Portal, resource_id: str, tmp_path: Path
):
    for content, total in ((TWO, 2), (FIVE, 5), (ONE, 1)):
        load_text(portal, resource_id, content, tmp_path, via="copy")
        found = portal.search(resource_id)
        assert (found["total"], len(found["records"])) == (total, total)
        assert portal.search(resource_id, limit=0)["total"] == total
        assert portal.action("datastore_info", id=resource_id)["meta"]["count"] == total
        assert shown(portal, resource_id)["hash"] == md5(content)


def test_the_total_is_right_at_once_after_rows_were_added_otherwise(
    portal: Portal, resource_id: str, tmp_path: Path
):
    load_text(portal, resource_id, TWO, tmp_path, via="copy")
    rows = {"resource_id": resource_id, "records": [{"tree": "Ulme"}], "force": True}
    portal.action("datastore_upsert", method="insert", calculate_record_count=False, **rows)
    assert portal.search(resource_id)["total"] == 3
    load_text(portal, resource_id, FIVE, tmp_path, via="copy")
    assert portal.search(resource_id)["total"] == 5


def test_default_views_are_made_by_the_first_load_only(
    portal: Portal, resource_id: str, tmp_path: Path
):
    assert "datatables_view" not in views(portal, resource_id)
    load_text(portal, resource_id, TWO, tmp_path, via="copy")
    assert views(portal, resource_id).count("datatables_view") == 1
    load_text(portal, resource_id, FIVE, tmp_path, via="copy")
    assert views(portal, resource_id).count("datatables_view") == 1
    for view in portal.action("resource_view_list", id=resource_id):
        portal.action("resource_view_delete", id=view["id"])
    load_text(portal, resource_id, ONE, tmp_path, via="copy")
    assert views(portal, resource_id) == []


def test_a_first_load_that_fails_leaves_no_trace(portal: Portal, resource_id: str, tmp_path: Path):
    before = shown(portal, resource_id)
    with pytest.raises(errors.AircanError):
        load_text(portal, resource_id, "tree,height\nLinde,12,7,9\n", tmp_path, max_bad_rows=0)
    assert shown(portal, resource_id) == before
    assert views(portal, resource_id) == []
    with pytest.raises(Refused) as refused:
        portal.search(resource_id)
    assert refused.value.status == 404


def test_a_later_load_that_fails_leaves_the_old_hash_and_rows(
    portal: Portal, resource_id: str, tmp_path: Path
):
    load_text(portal, resource_id, TWO, tmp_path, via="copy")
    before = shown(portal, resource_id)
    with pytest.raises(errors.AircanError):
        load_text(portal, resource_id, f"{FIVE}a,b,c,d\n", tmp_path, max_bad_rows=0)
    assert shown(portal, resource_id) == before
    assert portal.search(resource_id)["total"] == 2


def load_as(token: str, portal: Portal, resource_id: str, folder: Path) -> None:
    path = folder / "data.csv"
    path.write_text(TWO, encoding="utf-8")
    load(path, **settings(portal) | {"ckan_token": token}, resource_id=resource_id)


def test_an_editor_of_the_organisation_may_load(portal: Portal, resource_id: str, tmp_path: Path):
    load_as(portal.editor_token, portal, resource_id, tmp_path)
    assert portal.search(resource_id)["total"] == 2
    assert shown(portal, resource_id)["datastore_active"] is True


def test_nobody_loads_without_a_right_to_the_resource(
    portal: Portal, resource_id: str, tmp_path: Path
):
    with pytest.raises(errors.CkanForbidden):
        load_as("no-token", portal, resource_id, tmp_path)
    with pytest.raises(Refused):
        portal.search(resource_id)


def test_rows_that_are_added_leave_the_files_hash_as_it_is(
    portal: Portal, resource_id: str, tmp_path: Path
):
    load_text(portal, resource_id, TWO, tmp_path)
    load_text(portal, resource_id, ONE, tmp_path, mode="append")
    assert shown(portal, resource_id)["hash"] == md5(TWO)
    assert portal.search(resource_id)["total"] == 3


def test_rows_that_were_set_aside_are_not_all_records(
    portal: Portal, resource_id: str, tmp_path: Path
):
    report = load_text(portal, resource_id, f"{TWO}Ulme,7,8,9\n", tmp_path)
    assert report.bad_rows.rejected == 1
    flag = "datastore_contains_all_records_of_source_file"
    assert shown(portal, resource_id)[flag] is False
    load_text(portal, resource_id, TWO, tmp_path)
    assert shown(portal, resource_id)[flag] is True


class Interrupted:
    """Progress that is interrupted, as by Ctrl-C, when a step begins."""

    def __init__(self, step: str) -> None:
        self._step = step

    def begin(self, title: str) -> None:
        if title == self._step:
            raise KeyboardInterrupt

    def expect(self, size: int | None) -> None:
        pass

    def advance(self, bytes_read: int, rows: int) -> None:
        pass


@pytest.mark.parametrize(
    ("step", "table", "total"),
    [
        ("copying rows", "untouched", 2),
        ("swapping the tables", "untouched", 2),
        ("telling CKAN", "replaced", 5),
    ],
)
def test_who_stops_a_load_is_told_which_rows_are_there(
    portal_212: Portal, tmp_path: Path, step: str, table: str, total: int
):
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, TWO, tmp_path)
    with pytest.raises(errors.Cancelled) as caught:
        load_text(portal_212, resource_id, FIVE, tmp_path, progress=Interrupted(step))
    assert caught.value.table == table
    assert portal_212.search(resource_id)["total"] == total
    assert shown(portal_212, resource_id)["hash"] == md5(TWO)
