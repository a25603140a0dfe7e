"""The lexemes of `_full_text` are those that CKAN's own trigger makes of the same row.

Every comparison loads a file, gives its rows to the trigger in a table beside it, and asks
Postgres which rows differ.
"""

import base64
import csv
import json
import random
import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import hypothesis
import numpy as np
import psycopg
import pyarrow as pa
import pytest
from datastore import install_ckan, install_trigger_function
from hypothesis import strategies as st
from psycopg import sql

from loader.copy import database as connections
from loader.copy import destination, fulltext, lexemes, slow_texts, vocabulary
from loader.formats.csv import blocks
from loader.options import Options
from loader.pipeline.load import load
from loader.types import registry
from loader.types.column import Column

SCHEMA = {
    "fields": [
        {"name": "first", "type": "string"},
        {"name": "count", "type": "integer"},
        {"name": "amount", "type": "number"},
        {"name": "open", "type": "boolean"},
        {"name": "day", "type": "date"},
        {"name": "second", "type": "string"},
        {"name": "hour", "type": "time"},
        {"name": "moment", "type": "datetime"},
        {"name": "instant", "type": "datetime"},
        {"name": "tags", "type": "array"},
        {"name": "details", "type": "object"},
        {"name": "last", "type": "string"},
    ]
}

TEXTS = [
    "The quick brown foxes are jumping",
    "Über Straßen, naïve cafés and Ærøskøbing",
    "state-of-the-art well-known 3-4 x-1 -5- 5-",
    "https://example.org/a/b?c=d&e=f#g http://[::1]/x www.example.com/index.html",
    "jane.doe+tag@example.org, <jane@example.org>",
    "AT&T &amp; &lt;b&gt; &#955; &amp",
    "it's \"quoted\" 'single' `back`",
    r"C:\temp\new \N \\server\share /usr/local/bin file.txt",
    "two\nlines and a\ttab",
    "<b>bold</b> <!-- no --> <a href='x'>link</a>",
    "1 < 2 and 3 > 2, a<b",
    "東京 Москва العربية हिन्दी 🙂",
    "1.2.3 1e5 0x1F 12:30 50% $5.00 #7 +1 (555) 123-4567",
    "w" * 2046,
    "w" * 2047 + " next",
    "",
    None,
]
# A tag that opens in one column and closes in a later one swallows what is between them.
TORN_TAGS = [("<b", "c>"), ("<a href='", "'>x"), ("</b ", ">"), ("<!-- ", "-->"), ("x <", "> y")]
NUMBERS = ["0", "7", "-8", "9223372036854775807", "-9223372036854775808", "2015", None]
DECIMALS = ["0", "15.30", "-0.5", "100.00", f"-{'1234567890' * 4}.123", "7", "0.000001", None]
DAYS = ["0001-01-01", "0099-12-31", "1582-10-10", "2015-08-18", "2024-02-29", "9999-12-31", None]
HOURS = ["00:00:00", "06:34:36", "23:59:59.999999", "12:00:00.5", "12:00:00.100", None]
MOMENTS = [
    "0001-01-01 00:00:00",
    "0987-06-05T04:03:02.1",
    "1900-01-01 12:00:00",
    "2015-08-18 06:34:36",
    "2015-08-18T06:34:36.250",
    "9999-12-31 23:59:59.999999",
    None,
]
INSTANTS = [
    "0001-01-02T00:00:00Z",
    "1850-03-01T00:00:00+00:00",
    "1900-01-01T12:00:00Z",
    "1937-06-01T12:00:00.5Z",
    "2015-01-18T06:34:36+05:30",
    "2015-08-18T06:34:36.123456-03:30",
    "9999-12-31T23:59:59Z",
    "9999-12-31T00:00:00-14:00",
    None,
]
ARRAYS = [[], [1, "two", None], [{"a": [1.5, -2]}], None]
OBJECTS = [{}, {"name": "Jürgen <b", "n": -7}, {"url": "http://example.org/x"}, None]


