"""The long statements of copy/ are files, each of which Postgres runs by itself."""

import re
from pathlib import Path

import psycopg
import pytest
from datastore import create, install_ckan
from psycopg import sql

from loader.copy import statements
from loader.copy.relation import Relation, name

COPY = Path(statements.__file__).parent
FILES = {path.stem: path for path in sorted(COPY.glob("*.sql"))}


def numbered(text: str) -> tuple[str, list[str]]:
    """Return a statement with the placeholders of the server, and what they are called here."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    for number, placeholder in enumerate(names, 1):
        text = text.replace(f"%({placeholder})s", f"${number}")
    return text, names


@pytest.fixture
def trees(database: psycopg.Connection) -> Relation:
    """A live table and its shadow, both with a key and a trigger."""
    install_ckan(database)
    relation = Relation(database, name("trees"))
    for table in (relation.names.live, relation.names.shadow):
        create(database, table, "species text DEFAULT 'Oak', height int NOT NULL", "('Elm', 7)")
        for change in ("CREATE INDEX ON {} (height)", "ALTER TABLE {} ADD planted int DEFAULT 5"):
            database.execute(sql.SQL(change).format(sql.Identifier(table)))
    return relation


def values(relation: Relation) -> dict[str, str]:
    """Return what each placeholder may stand for, as SQL writes it."""
    given: dict[str, object] = {
        **relation.parameters,
        "old": relation.oid(),
        "new": relation.shadow_oid(),
        "oid": relation.oid(),
        "key_name": None,
        "mark": "mark",
        "name": relation.name,
        "table": relation.live_regclass,
        "tables": [relation.live_regclass],
        "most": 10,
        "chunks": "oak\nash ",
        "config": "english",
        "marker": "1234567890",
        "probe": "7 -8",
        "literal": "7:1 -8:1",
    }
    return {one: sql.Literal(value).as_string(None) for one, value in given.items()}


def test_there_are_such_files():
    assert {"indexes.additions", "views.find", "locks.holders"} <= FILES.keys()


def test_each_is_one_statement_that_postgres_plans_and_runs(database, trees):
    failed = {}
    for stem, file in FILES.items():
        text, names = numbered(file.read_text("utf-8"))
        assert "{" not in text
        given = ", ".join(values(trees)[one] for one in names)
        try:
            database.execute(sql.SQL(f"PREPARE alone AS {text}"))
            database.execute(f"EXPLAIN EXECUTE alone ({given})")
            database.execute(f"EXECUTE alone ({given})")
            database.execute("DEALLOCATE alone")
        except psycopg.Error as error:
            failed[stem] = str(error)
    assert failed == {}


def test_psycopg_sends_the_same_statements(database_18):
    """Their placeholders are found, and every other sign stays."""
    for stem, file in FILES.items():
        text, names = numbered(file.read_text("utf-8"))
        sent = psycopg.ClientCursor(database_18).mogrify(
            statements.read(stem), dict.fromkeys(names)
        )
        assert sent == re.sub(r"\$\d+", "NULL", text)


def test_every_file_is_asked_for():
    asked = {
        found
        for path in COPY.glob("*.py")
        for found in re.findall(r'statements\.read\(\s*"([\w.]+)"', path.read_text("utf-8"))
    }
    assert asked == FILES.keys()
