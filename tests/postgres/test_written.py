"""Dates and numbers as people write them, through a whole load, and into the table again."""

import json
from functools import partial

import psycopg
import pytest
from datastore import install_ckan
from test_load import as_text, types, write

from loader import describe, errors
from loader.formats.csv import blocks
from loader.options import Options
from loader.pipeline.load import load

MANY = 2500  # rows of several blocks


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    """Blocks of some hundred rows, so that a small file has many."""
    monkeypatch.setattr(blocks, "cut", partial(blocks.cut, block_bytes=4096))


def info(connection: psycopg.Connection, table: str, column: str) -> dict[str, object]:
    row = connection.execute(
        "SELECT col_description(attrelid, attnum) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attname = %s",
        (f'"{table}"', column),
    ).fetchone()
    return json.loads(row[0])["_info"] if row[0] else {}


def column_file(tmp_path, cells: list[str], name: str = "a", file: str = "t.csv") -> str:
    return write(tmp_path / file, f"id;{name}\n" + "".join(f"x;{cell}\n" for cell in cells))


# name: the usual cell, the late one, type, read_as, a usual and the late value; None: as text
LATE = {
    "a day that decides": (
        "01/02/2020",
        "31/12/2020",
        "date",
        "%d/%m/%Y",
        "2020-02-01",
        "2020-12-31",
    ),
    "a month that decides": (
        "01/02/2020",
        "12/31/2020",
        "date",
        "%m/%d/%Y",
        "2020-01-02",
        "2020-12-31",
    ),
    "a number that decides": ("1,234", "0,5", "numeric", "1,5", "1.234", "0.5"),
    "groups that decide": ("1,234", "1,234,567", "numeric", "1,234,567", "1234", "1234567"),
    "a comma among integers": ("7", "1,5", "numeric", "1,5", "7", "1.5"),
    # There may have been a minus before.
    "brackets among numbers": ("7.5", "(1.50)", "text", None, "7.5", "(1.50)"),
    "a negative number": ("7,5", "-1,5", "numeric", "1,5", "7.5", "-1.5"),
    "groups after a comma": ("7,5", "1.234,5", "numeric", "1.234,56", "7.5", "1234.5"),
    "an unpadded day": ("31.12.2020", "1.12.2020", "date", "%-d.%m.%Y", "2020-12-31", "2020-12-01"),
    "another order": ("31/12/2020", "12/31/2020", "text", None, "31/12/2020", "12/31/2020"),
    "no such day": ("31/12/2020", "31/02/2020", "text", None, "31/12/2020", "31/02/2020"),
    "nothing decides": ("01/02/2020", "02/02/2020", "text", None, "01/02/2020", "02/02/2020"),
    "a word after dates": ("31/12/2020", "none", "text", None, "31/12/2020", "none"),
    "a word after doubt": ("01/02/2020", "none", "text", None, "01/02/2020", "none"),
    "a group among longer integers": ("1234", "1.234,5", "text", None, "1234", "1.234,5"),
    "another currency": ("1,50 €", "1,50 $", "text", None, "1,50 €", "1,50 $"),
}


@pytest.mark.parametrize(
    ("usual", "late", "kind", "read_as", "value", "late_value"), LATE.values(), ids=LATE
)
def test_a_late_value_decides(
    database_18,
    datastore_url_18,
    tmp_path,
    small_blocks,
    usual,
    late,
    kind,
    read_as,
    value,
    late_value,
):
    path = column_file(tmp_path, [usual] * MANY + [late])
    report = load(path, Options("t", datastore_url_18, lanes=2))
    assert (report.columns[1]["type"], report.columns[1]["read_as"]) == (kind, read_as)
    assert as_text(database_18, "t", "a") == [value] * MANY + [late_value]


def test_a_late_word_makes_text_of_them_all(database_18, datastore_url_18, tmp_path, small_blocks):
    cells = ["31.12.2020", "1.234,50 €"] * MANY
    rows = [f"{cells[0]};{cells[1]};{i}" for i in range(MANY)]
    rows[-1] = "31.12.2020x;1.234,50;x"
    path = write(tmp_path / "t.csv", "a;b;c\n" + "\n".join(rows) + "\n")
    report = load(path, Options("t", datastore_url_18))
    assert types(report) == ["text", "text", "text"]
    assert [column["widened_from"] for column in report.columns] == ["date", "numeric", "bigint"]
    assert report.warnings == [
        f"a: text instead of date as %d.%m.%Y, for '31.12.2020x' in row {MANY + 1}",
        f"b: text instead of numeric as 1.234,56 €, for '1.234,50' in row {MANY + 1}",
        f"c: text instead of bigint, for 'x' in row {MANY + 1}",
    ]
    assert as_text(database_18, "t", "b")[0] == "1.234,50 €"