def varied_rows() -> list[list[str | None]]:
    """Every value at least once, in combinations that differ from row to row."""

    def at(values: list, i: int):
        return values[i % len(values)]

    def as_json(value: object) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False)

    pairs = [(at(TEXTS, i), at(TEXTS, i // 3)) for i in range(150)]
    pairs += [(opens, closes) for opens, closes in TORN_TAGS for _ in range(6)]
    return [
        [
            first,
            at(NUMBERS, i),
            at(DECIMALS, i),
            at(["true", "false", None], i),
            at(DAYS, i),
            second,
            at(HOURS, i),
            at(MOMENTS, i),
            at(INSTANTS, i),
            as_json(at(ARRAYS, i)),
            as_json(at(OBJECTS, i)),
            at(TEXTS, i * 7),
        ]
        for i, (first, second) in enumerate(pairs)
    ]


def write_csv(path: Path, header: list[str], rows: list[list[str | None]]) -> str:
    """Write NULL as nothing and everything else in quotes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(header)
        for row in rows:
            cells = ("" if c is None else '"' + c.replace('"', '""') + '"' for c in row)
            file.write(",".join(cells) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("varied") / "varied.csv"
    return write_csv(path, [field["name"] for field in SCHEMA["fields"]], varied_rows())


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the vectors put together before the COPY, however odd the rows are."""
    blocks = []
    compose = lexemes.Composer.compose

    def spy(self: lexemes.Composer, cells, left_out):
        blocks.append(len(left_out))
        return compose(self, cells, left_out)

    monkeypatch.setattr(lexemes.Composer, "compose", spy)
    monkeypatch.setattr(lexemes, "MOST_ODD", 1)
    monkeypatch.setattr(lexemes, "MOST_NEW", 1)
    yield
    assert blocks


@pytest.fixture
def left_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the vectors made by the expression, however usual the rows are."""
    monkeypatch.setattr(lexemes, "MOST_ODD", -1)


def set_for_database(connection: psycopg.Connection, name: str, value: str) -> None:
    """Change a setting for all sessions to come, and for this one."""
    database = sql.Identifier(connection.info.dbname)
    setting = sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
    connection.execute(sql.SQL("ALTER DATABASE {} ").format(database) + setting)
    connection.execute(setting)


def different_rows(connection: psycopg.Connection, table: str) -> list[tuple]:
    """Return the rows whose lexemes are not those that CKAN's trigger makes of them."""
    install_trigger_function(connection)
    names = sql.Identifier(table), sql.Identifier(f"{table} by trigger")
    ours, triggers = names
    connection.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(triggers, ours))
    connection.execute(
        sql.SQL(
            "CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON {}"
            " FOR EACH ROW EXECUTE PROCEDURE populate_full_text_trigger()"
        ).format(triggers)
    )
    described = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(ours)).description
    columns = [column.name for column in described if column.name != "_full_text"]
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(triggers, listed, listed, ours)
    )
    return connection.execute(
        sql.SQL(
            "SELECT a._id, strip(a._full_text)::text, strip(b._full_text)::text"
            " FROM {} a FULL JOIN {} b USING (_id)"
            " WHERE strip(a._full_text) IS DISTINCT FROM strip(b._full_text)"
        ).format(ours, triggers)
    ).fetchall()


def lexemes_of(connection: psycopg.Connection, table: str) -> list[list[str] | None]:
    return [
        row[0]
        for row in connection.execute(
            f'SELECT tsvector_to_array(_full_text) FROM "{table}" ORDER BY _id'
        )
    ]


@pytest.mark.parametrize("config", ["english", "simple", "german"])
def test_lexemes_are_the_triggers(database, datastore_url, varied, config):
    set_for_database(database, "default_text_search_config", f"pg_catalog.{config}")
    report = load(varied, Options("varied", datastore_url, schema=SCHEMA))
    assert [column["type"] for column in report.columns] == [
        *("text", "bigint", "numeric", "boolean", "date", "text"),
        *("time", "timestamp", "timestamptz", "json", "json", "text"),
    ]
    assert report.rows == len(varied_rows())
    assert different_rows(database, "varied") == []
    assert any(lexemes_of(database, "varied"))


@pytest.mark.parametrize(
    "zone",
    # Amsterdam was 19 minutes and 32 seconds ahead until 1937, and others were as odd.
    ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Europe/Amsterdam", "<+03>-3"],
)
def test_lexemes_are_the_triggers_in_every_time_zone(database_18, datastore_url_18, varied, zone):
    set_for_database(database_18, "TimeZone", zone)
    load(varied, Options("varied", datastore_url_18, schema=SCHEMA))
    assert different_rows(database_18, "varied") == []


