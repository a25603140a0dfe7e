"""append and upsert: rows are added to a table, or put into it by their key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from loads import load_text, rows, sql
from portal import Portal

from loader import Options, errors

FIRST = "id,name,height\n1,Linde,12.50\n2,Eiche,20\n"


@pytest.fixture
def trees(portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A resource whose table was loaded once; its id."""
    monkeypatch.chdir(tmp_path)
    resource_id = portal.new_resource()["id"]
    load_text(portal, resource_id, FIRST, tmp_path)
    return resource_id


def ids(portal: Portal, resource_id: str) -> list[int]:
    return [row[0] for row in sql(portal, f'SELECT _id FROM "{resource_id}" ORDER BY _id')]


def test_rows_are_added_in_the_order_of_the_file(portal: Portal, trees: str, tmp_path: Path):
    # Another order of the columns is no other table.
    report = load_text(
        portal, trees, "name,id,height\nUlme,3,7.0\nEsche,4,\n", tmp_path, mode="append"
    )
    assert (report.rows, report.mode) == (2, "append")
    assert rows(portal, trees)[2:] == [("3", "Ulme", "7.0"), ("4", "Esche", None)]
    assert ids(portal, trees) == [1, 2, 3, 4]
    assert portal.search(trees)["total"] == 4
    assert portal.search(trees, q="ulme")["total"] == 1


def test_appending_to_no_table_is_a_first_load(portal: Portal, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resource_id = portal.new_resource()["id"]
    load_text(portal, resource_id, FIRST, tmp_path, mode="append")
    assert portal.search(resource_id)["total"] == 2


def test_upserting_to_no_table_makes_one_with_the_key(portal: Portal, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resource_id = portal.new_resource()["id"]
    twice = FIRST + "1,Ulme,7\n"
    report = load_text(portal, resource_id, twice, tmp_path, mode="upsert", key=["id"])
    assert report.rows == 2
    assert "rows with the key of a later row, left out: 1" in report.warnings
    assert rows(portal, resource_id) == [("2", "Eiche", "20"), ("1", "Ulme", "7")]
    load_text(portal, resource_id, "id,name,height\n1,Linde,8\n", tmp_path, mode="upsert")
    assert portal.search(resource_id)["total"] == 2


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("id,name\n3,Ulme\n", "height"),
        ("id,name,height,girth\n3,Ulme,7,1\n", "girth"),
        ("id,name,height\n3,Ulme,high\n", "height"),
        ("id,name,height\nthree,Ulme,7\n", "id"),
    ],
    ids=["missing", "new", "other type", "other type of key"],
)
def test_other_columns_than_the_tables(
    portal_212: Portal, tmp_path: Path, monkeypatch, mode: str, content: str, column: str
):
    monkeypatch.chdir(tmp_path)
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, FIRST, tmp_path, key=["id"])
    with pytest.raises(errors.SchemaDiffers, match=column):
        load_text(portal_212, resource_id, content, tmp_path, mode=mode)
    assert portal_212.search(resource_id)["total"] == 2


def test_rows_are_put_in_by_their_key(portal: Portal, trees: str, tmp_path: Path):
    changes = "id,name,height\n2,Eiche,21\n3,Ulme,7\n3,Ulme,8\n"
    report = load_text(portal, trees, changes, tmp_path, mode="upsert", key=["id"])
    assert rows(portal, trees) == [
        ("1", "Linde", "12.50"),
        ("2", "Eiche", "21"),
        ("3", "Ulme", "8"),
    ]
    assert "rows with the key of a later row, left out: 1" in report.warnings
    assert portal.search(trees)["total"] == 3
    assert portal.search(trees, q="21")["total"] == 1
    assert portal.search(trees, q="20")["total"] == 0
    # The key is there now, for AirCan and for CKAN.
    load_text(portal, trees, "id,name,height\n1,Linde,13\n", tmp_path, mode="upsert")
    portal.action(
        "datastore_upsert", resource_id=trees, force=True, records=[{"id": 2, "height": 22}]
    )
    assert [row[2] for row in rows(portal, trees)] == ["13", "22", "8"]


def test_without_a_key_there_is_no_upsert(portal_212: Portal, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, FIRST, tmp_path)
    with pytest.raises(errors.AircanError) as caught:
        load_text(portal_212, resource_id, FIRST, tmp_path, mode="upsert")
    assert caught.value.option == "key"


@pytest.mark.parametrize("via", ["copy", "api"])
def test_a_key_that_the_file_does_not_have_costs_no_row(
    portal_212: Portal, tmp_path: Path, monkeypatch, via: str
):
    monkeypatch.chdir(tmp_path)
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, FIRST, tmp_path)
    with pytest.raises(errors.UsageError, match="no column 'nmae'"):
        load_text(portal_212, resource_id, FIRST, tmp_path, via=via, key=["nmae"])
    assert portal_212.search(resource_id)["total"] == 2


def test_append_takes_no_key():
    with pytest.raises(errors.UsageError, match="append takes no key"):
        Options(mode="append", key=["id"])


def test_an_upsert_that_fails_leaves_no_key(portal_212: Portal, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, FIRST, tmp_path)
    with pytest.raises(errors.UnclosedQuote):
        load_text(portal_212, resource_id, f'{FIRST}3,"', tmp_path, mode="upsert", key=["id"])
    with pytest.raises(errors.KeyViolated):
        load_text(portal_212, resource_id, f"{FIRST},x,1\n", tmp_path, mode="upsert", key=["id"])
    keys = "SELECT count(*) FROM pg_index WHERE indrelid = to_regclass(quote_ident(%s))"
    assert sql(portal_212, f"{keys} AND indisunique", resource_id) == [(1,)]


def test_a_table_that_cannot_be_replaced_can_get_rows(
    portal_212: Portal, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, FIRST, tmp_path)
    view = f"tall_{resource_id[:8]}"
    sql(portal_212, f'CREATE MATERIALIZED VIEW {view} AS SELECT name FROM "{resource_id}"')
    with pytest.raises(errors.DependentObjects, match=view):
        load_text(portal_212, resource_id, FIRST, tmp_path)
    load_text(portal_212, resource_id, FIRST, tmp_path, mode="append")
    assert portal_212.search(resource_id)["total"] == 4


def test_a_key_with_an_empty_cell_is_told(portal_212: Portal, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, FIRST, tmp_path, key=["id"])
    with pytest.raises(errors.AircanError, match="id"):
        load_text(portal_212, resource_id, "id,name,height\n,Ulme,7\n", tmp_path, mode="upsert")
    assert portal_212.search(resource_id)["total"] == 2


def test_the_command_tells_how_the_rows_went_in(portal_212: Portal, tmp_path: Path):
    path = tmp_path / "more.csv"
    path.write_text(FIRST)
    resource_id = portal_212.new_resource()["id"]
    for mode, said in (("replace", "loaded into"), ("append", "added to")):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "loader", "load", path),
                *("--resource-id", resource_id, "--mode", mode),
            ],
            env={**os.environ, **portal_212.environment},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
        )
        assert f"2 rows {said} {resource_id}" in done.stdout, done.stderr
    assert portal_212.search(resource_id)["total"] == 4
