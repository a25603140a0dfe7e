"""A block -> its cells, every row loaded or set aside with its row, reason and raw text."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loader.errors import UnclosedQuote
from loader.formats.csv.blocks import cut
from loader.formats.csv.declared import Declared
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.opening import detect
from loader.formats.csv.table import CsvRows, parse

WITH_HEADER = Dialect(header_row=1)
HEADER = "a,b,c\n"


def rows_of(text: str | bytes, dialect: Dialect = WITH_HEADER, width: int = 3) -> CsvRows:
    data = text.encode() if isinstance(text, str) else text
    (block,) = cut(io.BytesIO(data), dialect)
    return parse(block, dialect, width)


def cells_by_id(rows: CsvRows) -> dict[int, tuple[str | None, ...]]:
    columns = [column.to_pylist() for column in rows.cells]
    return dict(zip(rows.ids.tolist(), zip(*columns, strict=True), strict=True))


# name: rows below the header, cells by _id, how many were repaired
LOADED = {
    "in order": ("1,2,3\n4,5,6\n", {1: ("1", "2", "3"), 2: ("4", "5", "6")}, 0),
    "no final newline": ("1,2,3", {1: ("1", "2", "3")}, 0),
    "empty is null, quoted empty is not": (',"",x\n', {1: (None, "", "x")}, 0),
    "spaces stay": (' 1 ,"  ",\t\n', {1: (" 1 ", "  ", "\t")}, 0),
    "quotes, delimiters and newlines": (
        '"a ""b""","c,d","e\r\nf"\n',
        {1: ('a "b"', "c,d", "e\r\nf")},
        0,
    ),
    "a stray quote": ('8" pipe,2,3\n', {1: ('8" pipe', "2", "3")}, 0),
    "what means null elsewhere": ("NULL,NA,nan\n", {1: ("NULL", "NA", "nan")}, 0),
    "CRLF": ("1,2,3\r\n4,5,6\r\n", {1: ("1", "2", "3"), 2: ("4", "5", "6")}, 0),
    "two CRs before the LF": (
        "1,2,3\r\r\n4,5,6\r\r\n",
        {1: ("1", "2", "3"), 2: ("4", "5", "6")},
        0,
    ),
    "a CR first": ("\r1,2,3\n4,5,6\n", {1: ("1", "2", "3"), 2: ("4", "5", "6")}, 0),
    "a CR in quotes": ('1,"x\ry",3\n', {1: ("1", "x\ry", "3")}, 0),
    "a byte order mark in the first cell": ("\ufeff1,2,3\n", {1: ("\ufeff1", "2", "3")}, 0),
    "blank lines take no id": (
        "\n1,2,3\n\n\n4,5,6\n\n",
        {1: ("1", "2", "3"), 2: ("4", "5", "6")},
        0,
    ),
    "short": ("1,2\n", {1: ("1", "2", None)}, 1),
    "shorter": ("1\n", {1: ("1", None, None)}, 1),
    "short, with a quoted newline": ('1,"x\ny"\n', {1: ("1", "x\ny", None)}, 1),
    "short, with a quoted empty": ('1,""\n', {1: ("1", "", None)}, 1),
    "short, with CRLF": ("1,2\r\n", {1: ("1", "2", None)}, 1),
    "short, with two CRs": ("1,2\r\r\n", {1: ("1", "2", None)}, 1),
    "short, a stray quote": ('1,8"\n', {1: ("1", '8"', None)}, 1),
    "empty surplus": ("1,2,3,\n", {1: ("1", "2", "3")}, 1),
    "more empty surplus": ("1,2,3,,,,\n", {1: ("1", "2", "3")}, 1),
    "quoted empty surplus": ('1,2,3,"",,""\n', {1: ("1", "2", "3")}, 1),
    "empty surplus behind an empty cell": ("1,,,,\n", {1: ("1", None, None)}, 1),
    "empty surplus behind quotes": ('1,2,"3,""",\n', {1: ("1", "2", '3,"')}, 1),
    "ragged first": ("1\n4,5,6\n", {1: ("1", None, None), 2: ("4", "5", "6")}, 1),
    "ragged last": ("1,2,3\n4", {1: ("1", "2", "3"), 2: ("4", None, None)}, 1),
    "ragged between blank lines": (
        "\n1\n\n4,5,6\n\n7,\n",
        {1: ("1", None, None), 2: ("4", "5", "6"), 3: ("7", None, None)},
        2,
    ),
    "all ragged": (
        "1\n2,\n3,,,\n",
        {1: ("1", None, None), 2: ("2", None, None), 3: ("3", None, None)},
        3,
    ),
}