@pytest.mark.usefixtures("composed")
@pytest.mark.parametrize("config", ["english", "simple", "german"])
def test_composed_lexemes_are_the_triggers(database, datastore_url, tmp_path, config):
    set_for_database(database, "default_text_search_config", f"pg_catalog.{config}")
    names = [field["name"] for field in SCHEMA["fields"]]
    instant = names.index("instant")
    header, *rows = [row[:instant] + row[instant + 1 :] for row in [names, *varied_rows()]]
    path = write_csv(tmp_path / "t.csv", header, rows * 2)
    schema = {"fields": [field for field in SCHEMA["fields"] if field["name"] != "instant"]}
    report = load(path, Options("t", datastore_url, schema=schema))
    assert report.rows == len(rows) * 2
    assert different_rows(database, "t") == []


@pytest.mark.usefixtures("composed")
def test_composed_lexemes_of_mended_rows_are_the_triggers(database, datastore_url, tmp_path):
    path = tmp_path / "t.csv"
    rows = ["The foxes;7;2020-01-02", "short", ";5;", "a;b;c;d", 'AT&T ""x"";8;2020-01-03 10:00']
    path.write_text("\n".join(["name;n;day", *rows, '"two\nlines; <b>";-1;2021-01-01;;']) + "\n")
    report = load(str(path), Options("t", datastore_url, rejects=tmp_path / "rejects.csv"))
    assert (report.rows, report.bad_rows.rejected, report.bad_rows.repaired) == (5, 1, 2)
    assert different_rows(database, "t") == []
    assert ["fox" in (found or []) for found in lexemes_of(database, "t")].count(True) == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of some dozen rows, and few words and rows that may be asked for."""
    monkeypatch.setattr(blocks, "cut", partial(blocks.cut, block_bytes=4096))
    monkeypatch.setattr(vocabulary, "FREE_NEW", 100)
    monkeypatch.setattr(lexemes, "FREE_ODD", 20)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How full text was made, in this order: composed, a block each; filled by a trigger."""
    made: list[str] = []
    compose, filling = lexemes.Composer.compose, fulltext.filling

    def spy(self: lexemes.Composer, cells, left_out):
        vectors = compose(self, cells, left_out)
        if vectors is not None:
            made.append("composed")
        return vectors

    def spy_too(*arguments):
        made.append("filled")
        return filling(*arguments)

    monkeypatch.setattr(lexemes.Composer, "compose", spy)
    monkeypatch.setattr(fulltext, "filling", spy_too)
    return made


def usual(count: int) -> list[list[str | None]]:
    kinds = ["The quick brown foxes", "Ærøskøbing's cafés", "state-of-the-art", None]
    return [
        [kinds[i % 4], str(i), "jumping over lazy dogs", f"2020-01-{i % 28 + 1:02}"]
        for i in range(count)
    ]


# What the rows are like from some row on.
LATER = {
    "new words": lambda i: [f"id{i:x}z code-{i:x} /a/{i:x}.html", str(i), f"x{i}y", "2020-01-02"],
    "tags": lambda i: [f"<b>foxes</b> {i}", str(-i), "lazy <i class='x'>dogs</i>", None],
    "torn tags": lambda i: [TORN_TAGS[i % 5][0], str(i), TORN_TAGS[i % 5][1], "2021-12-31"],
    "long words": lambda i: ["w" * 300, str(i), f"{'v' * 2047} next", "2021-12-31"],
}


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("later", LATER.values(), ids=LATER)
@pytest.mark.usefixtures("impatient")
def test_a_file_that_changes_has_the_triggers_lexemes(
    database, datastore_url, tmp_path, ways, later, lanes
):
    rows = usual(1000) + [later(i) for i in range(500)] + usual(500)
    path = write_csv(tmp_path / "t.csv", ["first", "n", "second", "day"], rows)
    report = load(path, Options("t", datastore_url, lanes=lanes))
    assert (report.rows, report.warnings) == (2000, [])
    assert (ways[0], ways[-1], ways.count("filled")) == ("composed", "filled", 1)
    triggers = "SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass"
    assert database.execute(triggers).fetchall() == []
    assert different_rows(database, "t") == []


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.usefixtures("impatient")
def test_a_file_that_changes_may_have_bad_rows_long_ones_and_a_late_widening(
    database_18, datastore_url_18, tmp_path, ways, lanes
):
    later = [LATER["new words"](i) for i in range(600)]
    later[300][0] = words(30_000)
    later[590][1] = "N/A"
    path = tmp_path / "t.csv"
    write_csv(path, ["first", "n", "second", "day"], usual(1000) + later)
    lines = path.read_text().splitlines()
    lines[1200:1200] = ["short,1", "a,1,b,2020-01-01,c,d"] * 3
    path.write_text("\n".join(lines) + "\n")
    options = Options("t", datastore_url_18, lanes=lanes, rejects=tmp_path / "rejects.csv")
    report = load(str(path), options)
    assert (report.rows, report.bad_rows.rejected, report.bad_rows.repaired) == (1603, 3, 3)
    assert report.columns[1]["widened_from"] == "bigint"
    assert ways.count("filled") == 2  # in each reading
    assert different_rows(database_18, "t") == []


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.usefixtures("impatient")
def test_a_file_that_changes_may_be_added_to_a_table(
    database_18, datastore_url_18, tmp_path, ways, lanes
):
    names = ["first", 'a "b" $$ %s', "second", "day"]
    load(write_csv(tmp_path / "t.csv", names, usual(10)), Options("t", datastore_url_18))
    rows = usual(1000) + [LATER["new words"](i) for i in range(500)]
    path = write_csv(tmp_path / "more.csv", names, rows)
    load(path, Options("t", datastore_url_18, mode="append", lanes=lanes))
    assert ways[-1] == "filled"
    assert different_rows(database_18, "t") == []
    assert len(lexemes_of(database_18, "t")) == 1510


