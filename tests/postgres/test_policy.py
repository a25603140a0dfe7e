"""What is left out, mended or refused: nothing is lost by a load that succeeds."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from datastore import rows_of

from loader.errors import AircanError, NotATable, TooManyBadRows
from loader.options import Options
from loader.pipeline.load import load

ROWS = [(n, f"name {n}") for n in range(1, 31)]
TEXT = "id,name\n" + "".join(f"{n},{name}\n" for n, name in ROWS)


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


def written(delimiter: str = ",", end: str = "\n", encoding: str = "utf-8") -> bytes:
    return TEXT.replace(",", delimiter).replace("\n", end).encode(encoding)


# kind: file, what the warnings say
LEFT_OUT = {
    "a tail of delimiters": (written() + b",\n" * 500, "blank lines left out: 500"),
    "a tail of semicolons, CRLF": (written(";", "\r\n") + b";\r\n" * 3, "blank lines left out: 3"),
    "a tail of tabs, wider": (written("\t") + b"\t\t\t\n" * 2, "blank lines left out: 2"),
    "a tail without a line end": (written("|") + b"|\n|", "blank lines left out: 2"),
    "a tail of CRs": (written(",", "\r") + b",\r" * 4, "blank lines left out: 4"),
    "delimiters between rows": (
        written().replace(b"\n7,", b"\n,\n,\n7,"),
        "blank lines left out: 2",
    ),
    "delimiters and blank lines": (written() + b",\n\n,\n\n", "blank lines left out: 4"),
    "a NUL in a cell": (written().replace(b"name 7", b"name\0 7"), "NUL characters left out: 1"),
    "a NUL in a number": (written(";").replace(b"\n12;", b"\n1\0002;"), "left out: 1"),
    "a NUL in the header": (written().replace(b"id,", b"i\0d,"), "NUL characters left out: 1"),
    "NULs around a row": (
        written("\t", "\r\n").replace(b"\n8", b"\n\0\0008"),
        "NUL characters left out: 2",
    ),
    "NULs that fill": (written() + bytes(20), "NUL characters left out: 20"),
    "an end of DOS": (written(",", "\r\n") + b"\x1a", "left out: the Ctrl-Z at the end"),
    "an end of DOS, padded": (written() + b"\x1a" * 100, "left out: the Ctrl-Z at the end"),
    "short rows": (
        written().replace(b"name 7", b"name 7").replace(b"\n9,name 9", b"\n9,name 9,"),
        "row 10",
    ),
    "empty surplus": (
        b"".join(
            line + b",,\n" if n in {3, 5} else line + b"\n"
            for n, line in enumerate(written().splitlines())
        ),
        r"rows padded or trimmed: 2 \(row 4, 6\)",
    ),
}


@pytest.mark.parametrize(("data", "said"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_left_out_or_mended_is_told(database_18, datastore_url_18, tmp_path, data, said):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    report = load(str(path), Options("t", datastore_url_18))
    assert rows_of(database_18, "t") == ROWS
    assert report.bad_rows.rejected == 0
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(" | ".join(report.warnings))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_names_of_rs_rows_are_a_column(database_18, datastore_url_18, tmp_path, delimiter, end):
    lines = ['"speed","dist"', '"1",4,2', '"2",4,10', '"3",7,4', '"Mazda, RX4",7,22']
    text = end.join(lines).replace(",", delimiter).replace(f"Mazda{delimiter}", "Mazda,") + end
    report = load(write(tmp_path / "t.csv", text), Options("t", datastore_url_18))
    assert [column["id"] for column in report.columns] == ["column_1", "speed", "dist"]
    assert rows_of(database_18, "t") == [
        ("1", 4, 2),
        ("2", 4, 10),
        ("3", 7, 4),
        ("Mazda, RX4", 7, 22),
    ]


def surplus(rows: int, every: int) -> str:
    return "id,name\n" + "".join(
        f"{n},name {n}{',x' * (n % every == 0)}\n" for n in range(1, rows + 1)
    )


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize(
    ("text", "options"),
    [
        (surplus(220, 10), {}),
        (surplus(5000, 2), {"max_bad_rows": 5000}),
        (surplus(4, 1), {}),
        (surplus(100_000, 100), {"max_bad_rows": 999}),
        (surplus(2000, 100), {"max_bad_share": 0.005}),
    ],
    ids=["a tenth", "half of more rows", "all", "too many", "more than named"],
)
def test_a_file_of_bad_rows_leaves_the_table(
    database_18, datastore_url_18, tmp_path, mode, text, options
):
    old = load(write(tmp_path / "old.csv", TEXT), Options("t", datastore_url_18))
    assert old.rows == len(ROWS)
    with pytest.raises(TooManyBadRows) as refused:
        load(write(tmp_path / "t.csv", text), Options("t", datastore_url_18, mode=mode, **options))
    assert refused.value.table == "untouched"
    assert rows_of(database_18, "t") == ROWS


def test_as_many_bad_rows_as_are_allowed_are_left_out(database_18, datastore_url_18, tmp_path):
    for text, options in (
        (surplus(220, 20), {}),
        (surplus(220, 10), {"max_bad_share": 0.1}),
        (surplus(20, 2), {}),
    ):
        report = load(
            write(tmp_path / "t.csv", text),
            Options("t", datastore_url_18, rejects=tmp_path / "r.csv", **options),
        )
        assert report.bad_rows.rejected
        assert report.rows + report.bad_rows.rejected == text.count("\n") - 1
    assert len(rows_of(database_18, "t")) == 10


@pytest.mark.parametrize("share", [-0.1, 1.5, "5 %", True, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(AircanError, match="max_bad_share cannot be"):
        Options("t", max_bad_share=share)


# kind: text, options, what the warnings say; None: nothing
DOUBTS = {
    "one column": ("name\na\nb\n", {}, "the table has one column"),
    "one column, of sentences": ("text\nOne; two\nA, b, c\n", {}, "the table has one column"),
    "one column, named": ("name\na\nb\n", {"header_row": 1}, None),
    "a header of numbers": ("1,2\n3,5\n4,6\n", {}, "the first row looks like data"),
    "a header like the rows": (
        "Ann,3,2020-01-01\nBob,5,2020-01-02\nCy,6,2020-01-03\n",
        {},
        "no header was found",
    ),
    "years": ("land,2019,2020,2021\nDE,1,2,3\nFR,4,5,6\n", {}, None),
    "names": ("id,name\n1,a\n2,b\n", {}, None),
    "all text": ("a,b\nx,y\nz,w\n", {}, None),
    "units": ("mass,length\nkg,m\n1,2\n3,4\n5,6\n", {}, "row 2 has words above columns of numbers"),
    "a second header": (
        "id,2019,2020\nid,men,women\n1,2,3\n2,3,4\n3,4,5\n",
        {},
        "row 2 has words above",
    ),
    "a unit of one column": (
        "name;mass\n-;kg\na;1.5\nb;2\nc;3\n",
        {},
        "row 2 has words above .*: mass;",
    ),
    "a word further down": ("id,n\n1,2\n3,x\n5,6\n7,8\n", {}, None),
}


DOUBTS |= {
    "points beside commas": (
        "a;b\n1,5;1.000\n2,25;12.000\n",
        {},
        "b: '1.000' is read with a decimal point",
    ),
    "points and small ones": ("a;b\n1,5 %;100\n2,5 %;12.000\n", {}, "b: '100' is read with"),
    "points that are decimal": ("a;b\n1,5;1.0005\n2,25;12.000\n", {}, None),
    "points behind a zero": ("a;b\n1,5;0.125\n2,25;12.000\n", {}, None),
    "points where commas are decimal": (
        "a;b\nx;1.000\ny;12.000\n",
        {"decimal": "comma"},
        "b: '1.000' is",
    ),
    "groups with commas": ('a;b\n"$1,234.50";1.000\n"$1,234.75";12.000\n', {}, None),
    "commas of dates": ('a;b\n"December 31, 2020";1.000\n"December 30, 2020";12.000\n', {}, None),
    "points and no comma": ("a;b\nx;1.000\ny;12.000\n", {}, None),
    "whole numbers beside commas": ("a;b\n1,5;1\n2,25;12\n", {}, None),
}


@pytest.mark.parametrize(("text", "options", "said"), DOUBTS.values(), ids=DOUBTS)
def test_doubts_about_a_header_are_told(datastore_url_18, tmp_path, text, options, said):
    report = load(write(tmp_path / "t.csv", text), Options("t", datastore_url_18, **options))
    doubts = [
        w
        for w in report.warnings
        if re.search("one column|like data|words above|decimal point|no header", w)
    ]
    assert len(doubts) == (said is not None)
    assert re.search(said or "$", " ".join(doubts))


MESSAGES = {
    "of lines": "404 Not Found\n\nThe page is not there.\nTry again later.\n",
    "a list": "- one\n- two\n- three\n",
    "YAML": "name: x\nitems:\n  - a\n  - b\n",
    "base64": "TWFuIGlzIGRpc3Rpbmd1aXNoZWQ\n" * 5,
    "a calendar": "BEGIN:VCALENDAR\nVERSION:2.0\nEND:VCALENDAR\n",
}


@pytest.mark.parametrize("text", MESSAGES.values(), ids=MESSAGES)
def test_a_text_of_some_lines_takes_no_tables_place(database_18, datastore_url_18, tmp_path, text):
    options = Options("t", datastore_url_18)
    load(write(tmp_path / "old.csv", TEXT), options)
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(NotATable, match="one column, which is none of the 2 of the table") as error:
        load(path, options)
    assert error.value.option == "header_row"
    assert rows_of(database_18, "t") == ROWS
    assert load(path, replace(options, header_row=1)).rows == text.strip().count("\n") - text.count(
        "\n\n"
    )


def test_one_column_takes_the_place_of_one_and_of_its_own_table(datastore_url_18, tmp_path):
    for old, new in (("name\na\n", "title\nb\n"), (TEXT, "Name\nb\n"), (TEXT + "\n", "id\n5\n")):
        options = Options("t", datastore_url_18)
        load(write(tmp_path / "old.csv", old), replace(options, header_row=1))
        assert load(write(tmp_path / "t.csv", new), options).rows == 1