@pytest.mark.parametrize(("body", "cells", "repaired"), LOADED.values(), ids=LOADED)
def test_rows_are_loaded(body, cells, repaired):
    rows = rows_of(HEADER + body)
    assert cells_by_id(rows) == cells
    assert len(rows.repaired) == repaired
    assert not rows.rejects


# name: rows below the header, ids loaded, (row, reason, raw) set aside
SET_ASIDE = {
    "surplus": ("1,2,3,4\n", [], [(2, "4 cells, 3 columns", "1,2,3,4")]),
    "surplus after an empty one": ("1,2,3,,x\n", [], [(2, "5 cells, 3 columns", "1,2,3,,x")]),
    "surplus of a space": ("1,2,3, \n", [], [(2, "4 cells, 3 columns", "1,2,3, ")]),
    "surplus of a quoted delimiter": (
        '1,2,3,",,"\n',
        [],
        [(2, "4 cells, 3 columns", '1,2,3,",,"')],
    ),
    "surplus in the middle": (
        "1,2,3\n1,2,3,4\n5,6,7\n",
        [1, 3],
        [(3, "4 cells, 3 columns", "1,2,3,4")],
    ),
    "surplus below blank lines": (
        "\n\n1,2,3,4\n5,6,7\n",
        [2],
        [(4, "4 cells, 3 columns", "1,2,3,4")],
    ),
    "surplus with a quoted newline": (
        '1,"x\ny",3,4\n5,6,7\n',
        [2],
        [(2, "4 cells, 3 columns", '1,"x\ny",3,4')],
    ),
    "surplus, CRLF": ("1,2,3,4\r\n5,6,7\r\n", [2], [(2, "4 cells, 3 columns", "1,2,3,4")]),
    "a bare CR": ("1,x\ry,3\n5,6,7\n", [2], [(2, "a carriage return outside quotes", "1,x\ry,3")]),
    "text behind a closing quote": (
        '"a"b,2,3\n4,5,6\n',
        [2],
        [(2, "text after a closing quote", '"a"b,2,3')],
    ),
    "text behind a closing quote, in the middle": (
        '1,"a, b" c,3\n4,"5",6\n',
        [2],
        [(2, "text after a closing quote", '1,"a, b" c,3')],
    ),
    "not UTF-8": (
        b"1,2,3\n4,\xff,6\n7,8,9\n",
        [1, 3],
        [(3, "byte 3 of the row is not UTF-8", "4,\\xff,6")],
    ),
    "all kinds": (
        b"1,2,3,4\n\n5,\xf0,6\n6,\xe4\n7\n8,x\ry\n9,8,7",
        [4, 6],
        [
            (2, "4 cells, 3 columns", "1,2,3,4"),
            (4, "byte 3 of the row is not UTF-8", "5,\\xf0,6"),
            (5, "byte 3 of the row is not UTF-8", "6,\\xe4"),
            (7, "a carriage return outside quotes", "8,x\ry"),
        ],
    ),
}


@pytest.mark.parametrize(("body", "ids", "rejects"), SET_ASIDE.values(), ids=SET_ASIDE)
def test_rows_that_cannot_be_placed_are_set_aside(body, ids, rejects):
    rows = rows_of(HEADER.encode() + (body.encode() if isinstance(body, str) else body))
    assert sorted(rows.ids.tolist()) == ids
    assert [(r.row, r.reason, r.raw) for r in rows.rejects] == rejects
    numbers = {rows.row_number(i) for i in range(len(ids))}
    assert not numbers & {row for row, _, _ in rejects}