# Texts that are others with white space beside them.
EDGES = ["~1850 oak", "..", "oak ..", "~a", "a ~", "..b", "a/..", "~/a", "<~", None, ""]


@pytest.mark.parametrize("way", ["composed", "left_to_copy", "filled"])
def test_rows_added_in_another_order_have_the_triggers_lexemes(
    request, way, database, datastore_url, tmp_path
):
    """Which text comes first is the table's word, not the file's."""
    header = ["first", "n", "second", "day"]
    rows = [
        [first, n, second, day]
        for first, second in zip(EDGES, EDGES[::-1], strict=True)
        for n in ("7", None)
        for day in ("2020-01-02", None)
    ]
    load(write_csv(tmp_path / "t.csv", header, rows), Options("t", datastore_url))
    if way == "filled":
        for fixture in ("impatient", "ways"):
            request.getfixturevalue(fixture)
        rows = usual(1000) + rows + [LATER["new words"](i) for i in range(500)] + rows
    else:
        request.getfixturevalue(way)
    order = [3, 2, 1, 0]
    path = write_csv(
        tmp_path / "more.csv", [header[i] for i in order], [[row[i] for i in order] for row in rows]
    )
    load(path, Options("t", datastore_url, mode="append"))
    if way == "filled":
        assert request.getfixturevalue("ways")[-1] == "filled"
    assert lexemes_of(database, "t").count(["1850", "oak"]) > 0
    assert different_rows(database, "t") == []


# What a write role may lack without being refused, and how full text is made then.
LACKED = {
    "nothing": ("SELECT 1", "filled"),
    "temporary objects": ('REVOKE TEMPORARY ON DATABASE "{}" FROM PUBLIC', None),
    "plpgsql": ("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", None),
}


@pytest.mark.parametrize(("lacked", "last"), LACKED.values(), ids=LACKED)
@pytest.mark.usefixtures("impatient")
def test_a_file_that_changes_is_loaded_by_ckans_write_role(
    database, datastore_url, tmp_path, ways, lacked, last
):
    role = f"write{uuid.uuid4().hex[:8]}"
    database.execute(f"CREATE ROLE {role}")
    install_ckan(database, role)
    database.execute(lacked.format(database.info.dbname))
    rows = usual(1000) + [LATER["new words"](i) for i in range(500)]
    path = write_csv(tmp_path / "t.csv", ["first", "n", "second", "day"], rows)
    try:
        report = load(path, Options("t", datastore_url))
        assert report.rows == 1500
        assert (ways[-1] if ways else None) == last
        assert different_rows(database, "t") == []
    finally:
        database.execute(
            f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"
        )


def test_what_a_trigger_makes_of_a_row_is_found(database, datastore_url, tmp_path):
    path = write_csv(tmp_path / "t.csv", ["name", "n"], [["Oaks", "7"], ["Elms", "8"]])
    load(path, Options("t", datastore_url))
    database.execute(
        "CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.name := 'tidy ' || NEW.name; RETURN NEW; END $$;"
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tidy()"
    )
    load(path, Options("t", datastore_url))
    assert different_rows(database, "t") == []
    assert lexemes_of(database, "t") == [["7", "oak", "tidi"], ["8", "elm", "tidi"]]


