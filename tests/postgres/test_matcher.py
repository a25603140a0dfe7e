"""A block takes the fast path only if the slow path would have sent the very same rows."""

from __future__ import annotations

import io
from collections.abc import Sequence

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from loader.copy import encode
from loader.errors import UnclosedQuote
from loader.formats.csv import table
from loader.formats.csv.blocks import CsvBlock, cut
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.matcher import Matcher
from loader.types.column import Column
from loader.types.verification import Verification

TYPES = ("bigint", "numeric", "boolean", "date", "time", "timestamp", "timestamptz", "text")


def columns(*types: str) -> list[Column]:
    return [Column(f"c{i}", kind) for i, kind in enumerate(types)]


def block(text: str | bytes, dialect: Dialect) -> CsvBlock:
    data = text if isinstance(text, bytes) else text.encode()
    [only] = cut(io.BytesIO(data), dialect)
    return only


def numbered(matcher: Matcher, each: CsvBlock, dialect: Dialect) -> bytes | None:
    """Return a block's records behind their ``_id``, if they are in order."""
    if not matcher.matches(each):
        return None
    records = each.as_records()
    form = encode.Form(dialect.delimiter, dialect.line_end)
    return b"".join(encode.number(records.ids, records.texts, form))


def short_way(text: str | bytes, *types: str, dialect: Dialect | None = None) -> bytes | None:
    dialect = dialect or Dialect(header_row=0)
    return numbered(Matcher(columns(*types), dialect), block(text, dialect), dialect)


def test_a_block_in_order_goes_as_it_came_with_ids_in_front():
    assert short_way('1,a\n2,"b\nc"\n', "bigint", "text") == b'1,1,a\n2,2,"b\nc"\n'


def test_crlf_stays_crlf():
    dialect = Dialect(header_row=0, line_end="\r\n")
    assert short_way("1,a\r\n", "bigint", "text", dialect=dialect) == b"1,1,a\r\n"


def test_ids_go_on_from_the_block_before():
    dialect = Dialect(header_row=0)
    blocks = list(cut(io.BytesIO(b"1\n2\n3\n"), dialect, block_bytes=4))
    matcher = Matcher(columns("bigint"), dialect)
    found = [numbered(matcher, each, dialect) for each in blocks]
    assert found == [b"1,1\n2,2\n", b"3,3\n"]


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("bigint", ""),
        ("bigint", "-9"),
        ("bigint", '"9"'),
        ("numeric", "-0.05"),
        ("numeric", "15.30"),
        ("boolean", "True"),
        ("date", "2000-02-29"),
        ("date", "2024-02-29"),
        ("time", "23:59:59.999999"),
        ("timestamp", "2015-08-18 06:34:36"),
        ("timestamp", "2015-08-18T06:34:36.5"),
        ("timestamptz", "2015-08-18T06:34:36Z"),
        ("timestamptz", "2015-08-18 06:34:36+05:30"),
        ("text", '""'),
        ("text", 'ä""'.replace('"', "")),
        ("text", '"says ""no"", twice"'),
    ],
)
def test_what_fits_goes_the_short_way(kind: str, cell: str):
    assert short_way(f"{cell},x\n", kind, "text") == f"1,{cell},x\n".encode()


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("bigint", "007"),
        ("bigint", "+5"),
        ("bigint", '""'),
        ("bigint", "9223372036854775808"),
        ("numeric", "-0"),
        ("numeric", "-0.00"),
        ("numeric", "1e5"),
        ("numeric", ".5"),
        ("numeric", "5."),
        ("boolean", "yes"),
        ("date", "1900-02-29"),
        ("date", "2100-02-29"),
        ("date", "2023-02-29"),
        ("date", "2023-04-31"),
        ("date", "0000-01-01"),
        ("time", "24:00:00"),
        ("time", "9:00:00"),
        ("timestamp", "2015-08-18T06:34:60"),
        ("timestamp", "2015-08-18T06:34:36Z"),
        ("timestamptz", "2015-08-18T06:34:36"),
        ("text", '5" pipe'),
        ("text", '"a"b'),
        ("text", "a\rb"),
        ("text", "a\0b"),
    ],
)
def test_whatever_is_doubtful_goes_the_long_way(kind: str, cell: str):
    assert short_way(f"{cell},x\n", kind, "text") is None


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ("a short row", "1,a\n2\n"),
        ("a long row", "1,a\n2,b,c\n"),
        ("a blank line", "1,a\n\n2,b\n"),
        ("no newline at the end", "1,a\n2,b"),
        ("another line end", "1,a\n2,b\r\n"),
        ("not UTF-8", b"1,\xff\n"),
        ("a lone surrogate", b"1,\xed\xa0\x80\n"),
    ],
)
def test_a_block_that_is_not_in_order_goes_the_long_way(why: str, text: str | bytes):
    assert short_way(text, "bigint", "text") is None


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(header_row=0, quote=None),
        Dialect(header_row=0, quote="'"),
        Dialect(header_row=0, escape="\\"),
        Dialect(header_row=0, double_quote=False),
        Dialect(header_row=0, universal_newlines=True),
    ],
)
def test_other_dialects_than_postgres_knows_go_the_long_way(dialect: Dialect):
    assert short_way("1,a\n", "bigint", "text", dialect=dialect) is None