# name: text without a header, dialect's properties, width, cells by _id
OTHER_DIALECTS = {
    "semicolon": ("1;2,5\n", {"delimiter": ";"}, 2, {1: ("1", "2,5")}),
    "other quote": ("'a,b',\"c\n", {"quote": "'"}, 2, {1: ("a,b", '"c')}),
    "no quote": ('"a,b"\n', {"quote": None}, 2, {1: ('"a', 'b"')}),
    "no quote, surplus": ("a,b,,\n", {"quote": None}, 2, {1: ("a", "b")}),
    "escape": ('a\\,b,"c\\"d"\n', {"escape": "\\"}, 2, {1: ("a,b", 'c"d')}),
    "escape, short": ("a\\,b\n1,2\n", {"escape": "\\"}, 2, {1: ("a,b", None), 2: ("1", "2")}),
    "escape, surplus": (
        "a,b,\\\\,\n1,2\n",
        {"escape": "\\"},
        3,
        {1: ("a", "b", "\\"), 2: ("1", "2", None)},
    ),
    "quotes that do not double": ('"a",2,\n', {"double_quote": False}, 2, {1: ("a", "2")}),
    "CR": ('1,2\r"x\ry",4\r', {"universal_newlines": True}, 2, {1: ("1", "2"), 2: ("x\ry", "4")}),
    "CR, ragged": (
        "1\r2,3\r4,5,\r",
        {"universal_newlines": True},
        2,
        {1: ("1", None), 2: ("2", "3"), 3: ("4", "5")},
    ),
    "one column": ('x\n""\n"y\nz"\n', {}, 1, {1: ("x",), 2: ("",), 3: ("y\nz",)}),
    "one column, surplus": (
        "x,\n,,\n,\ny\n",
        {},
        1,
        {1: ("x",), 2: ("y",)},
    ),
}


@pytest.mark.parametrize(
    ("text", "properties", "width", "cells"), OTHER_DIALECTS.values(), ids=OTHER_DIALECTS
)
def test_rows_of_other_dialects_are_loaded(text, properties, width, cells):
    rows = rows_of(text, Dialect(header_row=0, **properties), width)
    assert cells_by_id(rows) == cells
    assert not rows.rejects


# name: text, dialect's properties: the surplus only looks empty
LOOKS_EMPTY = {
    "an escaped delimiter": ("a,b,c\\,\n1,2\n", {"escape": "\\"}),
    "quotes that do not double": ('a,b,"c,""\n1,2\n', {"double_quote": False}),
}


@pytest.mark.parametrize(("text", "properties"), LOOKS_EMPTY.values(), ids=LOOKS_EMPTY)
def test_surplus_that_only_looks_empty_is_set_aside(text, properties):
    rows = rows_of(text, Dialect(header_row=0, **properties), 2)
    assert cells_by_id(rows) == {2: ("1", "2")}
    assert [reject.row for reject in rows.rejects] == [1]


def test_an_odd_byte_of_another_encoding_is_told_with_its_place_in_the_file():
    # "é" is one byte in cp1252 and two in the text.
    (block,) = cut(io.BytesIO("é,é".encode() + b"\x81,3\n4,5,6\n"), Dialect(header_row=0))
    rows = parse(block, Dialect(header_row=0), 3, encoding="cp1252")
    assert cells_by_id(rows) == {2: ("4", "5", "6")}
    (reject,) = rows.rejects
    assert (reject.row, reject.raw) == (1, "é,é\\x81,3")
    assert reject.reason == "byte 4 of the row is not cp1252"
    assert reject.undecodable


# name: a row that is set aside
BAD_ROWS = {"surplus": b"1,2,3\n", "a CR": b"1\r,2\n", "not UTF-8": b"\xff,2\n"}


@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS)
def test_no_more_rejects_are_made_than_are_accepted_and_one(row):
    (block,) = cut(io.BytesIO(b"a,b\n" + row * 1000 + b"c,d\n"), Dialect(header_row=0))
    for most, made in ((0, 1), (10, 11), (999, 1000), (1000, 1000), (5000, 1000)):
        rows = parse(block, Dialect(header_row=0), 2, most_rejects=most)
        assert [reject.row for reject in rows.rejects] == list(range(2, made + 2))
        assert cells_by_id(rows) == {1: ("a", "b"), 1002: ("c", "d")}


def test_no_more_than_accepted_are_made_of_both_kinds():
    text = b"1,2,3\n" * 10 + b"\xff,2\n" * 10 + b"1\n"
    (block,) = cut(io.BytesIO(text), Dialect(header_row=0))
    for most, made in ((5, 6), (12, 13), (19, 20), (20, 20)):
        rows = parse(block, Dialect(header_row=0), 2, most_rejects=most)
        assert len(rows.rejects) == made
    assert cells_by_id(rows) == {21: ("1", None)}


rows_of_a_table = st.integers(2, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.text('ab1 \n\r,;"', min_size=1), min_size=width, max_size=width),
        min_size=1,
        max_size=8,
    )
)


