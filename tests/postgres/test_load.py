"""From a file to a table on a real Postgres: every value comes back as it was written."""

import codecs
import csv
import gzip
import io
import re
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from datastore import rows_of, shadows
from http_server import LAST_MODIFIED, HttpServer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loader import errors
from loader.copy import lanes
from loader.errors import (
    EmptySource,
    EncodingError,
    NoRows,
    NotATable,
    RowsLost,
    SourceChanged,
    TooManyBadRows,
    ValueDoesNotFit,
)
from loader.formats.csv import blocks
from loader.net.settings import SourceSettings
from loader.options import Options
from loader.pipeline.load import load
from loader.progress import Silent


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    """Blocks of some hundred rows, so that a small file has many."""
    monkeypatch.setattr(blocks, "cut", partial(blocks.cut, block_bytes=4096))


def write(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.write_bytes(text.encode(encoding))
    return str(path)


def as_text(connection, table: str, column: str) -> list[str | None]:
    """Return what a SELECT shows of a column, in the order of the file."""
    return [
        row[0] for row in connection.execute(f'SELECT "{column}"::text FROM "{table}" ORDER BY _id')
    ]


def types(report) -> list[str]:
    return [column["type"] for column in report.columns]


# The values of a column before the last one, which breaks the guess.
LATE = {
    "N/A among integers": (str, "N/A", "bigint", "text"),
    "007 among integers": (str, "007", "bigint", "text"),
    "20 digits among integers": (str, "12345678901234567890", "bigint", "numeric"),
    "a fraction among integers": (str, "1.50", "bigint", "numeric"),
    "an exponent among numbers": (lambda i: f"{i}.50", "1e5", "numeric", "text"),
    "another order among dates": (
        lambda i: f"2020-01-{i % 28 + 1:02}",
        "31/12/2020",
        "date",
        "text",
    ),
    "a time of day among dates": (
        lambda i: f"2020-01-{i % 28 + 1:02}",
        "2020-02-01 10:00:00",
        "date",
        "timestamp",
    ),
    "a word among booleans": (lambda i: "true", "maybe", "boolean", "text"),
    "24 hours among times": (lambda i: f"{i % 24:02}:00:00", "24:00:00", "time", "text"),
    "infinity among dates": (lambda i: f"2020-01-{i % 28 + 1:02}", "infinity", "date", "text"),
    "a plus sign among integers": (str, "+5", "bigint", "text"),
    "minus nothing among integers": (str, "-0", "bigint", "text"),
    "a group among integers": (str, "1_000", "bigint", "text"),
    "no number among numbers": (lambda i: f"{i}.50", "NaN", "numeric", "text"),
}


@pytest.mark.parametrize(("usual", "late", "before", "after"), LATE.values(), ids=LATE)
def test_a_late_value_widens_its_column_and_comes_back_as_it_is(
    database_18, datastore_url_18, tmp_path, small_blocks, usual, late, before, after
):
    values = [usual(i) for i in range(1, 2500)] + [late]
    path = write(tmp_path / "t.csv", "other,value\n" + "".join(f"x{v},{v}\n" for v in values))
    report = load(path, Options("t", datastore_url_18, lanes=2))
    assert report.columns[1]["type"] == after
    assert report.columns[1]["widened_from"] == before
    assert report.columns[0]["widened_from"] is None
    assert report.rows == 2500
    told = f"value: {after} instead of {before}, for {late!r} in row 2501"
    assert report.warnings[0] == told
    assert len(report.warnings) == 1 + (late in {"N/A", "NaN"})
    shown = as_text(database_18, "t", "value")
    if after == "timestamp":
        values = [value if " " in value else f"{value} 00:00:00" for value in values]
    assert shown == values
    assert as_text(database_18, "t", "other")[-1] == f"x{late}"
    assert shadows(database_18) == []


def test_several_columns_widen_at_once(database_18, datastore_url_18, tmp_path, small_blocks):
    """The rest of the file is only scanned, so that there is one restart, not three."""
    rows = [[i, i, i, i] for i in range(3000)]
    rows[900][0], rows[1800][1], rows[2999][2] = "n/a", "1.5", "99999999999999999999"
    text = "a,b,c,d\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    steps = []

    class Steps(Silent):
        def begin(self, title: str) -> None:
            steps.append(title)

    report = load(write(tmp_path / "t.csv", text), Options("t", datastore_url_18), Steps())
    assert types(report) == ["text", "numeric", "numeric", "bigint"]
    assert steps.count("copying rows") == 2
    assert rows_of(database_18, "t")[900][0] == "n/a"
    assert as_text(database_18, "t", "c")[-1] == "99999999999999999999"


def test_every_type_comes_back_as_it_was_written(database, datastore_url, tmp_path):
    text = (
        "integer,number,boolean,date,datetime,instant,time,text,object,array,wide\n"
        "1,15.30,true,2020-02-29,2020-01-02T03:04:05,2020-01-02T03:04:05+02:00,03:04:05,"
        'a,"{""a"": 1}","[1,  2]",12345678901234567890\n'
        "-9223372036854775808,-0.5,false,0001-01-01,9999-12-31 23:59:59.999999,"
        '2020-01-02T03:04:05Z,23:59:59.5,"",{},[],1\n'
        '"",,,,,,,,,,\n'
    )
    database.execute("SET TimeZone = 'UTC'")
    report = load(write(tmp_path / "t.csv", text), Options("t", datastore_url))
    assert types(report) == [
        *("bigint", "numeric", "boolean", "date", "timestamp", "timestamptz", "time", "text"),
        *("json", "json", "numeric"),
    ]
    listed = ", ".join(f'"{column["id"]}"::text' for column in report.columns)
    assert database.execute(f"SELECT {listed} FROM t ORDER BY _id").fetchall() == [
        (
            *("1", "15.30", "true", "2020-02-29", "2020-01-02 03:04:05", "2020-01-02 01:04:05+00"),
            *("03:04:05", "a", '{"a": 1}', "[1,  2]", "12345678901234567890"),
        ),
        (
            *("-9223372036854775808", "-0.5", "false", "0001-01-01", "9999-12-31 23:59:59.999999"),
            *("2020-01-02 03:04:05+00", "23:59:59.5", "", "{}", "[]", "1"),
        ),
        (None,) * 11,
    ]


DECLARED = {
    "day first": ({"type": "date", "format": "%d/%m/%Y"}, "31/12/2020", "date", "2020-12-31"),
    "own datetime": (
        {"type": "datetime", "format": "%d.%m.%Y %H:%M"},
        "31.12.2020 10:20",
        "timestamp",
        "2020-12-31 10:20:00",
    ),
    "decimal comma": (
        {"type": "number", "decimalChar": ",", "groupChar": "."},
        "1.234,50",
        "numeric",
        "1234.50",
    ),
    "own booleans": (
        {"type": "boolean", "trueValues": ["ja"], "falseValues": ["nein"]},
        "ja",
        "boolean",
        "true",
    ),
    "a number as text": ({"type": "string"}, "007", "text", "007"),
    "an integer too large for 64 bits": (
        {"type": "integer"},
        "12345678901234567890",
        "numeric",
        "12345678901234567890",
    ),
    "an unknown kind": ({"type": "geopoint"}, "1.5, 2.5", "text", "1.5, 2.5"),
}


@pytest.mark.parametrize(("field", "cell", "kind", "shown"), DECLARED.values(), ids=DECLARED)
def test_declared_types_win(
    database_18, datastore_url_18, tmp_path, small_blocks, field, cell, kind, shown
):
    path = write(tmp_path / "t.csv", "a;b\n" + f'"{cell}";x\n' * 2000)
    schema = {"fields": [{"name": "a", **field}]}
    report = load(path, Options("t", datastore_url_18, schema=schema))
    assert types(report) == [kind, "text"]
    assert report.columns[0]["inferred_as"] is None
    assert set(as_text(database_18, "t", "a")) == {shown}


def test_missing_values_of_the_schema_are_null(database_18, datastore_url_18, tmp_path):
    schema = {
        "missingValues": ["", "-", "n/a"],
        "fields": [{"name": "n", "type": "integer"}, {"name": "name", "type": "string"}],
    }
    path = write(tmp_path / "t.csv", "n,name,other\n1,n/a,7\n-,b,-\nn/a,,n/a\n")
    load(path, Options("t", datastore_url_18, schema=schema))
    assert rows_of(database_18, "t") == [(1, None, 7), (None, "b", None), (None, None, None)]


@pytest.fixture
def misfit(tmp_path) -> str:
    lines = [f"{i},x\n" for i in range(2500)]
    lines[2400] = "twelve,x\n"
    return write(tmp_path / "misfit.csv", "n,name\n" + "".join(lines))


DECLARED_INTEGER = {"fields": [{"name": "n", "type": "integer"}]}


def test_a_value_that_its_declared_type_cannot_hold(
    database_18, datastore_url_18, tmp_path, small_blocks, misfit
):
    load(write(tmp_path / "old.csv", "n\n1\n"), Options("t", datastore_url_18))
    with pytest.raises(ValueDoesNotFit) as refused:
        load(misfit, Options("t", datastore_url_18, schema=DECLARED_INTEGER))
    error = refused.value
    assert (error.row, error.column, error.value) == (2402, "n", "twelve")
    assert "integer" in str(error)
    assert error.report.to_dict()["error"]["row"] == 2402
    assert rows_of(database_18, "t") == [(1,)]
    assert shadows(database_18) == []


def test_a_declared_type_gives_way_on_request(database_18, datastore_url_18, small_blocks, misfit):
    options = Options("t", datastore_url_18, schema=DECLARED_INTEGER, on_type_error="widen")
    report = load(misfit, options)
    assert types(report) == ["text", "text"]
    assert as_text(database_18, "t", "n")[2400] == "twelve"


@pytest.mark.parametrize("value", ["1e999999999", "1e-999999999", "-1e99999999 EUR"])
@pytest.mark.parametrize("form", [{"groupChar": ","}, {"decimalChar": ","}, {"bareNumber": False}])
def test_a_number_of_a_billion_digits_is_told_with_its_place(
    database_18, datastore_url_18, tmp_path, form, value
):
    schema = {"fields": [{"name": "n", "type": "number"} | form]}
    path = write(tmp_path / "t.csv", f"n\n1\n{value}\n")
    options = Options("t", datastore_url_18, schema=schema)
    with pytest.raises(ValueDoesNotFit) as raised:
        load(path, options)
    assert (raised.value.row, raised.value.column, raised.value.value) == (3, "n", value)
    report = load(path, replace(options, on_type_error="widen"))
    assert types(report) == ["text"]
    assert as_text(database_18, "t", "n") == ["1", value]


def test_a_header_without_rows_is_an_empty_table(database, datastore_url, tmp_path):
    report = load(write(tmp_path / "t.csv", "a,b\n"), Options("t", datastore_url))
    assert (report.rows, types(report)) == (0, ["text", "text"])
    assert rows_of(database, "t") == []


# name: text, error, row
ROWLESS = {
    "all too long": ("a,b\n1,2,3\n4,5,6\n", TooManyBadRows, 2),
    "the only one with a CR": ("a,b\n1\r2,x\n", TooManyBadRows, 2),
    "a quote in the header takes all": ('a,"b\n1,2\n3,4"\n', NoRows, 1),
    "the same, CR": ('a,"b\r1,2\r3,4"\r', NoRows, 1),
    "the header alone in quotes": ('"a\n1\n2"\n', NoRows, 1),
    "all above the header": ("Trees,,\nof 2020,,\na,b,c\n", NoRows, 3),
    "a CR in the header": ("a,b\r1,2,3\n\n\n", NotATable, 1),
    **{
        f"rows that end in {end!r}": (f"a,b{end}1,x{end}2,y{end}", NoRows, 1)
        for end in ("\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029", r"\n", r"\r\n")
    },
    "the separators of ASCII": ("a\x1fb\x1e1\x1fx\x1e", NoRows, 1),
    "the same, further on": ("a," + "b" * 100 + " \x1e1,x\x1e", NoRows, 1),
    "NULs as line ends": ("a,b\0001,x\0002,y\0", NoRows, 1),
    "delimiters": (",,,\n", EmptySource, None),
    "rows of delimiters": (";;;;\n;;;;\n", EmptySource, None),
    "a header and rows of delimiters": ("a,b\n,\n,\n", NoRows, 2),
    "JSON": ("[1,2]", NotATable, None),
    "HTML": ("a,b<br>1,x", NotATable, None),
    "a message": ("Not found\n", NoRows, 1),
    "a row alone": ("1,2\n", NoRows, 1),
    "a few bytes": ("Rar!\x1a\x07\x01\0ab", NotATable, None),
}


@pytest.mark.parametrize(
    ("kind", "mode"),
    [*((kind, "replace") for kind in ROWLESS), *((kind, "append") for kind in [*ROWLESS][::4])],
)
def test_a_file_that_gives_no_row_and_is_more_than_a_header_leaves_the_table(
    database_18, datastore_url_18, tmp_path, kind, mode
):
    text, error, row = ROWLESS[kind]
    options = Options("t", datastore_url_18, mode=mode, rejects=tmp_path / "rejects.csv")
    load(write(tmp_path / "old.csv", "a,b\n1,2\n"), options)
    with pytest.raises(error) as raised:
        load(write(tmp_path / "t.csv", text), options)
    assert raised.value.row == row
    assert raised.value.hint
    assert not raised.value.retryable
    assert rows_of(database_18, "t") == [(1, 2)]
    assert shadows(database_18) == []


@pytest.mark.parametrize("encoding", ["cp037", "cp273", "cp500", "cp875", "cp1026", "cp1140"])
@pytest.mark.parametrize("end", ["\n", "\x85"])
@pytest.mark.parametrize("rows", [2, 2000])
def test_ebcdic_is_no_empty_table(datastore_url_18, database_18, tmp_path, encoding, end, rows):
    options = Options("t", datastore_url_18)
    load(write(tmp_path / "old.csv", "a,b\n1,2\n"), options)
    text = f"id,name{end}" + "".join(f"{n},Tree {n}{end}" for n in range(rows))
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    with pytest.raises(EncodingError, match="looks like EBCDIC") as raised:
        load(tmp_path / "t.csv", options)
    assert raised.value.option == "encoding"
    assert rows_of(database_18, "t") == [(1, 2)]
    if end == "\n":
        report = load(tmp_path / "t.csv", replace(options, encoding=encoding))
        assert (report.rows, types(report)) == (rows, ["bigint", "text"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("rows", [1, 200])
def test_ascii_is_no_empty_table_of_utf16(datastore_url_18, database_18, tmp_path, encoding, rows):
    options = Options("t", datastore_url_18)
    load(write(tmp_path / "old.csv", "a,b\n1,2\n"), options)
    path = write(tmp_path / "t.csv", "id,name\n" + "1,x\n" * rows)
    with pytest.raises(EncodingError, match="but ASCII"):
        load(path, replace(options, encoding=encoding))
    assert rows_of(database_18, "t") == [(1, 2)]


# name: text, options
HEADER_ALONE = {
    "LF": ("a,b\n", {}),
    "no line end": ("a,b", {}),
    "CR": ("a,b\r", {}),
    "CRLF and blank lines": ("\r\na,b\r\n\r\n\r\n", {}),
    "LF, CR, blank lines": ("a,b\n\r\n\r\r", {}),
    "in quotes": ('"a","b"\n', {}),
    "below notes, where its row is given": ("Trees\nof 2020\na,b\n", {"header_row": 3}),
    "a separator of ASCII that is the delimiter": (
        "a\x1fb\n",
        {"dialect": {"delimiter": "\x1f"}},
    ),
    "Cyrillic": ("номер,название улицы\n", {}),
    "a written line end, where its row is given": ("unit,path\\name\n", {"header_row": 1}),
    "a word, where its row is given": ("Дата", {"header_row": 1}),
    "a word, that a schema declares": ("Дата\n", {"schema": {"fields": [{"name": "Дата"}]}}),
}


@pytest.mark.parametrize(("text", "given"), HEADER_ALONE.values(), ids=HEADER_ALONE)
def test_a_header_alone_empties_the_table_and_is_told(
    database_18, datastore_url_18, tmp_path, text, given
):
    old = "A,b,номер,название улицы\n1,2,3,4\n"
    load(write(tmp_path / "old.csv", old), Options("t", datastore_url_18))
    report = load(write(tmp_path / "t.csv", text), Options("t", datastore_url_18, **given))
    assert "the file has a header and no rows: the table is empty" in report.warnings
    assert rows_of(database_18, "t") == []


# One line, which nothing but the table that is there tells from a header.
MESSAGES = {
    "comma": ("Error, file not found\n", "0 are"),
    "semicolon": ("Fehler;Datei nicht gefunden", "0 are"),
    "pipe": ("404|Not Found\r\n", "0 are"),
    "colons": ("status: 404, message: Not found\n", "0 are"),
    "equals": ("ErrorCode=500;Message=Internal\n", "0 are"),
    "one word of the table": ("name, not found, sorry\n", "1 are"),
    "rows in pieces": ("id,name||1,x||2,y\n", "1 are"),
    "a table of another kind": ("street,house number,town\n", "0 are"),
}


@pytest.mark.parametrize(("text", "said"), MESSAGES.values(), ids=MESSAGES)
def test_one_line_empties_no_table_that_has_other_columns(
    database_18, datastore_url_18, tmp_path, text, said
):
    options = Options("t", datastore_url_18)
    source = write(tmp_path / "t.csv", text)
    load(source, options)  # there is no row that could be lost
    load(write(tmp_path / "old.csv", "id,name\n1,x\n"), options)
    with pytest.raises(NoRows, match=f"{said} columns of the table, which it would empty"):
        load(source, options)
    assert rows_of(database_18, "t") == [(1, "x")]
    load(source, Options("t", datastore_url_18, header_row=1))
    assert rows_of(database_18, "t") == []


# name: text, rows, set aside
LINE_ENDS = {
    "CR, a LF in quotes": ('id,name\r1,"say\nhi"\r2,y\r', [(1, "say\nhi"), (2, "y")], 0),
    "CR, a CRLF in quotes": ('id,name\r1,"say\r\nhi"\r2,y\r', [(1, "say\r\nhi"), (2, "y")], 0),
    "CRLF, a CR in quotes": (
        'id,name\r\n1,"say\rhi"\r\n2,y\r\n',
        [(1, "say\rhi"), (2, "y")],
        0,
    ),
    "CRLF, a CR without": ("id,name\r\n1,say\rhi\r\n2,y\r\n", [(2, "y")], 1),
    "LF, a CR without": ("id,name\n1,say\rhi\n2,y\n", [(2, "y")], 1),
    "LF, then CR": ("id,name\n1,x\r2,y\r3,z\r", [(1, "x"), (2, "y"), (3, "z")], 0),
    "CR, then LF": ("id,name\r1,x\n2,y\n3,z", [(1, "x"), (2, "y"), (3, "z")], 0),
    "all of them": ("id,name\r1,x\r\n2,y\r3,z\n", [(1, "x"), (2, "y"), (3, "z")], 0),
}


@pytest.mark.parametrize(("text", "rows", "rejected"), LINE_ENDS.values(), ids=LINE_ENDS)
def test_line_ends_count_outside_quotes_only(
    database_18, datastore_url_18, tmp_path, text, rows, rejected
):
    options = Options("t", datastore_url_18, rejects=tmp_path / "rejects.csv")
    report = load(write(tmp_path / "t.csv", text), options)
    assert rows_of(database_18, "t") == rows
    assert report.bad_rows.rejected == rejected
    assert report.rows + rejected == text.count("1,") + text.count("2,") + text.count("3,")


@pytest.mark.parametrize("ends", ["\n|\r", "\r|\n", "\n|\r\n", "\r\n|\r", "\r|\r\n"])
def test_line_ends_may_change_below_all_that_was_looked_at(
    database_18, datastore_url_18, tmp_path, ends
):
    """The head is 1 MiB and the first block 4 MiB."""
    before, after = ends.split("|")
    rows = [f'{i},"row {i}{after * (i % 7 == 0)} of the table"' for i in range(1, 200_001)]
    half = len(rows) * 3 // 4
    text = "".join(
        [
            f"id,name{before}",
            *(row + before for row in rows[:half]),
            *(r + after for r in rows[half:]),
        ]
    )
    options = Options("t", datastore_url_18, full_text="none")
    report = load(write(tmp_path / "t.csv", text), options)
    assert (report.rows, report.bad_rows.rejected, report.bad_rows.repaired) == (200_000, 0, 0)
    sums = "SELECT sum(id)::int8, sum(length(name)) FROM t"
    lengths = sum(len(row.split(",")[1]) - 2 for row in rows)
    assert database_18.execute(sums).fetchone() == (200_000 * 200_001 // 2, lengths)


@pytest.mark.parametrize("named", ["latin-1", "utf-16-le", "gb18030", "cp037"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_that_the_named_encoding_contradicts_is_told(
    database_18, datastore_url_18, tmp_path, encoding, named
):
    path = write(tmp_path / "t.csv", "id,größe\n1,ä\n2,ö\n", encoding)
    report = load(path, Options("t", datastore_url_18, encoding=named))
    assert [column["id"] for column in report.columns] == ["id", "größe"]
    assert rows_of(database_18, "t") == [(1, "ä"), (2, "ö")]
    told = [warning for warning in report.warnings if "byte order mark" in warning]
    agrees = (encoding, named) == ("utf-16", "utf-16-le")
    assert len(told) == (not agrees)
    assert agrees or told[0].endswith(f"not {codecs.lookup(named).name}")


ENDS_OF_DOS = ["\x1a", "\x1a\r\n", "\x1a" * 100, "\x1a\0\0\0"]
# The head, 1 MiB, has the end in it, or has not.
FILES_OF_DOS = [
    *product(ENDS_OF_DOS, ["utf-8", "cp850", "utf-16"], [2]),
    *zip(ENDS_OF_DOS, ["utf-8", "cp850", "utf-16", "utf-8"], [100_000] * 4, strict=True),
]


@pytest.mark.parametrize(("end", "encoding", "rows"), FILES_OF_DOS)
def test_the_end_of_a_file_of_dos_is_no_row_and_is_told(
    database_18, datastore_url_18, tmp_path, end, encoding, rows
):
    text = "id,ort\r\n" + "".join(f"{n},Köln {n}\r\n" for n in range(rows)) + end
    path = write(tmp_path / "t.csv", text, encoding)
    report = load(path, Options("t", datastore_url_18, full_text="none"))
    assert (report.rows, types(report)) == (rows, ["bigint", "text"])
    assert not report.bad_rows.rejected + report.bad_rows.repaired
    assert [warning for warning in report.warnings if "Ctrl-Z" in warning]
    shown = database_18.execute("SELECT ort FROM t ORDER BY _id DESC LIMIT 1").fetchone()
    assert shown == (f"Köln {rows - 1}",)


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"], ids=["nothing", "blank lines", "a mark"])
def test_an_empty_file_leaves_the_table_alone(database_18, datastore_url_18, tmp_path, text):
    load(write(tmp_path / "old.csv", "n\n1\n"), Options("t", datastore_url_18))
    with pytest.raises(EmptySource):
        load(write(tmp_path / "t.csv", text), Options("t", datastore_url_18))
    assert rows_of(database_18, "t") == [(1,)]


def test_columns_of_the_same_name_stay_apart(database_18, datastore_url_18, tmp_path):
    path = write(tmp_path / "t.csv", "a,a,,a_2\n1,2,3,4\n")
    report = load(path, Options("t", datastore_url_18))
    assert [column["id"] for column in report.columns] == ["a", "a_3", "column_3", "a_2"]
    assert rows_of(database_18, "t") == [(1, 2, 3, 4)]


BAD = "a,b\n1,x\n2,y,z\n3\n4,w,\n5,v\n6,u,t,s\n"


def test_bad_rows_are_set_aside_and_counted(database, datastore_url, tmp_path):
    rejects = tmp_path / "aside.csv"
    path = write(tmp_path / "t.csv", BAD)
    report = load(path, Options("t", datastore_url, rejects=rejects, max_bad_rows=2))
    assert rows_of(database, "t") == [(1, "x"), (3, None), (4, "w"), (5, "v")]
    ids = database.execute("SELECT _id FROM t ORDER BY _id").fetchall()
    assert ids == [(1,), (3,), (4,), (5,)]
    assert database.execute("INSERT INTO t (a) VALUES (7) RETURNING _id").fetchone() == (7,)
    assert report.rows == 4
    assert report.to_dict()["bad_rows"] == {
        "rejected": 2,
        "repaired": 2,
        "rejects": str(rejects),
        "first": [
            {"row": 3, "reason": "3 cells, 2 columns"},
            {"row": 7, "reason": "4 cells, 2 columns"},
        ],
    }
    assert list(csv.reader(rejects.open(encoding="utf-8", newline=""))) == [
        ["row", "reason", "raw"],
        ["3", "3 cells, 2 columns", "2,y,z"],
        ["7", "4 cells, 2 columns", "6,u,t,s"],
    ]


def test_more_bad_rows_than_allowed(database_18, datastore_url_18, tmp_path):
    load(write(tmp_path / "old.csv", "n\n1\n"), Options("t", datastore_url_18))
    rejects = tmp_path / "aside.csv"
    path = write(tmp_path / "t.csv", BAD)
    with pytest.raises(TooManyBadRows) as refused:
        load(path, Options("t", datastore_url_18, rejects=rejects, max_bad_rows=1))
    assert refused.value.report.bad_rows.rejected == 2
    assert "2,y,z" in rejects.read_text(encoding="utf-8")
    assert rows_of(database_18, "t") == [(1,)]


def test_one_odd_byte_late_in_a_file_costs_its_row(database_18, datastore_url_18, tmp_path):
    path = tmp_path / "t.csv"
    good = "Müller;Köln\n".encode("cp1252") * 30_000
    path.write_bytes(b"name;ort\n" + good + b"M\x81ller;Bonn\n" + good)
    rejects = tmp_path / "rejects.csv"
    report = load(str(path), Options("t", datastore_url_18, rejects=rejects))
    assert (report.rows, report.bad_rows.rejected) == (60_000, 1)
    assert report.bad_rows.first == [{"row": 30_002, "reason": "byte 2 of the row is not cp1252"}]
    assert rejects.read_text().splitlines()[1].endswith(",M\\x81ller;Bonn")
    names = database_18.execute("SELECT DISTINCT name, ort FROM t").fetchall()
    assert names == [("Müller", "Köln")]


def test_a_wrong_encoding_is_an_error_that_asks_for_the_right_one(datastore_url_18, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"name\n" + "ď\n".encode("cp1250") * 10 + b"\x8d\n" * 100)
    options = Options(
        "t", datastore_url_18, encoding="cp1252", max_bad_rows=10, rejects=tmp_path / "rejects.csv"
    )
    with pytest.raises(TooManyBadRows, match="byte 1 of the row is not cp1252") as refused:
        load(str(path), options)
    assert refused.value.option == "encoding"


def test_the_encoding_may_be_given(database_18, datastore_url_18, tmp_path):
    path = write(tmp_path / "t.csv", "id,name\n1,Łódź\n", "iso8859-2")
    report = load(path, Options("t", datastore_url_18, encoding="iso8859-2"))
    assert rows_of(database_18, "t") == [(1, "Łódź")]
    assert report.warnings == []


def test_crlf_quotes_and_newlines_in_cells(database, datastore_url, tmp_path):
    text = 'a,b\r\n"one\r\ntwo","say ""hi"""\r\n\\N,"\\."\r\n\\.,\\\\\r\n'
    load(write(tmp_path / "t.csv", text), Options("t", datastore_url))
    assert rows_of(database, "t") == [
        ("one\r\ntwo", 'say "hi"'),
        ("\\N", "\\."),
        ("\\.", "\\\\"),
    ]


def numbers(count: int, last: str) -> bytes:
    return (
        "n,name\n" + "".join(f"{i},name {i}\n" for i in range(count)) + f"{last},end\n"
    ).encode()


QUICK = SourceSettings(backoff_s=0.01, max_backoff_s=0.05)


def test_a_dropped_connection_and_a_widening_at_once(database_18, datastore_url_18, small_blocks):
    content = numbers(60_000, "n/a")
    packed = gzip.compress(content, 1)
    with HttpServer(packed, drop_after=len(packed) // 3, drops=2) as server:
        report = load(server.url, Options("t", datastore_url_18, source=QUICK))
        assert server.drops == 0
    assert report.rows == 60_001
    assert types(report) == ["text", "text"]
    assert rows_of(database_18, "t")[-1] == ("n/a", "end")
    assert rows_of(database_18, "t")[0] == ("0", "name 0")


def test_a_source_that_changes_before_the_restart(database_18, datastore_url_18, tmp_path):
    load(write(tmp_path / "old.csv", "n\n1\n"), Options("t", datastore_url_18))
    with HttpServer(numbers(400_000, "n/a")) as server:

        class ChangeAtTheEnd(Silent):
            def advance(self, bytes_read: int, rows: int) -> None:
                if rows == 400_001:
                    server.content = numbers(400_000, "1")

        with pytest.raises(SourceChanged):
            load(server.url, Options("t", datastore_url_18, source=QUICK), ChangeAtTheEnd())
    assert rows_of(database_18, "t") == [(1,)]
    assert shadows(database_18) == []


def test_a_source_without_validators_that_has_another_header_at_the_restart(
    database_18, datastore_url_18, tmp_path, small_blocks
):
    load(write(tmp_path / "old.csv", "n\n1\n"), Options("t", datastore_url_18))
    with HttpServer(numbers(3000, "n/a"), etag=None, last_modified=None) as server:

        class ChangeAtTheEnd(Silent):
            def advance(self, bytes_read: int, rows: int) -> None:
                server.content = b"n,another name\n1,a\n"

        with pytest.raises(SourceChanged, match="changed while it was being read"):
            load(server.url, Options("t", datastore_url_18, source=QUICK), ChangeAtTheEnd())
        assert len(server.requests) == 2
    assert rows_of(database_18, "t") == [(1,)]
    assert shadows(database_18) == []


CHANGES = {
    "longer": numbers(10_000, "n/a") + b"1,a\n",
    "cut": numbers(5_000, "1"),
    "of the same length": numbers(9_999, "n/a") + b"1,another\n",
    "as many rows": numbers(10_000, "nil"),
}


@pytest.mark.parametrize("after", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("last_modified", [None, LAST_MODIFIED], ids=["", "a time"])
def test_a_second_reading_is_of_the_same_bytes_whatever_the_server_tells(
    database_18, datastore_url_18, tmp_path, small_blocks, after, last_modified
):
    load(write(tmp_path / "old.csv", "n\n1\n"), Options("t", datastore_url_18))
    before = numbers(10_000, "n/a")
    with HttpServer(before, etag=None, last_modified=last_modified) as server:

        class ChangeAtTheEnd(Silent):
            def advance(self, bytes_read: int, rows: int) -> None:
                if rows == 10_001:
                    server.content = after

        with pytest.raises(SourceChanged):
            load(server.url, Options("t", datastore_url_18, source=QUICK), ChangeAtTheEnd())
        assert len(server.requests) == 2
        server.content = before
        assert load(server.url, Options("t2", datastore_url_18, source=QUICK)).rows == 10_001
    assert rows_of(database_18, "t") == [(1,)]
    assert shadows(database_18) == []


UNCERTAIN = (
    "the server does not tell where the file ends: had the connection been cut, nobody would know"
)


@pytest.mark.parametrize(
    ("content", "warnings"),
    [(b"a,b\n1,x\n", [UNCERTAIN]), (gzip.compress(b"a,b\n1,x\n"), [])],
    ids=["plain", "packed, with an end of its own"],
)
def test_an_end_that_may_be_a_cut_is_told(datastore_url_18, content, warnings):
    with HttpServer(content, framed=False) as server:
        assert load(server.url, Options("t", datastore_url_18)).warnings == warnings


# text: options, whether the header looks like a row
HEADERS = {
    "numbers and dates": ("1,2020-01-01\n2,2020-01-02\n", {}, True),
    "a name": ("id,2020-01-01\n2,2020-01-02\n", {}, False),
    "a column of text": ("1,x\n2,y\n", {}, True),
    "another type": ("2020,2021-01-01\n2020-01-01,2021-01-02\n", {}, False),
    "no name": (",5\n1,2\n", {}, False),
    "a header that is given": ("1,2\n3,4\n", {"header_row": 1}, False),
    "none": ("1,2\n3,4\n", {"header_row": 0}, False),
    "a dialect": ("1,2\n3,4\n", {"dialect": {"headerRows": [1]}}, False),
    "a declared name": ("1\n3\n", {"schema": {"fields": [{"name": "1"}]}}, False),
    "no rows": ("1,x\n", {}, False),
}


@pytest.mark.parametrize(("text", "given", "is_told"), HEADERS.values(), ids=HEADERS)
def test_a_header_that_looks_like_a_row_is_told(datastore_url_18, tmp_path, text, given, is_told):
    report = load(write(tmp_path / "t.csv", text), Options("t", datastore_url_18, **given))
    told = "the first row looks like data: header row 0 loads it as a row"
    assert (told in report.warnings) == is_told


def test_a_table_that_was_replaced_without_being_named_is_told(datastore_url_18, tmp_path):
    path, options = tmp_path / "trips.csv", Options(datastore_url=datastore_url_18)
    write(path, "n,m\n1,2\n")
    assert load(path, options).warnings == []
    assert load(path, options).warnings == ["replaced the table trips"]
    assert load(path, Options("trips", datastore_url_18)).warnings == []


def test_a_clean_load_leaves_no_rejects_of_an_earlier_one(datastore_url_18, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = Options("t", datastore_url_18, rejects_folder=Path())
    stale = Path("t.rejects.csv")
    assert load(write(Path("t.csv"), BAD), options).bad_rows.rejects == str(stale)
    with pytest.raises(errors.SourceNotFound):
        load("missing.csv", options)
    load(write(Path("t.csv"), "a\n1\n"), Options("t", datastore_url_18, rejects=stale))
    assert stale.exists()  # who names the file keeps it
    load("t.csv", options)
    assert not stale.exists()


def test_the_rejects_never_replace_the_source(datastore_url_18, tmp_path):
    path = write(tmp_path / "t.rejects.csv", BAD)
    (tmp_path / "link.csv").symlink_to(path)
    for source in (path, Path(path).as_uri(), tmp_path / "link.csv", tmp_path / ".." / path):
        for places in ({"rejects": path}, {"rejects_folder": tmp_path}):
            with pytest.raises(errors.UsageError, match="would replace the source"):
                load(source, Options("t", datastore_url_18, **places))
    assert Path(path).read_text() == BAD


def test_a_place_for_rejects_that_is_not_there_stops_a_load_before_it_copies(
    database_18, datastore_url_18, tmp_path
):
    options = Options("t", datastore_url_18, rejects=tmp_path / "nowhere" / "x.csv")
    with pytest.raises(errors.UsageError, match="there is no such folder") as refused:
        load(write(tmp_path / "t.csv", "a\n1\n"), options)
    assert refused.value.report.rows == 0
    assert shadows(database_18) == []


def seen(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("text", [BAD, "a\n1\n"], ids=["with bad rows", "without"])
def test_the_library_leaves_its_callers_folder_as_it_is(
    datastore_url_18, tmp_path, monkeypatch, text
):
    """What looks as if it were of an earlier load is somebody's, too."""
    source = write(tmp_path / "source.csv", text)
    (folder := tmp_path / "folder").mkdir()
    (folder / "t.rejects.csv").write_text("row,reason,raw\n7,why,x\n")
    (folder / "t.rejects.csv.999999999.part").write_text("row,reason,raw\n")
    before = seen(folder)
    monkeypatch.chdir(folder)
    report = load(source, Options("t", datastore_url_18))
    assert seen(folder) == before
    assert report.bad_rows.rejects is None
    assert (report.bad_rows.rejected, len(report.bad_rows.first)) == (
        (2, 2) if text == BAD else (0, 0)
    )
    with pytest.raises(errors.TooManyBadRows) as refused:
        load(write(tmp_path / "bad.csv", BAD), Options("t", datastore_url_18, max_bad_rows=1))
    assert "see " not in refused.value.hint
    assert seen(folder) == before


def test_a_load_that_fails_after_the_copy_has_no_rows_in_the_table(
    database_18, datastore_url_18, tmp_path
):
    class TakeTheName(Silent):
        def begin(self, title: str) -> None:
            if title == "swapping the tables":
                database_18.execute("CREATE VIEW taken AS SELECT 1 AS n")

    options = Options("taken", datastore_url_18, rejects=tmp_path / "aside.csv")
    with pytest.raises(errors.NotADataStoreTable) as failure:
        load(write(tmp_path / "t.csv", BAD), options, TakeTheName())
    report = failure.value.report
    assert (report.rows, report.rows_per_second) == (0, 0)
    assert (report.bytes, types(report), report.bad_rows.rejected) == (
        len(BAD),
        ["bigint", "text"],
        2,
    )


def test_each_step_is_logged_with_rows_bytes_and_seconds(datastore_url_18, tmp_path, caplog):
    caplog.set_level("INFO", logger="loader.steps")
    load(write(tmp_path / "t.csv", "a\n1\n2\n"), Options("t", datastore_url_18))
    lines = [re.sub(r"[0-9.]+ s$", "N s", record.getMessage()) for record in caplog.records]
    assert lines == [
        "reading the header: 0 rows, 6 bytes, N s",
        "copying rows: 2 rows, 6 bytes, N s",
        "adding the primary key: 2 rows, 6 bytes, N s",
        "swapping the tables: 2 rows, 6 bytes, N s",
        "indexing the full text: 2 rows, 6 bytes, N s",
        "analysing the table: 2 rows, 6 bytes, N s",
    ]


def test_rows_are_counted_before_the_swap(database_18, datastore_url_18, tmp_path, monkeypatch):
    """Nothing but a lie makes a row vanish: here a lane's, who keeps one back."""
    load(write(tmp_path / "old.csv", "n\n1\n"), Options("t", datastore_url_18))
    truth = lanes.copy
    monkeypatch.setattr(lanes, "copy", lambda *arguments: truth(*arguments) - 1)
    with pytest.raises(RowsLost, match="3 rows read, 0 set aside, 2 stored"):
        load(write(tmp_path / "t.csv", "n\n7\n8\n9\n"), Options("t", datastore_url_18))
    assert rows_of(database_18, "t") == [(1,)]
    assert shadows(database_18) == []


def test_the_report(datastore_url_18, tmp_path):
    path = write(tmp_path / "Street Trees 2020.csv", "a,b\n1,x\n2,y\n")
    report = load(path, Options(datastore_url=datastore_url_18)).to_dict()
    assert (report["resource_id"], report["table"]) == ("street_trees_2020", "replaced")
    assert report["source"] == path
    assert (report["via"], report["mode"]) == ("copy", "replace")
    assert (report["rows"], report["bytes"]) == (2, 12)
    unchanged = {"widened_from": None, "read_as": None, "missing": {}, "would_be": None}
    assert report["columns"] == [
        {"id": "a", "type": "bigint", "label": "", "inferred_as": "integer", **unchanged},
        {"id": "b", "type": "text", "label": "", "inferred_as": "string", **unchanged},
    ]
    assert report["error"] is None
    timings = report["timings_s"]
    assert timings["register"] == 0
    steps = ("infer", "copy", "primary_key", "full_text_index", "swap")
    assert all(timings[step] > 0 for step in steps)
    assert sum(timings[step] for step in steps) <= timings["total"] + 0.01
    assert report["rows_per_second"] > 0


def test_every_error_has_a_report(datastore_url_18, tmp_path):
    with pytest.raises(errors.SourceNotFound) as failure:
        load(str(tmp_path / "missing.csv"), Options("t", datastore_url_18))
    report = failure.value.report.to_dict()
    assert report["error"]["type"] == "SourceNotFound"
    assert report["rows"] == 0


# Cells that look like numbers, dates and markup as often as like words. Without a NUL, which
# Postgres cannot store, and without surrogates, which are no text.
CELLS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    st.integers().map(str),
    st.decimals(allow_nan=True).map(str),
    st.dates().map(str),
    st.datetimes().map(str),
    st.times().map(str),
    st.sampled_from(["", "007", "+5", "1e5", "-0", "true", "N/A", "\\N", "\\.", '"', "<b", "{}"]),
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=30)
)


def shown_equal(cell: str, shown: str | None, kind: str) -> bool:
    """Tell whether a SELECT shows the cell, but for a T and zeros at the end of a second."""
    if shown is None or cell == "":
        return (shown or "") == cell
    if kind.startswith("time"):
        return shown == re.sub(r"(\.[0-9]*?)0+$", r"\1", cell.replace("T", " ")).rstrip(".")
    if kind == "boolean":
        return shown == cell.lower()
    return shown == cell


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example([["15.30", "\\."], ["-0.5", "\r"], ["", ' "x" ']])
@given(rows=TABLES)
def test_what_csv_writes_is_what_select_shows(database_18, datastore_url_18, tmp_path, rows):
    width = len(rows[0]) if rows else 1
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow([f"column {i}" for i in range(width)])
    writer.writerows(rows)
    path = write(tmp_path / "t.csv", written.getvalue())
    dialect = {"csv": {"delimiter": ",", "quoteChar": '"'}}
    options = Options(
        "t",
        datastore_url_18,
        encoding="utf-8",
        header_row=1,
        dialect=dialect,
        lanes=1,
        fts_index="none",
    )
    report = load(path, options)
    assert report.rows == len(rows)
    database_18.execute("SET TimeZone = 'UTC'")
    for i, column in enumerate(report.columns):
        shown = as_text(database_18, "t", column["id"])
        cells = [row[i] for row in rows]
        pairs = list(zip(cells, shown, strict=True))
        assert [p for p in pairs if not shown_equal(*p, column["type"])] == []