def test_the_report_says_why_a_column_is_undecided(datastore_url_18, tmp_path):
    path = write(tmp_path / "t.csv", "day;price\n01/02/2020;1,234\n")
    report = load(path, Options("t", datastore_url_18))
    assert types(report) == ["text", "text"]
    assert report.warnings == [
        "day: text, '01/02/2020' may have the day first or the month; dates=dmy or mdy decides",
        "price: text, '1,234' may have decimal places or groups of digits; decimal=comma or"
        " point decides",
    ]


# name: cells, missing, type, missing in the report, would_be, values
SIGNS = {
    "integers": (["1", "N/A", "2", "N/A"], "keep", "text", {"N/A": 2}, "bigint"),
    "numbers with a comma": (["1,5", "-"], "keep", "text", {"-": 1}, "numeric"),
    "dates": (["31.12.2020", "k.A.", ".."], "keep", "text", {"k.A.": 1, "..": 1}, "date"),
    "words": (["Berlin", "N/A"], "keep", "text", {}, None),
    "nothing else": (["N/A", "N/A"], "keep", "text", {}, None),
    "nothing else, auto": (["N/A", "N/A"], "auto", "text", {}, None),
    "integers, auto": (["1", "N/A", "2"], "auto", "bigint", {"N/A": 1}, None),
    "numbers with a comma, auto": (["1,5", "-", "--"], "auto", "numeric", {"-": 1, "--": 1}, None),
    "dates, auto": (["31.12.2020", "n/a"], "auto", "date", {"n/a": 1}, None),
    "Postgres's dates, auto": (["2020-12-31", "NULL"], "auto", "date", {"NULL": 1}, None),
    "truth, auto": (["true", "NaN"], "auto", "boolean", {"NaN": 1}, None),
    "words, auto": (["Berlin", "N/A"], "auto", "text", {}, None),
}


@pytest.mark.parametrize(
    ("cells", "missing", "kind", "signs", "would_be"), SIGNS.values(), ids=SIGNS
)
@pytest.mark.parametrize("where", ["at once", "late"])
def test_signs_for_no_value(
    database_18,
    datastore_url_18,
    tmp_path,
    small_blocks,
    cells,
    missing,
    kind,
    signs,
    would_be,
    where,
):
    if where == "late":
        cells = [cells[0]] * MANY + cells[1:]
    report = load(column_file(tmp_path, cells), Options("t", datastore_url_18, missing=missing))
    column = report.columns[1]
    assert (column["type"], column["missing"], column["would_be"]) == (kind, signs, would_be)
    nulls = sum(value is None for value in as_text(database_18, "t", "a"))
    assert nulls == (sum(signs.values()) if missing == "auto" else 0)
    warned = [warning for warning in report.warnings if "N/A" in warning or "NULL" in warning]
    assert bool(warned) >= bool(signs)
    if kind == "text":
        assert as_text(database_18, "t", "a") == cells


# name: cells of the first block, a late cell, missing, type, would_be, a part of the warning
DOUBTFUL = {
    "no proof": (
        ["01/02/2020", "N/A"],
        "02/02/2020",
        "keep",
        "text",
        None,
        "the rest may have the day",
    ),
    "a proof": (["01/02/2020", "N/A"], "31/12/2020", "keep", "text", "date", "date without"),
    "no proof, auto": (
        ["01/02/2020", "N/A"],
        "02/02/2020",
        "auto",
        "text",
        None,
        "may have the day",
    ),
    "a proof, auto": (
        ["01/02/2020", "N/A"],
        "31/12/2020",
        "auto",
        "date",
        None,
        "NULL for 'N/A' (1)",
    ),
}


@pytest.mark.parametrize(
    ("cells", "late", "missing", "kind", "would_be", "told"), DOUBTFUL.values(), ids=DOUBTFUL
)
def test_signs_beside_values_that_are_doubtful(
    database_18,
    datastore_url_18,
    tmp_path,
    small_blocks,
    cells,
    late,
    missing,
    kind,
    would_be,
    told,
):
    cells = [*cells, *[cells[0]] * MANY, late]
    report = load(column_file(tmp_path, cells), Options("t", datastore_url_18, missing=missing))
    assert (report.columns[1]["type"], report.columns[1]["would_be"]) == (kind, would_be)
    assert any(told in warning for warning in report.warnings)
    shown = as_text(database_18, "t", "a")
    assert shown == (cells if kind == "text" else [values_of_dates(cell) for cell in cells])


