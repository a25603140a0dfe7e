"""Rows of a file among those of a live table: all of them or none, as CKAN would have put them."""

import csv
import threading
from collections.abc import Sequence
from contextlib import closing

import psycopg
import pytest
from datastore import create, fill_shadow, install_ckan, rows_of, shadows, wait_for
from psycopg import sql
from test_swap import AtStep

from loader.copy import database as connections
from loader.copy import dictionary, locks, merge, relation, shadow, unique_key
from loader.copy.merge import Merged
from loader.errors import (
    KeyViolated,
    NotADataStoreTable,
    RowRefused,
    SchemaDiffers,
    TableBusy,
    UsageError,
    ValueDoesNotFit,
)
from loader.options import Options
from loader.pipeline.load import load
from loader.types import registry
from loader.types.column import Column
from loader.types.compare import check_columns

COLUMNS = [("name", "text"), ("height", "bigint")]


def made_of(columns: Sequence[tuple[str, str]]) -> list[Column]:
    return [Column(*column) for column in columns]


@pytest.fixture
def loader(datastore_url, database):
    """A load's own connection to a database that CKAN has prepared."""
    install_ckan(database)
    with closing(connections.connect(datastore_url, "test")) as connection:
        yield connection


@pytest.fixture
def trees(database, loader) -> None:
    create(database, "trees", "name text, height bigint", "('Oak', 12), ('Ash', 9)")


def append(connection, rows, table="trees", columns=COLUMNS) -> Merged:
    filled = fill_shadow(connection, table, columns, rows)
    try:
        return merge.append(filled)
    finally:
        shadow.drop(filled)


def upsert(connection, rows, key=("name",), table="trees", columns=COLUMNS) -> Merged:
    filled = fill_shadow(connection, table, columns, rows)
    try:
        key = unique_key.ensure(filled, key)
        return merge.upsert(filled, key)
    finally:
        shadow.drop(filled)


def words(database, table="trees"):
    """Each row's `_id` and searchable words."""
    return database.execute(
        f"SELECT _id, tsvector_to_array(_full_text) FROM {table} ORDER BY _id"
    ).fetchall()


def test_appended_rows_follow_in_the_files_order(database, loader, trees):
    many = [(f"tree {i}", i) for i in range(500, 0, -1)]
    assert append(loader, many) == Merged(inserted=500)
    assert rows_of(database, "trees") == [("Oak", 12), ("Ash", 9), *many]
    assert database.execute("SELECT min(_id), max(_id) FROM trees").fetchone() == (1, 502)
    database.execute("INSERT INTO trees (name) VALUES ('Larch')")
    assert database.execute("SELECT max(_id) FROM trees").fetchone() == (503,)


def test_appended_rows_are_found_as_ckans_own(database, loader, trees):
    append(loader, [("Red Maples", 15)])
    database.execute("INSERT INTO trees (name, height) VALUES ('Red Maples', 15)")
    (*_, ours, ckans) = words(database)
    assert ours[1] == ckans[1] == ["15", "mapl", "red"]


def test_a_row_with_a_known_key_takes_the_place_of_the_old_one(database, loader, trees):
    done = upsert(loader, [("Elm", 20), ("Oak", 13), ("Fir", 5)])
    assert done == Merged(inserted=2, updated=1)
    rows = database.execute("SELECT _id, name, height FROM trees ORDER BY _id").fetchall()
    assert rows == [(1, "Oak", 13), (2, "Ash", 9), (3, "Elm", 20), (4, "Fir", 5)]
    assert words(database)[0] == (1, ["13", "oak"])


def test_an_upsert_of_known_rows_uses_up_no_ids(database, loader, trees):
    """An integer sequence would be at its end after years of daily upserts of a large file."""
    for height in range(3):
        upsert(loader, [("Oak", height), ("Ash", height)])
    database.execute("INSERT INTO trees (name) VALUES ('Larch')")
    assert database.execute("SELECT max(_id) FROM trees").fetchone() == (3,)