NUMBERS_DROPPED = "ALTER TEXT SEARCH CONFIGURATION own DROP MAPPING FOR int, uint, float"
NUMBERS_REFUSED = (
    "CREATE TEXT SEARCH DICTIONARY no_word (TEMPLATE = simple, ACCEPT = false);"
    "ALTER TEXT SEARCH CONFIGURATION own ALTER MAPPING FOR uint WITH no_word"
)
NUMBERS_STEMMED = "ALTER TEXT SEARCH CONFIGURATION own ALTER MAPPING FOR uint WITH english_stem"
TIMES_DROPPED = "ALTER TEXT SEARCH CONFIGURATION own DROP MAPPING FOR numword"


@pytest.mark.parametrize(
    "change",
    [NUMBERS_DROPPED, NUMBERS_REFUSED, NUMBERS_STEMMED, TIMES_DROPPED],
    ids=["numbers dropped", "numbers refused", "numbers stemmed", "times dropped"],
)
def test_lexemes_are_the_triggers_where_numbers_are_treated_specially(
    database, datastore_url, varied, change
):
    database.execute("CREATE TEXT SEARCH CONFIGURATION own (COPY = pg_catalog.english)")
    database.execute(change)
    set_for_database(database, "default_text_search_config", "public.own")
    assert not fulltext.leaves_numbers(database, "own")
    load(varied, Options("varied", datastore_url, schema=SCHEMA))
    assert different_rows(database, "varied") == []


@pytest.mark.parametrize("config", ["english", "simple", "german", "russian"])
def test_the_built_in_configurations_keep_numbers(database, config):
    assert fulltext.leaves_numbers(database, config)


def test_a_configuration_may_have_an_odd_name(database, datastore_url, varied):
    database.execute('CREATE SCHEMA "it\'s"')
    database.execute('CREATE TEXT SEARCH CONFIGURATION "it\'s"."a %b :c" (COPY = german)')
    set_for_database(database, "default_text_search_config", '"it\'s"."a %b :c"')
    load(varied, Options("varied", datastore_url, schema=SCHEMA))
    assert different_rows(database, "varied") == []


def test_an_instant_before_our_era_stays_text(database, datastore_url, tmp_path):
    """In UTC it was in the year 1 BC, which no lexeme of numbers tells."""
    path = write_csv(tmp_path / "t.csv", ["at"], [["0001-01-01T00:00:00+14:00"]])
    report = load(path, Options("t", datastore_url))
    assert report.columns[0]["type"] == "text"
    assert different_rows(database, "t") == []


def test_only_text_columns_on_request(database_18, datastore_url_18, tmp_path):
    path = write_csv(tmp_path / "t.csv", ["name", "n", "day"], [["Oaks", "7", "2020-01-02"]])
    load(path, Options("t", datastore_url_18, full_text="text"))
    assert lexemes_of(database_18, "t") == [["oak"]]


def test_no_full_text_on_request(database_18, datastore_url_18, tmp_path):
    path = write_csv(tmp_path / "t.csv", ["name"], [["Oaks"]])
    load(path, Options("t", datastore_url_18, full_text="none"))
    assert lexemes_of(database_18, "t") == [None]
    indexes = database_18.execute("SELECT indexname FROM pg_indexes WHERE tablename = 't'")
    assert indexes.fetchall() == [("t_pkey",)]


def test_a_table_without_text_is_searchable(database, datastore_url, tmp_path):
    path = write_csv(tmp_path / "t.csv", ["n", "open"], [["7", "true"], [None, "false"]])
    load(path, Options("t", datastore_url))
    assert lexemes_of(database, "t") == [["7", "true"], ["fals"]]


def words(count: int) -> str:
    """Return about ten bytes of different words for each one."""
    return " ".join(f"word{i:05d}" for i in range(count))


HYPHENS = " ".join(f"a{i:06d}-b{i:06d}-c{i:06d}" for i in range(12_000))  # 4 lexemes for each


@pytest.mark.parametrize(
    "long_text",
    [words(30_000), words(70_000), "ä" * 150_000, HYPHENS],
    ids=["300 kB", "700 kB", "one word", "hyphens"],
)
@pytest.mark.parametrize("way", ["composed", "left_to_copy"])
def test_a_long_row_has_the_triggers_lexemes(
    request, way, database, datastore_url, tmp_path, long_text
):
    request.getfixturevalue(way)
    rows = [["short", "1"], [long_text, "2"], [None, "3"]]
    path = write_csv(tmp_path / "t.csv", ["text", "n"], rows)
    report = load(path, Options("t", datastore_url))
    assert report.warnings == []
    assert different_rows(database, "t") == []