@given(
    rows=rows_of_a_table,
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=9, max_size=9),
    blank=st.integers(0, 9),
    block_bytes=st.integers(1, 100),
)
@example(rows=[["1", "say\nhi"], ["2", "y"]], ends=["\r"] * 9, blank=0, block_bytes=100)
@example(rows=[["1", "x"], ["2", "y"]], ends=["\n"] + ["\r"] * 8, blank=0, block_bytes=100)
@example(rows=[["1", "x"]] * 4, ends=["\r", "\n"] * 4 + ["\n"], blank=9, block_bytes=7)
@example(rows=[[",\r,1", "1"]], ends=["\r"] + ["\n"] * 8, blank=1, block_bytes=100)
@example(rows=[[",\r,1", "1"]], ends=["\r"] + ["\n"] * 8, blank=9, block_bytes=7)
def test_whatever_rows_end_in_and_cells_hold_no_row_is_lost_or_glued(
    rows, ends, blank, block_bytes
):
    text = io.StringIO()
    for row, end in zip([["x"] * len(rows[0]), *rows], ends, strict=False):
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=end).writerow(row)
    data = text.getvalue().encode() + b"\n" * blank
    dialect = detect(data, Declared(), whole=True).dialect
    loaded = []
    for block in cut(io.BytesIO(data), dialect, block_bytes):
        parsed = parse(block, dialect, len(rows[0]))
        assert not parsed.rejects
        loaded += cells_by_id(parsed).values()
    assert loaded == [tuple(row) for row in rows]


def expected(record: list[str], width: int) -> list[str] | None:
    """The cells that a record gives, or None if it is set aside."""
    if any(record[width:]):
        return None
    return (record + [""] * width)[:width]


cell = st.text(st.sampled_from('",\n\r\t\\aé€ '), max_size=5)


@given(
    st.lists(st.lists(cell, min_size=1, max_size=5), min_size=1, max_size=12),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.integers(1, 4),
)
@example([["a"], ["", ""], ["", "", "b"]], ",", csv.QUOTE_MINIMAL, 1)
def test_well_formed_rows_come_out_as_they_went_in(written, delimiter, quoting, width):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting).writerows(written)  # CRLF
    dialect = Dialect(delimiter=delimiter, header_row=0)
    rows = rows_of(text.getvalue(), dialect, width)
    cells = {i: [c or "" for c in row] for i, row in cells_by_id(rows).items()}
    # Without quotes, delimiters alone are no row.
    places = [
        place
        for place, record in enumerate(written, start=1)
        if quoting == csv.QUOTE_ALL or len(record) == 1 or any(record)
    ]
    wanted = {i: expected(written[place - 1], width) for i, place in enumerate(places, start=1)}
    assert cells == {i: row for i, row in wanted.items() if row is not None}
    assert [r.row for r in rows.rejects] == [
        places[i - 1] for i, row in wanted.items() if row is None
    ]


@given(
    parts=st.lists(
        st.sampled_from(
            ['"a"', "a", "", '""', ",", ",", "\n", "\n", "\r", "é", '"x\ny"', 'q"', " "]
        ),
        min_size=1,
    ),
    any_newline=st.booleans(),
    width=st.integers(1, 3),
)
@example(parts=["é", "\r", "\n"], any_newline=True, width=1)
@example(parts=['"a"', "\n", "\r", "a"], any_newline=False, width=2)
def test_every_row_is_loaded_or_set_aside_and_cells_are_as_csv_reads_them(
    parts, any_newline, width
):
    text = "".join(parts)
    dialect = Dialect(header_row=0, universal_newlines=any_newline)
    blocks = list(cut(io.BytesIO(text.encode()), dialect))
    for block in blocks:
        rows = parse(block, dialect, width)
        assert len(rows.ids) + len(rows.rejects) == block.rows
        assert len({*rows.ids.tolist()}) == len(rows.ids)
        for row_id, cells in cells_by_id(rows).items():
            raw = block.record(row_id - block.first_id).decode()
            (record,) = (record for record in dialect.records(raw) if record)
            assert [c or "" for c in cells] == expected(record, width)


@pytest.mark.parametrize("properties", [{"escape": "\\"}, {"double_quote": False}, {"quote": None}])
@given(text=st.text(st.sampled_from('"",,\n\n\\a'), min_size=1), width=st.integers(1, 3))
@example(text="a\\", width=2)
def test_every_row_of_other_dialects_is_loaded_or_set_aside(properties, text, width):
    dialect = Dialect(header_row=0, **properties)
    try:
        blocks = list(cut(io.BytesIO(text.encode()), dialect))
    except UnclosedQuote:
        return
    for block in blocks:
        rows = parse(block, dialect, width)
        assert len(rows.ids) + len(rows.rejects) == block.rows
        assert {len(column) for column in rows.cells} == {len(rows.ids)}