def values_of_dates(cell: str) -> str | None:
    day, _, rest = cell.partition("/")
    return f"{rest[3:]}-{rest[:2]}-{day}" if len(rest) == 7 else None


def test_a_kept_type_that_the_file_needs_after_all(
    database_18, datastore_url_18, tmp_path, small_blocks
):
    load(column_file(tmp_path, ["1.5"]), Options("t", datastore_url_18))
    path = column_file(tmp_path, ["1"] * MANY + ["2.5"])
    report = load(path, Options("t", datastore_url_18, keep_types=True))
    assert (report.columns[1]["type"], report.columns[1]["would_be"]) == ("numeric", None)
    assert report.warnings == []


def test_declared_missing_values_decide_alone(database_18, datastore_url_18, tmp_path):
    schema = {"fields": [], "missingValues": ["", "x"]}
    path = column_file(tmp_path, ["1", "x", "N/A"])
    report = load(path, Options("t", datastore_url_18, missing="auto", schema=schema))
    assert report.columns[1]["type"] == "text"
    assert as_text(database_18, "t", "a") == ["1", None, "N/A"]


SPACED = {
    "integers": ([" 1", "2 ", "3"], "bigint", ["1", "2", "3"], 2),
    "numbers": (["\t1.5", "\u00a02"], "numeric", ["1.5", "2"], 2),
    "dates": ([" 2020-12-31 "], "date", ["2020-12-31"], 1),
    "truth": (["true "], "boolean", ["true"], 1),
    "dates as written": ([" 31.12.2020"], "date", ["2020-12-31"], 1),
    "numbers as written": (["1,5 ", "2,5"], "numeric", ["1.5", "2.5"], 1),
    "no value": (["1", "  "], "bigint", ["1", None], 1),
    "words": ([" a", "b "], "text", [" a", "b "], 0),
}


@pytest.mark.parametrize(("cells", "kind", "values", "count"), SPACED.values(), ids=SPACED)
def test_spaces_around_values(database_18, datastore_url_18, tmp_path, cells, kind, values, count):
    path = column_file(tmp_path, cells)
    report = load(path, Options("t", datastore_url_18, dialect={"delimiter": ";"}))
    assert types(report)[1] == kind
    assert as_text(database_18, "t", "a") == values
    first = next((i for i, cell in enumerate(cells, 2) if cell.strip() != cell), 0)
    told = [f"spaces around values left out: {count} in a; the first in row {first}"]
    assert report.warnings == (told if count else [])
    strict = Options("t", datastore_url_18, dialect={"delimiter": ";"}, types="strict")
    assert types(load(path, strict))[1] == "text"
    assert as_text(database_18, "t", "a") == cells


def test_strip_leaves_out_spaces_around_text(database_18, datastore_url_18, tmp_path):
    path = write(tmp_path / "t.csv", 'a,b\n x ," y"\n  ,""\nz,\u00a0\n')
    report = load(path, Options("t", datastore_url_18, strip=True))
    assert as_text(database_18, "t", "a") == ["x", None, "z"]
    assert as_text(database_18, "t", "b") == ["y", "", None]
    assert report.warnings == ["spaces around values left out: 4 in a, b; the first in row 2"]


def test_strict_reads_as_postgres_writes(database_18, datastore_url_18, tmp_path):
    path = write(tmp_path / "t.csv", "a;b;c\n31.12.2020;1,5;N/A\n")
    report = load(path, Options("t", datastore_url_18, types="strict", missing="auto"))
    assert types(report) == ["text", "text", "text"]
    assert [column["read_as"] for column in report.columns] == [None] * 3


# The Data Dictionary

NOTE = "Written as 31.12.2020 (%d.%m.%Y) in the file."


def test_the_dictionary_says_how_a_column_was_written(database_18, datastore_url_18, tmp_path):
    path = write(tmp_path / "t.csv", "day;price;n\n31.12.2020;1.234,56 €;1\n")
    for _ in range(2):  # a first load, and one that replaces the table
        load(path, Options("t", datastore_url_18))
        assert info(database_18, "t", "day") == {"read_as": "%d.%m.%Y", "notes": NOTE}
        assert info(database_18, "t", "price") == {
            "read_as": "1.234,56 €",
            "notes": "Written as 1.234,56 € in the file.",
        }
        assert info(database_18, "t", "n") == {}
    load(
        write(tmp_path / "t.csv", "day;price;n\n2020-12-31;1.5;1\n"), Options("t", datastore_url_18)
    )
    assert info(database_18, "t", "day") == {"notes": ""}


