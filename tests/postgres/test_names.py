"""Columns and tables may have any name, whatever a load does with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import psycopg
import pytest
from datastore import install_ckan, rows_of, shadows
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from names import HEADERS, TABLES, headers, tables
from psycopg import sql
from test_fulltext import different_rows, lexemes_of, write_csv

from loader.cli import output
from loader.copy import fulltext, lexemes, vocabulary
from loader.errors import KeyViolated
from loader.formats.csv import blocks
from loader.options import Options
from loader.pipeline.load import load

# Each kind in turn: with every name at one time, and none has always the same.
CELLS = [
    ["The quick foxes", "Ærøskøbing's cafés", "it's 100% {0} \\ $1"],
    ["7", "-8", "2015"],
    ["15.30", "-0.5", "7.0"],
    ["2020-01-02", "2021-12-31", "1999-01-01"],
    ["2020-01-02T03:04:05", "2021-12-31T00:00:00", "1999-01-01T12:00:00"],
    ["true", "false", "true"],
    ["06:34:36", "23:59:59", "12:00:00"],
    ['{"a": "foxes"}', "[1]", "{}"],
]
ODD_TEXTS = ["<b>bold</b>", "a < b", "w" * 300]
NEW_WORDS = [f"id{i:x}z" for i in range(300)]


def rows(count: int, width: int, turn: int = 0, odd: Sequence[str] = ()) -> list[list[str]]:
    """Return rows of all types; the odd texts stand in the last ones, in every column of text."""
    kinds = [CELLS[(i + turn) % len(CELLS)] for i in range(width)]
    usual = [[kind[n % 3] for kind in kinds] for n in range(count - len(odd))]
    return usual + [[text if kind is CELLS[0] else kind[0] for kind in kinds] for text in odd]


def write(path: Path, names: Sequence[str], lines: list[list[str]]) -> str:
    """Write a CSV with a column of text in front."""
    return write_csv(path, ["first", *names], [[f"row {i}", *row] for i, row in enumerate(lines)])


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The rows that were asked for, all else being composed."""
    asked: list[int] = []
    ask = lexemes.Composer._ask

    def spy(self: lexemes.Composer, cells):
        asked.append(len(cells[0]))
        return ask(self, cells)

    monkeypatch.setattr(lexemes.Composer, "_ask", spy)
    monkeypatch.setattr(lexemes, "MOST_ODD", 1)
    monkeypatch.setattr(lexemes, "MOST_NEW", 1)
    yield asked
    assert asked


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Composed at first; then a trigger fills the rest."""
    began: list[str] = []
    filling = fulltext.filling

    def spy(*arguments):
        began.append("filling")
        return filling(*arguments)

    monkeypatch.setattr(fulltext, "filling", spy)
    monkeypatch.setattr(blocks, "cut", partial(blocks.cut, block_bytes=4096))
    monkeypatch.setattr(lexemes, "can_compose", lambda *_: True)
    monkeypatch.setattr(vocabulary, "FREE_NEW", 200)
    monkeypatch.setattr(vocabulary, "MOST_NEW", 0)
    yield
    assert began


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by the column's own expression."""
    monkeypatch.setattr(lexemes, "can_compose", lambda *_: False)


WAYS = ["composed", "filled", "generated"]


@pytest.mark.parametrize("turn", [0, 3, 5])
@pytest.mark.parametrize("way", WAYS)
def test_columns_of_every_name_are_loaded(request, way, turn, database, datastore_url, tmp_path):
    request.getfixturevalue(way)
    names = list(HEADERS.values())
    path = write(tmp_path / "t.csv", names, rows(400, len(names), turn, [*ODD_TEXTS, *NEW_WORDS]))
    report = load(path, Options("t", datastore_url, lanes=1, delimiter=","))
    assert (report.rows, len(report.columns)) == (400, len(names) + 1)
    assert different_rows(database, "t") == []
    assert all("row" in found for found in lexemes_of(database, "t"))
    assert shadows(database) == []