def test_of_rows_with_one_key_the_last_wins(database, loader, trees):
    rows = [("Elm", 1), ("Oak", 2), ("Elm", 3), ("Fir", 4), ("Oak", 5), ("Elm", 6)]
    assert upsert(loader, rows) == Merged(inserted=2, updated=1, duplicates=3)
    rows = database.execute("SELECT _id, name, height FROM trees ORDER BY _id").fetchall()
    assert rows == [(1, "Oak", 5), (2, "Ash", 9), (3, "Fir", 4), (4, "Elm", 6)]


def test_a_key_of_several_columns(database, loader):
    create(database, "t", "year bigint, name text, n bigint", "(2020, 'a', 1), (2021, 'a', 2)")
    columns = [("name", "text"), ("year", "bigint"), ("n", "bigint")]
    rows = [("a", 2021, 3), ("b", 2021, 4)]
    assert upsert(loader, rows, ("year", "name"), "t", columns) == Merged(1, 1)
    assert rows_of(database, "t") == [(2020, "a", 1), (2021, "a", 3), (2021, "b", 4)]


def test_of_rows_with_one_key_the_last_wins_where_there_is_no_table_yet(loader):
    rows = [("Elm", 1), ("Oak", 2), ("Elm", 3), ("Fir", 4), ("Oak", 5), ("Elm", 6)]
    filled = fill_shadow(loader, "new", COLUMNS, rows)
    assert unique_key.drop_earlier(filled, ["name"]) == 3
    assert rows_of(loader, filled.names.shadow) == [("Fir", 4), ("Oak", 5), ("Elm", 6)]
    assert unique_key.drop_earlier(filled, ["name", "height"]) == 0


@pytest.mark.parametrize("kind", ["json", None], ids=["of a type without order", "not there"])
def test_what_cannot_be_the_key_of_a_new_table(loader, kind):
    columns = [("a", "text"), *([("k", kind)] if kind else [])]
    filled = fill_shadow(loader, "new", columns, [])
    with pytest.raises(UsageError) as refused:
        unique_key.drop_earlier(filled, ["k"])
    assert refused.value.option == "key"


def test_a_row_without_a_key_is_named(database, loader, trees):
    with pytest.raises(KeyViolated, match="_id 2") as refused:
        upsert(loader, [("Oak", 1), (None, 2), (None, 3)])
    assert refused.value.column == "name"
    assert rows_of(database, "trees") == [("Oak", 12), ("Ash", 9)]


def test_an_appended_row_with_a_known_key_is_refused(database, loader, trees):
    database.execute("CREATE UNIQUE INDEX ON trees (name)")
    with pytest.raises(KeyViolated, match=r"\(Ash\)"):
        append(loader, [("Elm", 1), ("Ash", 2)])
    assert rows_of(database, "trees") == [("Oak", 12), ("Ash", 9)]


def test_no_reader_sees_a_part_or_waits(database, datastore_url, loader, trees):
    """Not even while a merge cannot go on, as here for a row that somebody else has changed."""
    upsert(loader, [("Oak", 12)])
    filled = fill_shadow(loader, "trees", COLUMNS, [("Elm", 1), ("Oak", 2)])
    done: list[Merged] = []
    with psycopg.connect(datastore_url) as editor:
        editor.execute("UPDATE trees SET height = 7 WHERE name = 'Oak'")
        working = threading.Thread(target=lambda: done.append(merge.upsert(filled, ("name",))))
        working.start()
        wait_for(database, "wait_event_type = 'Lock'")
        database.execute("SET statement_timeout = '30s'")
        assert database.execute("SELECT count(*), sum(height) FROM trees").fetchone() == (2, 21)
    working.join()
    assert done == [Merged(inserted=1, updated=1)]
    assert database.execute("SELECT count(*), sum(height) FROM trees").fetchone() == (3, 12)