@pytest.mark.parametrize("way", ["composed", "left_to_copy"])
def test_a_row_that_the_trigger_would_refuse_is_searchable_by_its_beginning(
    request, way, database, datastore_url, tmp_path
):
    request.getfixturevalue(way)
    rows = [["short", "1"], [words(200_000), "2"], ["later", "3"]]
    path = write_csv(tmp_path / "t.csv", ["text", "n"], rows)
    report = load(path, Options("t", datastore_url))
    assert report.rows == 3
    assert report.warnings == ["_id 2: too long to be searched whole, its beginning is"]
    found = lexemes_of(database, "t")
    assert found[0] == ["1", "short"]
    assert "word00000" in found[1]
    assert "word05000" in found[1]
    assert "word150000" not in found[1]
    assert database.execute("SELECT text FROM t WHERE _id = 2").fetchone() == (rows[1][0],)


@pytest.mark.parametrize("way", ["composed", "left_to_copy"])
def test_a_long_row_is_searchable_by_its_text_columns_only_on_request(
    request, way, database_18, datastore_url_18, tmp_path
):
    request.getfixturevalue(way)
    path = write_csv(tmp_path / "t.csv", ["text", "n"], [[words(30_000), "4711"]])
    load(path, Options("t", datastore_url_18, full_text="text"))
    (found,) = lexemes_of(database_18, "t")
    assert "word29999" in found
    assert "4711" not in found


def test_the_column_is_a_plain_one_afterwards(database, datastore_url, varied):
    load(varied, Options("varied", datastore_url, schema=SCHEMA))
    kinds = database.execute(
        "SELECT attgenerated::text, atthasdef, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'varied'::regclass AND attname = '_full_text'"
    ).fetchone()
    assert kinds == ("", False, "tsvector")


def test_every_part_of_the_expression_is_immutable(database_18, datastore_url_18):
    """Or Postgres refuses the column; all types at once, in both branches."""
    columns = [Column(row.name, row.name) for row in registry.TYPES]
    with closing(connections.connect(datastore_url_18, "test")) as connection:
        config, zone = fulltext.settings(connection)
        for literals in (True, False):
            expression = fulltext.expression(columns, "all", config, zone, literals).as_string()
            listed = ", ".join(f'"{column.name}" {column.type}' for column in columns)
            connection.execute(
                f"CREATE TABLE made_{literals} ({listed},"
                f" f tsvector GENERATED ALWAYS AS ({expression}) STORED)"
            )
            assert connection.execute(f"SELECT count(*) FROM made_{literals}").fetchone() == (0,)


# Units of texts of which 60 kB take the parser 10 to 60 s each, and a few MB hours.
SLOW = {
    "underscores": "a_",
    "underscores and digits": "_1",
    "hyphens and digits": "a-1-",
    "dots and hyphens": "1.a-",
    "paths": "./",
    "home folders": "/~",
    "addresses": "a1@",
    "addresses of one letter": "1@a",
    "comments": "<!-- ",
    "comments without spaces": "<!--",
}
# Texts that look like them, and at which it is not slow: long ones, without a space.
RANDOM = random.Random(7)
HONEST = {
    "base64": base64.b64encode(RANDOM.randbytes(60_000)).decode(),
    "WKB": RANDOM.randbytes(30_000).hex().upper(),
    "WKT": "POLYGON((" + ",".join(f"{i / 7:.6f} {-i / 3:.6f}" for i in range(6000)) + "))",
    "GeoJSON": json.dumps([[i / 7, -i / 3] for i in range(6000)], separators=(",", ":")),
    "file names": "\n".join(f"/srv/data_{i}/a-b_c.{i}.csv.gz" for i in range(4000)),
    "file names with semicolons": ";".join(f"img_{i}-0.jpeg" for i in range(8000)),
    "addresses": ",".join(f"jane_{i}.doe@example-{i}.org" for i in range(4000)),
    "links": " ".join(f"https://a-b.example.org/x_{i}/?q=a_b&c={i}#d-e" for i in range(3000)),
    "a line of hyphens": f"above {'-' * 500} below_it {'_' * 3000} .{'.' * 300}",
    "one long path": "/".join(f"folder_{i}" for i in range(200)),
    "hyphenated": "-".join(f"w{i}" for i in range(300)),
    "closed comments": "<!-- no --> foxes " * 500,
    "markup": "<p class='a_b'>foxes <b>jump</b></p>" * 3000,
}


