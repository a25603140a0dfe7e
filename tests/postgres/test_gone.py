"""Which tables may be dropped with their resources: those of loads into that very CKAN."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from loader import load
from loader.copy import database, gone, relation

SITE, DATASET = "https://demo.ckan.org", "0e9f-a-dataset"


def mark_of(connection: psycopg.Connection, table: str) -> str | None:
    return connection.execute(
        "SELECT obj_description(to_regclass(%s), 'pg_class')", [f'"{table}__id_seq"']
    ).fetchone()[0]


MARKS = {
    "of a CKAN": relation.mark(SITE, DATASET),
    "of an AirCan that named no CKAN": relation.MARK,
    "somebody's": "of a table that somebody has made",
    "none": None,
}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_a_load_without_a_ckan_leaves_no_mark(
    datastore_url_18: str, database_18: psycopg.Connection, tmp_path: Path, mark: str | None
):
    """Neither its own, nor that of the table that it replaces."""
    path = tmp_path / "trees.csv"
    path.write_text("n\n1\n")
    load(path, resource_id="trees", datastore_url=datastore_url_18)
    assert mark_of(database_18, "trees") is None
    if mark:
        database_18.execute(f"COMMENT ON SEQUENCE trees__id_seq IS $${mark}$$")
    load(path, resource_id="trees", datastore_url=datastore_url_18)
    kept = mark if mark and not mark.startswith(relation.MARK) else None
    assert mark_of(database_18, "trees") == kept


@pytest.fixture
def table(database_18: psycopg.Connection) -> int:
    """A table, by its oid."""
    make(database_18)
    return database_18.execute("SELECT 'trees'::regclass::oid").fetchone()[0]


def make(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE trees (_id serial PRIMARY KEY, n integer)")
    connection.execute("INSERT INTO trees (n) VALUES (7)")


def stays(connection: psycopg.Connection) -> None:
    pass


def goes(connection: psycopg.Connection) -> None:
    connection.execute("DROP TABLE trees")


def is_made_anew(connection: psycopg.Connection) -> None:
    goes(connection)
    make(connection)


def becomes_a_view(connection: psycopg.Connection) -> None:
    goes(connection)
    connection.execute("CREATE VIEW trees AS SELECT 1 AS _id, 7 AS n")


@pytest.mark.parametrize("change", [stays, goes, is_made_anew, becomes_a_view])
def test_only_the_very_table_is_dropped_once_its_lock_is_had(
    datastore_url_18: str,
    database_18: psycopg.Connection,
    table: int,
    change: Callable[[psycopg.Connection], None],
):
    with (
        closing(database.connect(datastore_url_18, "cleanup")) as connection,
        psycopg.connect(datastore_url_18) as other,
    ):
        other.execute("LOCK TABLE trees IN ACCESS EXCLUSIVE MODE")

        def let_go() -> None:
            change(other)
            other.commit()

        later = threading.Timer(0.3, let_go)
        later.start()
        with connection.transaction():
            assert gone._drop(connection, "trees", table) == (change is stays)
        later.join()
    if change in (is_made_anew, becomes_a_view):
        assert database_18.execute("SELECT n FROM trees").fetchall() == [(7,)]
    else:
        found = database_18.execute("SELECT to_regclass('trees')").fetchone()
        assert found == (None,)


OWN = relation.mark(SITE, DATASET)
# The table's mark, that of the load; whether the table is dropped, and the rows are gone.
BELONGS = {
    "its own": (OWN, OWN, True, True),
    "of another CKAN": (relation.mark("https://other.org", DATASET), OWN, False, True),
    "of one whose URL begins like it": (relation.mark(f"{SITE}/x", DATASET), OWN, False, True),
    "of another dataset": (relation.mark(SITE, "another"), OWN, False, True),
    "none": (None, OWN, False, False),
    "older": (relation.MARK, OWN, False, False),
    "somebody's": ("mine", OWN, False, False),
    "of a CKAN, and this one does not tell": (OWN, None, False, False),
    "none, and this one does not tell": (None, None, False, False),
}


class Portal:
    """A CKAN that lists every table."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def table_oids(self, resource_ids: Sequence[str]) -> dict[str, int]:
        named = self._connection.execute("SELECT relname, oid FROM pg_class").fetchall()
        return {name: oid for name, oid in named if name in resource_ids}


def dropped(url: str, mark: str | None, loaded: int | None) -> bool:
    with closing(database.connect(url, "withdraw")) as connection:
        trees = relation.Relation(connection, relation.name("trees"))
        return gone.drop(trees, Portal(connection), mark, loaded=loaded)


@pytest.mark.parametrize(("found", "mark", "goes", "gone"), BELONGS.values(), ids=BELONGS)
@pytest.mark.usefixtures("table")
def test_whose_table_it_is(
    datastore_url_18: str,
    database_18: psycopg.Connection,
    found: str | None,
    mark: str | None,
    goes: bool,
    gone: bool,
):
    if found:
        database_18.execute(f"COMMENT ON SEQUENCE trees__id_seq IS $${found}$$")
    assert dropped(datastore_url_18, mark, None) == gone
    there = database_18.execute("SELECT to_regclass('trees')").fetchone() != (None,)
    assert there != goes


@pytest.mark.parametrize("mark", [OWN, None])
@pytest.mark.parametrize("found", [OWN, "mine", None])
def test_what_this_process_has_loaded_into_it_knows(
    datastore_url_18: str,
    database_18: psycopg.Connection,
    table: int,
    mark: str | None,
    found: str | None,
):
    """CKAN itself may have made it, and the load has only added rows."""
    is_made_anew(database_18)
    if found:
        database_18.execute(f"COMMENT ON SEQUENCE trees__id_seq IS $${found}$$")
    assert dropped(datastore_url_18, mark, table)
    assert database_18.execute("SELECT n FROM trees").fetchall() == [(7,)]
    (new,) = database_18.execute("SELECT 'trees'::regclass::oid").fetchone()
    assert dropped(datastore_url_18, mark, new)
    assert database_18.execute("SELECT to_regclass('trees')").fetchone() == (None,)


DATASETS = {
    "its own": (OWN, DATASET),
    "of another CKAN": (relation.mark("https://other.org", DATASET), None),
    "of one whose URL begins like it": (relation.mark(f"{SITE}/x", DATASET), None),
    "of an older AirCan": (relation.MARK, None),
    "of an AirCan that named no dataset": (OWN.rpartition(" ")[0], None),
    "somebody's": ("mine", None),
    "none": (None, None),
}


@pytest.mark.parametrize(("mark", "dataset"), DATASETS.values(), ids=DATASETS)
def test_for_which_dataset_a_table_was_loaded(mark: str | None, dataset: str | None):
    assert relation.dataset_of(mark, SITE) == dataset