ENTRIES = {
    "2.11": (
        ' {"_info": {"label": "L", "notes": ""}, "x": {"y": 1}}',
        {"label": "L", "notes": NOTE},
    ),
    "2.11, with notes": (' {"_info": {"notes": "by hand"}}', {"notes": "by hand"}),
    "2.10": ('{"label": "L"}', {"label": "L", "notes": NOTE}),
    "an earlier reading": (
        ' {"_info": {"read_as": "%d/%m/%Y",'
        ' "notes": "Written as 31/12/2020 (%d/%m/%Y) in the file."}}',
        {"notes": NOTE},
    ),
}


@pytest.mark.parametrize(("comment", "entry"), ENTRIES.values(), ids=ENTRIES)
def test_what_an_editor_wrote_stays(database_18, datastore_url_18, tmp_path, comment, entry):
    path = write(tmp_path / "t.csv", "day\n31.12.2020\n")
    load(path, Options("t", datastore_url_18, types="strict"))
    database_18.execute(psycopg.sql.SQL("COMMENT ON COLUMN t.day IS {}").format(comment))
    load(path, Options("t", datastore_url_18))
    row = database_18.execute("SELECT col_description('t'::regclass, 2)").fetchone()
    numbered = (
        row[0]
        or database_18.execute(
            "SELECT col_description('t'::regclass, attnum) FROM pg_attribute"
            " WHERE attrelid = 't'::regclass AND attname = 'day'"
        ).fetchone()[0]
    )
    said = json.loads(numbered)
    found = said.get("_info", said)
    assert found == {**entry, "read_as": "%d.%m.%Y"}
    assert ("x" in said) == ('"x"' in comment)


def test_a_remark_stays(database_18, datastore_url_18, tmp_path):
    path = write(tmp_path / "t.csv", "day\n31.12.2020\n")
    load(path, Options("t", datastore_url_18))
    database_18.execute("COMMENT ON COLUMN t.day IS 'a remark'")
    load(path, Options("t", datastore_url_18))
    kept = database_18.execute(
        "SELECT col_description('t'::regclass, attnum) FROM pg_attribute"
        " WHERE attrelid = 't'::regclass AND attname = 'day'"
    ).fetchone()
    assert kept == ("a remark",)


# name: type, cells, type in the end
OVERRIDDEN = {
    "a date": ("date", ["31.12.2020"], "date", ["2020-12-31"]),
    "a timestamp": ("timestamp", ["31.12.2020"], "timestamp", ["2020-12-31 00:00:00"]),
    "a number": ("numeric", ["1,5"], "numeric", ["1.5"]),
    "text": ("text", ["1,5"], "text", ["1,5"]),
}


@pytest.mark.parametrize(("word", "cells", "kind", "values"), OVERRIDDEN.values(), ids=OVERRIDDEN)
def test_a_type_of_the_dictionary_is_read_as_written(
    database_18, datastore_url_18, tmp_path, word, cells, kind, values
):
    install_ckan(database_18)
    path = column_file(tmp_path, cells)
    load(path, Options("t", datastore_url_18, types="strict"))
    comment = " " + json.dumps({"_info": {"type_override": word}})
    database_18.execute(psycopg.sql.SQL("COMMENT ON COLUMN t.a IS {}").format(comment))
    report = load(path, Options("t", datastore_url_18))
    assert types(report)[1] == kind
    assert as_text(database_18, "t", "a") == values


# Types do not flap

KEPT = {
    "integers stay numbers": (["1.5"], ["1", "2"], "numeric", None, ["1", "2"], "bigint"),
    "numbers stay text": (["x"], ["1", "2"], "text", None, ["1", "2"], "bigint"),
    "days that may be months": (
        ["31/12/2020"],
        ["01/02/2020"],
        "date",
        "%d/%m/%Y",
        ["2020-02-01"],
        None,
    ),
    "months first": (["12/31/2020"], ["01/02/2020"], "date", "%m/%d/%Y", ["2020-01-02"], None),
    "unpadded days": (["31/12/2020"], ["1/2/2020"], "date", "%-d/%-m/%Y", ["2020-02-01"], None),
    "commas": (["1,5"], ["1,234"], "numeric", "1,5", ["1.234"], None),
    "no value": (["31/12/2020"], [""], "date", "%d/%m/%Y", [None], None),
    "what does not fit": (["31/12/2020"], ["12/31/2020"], "date", "%m/%d/%Y", ["2020-12-31"], None),
    "a word": (["1"], ["x"], "text", None, ["x"], None),
    "wider numbers": (["1"], ["1.5"], "numeric", None, ["1.5"], None),
}


