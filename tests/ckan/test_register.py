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