def test_a_long_row_has_its_words_under_every_name(database_18, datastore_url_18, tmp_path):
    names = list(HEADERS.values())
    long = " ".join(f"word{i:05d}" for i in range(30_000))
    path = write(tmp_path / "t.csv", names, rows(3, len(names), odd=[long[: 300_000 // 9]]))
    load(path, Options("t", datastore_url_18, delimiter=","))
    assert different_rows(database_18, "t") == []


NAMED = {
    "indexes": "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = {}",
    "constraints": "SELECT conname, pg_get_constraintdef(oid), obj_description(oid)"
    " FROM pg_constraint WHERE conrelid = {}",
    "triggers": "SELECT pg_get_triggerdef(oid), obj_description(oid) FROM pg_trigger"
    " WHERE tgrelid = {} AND NOT tgisinternal",
    "columns": "SELECT attname, attnotnull, attacl::text, col_description(attrelid, attnum),"
    " pg_get_expr(adbin, adrelid) FROM pg_attribute"
    " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
    " WHERE attrelid = {} AND attnum > 0",
    "views": "SELECT relname, pg_get_viewdef(oid), obj_description(oid) FROM pg_class"
    " WHERE relkind = 'v' AND {} IS NOT NULL AND relnamespace = 'public'::regnamespace"
    " AND relname <> '_table_metadata'",
}


def named(connection: psycopg.Connection, table: str) -> dict[str, list]:
    """Return what is on a table, or over it."""
    oid = sql.SQL("{}::regclass").format(sql.Literal(sql.Identifier(table).as_string(None)))
    return {
        kind: sorted(connection.execute(sql.SQL(query).format(oid)), key=repr)
        for kind, query in NAMED.items()
    }


def furnish(connection: psycopg.Connection, table: str, columns: Sequence[str]) -> None:
    """Put what there can be on each column of a table, by the column's own name."""
    connection.execute(
        "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
    )
    for number, column in enumerate(columns):
        for statement in (
            "CREATE INDEX {own} ON {table} (({column}::text), {column})",
            "CREATE UNIQUE INDEX ON {table} ({column}, first) WHERE {column} IS NULL",
            "ALTER TABLE {table} ADD CONSTRAINT {own} CHECK ({column} IS NOT NULL)",
            "COMMENT ON CONSTRAINT {own} ON {table} IS {said}",
            "ALTER TABLE {table} ALTER {column} SET NOT NULL",
            "ALTER TABLE {table} ALTER {column} SET DEFAULT {said}",
            "COMMENT ON COLUMN {table}.{column} IS {said}",
            "GRANT SELECT ({column}) ON {table} TO PUBLIC",
            "CREATE TRIGGER {own} BEFORE INSERT OR UPDATE OF {column} ON {table}"
            " FOR EACH ROW WHEN (NEW.{column} IS NULL) EXECUTE FUNCTION same()",
            "COMMENT ON TRIGGER {own} ON {table} IS {said}",
            "CREATE VIEW {view} AS SELECT {column} AS {own}, count(*) FROM {table}"
            " WHERE {column}::text <> {said} GROUP BY 1",
            "COMMENT ON VIEW {view} IS {said}",
        ):
            connection.execute(
                sql.SQL(statement).format(
                    table=sql.Identifier(table),
                    column=sql.Identifier(column),
                    own=sql.Identifier(f"{number} {column}"[:30]),
                    view=sql.Identifier(f"view {number} {column}"[:30]),
                    said=sql.Literal(column),
                )
            )


def test_what_is_on_columns_of_every_name_is_kept(database, datastore_url, tmp_path):
    install_ckan(database)
    table = TABLES["percent"]
    names = list(HEADERS.values())
    texts = [[f"text {row}"] * len(names) for row in range(3)]
    path = write(tmp_path / "t.csv", names, texts)
    put = partial(load, path, Options(table, datastore_url, delimiter=","))
    columns = [str(column["id"]) for column in put().columns]
    furnish(database, table, columns)
    before = named(database, table)
    assert len(before["views"]) == len(columns)
    report = put()
    for kind, found in named(database, table).items():
        assert found == before[kind], kind
    assert report.warnings == []
    assert len(rows_of(database, table)) == 3


@pytest.mark.parametrize("start", range(0, len(HEADERS), 31))
def test_columns_of_every_name_may_be_the_key(database, datastore_url, tmp_path, start):
    names = list(HEADERS.values())[start : start + 31]
    put = partial(Options, "t", datastore_url, delimiter=",")
    path = write(tmp_path / "t.csv", names, rows(3, len(names), start))
    key = [str(column["id"]) for column in load(path, put()).columns[1:]]
    load(path, put(key=key))
    assert load(path, put(mode="upsert")).rows == 3
    assert len(rows_of(database, "t")) == 3
    with pytest.raises(KeyViolated, match="the same key"):
        load(path, put(mode="append"))
    database.execute("TRUNCATE t")
    assert load(path, put(mode="append")).rows == 3


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_of_every_name_is_loaded(database_18, datastore_url_18, tmp_path, table):
    """And loaded again, added to, and put in by key, with a view of the same kind over it."""
    path = write(tmp_path / "t.csv", [table], rows(4, 1, odd=ODD_TEXTS[:1]))
    more = write(tmp_path / "more.csv", [table], rows(4, 1, odd=ODD_TEXTS[:1]))
    put = partial(Options, table, datastore_url_18, delimiter=",", lanes=1)
    load(path, put(key=["first"]))
    view = sql.Identifier(f"v{table}"[:30])
    database_18.execute(
        sql.SQL("CREATE VIEW {} AS SELECT * FROM {}").format(view, sql.Identifier(table))
    )
    before = named(database_18, table)
    report = load(path, put())
    assert named(database_18, table) == before
    load(more, put(mode="upsert"))
    assert different_rows(database_18, table) == []
    assert len(database_18.execute(output.query(report)).fetchall()) == 4
    assert shadows(database_18) == []


@pytest.mark.usefixtures("composed")
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(headers, min_size=1, max_size=8), table=tables, turn=st.integers(0, 7))
@example(names=["Share %"], table="t", turn=0)
@example(names=["", ""], table="t", turn=0)
@example(names=[""], table="t", turn=0)
@example(names=["a", "", ""], table="t", turn=0)
def test_any_names_together(database_18, datastore_url_18, tmp_path, names, table, turn):
    """Loaded twice, then added to, and put in by a key."""
    database_18.prepare_threshold = None  # the same query, and other columns each time
    # A header that names less than half of its columns is found by nobody.
    is_found = 2 * sum(1 for name in names if name.strip()) >= len(names)
    header_row = None if is_found else 1
    put = partial(Options, table, datastore_url_18, lanes=1, delimiter=",", header_row=header_row)
    path = write(tmp_path / "t.csv", names, rows(9, len(names), turn, ODD_TEXTS))
    more = write(tmp_path / "more.csv", names, rows(3, len(names), turn, ["<i>later</i>"]))
    try:
        columns = [str(column["id"]) for column in load(path, put()).columns]
        assert load(more, put(mode="append")).rows == 3
        load(path, put(key=columns))
        assert load(more, put(mode="upsert")).rows == 3
        assert different_rows(database_18, table) == []
    finally:
        database_18.execute(
            sql.SQL("DROP TABLE IF EXISTS {}, {}").format(
                sql.Identifier(table), sql.Identifier(f"{table} by trigger")
            )
        )