def test_a_table_that_others_keep_is_left_alone(
    database, datastore_url, loader, trees, monkeypatch
):
    monkeypatch.setattr(locks, "GIVE_UP_AFTER_S", 0.5)
    with psycopg.connect(datastore_url) as editor:
        editor.execute("LOCK TABLE trees IN SHARE MODE")
        with pytest.raises(TableBusy) as busy:
            append(loader, [("Elm", 1)])
    assert busy.value.retryable


def test_ckan_shows_the_right_number_of_rows_at_once(database, loader, trees):
    def total() -> int:
        return database.execute("SELECT cached_table_row_count('trees')").fetchone()[0]

    assert total() == 2
    append(loader, [("Elm", 1)])
    assert database.execute("SELECT stats FROM _table_stats").fetchall() == [({"rows": 3},)]
    upsert(loader, [("Elm", 2), ("Fir", 3)])
    assert total() == 4


def test_a_failed_merge_changes_no_number(database, loader, trees):
    database.execute("SELECT cached_table_row_count('trees')")
    database.execute("ALTER TABLE trees ADD CHECK (height < 50)")
    with pytest.raises(RowRefused, match="trees_height_check"):
        append(loader, [("Elm", 1), ("Fir", 51)])
    assert database.execute("SELECT stats FROM _table_stats").fetchall() == [({"rows": 2},)]
    assert rows_of(database, "trees") == [("Oak", 12), ("Ash", 9)]


SHOUT = """
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.name := replace(upper(NEW.name), ' RARE', '') || ' RARE'; RETURN NEW; END $$;
    CREATE TRIGGER t000 BEFORE INSERT OR UPDATE ON trees FOR EACH ROW EXECUTE FUNCTION shout()
"""


def test_what_a_trigger_makes_of_a_row_is_what_is_searched(database, loader, trees):
    database.execute(SHOUT)
    append(loader, [("Elm", 1)])
    upsert(loader, [("Fir", 2), ("Yew", 12)], key=("height",))
    assert words(database) == [
        (1, ["12", "rare", "yew"]),
        (2, ["9", "ash"]),
        (3, ["1", "elm", "rare"]),
        (4, ["2", "fir", "rare"]),
    ]


def test_a_trigger_that_makes_two_keys_the_same_is_told(database, loader, trees):
    database.execute(SHOUT)
    with pytest.raises(KeyViolated):
        upsert(loader, [("Elm", 1), ("ELM", 2)])
    assert len(rows_of(database, "trees")) == 2


# A column of the live table, the type its values are verified for, what the file has, and what the
# table then has.
TYPES = {
    "int2": ("smallint", "bigint", "-32768", -32768),
    "int4": ("integer", "bigint", "2147483647", 2**31 - 1),
    "float8": ("double precision", "numeric", "0.1", 0.1),
    "numeric": ("numeric(6,2)", "numeric", "1234.50", "1234.50"),
    "varchar": ("character varying(3)", "text", "abc", "abc"),
    "char": ("character(4)", "text", "ab", "ab  "),
    "nested": ("nested", "json", '{"a": 1}', '("{""a"": 1}","")'),
    "jsonb": ("jsonb", "json", '{"a": 1}', {"a": 1}),
    "array": ("text[]", "text", "{a,b}", ["a", "b"]),
    "uuid": ("uuid", "text", "6b1fe4e5-7a2b-4b07-b4ea-1c8a2bfc5b17", None),
    "time": ("time without time zone", "time", "12:30:00", None),
    "timestamp": ("timestamp(0) without time zone", "timestamp", "2020-02-01 10:00:00", None),
    "timestamptz": ("timestamp with time zone", "timestamptz", "2020-02-01 10:00:00+00", None),
    "bigint": ("bigint", "bigint", "9223372036854775807", 2**63 - 1),
}