@pytest.mark.parametrize(
    ("before", "cells", "kind", "read_as", "values", "would_be"), KEPT.values(), ids=KEPT
)
def test_types_are_kept(
    database_18, datastore_url_18, tmp_path, before, cells, kind, read_as, values, would_be
):
    load(column_file(tmp_path, before), Options("t", datastore_url_18))
    path = column_file(tmp_path, cells, file="u.csv")
    report = load(path, Options("t", datastore_url_18, keep_types=True))
    column = report.columns[1]
    assert (column["type"], column["would_be"]) == (kind, would_be)
    assert (column["read_as"] or "").replace("%-", "%") == (read_as or "").replace("%-", "%")
    assert as_text(database_18, "t", "a") == values
    if would_be:
        assert report.warnings == [f"a: {kind} is kept, {would_be} would hold all values"]


def test_a_kept_type_gives_way_to_a_late_value(
    database_18, datastore_url_18, tmp_path, small_blocks
):
    load(column_file(tmp_path, ["31/12/2020"]), Options("t", datastore_url_18))
    path = column_file(tmp_path, ["01/02/2020"] * MANY + ["12/31/2020"])
    report = load(path, Options("t", datastore_url_18, keep_types=True))
    assert report.columns[1]["type"] == "text"
    assert as_text(database_18, "t", "a")[-1] == "12/31/2020"


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_rows_that_are_added_are_read_as_the_table_was(
    database_18, datastore_url_18, tmp_path, mode
):
    first = write(tmp_path / "a.csv", "id;day;price\n1;31/12/2020;1,5\n")
    load(first, Options("t", datastore_url_18, mode=mode, key=["id"] * (mode == "upsert")))
    more = write(tmp_path / "b.csv", "id;day;price\n2;01/02/2020;1.234\n")
    options = Options("t", datastore_url_18, mode=mode)
    report = load(more, options)
    assert [column["read_as"] for column in report.columns] == [None, "%d/%m/%Y", "1.234,56"]
    assert as_text(database_18, "t", "day") == ["2020-12-31", "2020-02-01"]
    assert as_text(database_18, "t", "price") == ["1.5", "1234"]
    other = write(tmp_path / "c.csv", "id;day;price\n2;01/02/2020;5,0\n3;12/31/2020;1,5\n")
    with pytest.raises(errors.SchemaDiffers) as failure:
        load(other, options)
    assert (failure.value.row, failure.value.column) == (3, "day")
    canonical = write(tmp_path / "d.csv", "id;day;price\n2;2020-02-01;5,0\n")
    with pytest.raises(errors.SchemaDiffers):
        load(canonical, options)
    assert as_text(database_18, "t", "price") == ["1.5", "1234"]


def test_what_the_form_of_ckan_drops_is_in_the_notes(database_18, datastore_url_18, tmp_path):
    load(write(tmp_path / "a.csv", "id;day\n1;31/12/2020\n"), Options("t", datastore_url_18))
    kept = " " + json.dumps({"_info": {"notes": info(database_18, "t", "day")["notes"]}})
    database_18.execute(psycopg.sql.SQL("COMMENT ON COLUMN t.day IS {}").format(kept))
    more = write(tmp_path / "b.csv", "id;day\n2;01/02/2020\n")
    load(more, Options("t", datastore_url_18, mode="append"))
    assert as_text(database_18, "t", "day") == ["2020-12-31", "2020-02-01"]


# What infer says is a schema that reads the same

SAID = {
    "dates": ["31.12.2020", "1.2.2020"],
    "months first": ["12/31/2020"],
    "times": ["12/31/2020 1:05 PM"],
    "seconds": ["31.12.2020 10:15:30.250"],
    "names": ["31 December 2020"],
    "German names": ["31. Dezember 2020"],
    "commas": ["1,5", "-2,50"],
    "groups": ["1.234,56"],
    "groups alone": ["1.234.567"],
    "euros": ["1.234,56 €"],
    "dollars": ["$1,234.56"],
    "per cent": ["15,5 %"],
    "brackets": ["(1.234,56)"],
    "minus behind": ["50,00-"],
}


@pytest.mark.parametrize("cells", SAID.values(), ids=SAID)
def test_a_descriptor_reads_the_file_in_the_same_way(
    database_18, datastore_url_18, tmp_path, cells
):
    path = column_file(tmp_path, cells)
    descriptor = describe.infer(path)
    report = load(path, Options("t", datastore_url_18))
    values = as_text(database_18, "t", "a")
    again = load(path, Options("u", datastore_url_18, schema=descriptor["schema"], types="strict"))
    assert types(again) == types(report)
    assert as_text(database_18, "u", "a") == values