def test_values_that_mean_missing_go_the_long_way():
    dialect = Dialect(header_row=0)
    matcher = Matcher(columns("text"), dialect, ["", "N/A"])
    assert not matcher.matches(block("a\nN/A\n", dialect))


@pytest.mark.parametrize(("cell", "short"), [("12345678901234567890", True), ("1.5", False)])
def test_a_declared_integer_stays_one_when_it_is_stored_as_numeric(cell: str, short: bool):
    column = Column("a", "numeric", declared={"name": "a", "type": "integer"})
    dialect = Dialect(header_row=0)
    assert Matcher([column], dialect).matches(block(f"{cell}\n", dialect)) is short


def test_a_field_declared_with_a_form_of_its_own_goes_the_long_way():
    field = {"name": "a", "type": "date", "format": "%d/%m/%Y"}
    dialect = Dialect(header_row=0)
    matcher = Matcher([Column("a", "date", declared=field)], dialect)
    assert not matcher.matches(block("2020-01-01\n", dialect))


def test_json_and_very_wide_tables_go_the_long_way():
    assert short_way('{},"a"\n', "json", "text") is None
    assert short_way(",".join("1" * 151) + "\n", *["bigint"] * 151) is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^"])
def test_a_wide_table_of_every_type_still_goes_the_short_way(delimiter: str):
    cells = ["12", "1.50", "true", "2024-02-29", "10:00:00", "2024-02-29T10:00:00"]
    cells += ["2024-02-29T10:00:00+01:00", "text"]
    record = delimiter.join(cells * 18) + "\n"
    dialect = Dialect(header_row=0, delimiter=delimiter)
    assert short_way(record * 500, *TYPES * 18, dialect=dialect) is not None


CELLS = st.one_of(
    st.text(st.sampled_from('0123456789-.:T Z+"ae\x00\né'), max_size=8),
    st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]", fullmatch=True),
    st.from_regex(r"2024-02-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z?", fullmatch=True),
    st.sampled_from(["", '""', "true", "False", '"a,b"', '"1"', "12:30:00"]),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4), data=st.data())
def test_both_ways_lead_to_the_same_rows(
    database_18: psycopg.Connection, rows: list[tuple[str, str]], data: st.DataObject
):
    kind = data.draw(st.sampled_from(TYPES))
    text = "".join(f"{first},{second}\n" for first, second in rows)
    dialect = Dialect(header_row=0)
    try:
        blocks = list(cut(io.BytesIO(text.encode()), dialect))
    except UnclosedQuote:  # neither way leads on
        return
    for each in blocks:
        encoded = numbered(Matcher(columns(kind, "text"), dialect), each, dialect)
        if encoded is None:
            continue
        parsed = table.parse(each, dialect, 2)
        assert not parsed.rejects
        assert not len(parsed.repaired)
        converted = Verification(columns(kind, "text"), [""]).verify(parsed)
        assert converted is not None
        long_way = encode.encode(parsed.ids, converted, encode.Form(",", "\n"))
        assert stored(database_18, kind, [encoded]) == stored(database_18, kind, long_way)


def stored(
    database: psycopg.Connection, kind: str, pieces: Sequence[bytes | memoryview]
) -> list[tuple]:
    """What Postgres makes of COPY text."""
    database.execute("DROP TABLE IF EXISTS t")
    database.execute(f"CREATE TABLE t (_id int, a {kind}, b text)")
    with database.cursor().copy("COPY t FROM STDIN (FORMAT csv)") as copy:
        for piece in pieces:
            copy.write(piece)
    return database.execute("SELECT _id, a::text, b FROM t ORDER BY _id").fetchall()