# CKAN's trigger may be on a table, or not.
TRIGGERS = {
    "ckan's": "SELECT 1",
    "none": "DROP TRIGGER zfulltext ON t",
    "disabled": "ALTER TABLE t DISABLE TRIGGER zfulltext",
    "of replicas": "ALTER TABLE t ENABLE REPLICA TRIGGER zfulltext",
    "another one": "DROP TRIGGER zfulltext ON t; CREATE TRIGGER a AFTER INSERT ON t"
    " FOR EACH ROW EXECUTE FUNCTION populate_full_text_trigger()",
}
# What CKAN's trigger finds in a live row.
CKANS_WORDS = r"""
    SELECT _id, (SELECT tsvector_to_array(to_tsvector(string_agg(value, ' ')))
        FROM json_each_text(row_to_json(t.*)) WHERE key NOT LIKE '\_%') FROM t ORDER BY _id
"""


@pytest.mark.parametrize("trigger", [TRIGGERS["ckan's"], TRIGGERS["none"]], ids=["ckan's", "none"])
@pytest.mark.parametrize(("kind", "loaded", "value", "stored"), TYPES.values(), ids=TYPES)
def test_every_type_that_a_portal_may_have_chosen(
    database, loader, kind, loaded, value, stored, trigger
):
    create(database, "t", f"k_ bigint, v {kind}")
    database.execute(trigger)
    live = dictionary.columns(loader, "t")
    columns = [(column.name, registry.verified_as(column.type)) for column in live]
    assert columns == [("k_", "bigint"), ("v", loaded)]
    check_columns(live, made_of(columns))
    rows = [(1, value), (2, None)]
    assert append(loader, rows, "t", columns) == Merged(2)
    assert upsert(loader, [*rows[1:], (3, value)], ("k_",), "t", columns) == Merged(1, 1)
    assert database.execute(
        f"SELECT v IS NULL, v::text = %s::{kind}::text FROM t ORDER BY k_"
        if kind != "nested"
        else "SELECT v IS NULL, (v).json::text = %s FROM t ORDER BY k_",
        (value,),
    ).fetchall() == [(False, True), (True, None), (False, True)]
    found = [row[1] for row in rows_of(database, "t")]
    if stored is not None:
        assert str(found[0]) == str(stored)
    assert words(database, "t") == database.execute(CKANS_WORDS).fetchall()


# Types of a table's columns: a value, and whether it is text to a load.
MIXED = {
    "float8": ("1.50", False),
    "real": ("2.25", False),
    "integer": ("7", False),
    "numeric(6,2)": ("3.1", False),
    "jsonb": ('{"b": "Maples", "a": [1, 2]}', False),
    "nested": ('{"c": "Elms"}', False),
    "uuid": ("6B1FE4E5-7A2B-4B07-B4EA-1C8A2BFC5B17", True),
    "character(6)": ("Oaks", True),
    "text[]": ("{Firs,Yews}", True),
    "inet": ("10.0.0.1", True),
    "timestamp(0)": ("2020-02-01T10:00:00", False),
    "bytea": (r"\x0a", True),
    "text": ("Ashes & <b>limes</b>", True),
}


@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS)
@pytest.mark.parametrize("full_text", ["all", "text", "none"])
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_rows_added_to_a_table_of_many_types_are_found(
    datastore_url, database, tmp_path, mode, full_text, trigger
):
    """As those that are there, whether CKAN's trigger is on the table or not."""
    install_ckan(database)
    listed = [f"\"c%{i} 'x'\" {kind}" for i, kind in enumerate(MIXED)]
    create(database, "t", ", ".join(["k bigint", *listed]))
    database.execute(trigger)
    source = tmp_path / "t.csv"
    with source.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["k", *(f"c%{i} 'x'" for i in range(len(MIXED)))])
        rows.writerows([k, *(value for value, _ in MIXED.values())] for k in range(3))
    key = ["k"] if mode == "upsert" else []
    options = Options("t", datastore_url, mode=mode, full_text=full_text, key=key)
    for _ in range(2):
        load(str(source), options)
    found = words(database, "t")
    assert len(found) == (6 if mode == "append" else 3)
    if full_text == "all":
        assert found == database.execute(CKANS_WORDS).fetchall()
    elif full_text == "text":
        chosen = [f"c%{i} 'x'" for i, (_, is_text) in enumerate(MIXED.values()) if is_text]
        condition = sql.SQL("key = ANY ({})").format(chosen)
        query = CKANS_WORDS.replace(r"key NOT LIKE '\_%'", condition.as_string(None))
        assert found == database.execute(query).fetchall()
    else:
        by_trigger = database.execute(CKANS_WORDS).fetchall()
        nothing = [(row_id, None) for row_id, _ in by_trigger]
        assert found == (by_trigger if trigger == TRIGGERS["ckan's"] else nothing)