@pytest.fixture
def parser_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fulltext, "ROW_MS", 800)


def use_way(request: pytest.FixtureRequest, way: str, rows: list) -> list:
    """Have the full text made in a way, and return the rows of a file for it."""
    if way != "filled":
        request.getfixturevalue(way)
        return [["The foxes", "0", "", ""], *rows]
    for fixture in ("impatient", "ways"):
        request.getfixturevalue(fixture)
    return [*usual(1000), *(LATER["new words"](i) for i in range(300)), *rows]


@pytest.mark.parametrize("way", ["composed", "left_to_copy", "filled"])
@pytest.mark.usefixtures("parser_at_its_limit")
def test_no_text_keeps_the_parser_busy(request, way, database_18, datastore_url_18, tmp_path):
    slow = [[unit * (60_000 // len(unit)), "7", "lazy dogs", None] for unit in SLOW.values()]
    rows = use_way(request, way, [*slow, ["Oaks", "8", "elms", None]])
    path = write_csv(tmp_path / "t.csv", ["first", "n", "second", "day"], rows)
    report = load(path, Options("t", datastore_url_18))
    assert report.rows == len(rows)
    cut = range(len(rows) - len(slow), len(rows))
    assert [warning.partition(":")[0] for warning in report.warnings] == [f"_id {i}" for i in cut]
    assert all("Postgres is too slow at its long words" in said for said in report.warnings)
    texts = database_18.execute("SELECT first FROM t ORDER BY _id OFFSET %s", (cut[0] - 1,))
    assert [row[0] for row in texts][:-1] == [row[0] for row in slow]
    found = lexemes_of(database_18, "t")
    assert found[-1] == ["8", "elm", "oak"]
    for lexemes_found in found[cut[0] - 1 : -1]:
        assert {"7", "lazi", "dog"} <= set(lexemes_found)
    if way == "filled":
        assert request.getfixturevalue("ways")[-1] == "filled"


@pytest.mark.parametrize("honest", HONEST.values(), ids=HONEST)
@pytest.mark.parametrize("way", ["composed", "left_to_copy", "filled"])
def test_long_words_have_the_triggers_lexemes(
    request, way, database_18, datastore_url_18, tmp_path, honest
):
    rows = use_way(request, way, [[honest, "7", honest[:2000], None], ["Oaks", "8", "", None]])
    path = write_csv(tmp_path / "t.csv", ["first", "n", "second", "day"], rows)
    report = load(path, Options("t", datastore_url_18))
    assert (report.rows, report.warnings) == (len(rows), [])
    assert different_rows(database_18, "t") == []


@pytest.mark.parametrize("way", ["composed", "left_to_copy"])
def test_many_slow_rows_are_not_even_tried(
    request, way, monkeypatch, database, datastore_url, tmp_path
):
    """The time is up: what the parser is quick at goes on having the trigger's lexemes."""
    monkeypatch.setattr(fulltext, "ALL_ROWS_S", 0.0)
    monkeypatch.setattr(destination, "MOST_LISTED", 3)
    request.getfixturevalue(way)
    slow = [[f"foxes jump {'a_' * 200}", str(i)] for i in range(5)]
    rows = [["short", "1"], *slow, [words(30_000), "2"], ["later <b", "3"]]
    path = write_csv(tmp_path / "t.csv", ["text", "n"], rows)
    report = load(path, Options("t", datastore_url))
    said = "Postgres is too slow at its long words, they are cut for searches"
    assert report.warnings == [
        *(f"_id {row_id}: {said}" for row_id in (2, 3, 4)),
        f"2 more rows: {said}",
    ]
    assert different_rows(database, "t") == []  # these words, cut or whole, are the same
    assert lexemes_of(database, "t")[1] == ["0", "fox", "jump"]


@pytest.mark.usefixtures("parser_at_its_limit")
def test_a_slow_row_whose_pieces_are_too_many_is_searchable_by_its_beginning(
    database_18, datastore_url_18, tmp_path
):
    rows = [[f"{words(200_000)} {'a_' * 50_000}"], ["later"]]
    report = load(write_csv(tmp_path / "t.csv", ["text"], rows), Options("t", datastore_url_18))
    assert report.warnings == [
        "the table has one column: no delimiter was found that fits all rows",
        "_id 1: too long to be searched whole, its beginning is",
    ]
    found = lexemes_of(database_18, "t")
    assert "word05000" in found[0]
    assert "word150000" not in found[0]
    assert found[1] == ["later"]


def test_what_a_trigger_makes_slow_is_found(database, datastore_url, tmp_path):
    """Only the server has seen it."""
    path = write_csv(tmp_path / "t.csv", ["name", "n"], [["Oaks", "7"], ["a_b", "8"]])
    load(path, Options("t", datastore_url))
    database.execute(
        "CREATE FUNCTION longer() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.name := repeat(NEW.name || '_', 150); RETURN NEW; END $$;"
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION longer()"
    )
    assert load(path, Options("t", datastore_url)).warnings == []
    assert lexemes_of(database, "t") == [["7", "oak"], ["8", "b"]]
    assert different_rows(database, "t") == []


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.usefixtures("parser_at_its_limit")
def test_slow_rows_are_added_to_a_table_whose_triggers_change_rows(
    database, datastore_url, tmp_path, mode
):
    """CKAN's own trigger is not given them: the words are those of the file's row."""
    install_ckan(database)
    header = ["k", "text"]
    load(write_csv(tmp_path / "t.csv", header, [["1", "Oaks"]]), Options("t", datastore_url))
    database.execute(
        "CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.text := NEW.text || ' tidy'; RETURN NEW; END $$;"
        "CREATE TRIGGER a BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tidy()"
    )
    slow = "elms " + "a_" * 100_000
    rows = [["1", slow], ["2", "Oaks"], ["3", slow]]
    path = write_csv(tmp_path / "more.csv", header, rows)
    # A server that gave them to the parser would take hours, and then refuse the load.
    database.execute(f"ALTER DATABASE \"{database.info.dbname}\" SET statement_timeout = '9min'")
    report = load(
        path, Options("t", datastore_url, mode=mode, key=["k"] if mode == "upsert" else ())
    )
    assert len(report.warnings) == 2
    texts = dict(database.execute("SELECT k, text FROM t WHERE length(text) > 1000").fetchall())
    assert {k: text.removesuffix(" tidy").removesuffix(" tidy") for k, text in texts.items()} == {
        1: slow,
        3: slow,
    }
    found = dict(
        database.execute("SELECT k, tsvector_to_array(_full_text) FROM t ORDER BY _id").fetchall()
    )
    assert (found[1], found[3]) == (["1", "elm"], ["3", "elm"])
    assert found[2] == ["2", "oak", "tidi"]


PIECES = ["a", "é", "1", "_", "-", ".", "/", "~", "@", "<!--", " ", ",", "a_" * 60, "x@" * 5]


@hypothesis.given(
    texts=st.lists(
        st.tuples(
            st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.integers(1, 120)
        ).map(lambda parts: parts[0] * parts[1]),
        min_size=2,
        max_size=2,
    )
)
@hypothesis.settings(
    max_examples=100, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_client_and_server_find_the_same_texts_slow(database_18, texts):
    condition = slow_texts.condition([sql.Identifier("first"), sql.Identifier("second")])
    (by_server,) = database_18.execute(
        f"SELECT {condition.as_string()} FROM (VALUES (%s::text, %s::text)) AS t (first, second)",
        texts,
    ).fetchone()
    arrays = [pa.array([text], pa.string()) for text in texts]
    by_client = slow_texts.among(arrays)[0]
    assert by_client or not by_server
    if min(len(text.encode()) for text in texts) >= slow_texts._MOST_PARTS:
        assert by_server or not by_client


@pytest.mark.parametrize("unit", [*SLOW.values(), "a1_", "1a1a@", "a.b-", "a@b.c/", "é_", "aa@a1_"])
def test_what_is_not_found_slow_takes_the_parser_seconds(database_18, unit):
    """As much of it as may be given to the parser without a limit; 10 s are far above that."""
    parts = slow_texts.among([pa.array([unit * count for count in range(1, 101)])])
    run = unit * int(np.flatnonzero(~parts)[-1] + 1)  # the longest
    text = f"{run} " * (fulltext.MAX_TEXT_BYTES // (len(run) + 1))
    if "<!--" in unit:
        text = run + "x " * (fulltext.MAX_TEXT_BYTES // 2)
    assert not slow_texts.among([pa.array([text])])[0]
    database_18.execute("SET statement_timeout = '30s'")
    database_18.execute("SELECT to_tsvector('english', %s)", (text,))
