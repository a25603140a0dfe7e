"""What a DataStore's catalog tells of its tables, in every form that CKAN has ever written."""

import json
from contextlib import closing

import pytest
from datastore import create, install_ckan
from psycopg import sql
from test_swap import AtStep

from loader.copy import database as connections
from loader.copy import dictionary
from loader.copy.relation import Relation, name
from loader.options import Options
from loader.pipeline.load import load
from loader.types.column import Column

TREES = name("trees")


@pytest.fixture
def loader(datastore_url, database):
    with closing(connections.connect(datastore_url, "test")) as connection:
        yield connection


# A column's comment, and the type that it decides.
COMMENTS = {
    "2.11": (' {"_info": {"label": "L", "type_override": "numeric"}}', "numeric"),
    "2.11 with a plugin's": (
        ' {"_info": {"type_override": "text"}, "validation": {"type_override": "date"}}',
        "text",
    ),
    "2.11 with a plugin's only": (' {"validation": {"type_override": "date"}}', None),
    "2.10": ('{"label": "L", "notes": "", "type_override": "timestamp"}', "timestamp"),
    "2.10 without": ('{"label": "L"}', None),
    "2.10 with a column's note of that name": ('{"_info": {"type_override": "text"}}', None),
    "empty": (' {"_info": {"type_override": ""}}', None),
    "null": (' {"_info": {"type_override": null}}', None),
    "not a text": (' {"_info": {"type_override": ["text"]}}', None),
    "no info": (' {"_info": null}', None),
    "a list": (' ["type_override"]', None),
    "a number": ("7", None),
    "a remark": ("Height of the tree's crown, in m", None),
    "half of JSON": (' {"_info": {"type_override": "text"}', None),
    "a brace": ("{", None),
    "nothing": (None, None),
}


@pytest.mark.parametrize(("comment", "decided"), COMMENTS.values(), ids=COMMENTS)
def test_the_publishers_word_on_a_columns_type(database_18, datastore_url_18, comment, decided):
    install_ckan(database_18)
    create(database_18, "trees", "a text, b text")
    write = sql.SQL("COMMENT ON COLUMN trees.{} IS {}")
    database_18.execute(write.format(sql.Identifier("a"), comment))
    other = " " + json.dumps({"_info": {"type_override": "text"}})
    database_18.execute(write.format(sql.Identifier("b"), other))
    with closing(connections.connect(datastore_url_18, "test")) as connection:
        found = dictionary.overrides(Relation(connection, TREES))
    assert found == ({"a": decided, "b": "text"} if decided else {"b": "text"})


def test_columns_have_the_types_of_loads_or_those_of_postgres(database, loader):
    install_ckan(database)
    kinds = {
        "bigint": "bigint",
        "numeric": "numeric",
        "boolean": "boolean",
        "date": "date",
        "time": "time",
        "timestamp": "timestamp",
        "timestamptz": "timestamptz",
        "json": "json",
        "text": "text",
        "int4": "integer",
        "float8": "double precision",
        "varchar(5)": "character varying(5)",
        "nested": "nested",
        "_text": "text[]",
    }
    columns = [(f"c{number}", kind) for number, kind in enumerate(kinds)]
    create(database, "trees", ", ".join(f"{column} {kind}" for column, kind in columns))
    database.execute("ALTER TABLE trees ADD gone text; ALTER TABLE trees DROP gone")
    assert dictionary.types(Relation(loader, TREES)) == [
        Column(column, kinds[kind]) for column, kind in columns
    ]


def test_a_table_that_is_not_there(loader):
    assert dictionary.types(Relation(loader, TREES)) is None
    assert dictionary.overrides(Relation(loader, TREES)) == {}


def test_a_table_without_columns_of_its_own(database, loader):
    database.execute("CREATE TABLE trees (_id serial, _full_text tsvector)")
    assert dictionary.types(Relation(loader, TREES)) == []


def test_ckans_list_of_tables(database, loader):
    install_ckan(database)
    create(database, "trees", "a text")
    create(database, "it's", "a text")
    database.execute("CREATE VIEW alias AS SELECT * FROM trees")
    oids = database.execute("SELECT 'trees'::regclass::oid, '\"it''s\"'::regclass::oid").fetchone()
    assert dictionary.tables(loader) == dict(zip(("trees", "it's"), oids, strict=True))


def test_a_database_that_ckan_has_not_prepared(loader):
    assert dictionary.tables(loader) is None


OVERRIDE = ' {"_info": {"type_override": "text"}}'


@pytest.mark.parametrize(
    ("before", "change", "told"),
    [
        ("NULL", f"COMMENT ON COLUMN t.n IS '{OVERRIDE}'", True),
        (f"'{OVERRIDE}'", "COMMENT ON COLUMN t.n IS NULL", True),
        (f"'{OVERRIDE}'", """COMMENT ON COLUMN t.n IS '{"label": "N"}'""", True),
        ("NULL", """COMMENT ON COLUMN t.n IS '{"label": "N"}'""", False),
        (f"'{OVERRIDE}'", "SELECT 1", False),
    ],
    ids=["came", "went", "went for a label", "a label", "stays"],
)
def test_a_type_that_is_decided_during_the_load_is_told(
    datastore_url, database, tmp_path, before, change, told
):
    """The table has not got it: until the next load it and its Data Dictionary differ."""
    install_ckan(database)
    (tmp_path / "t.csv").write_text("n,m\n1,2\n")
    options = Options("t", datastore_url)
    load(str(tmp_path / "t.csv"), options)
    database.execute(f"COMMENT ON COLUMN t.n IS {before}")
    progress = AtStep("copying rows", lambda: database.execute(change))
    warnings = load(str(tmp_path / "t.csv"), options, progress).warnings
    said = "the Data Dictionary's types changed during the load, load again: n"
    assert warnings == ([said] if told else [])