# Names that the statements of a load have themselves, or have had.
CLASHING = ("value", "key", "cell", "live", "l", "s", "t", "gap", "low", "high", "new", "excluded")


@pytest.mark.parametrize("full_text", ["all", "text"])
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_columns_that_have_the_names_of_what_stands_in_statements(
    datastore_url, database, tmp_path, mode, full_text
):
    install_ckan(database)
    listed = ", ".join(
        f'"{name}" {"float8" if i % 2 else "text"}' for i, name in enumerate(CLASHING)
    )
    create(database, "t", listed)
    source = tmp_path / "t.csv"
    header, row = ",".join(CLASHING), ",".join(f"{i}.5" for i in range(len(CLASHING)))
    source.write_text(f"{header}\n{row}\n")
    key = ["key"] if mode == "upsert" else []
    for _ in range(2):
        load(str(source), Options("t", datastore_url, mode=mode, full_text=full_text, key=key))
    found = words(database, "t")
    assert len(found) == (2 if mode == "append" else 1)
    assert all("0.5" in of_row for _, of_row in found)
    assert database.execute('SELECT min(high), max("key") FROM t').fetchone() == (9.5, 1.5)


MISFITS = {
    "int2": ("smallint", "32768"),
    "int4": ("integer", "-2147483649"),
    "float8": ("double precision", "0.1000000000000000000001"),
    "numeric's digits": ("numeric(6,2)", "1.005"),
    "numeric's size": ("numeric(6,2)", "100000"),
    "varchar": ("character varying(3)", "abcd"),
    "uuid": ("uuid", "x"),
    "timestamp": ("timestamp(0) without time zone", "2020-02-01 10:00:00.5"),
}


@pytest.mark.parametrize(("kind", "value"), MISFITS.values(), ids=MISFITS)
def test_a_type_that_would_change_a_value_refuses_it(database, loader, kind, value):
    create(database, "t", f"v {kind}")
    columns = [("v", registry.verified_as(kind))]
    with pytest.raises(ValueDoesNotFit) as refused:
        append(loader, [(None,), (value,)], "t", columns)
    assert refused.value.column == "v"
    assert refused.value.hint
    assert rows_of(database, "t") == []


HAVE = [("name", "text"), ("height", "integer"), ("data", "nested")]
DIFFERENT = {
    "missing": ([("name", "text"), ("data", "json")], "'height' is missing"),
    "new": (
        [("name", "text"), ("height", "bigint"), ("data", "json"), ("x", "text")],
        "'x' is new",
    ),
    "another type": (
        [("name", "text"), ("height", "text"), ("data", "json")],
        "'height' is text, not integer",
    ),
    "case": ([("Name", "text"), ("height", "bigint"), ("data", "json")], "'Name' is new"),
}


@pytest.mark.parametrize(("columns", "said"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_changed_schema_is_told_column_by_column(columns, said):
    with pytest.raises(SchemaDiffers, match=said) as refused:
        check_columns(made_of(HAVE), made_of(columns))
    assert "replace" in refused.value.hint


def test_the_order_of_columns_may_differ(database, loader, trees):
    columns = [("height", "bigint"), ("name", "text")]
    check_columns(made_of(COLUMNS), made_of(columns))
    append(loader, [(3, "Elm")], columns=columns)
    assert rows_of(database, "trees")[-1] == ("Elm", 3)


def key_of(connection, *key):
    return unique_key.ensure(relation.Relation(connection, relation.name("trees")), key)


def test_a_key_that_is_asked_for_is_made_as_ckan_makes_it(database, loader, trees):
    assert key_of(loader, "name", "height") == ("name", "height")
    indexes = database.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'trees' AND indexname <> 'trees_pkey'"
    ).fetchall()
    # sha1 of 'trees"name", "height"', as ckanext.datastore names it.
    name = "bb282870ad6521e4f4e12eed202dcb09f6ccff2f"
    assert indexes == [(f"CREATE UNIQUE INDEX {name} ON public.trees USING btree (name, height)",)]


def test_the_tables_own_key_is_taken(database, loader, trees):
    database.execute("CREATE UNIQUE INDEX ON trees (height, name)")
    assert key_of(loader) == key_of(loader, "name", "height") == ("height", "name")


KEYS = {
    "none": ("", (), "has no unique key"),
    "another": (
        "CREATE UNIQUE INDEX ON trees (name)",
        ("height",),
        r"another unique key: \(name\)",
    ),
    "a part": (
        "CREATE UNIQUE INDEX ON trees (name, height)",
        ("name",),
        r"another unique key: \(name, height\)",
    ),
    "two": (
        "CREATE UNIQUE INDEX ON trees (name); CREATE UNIQUE INDEX ON trees (height)",
        (),
        r"cannot be used: \(name\); \(height\)",
    ),
    "an expression": ("CREATE UNIQUE INDEX ON trees (lower(name))", (), "cannot be used"),
    "a condition": ("CREATE UNIQUE INDEX ON trees (name) WHERE height > 1", (), "cannot be used"),
    "no such column": ("", ("nome",), "nome"),
}


@pytest.mark.parametrize(("prepare", "key", "said"), KEYS.values(), ids=KEYS)
def test_keys_that_do_not_do(database, loader, trees, prepare, key, said):
    if prepare:
        database.execute(prepare)
    with pytest.raises(UsageError, match=said) as refused:
        key_of(loader, *key)
    assert refused.value.hint


def test_a_key_that_the_tables_rows_do_not_keep(database, loader, trees):
    database.execute("INSERT INTO trees (name) VALUES ('Oak')")
    with pytest.raises(KeyViolated, match=r"\(Oak\)"):
        key_of(loader, "name")


def test_the_shadow_of_a_merge_spares_the_log(loader, trees):
    names = relation.name("trees")
    shadow.create(relation.Relation(loader, names), made_of(COLUMNS), None, unlogged=True)
    assert loader.execute(
        "SELECT relpersistence::text FROM pg_class WHERE relname = %s", (names.shadow,)
    ).fetchone() == ("u",)


SHAPES = {
    "dropped": ("ALTER TABLE t DROP height", "'height' is new"),
    "renamed": ("ALTER TABLE t RENAME height TO size", "'size' is missing, 'height' is new"),
    "of another type": ("ALTER TABLE t ALTER height TYPE text", "'height' is bigint, not text"),
    "added": ("ALTER TABLE t ADD size text", "'size' is missing"),
    "dropped and made anew": (
        "ALTER TABLE t DROP height; ALTER TABLE t ADD height timestamp",
        "'height' is bigint, not timestamp",
    ),
    "the table": ("DROP TABLE t", "the table t was dropped or renamed during the load"),
    "the table, for another": (
        "DROP TABLE t; CREATE TABLE t (_id serial PRIMARY KEY, _full_text tsvector, name text)",
        "'height' is new",
    ),
}


@pytest.mark.parametrize("step", ["copying rows", "adding the rows"])
@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize(("change", "told"), SHAPES.values(), ids=SHAPES)
def test_columns_that_change_during_the_load_are_told(
    datastore_url, database, tmp_path, step, mode, change, told
):
    """Else the values of a column that is gone would be lost without a word."""
    install_ckan(database)
    create(database, "t", "name text, height bigint", "('Oak', 12), ('Ash', 9)")
    database.execute("CREATE UNIQUE INDEX ON t (name)")
    (tmp_path / "t.csv").write_text("name,height\nElm,20\nFir,13\n")
    progress = AtStep(step, lambda: database.execute(change))
    with pytest.raises(SchemaDiffers, match=told):
        load(str(tmp_path / "t.csv"), Options("t", datastore_url, mode=mode), progress)
    if change != "DROP TABLE t":
        count = 0 if "CREATE TABLE" in change else 2
        assert database.execute("SELECT count(*) FROM t").fetchone() == (count,)
    assert shadows(database) == []


def test_what_is_no_table_of_the_datastore_any_more_gets_no_rows(datastore_url, database, tmp_path):
    install_ckan(database)
    create(database, "t", "name text")
    (tmp_path / "t.csv").write_text("name\nElm\n")
    change = "ALTER TABLE t RENAME TO u; CREATE VIEW t AS SELECT * FROM u"
    progress = AtStep("adding the rows", lambda: database.execute(change))
    with pytest.raises(NotADataStoreTable):
        load(str(tmp_path / "t.csv"), Options("t", datastore_url, mode="append"), progress)
    assert database.execute("SELECT count(*) FROM u").fetchone() == (0,)


def test_a_type_that_only_grows_takes_the_rows(datastore_url, database, tmp_path):
    install_ckan(database)
    create(database, "t", "name varchar(9), height integer")
    (tmp_path / "t.csv").write_text("name,height\nElm,20\n")
    change = "ALTER TABLE t ALTER name TYPE text, ALTER height TYPE bigint"
    progress = AtStep("adding the rows", lambda: database.execute(change))
    load(str(tmp_path / "t.csv"), Options("t", datastore_url, mode="append"), progress)
    assert rows_of(database, "t") == [("Elm", 20)]


def test_a_type_that_shrinks_takes_what_it_can_hold(datastore_url, database, tmp_path):
    install_ckan(database)
    create(database, "t", "name text, height bigint")
    (tmp_path / "t.csv").write_text("name,height\nElm,70000\n")
    change = "ALTER TABLE t ALTER height TYPE smallint"
    progress = AtStep("adding the rows", lambda: database.execute(change))
    with pytest.raises(ValueDoesNotFit, match="70000"):
        load(str(tmp_path / "t.csv"), Options("t", datastore_url, mode="append"), progress)
    assert rows_of(database, "t") == []


# Settings of a role or database that change what a catalog or a statement says.
SETTINGS = (
    "quote_all_identifiers = on",
    "standard_conforming_strings = off",
    "default_transaction_read_only = on",
    "datestyle = 'SQL, DMY'",
    "search_path = ''",
)


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_no_setting_of_the_database_is_in_the_way(
    datastore_url_18, database_18, tmp_path, setting, mode
):
    source = tmp_path / "t.csv"
    source.write_text("select,b,at\n1,it's \\,2020-01-31\n2,y,2021-12-01\n")
    key = ("select",) if mode == "upsert" else ()
    name = sql.Identifier(database_18.info.dbname)
    database_18.execute(sql.SQL("ALTER DATABASE {} SET ").format(name) + sql.SQL(setting))
    load(str(source), Options("t", datastore_url_18, key=key))
    load(str(source), Options("t", datastore_url_18, mode=mode, key=key))
    found = database_18.execute(
        'SELECT "select", b, at::text FROM public.t ORDER BY _id'
    ).fetchall()
    rows = [(1, "it's \\", "2020-01-31"), (2, "y", "2021-12-01")]
    assert found == (rows if mode == "upsert" else rows * 2)
