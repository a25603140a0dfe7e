"""The head of a text -> delimiter, quote, header row; and what the caller declares of them."""

import csv
import io

import pytest
from frictionless import Dialect as FrictionlessDialect
from hypothesis import example, given
from hypothesis import strategies as st

from loader.errors import EmptySource, NotATable, UsageError
from loader.formats.csv import dialect, reader
from loader.formats.csv.declared import Declared, declare
from loader.formats.csv.dialect import DELIMITERS, Dialect
from loader.formats.csv.opening import detect

ROWS = "1,2\n3,4\n"


NOTHING = Declared()


def found(text: str, declared: Declared = NOTHING, whole: bool = True):
    detected = detect(text.encode(), declared, whole)
    return detected.dialect, detected.headers, detected.preamble


# name: text, delimiter, header's cells
DELIMITED = {
    "comma": ("a,b\n1,2\n", ",", ["a", "b"]),
    "semicolon": ("a;b\n1;2\n", ";", ["a", "b"]),
    "semicolon with decimal commas": ("x;y\n1,5;2,5\n3,25;4,75\n", ";", ["x", "y"]),
    "semicolon with commas in one column": ("n;a\n1;Rome, IT\n2;Bonn, DE\n", ";", ["n", "a"]),
    "tab": ("a\tb\n1\t2\n", "\t", ["a", "b"]),
    "tab with commas in the text": ("a\tb\nx, y\tz, w\n", "\t", ["a", "b"]),
    "pipe": ("a|b|c\n1|2|3\n", "|", ["a", "b", "c"]),
    "one column": ("name\nx\ny\n", ",", ["name"]),
    "one column, no final newline": ("name", ",", ["name"]),
    "a header alone": ("a;b;c\n", ";", ["a", "b", "c"]),
    "delimiters inside quotes": ('a;b\n"1,2,3";"x,y,z"\n', ";", ["a", "b"]),
    "newlines inside quotes": ('a;b\n"1\n2";"x\ny\n\nz"\n', ";", ["a", "b"]),
    "a quoted header": ('"a, b";"c"\n1;2\n', ";", ["a, b", "c"]),
    "a header of two lines": ('"a\nb",c\n1,2\n', ",", ["a\nb", "c"]),
    "a doubled quote": ('"a ""x""",b\n1,2\n', ",", ['a "x"', "b"]),
    "CRLF": ("a;b\r\n1;2\r\n", ";", ["a", "b"]),
    "CR": ("a;b\r1;2\r3;4\r", ";", ["a", "b"]),
    "a comma of a title above the table": ("Rain, 2020\na;b;c\n1;2;3\n4;5;6\n", ";", list("abc")),
    "characters of several bytes": ("größe;straße\n1;2\n", ";", ["größe", "straße"]),
}


@pytest.mark.parametrize(("text", "delimiter", "headers"), DELIMITED.values(), ids=DELIMITED)
def test_the_delimiter_is_found(text, delimiter, headers):
    dialect, cells, _ = found(text)
    assert (dialect.delimiter, cells) == (delimiter, headers)


@given(
    st.sampled_from(DELIMITERS),
    st.lists(st.text("abc ;,|\t\"'\n", min_size=1).filter(str.strip), min_size=2, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_is_in_quotes_the_delimiter_outside_is_found(delimiter, row, line_end):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    writer.writerows([row] * 3)
    dialect, headers, _ = found(text.getvalue())
    assert (dialect.delimiter, headers, dialect.header_row) == (delimiter, row, 1)


# name: text, whether records end in CR too, what COPY is given as their end, header's cells
LINE_ENDS = {
    "LF": ("a,b\n1,2\n", False, "\n", ["a", "b"]),
    "CRLF": ("a,b\r\n1,2\r\n", False, "\r\n", ["a", "b"]),
    "CR": ("a,b\r1,2\r", True, "\n", ["a", "b"]),
    "a CR and nothing else": ("a,b\r", True, "\n", ["a", "b"]),
    "CR, a LF in quotes": ('a,b\r1,"x\ny"\r2,z\r', True, "\n", ["a", "b"]),
    "CR, many LFs in quotes": ('a,b\r1,"x\n\n\n\n\ny"\r2,z\r', True, "\n", ["a", "b"]),
    "CR, CRLFs in quotes": ('a,b\r1,"x\r\ny\r\n\r\n"\r2,z\r', True, "\n", ["a", "b"]),
    "CR, a LF in the header": ('"a\nx",b\r1,2\r', True, "\n", ["a\nx", "b"]),
    "CRLF, CRs in quotes": ('a,b\r\n1,"x\ry\rz\r"\r\n', False, "\r\n", ["a", "b"]),
    "CRLF, LFs in quotes": ('a,b\r\n1,"x\n\n\n\ny"\r\n', False, "\r\n", ["a", "b"]),
    "LF, CRLFs in quotes": ('a,b\n1,"x\r\n\r\n\r\ny"\n', False, "\n", ["a", "b"]),
    "LF, CRs in quotes": ('a,b\n1,"x\ry\r\r\rz"\n', False, "\n", ["a", "b"]),
    "a CR in the header's quotes": ('"a\rx",b\n1,2\n', False, "\n", ["a\rx", "b"]),
    "a header with LF, rows with CR": ("a,b\n1,x\r2,y\r3,z\r", True, "\n", ["a", "b"]),
    "a header with CR, rows with LF": ("a,b\r1,x\n2,y\n3,z\n", False, "\n", ["a", "b"]),
    "as many of both": ("a,b\r1,x\r2,y\n3,z\n", True, "\n", ["a", "b"]),
    "CR, the last with LF": ("a,b\r1,x\r2,y\n", True, "\n", ["a", "b"]),
    "CR, ragged, the last with LF": ("a,b\r1\r2,y,z\r3,x\n", True, "\n", ["a", "b"]),
    "two rows on each line, and blank lines": (
        "a,b\r1,x\n2,y\r3,z\n4,u\n\n\n\n",
        False,
        "\n",
        ["a", "b"],
    ),
    "cells of three lines without quotes": (
        "a,b,c\n1,x\ry\rz,3\n4,u\rv\rw,6\n",
        False,
        "\n",
        ["a", "b", "c"],
    ),
    "the same below a title": (
        "T\na,b,c\n" + "1,x\ry,3\n" * 9,
        False,
        "\n",
        ["a", "b", "c"],
    ),
    "one column, CR and LF": ("a\rx\ry\n", True, "\n", ["a"]),
    "one column, LF and CR": ("a\nx\ry\nz\n", False, "\n", ["a"]),
    "all in quotes": ('"a\rb\rc\r"', True, "\n", ["a\rb\rc\r"]),
}


@pytest.mark.parametrize(
    ("text", "universal", "line_end", "headers"), LINE_ENDS.values(), ids=LINE_ENDS
)
@pytest.mark.parametrize("delimiter", [None, ",", ";"])
def test_line_ends_are_found_outside_quotes(text, universal, line_end, headers, delimiter):
    declared = NOTHING if delimiter is None else Declared(delimiter=delimiter)
    text = text.replace(",", delimiter or ",")
    dialect, cells, _ = found(text, declared)
    assert (dialect.universal_newlines, dialect.line_end) == (universal, line_end)
    assert cells == headers


# name: text, properties: what an escape character hides is no line end, and no quote
ESCAPED_LINE_ENDS = {
    "LFs": ("a,b\r1,x\\\ny\\\nz\\\n\r2,u\r", True),
    "CRs": ("a,b\n1,x\\\ry\\\rz\\\r\n2,u\n", False),
    "a quote": ('a,b\r1,\\"x\r2,\\"u\r', True),
    "a quote in quotes": ('a,b\r1,"x\\"\n\n\n\ny"\r2,u\r', True),
}


@pytest.mark.parametrize(("text", "universal"), ESCAPED_LINE_ENDS.values(), ids=ESCAPED_LINE_ENDS)
def test_what_is_escaped_is_no_line_end(text, universal):
    declared = Declared(delimiter=",", escape="\\")
    assert found(text, declared)[0].universal_newlines == universal


# name: text, header row, skipped rows
PREAMBLES = {
    "none": ("a,b,c\n1,2,3\n", 1, 0),
    "a title": ("Trees of Bonn\na,b,c\n1,2,3\n4,5,6\n", 2, 1),
    "a title above two columns": ("Trees of Bonn\na,b\n1,2\n3,4\n", 2, 1),
    "a padded title": ("Trees of Bonn,,\na,b,c\n1,2,3\n4,5,6\n", 2, 1),
    "a title and a note": ("Trees\nas of 2020,\na,b,c,d\n1,2,3,4\n5,6,7,8\n", 3, 2),
    "a title, a blank line": ("Trees\n\na,b,c\n1,2,3\n4,5,6\n", 3, 1),
    "a title, a line of delimiters": ("Trees,,\n,,\na,b,c\n1,2,3\n4,5,6\n", 3, 2),
    "a title of two lines": ('"Trees\nof Bonn"\na,b,c\n1,2,3\n4,5,6\n', 2, 1),
    "blank lines first": ("\n\na,b\n1,2\n", 3, 0),
    "blank CRLF lines first": ("\r\n\r\na,b\r\n1,2\r\n", 3, 0),
    "blank CR lines first": ("\r\ra,b\r1,2\r", 3, 0),
    "an unnamed first column": (",value\n0,5\n1,6\n", 1, 0),
    "an unnamed column among many": ("a,,c,d\n1,2,3,4\n", 1, 0),
    "a header shorter than its rows": ("a,b\n1,2,\n3,4,\n", 1, 0),
    "a carriage return in a title": ("Trees\rof Bonn\na,b,c\n1,2,3\n4,5,6\n", 2, 1),
}


@pytest.mark.parametrize(("text", "header_row", "skipped"), PREAMBLES.values(), ids=PREAMBLES)
def test_the_header_is_found_below_a_preamble(text, header_row, skipped):
    dialect, headers, above = found(text)
    assert (dialect.header_row, above) == (header_row, skipped)
    assert headers in ([*"ab"], [*"abc"], [*"abcd"], ["", "value"], ["a", "", "c", "d"])


# name: text, header row asked for, header's cells
GIVEN = {
    "the first": ("a,b\n" + ROWS, 1, ["a", "b"]),
    "the second": ("a,b\n" + ROWS, 2, ["1", "2"]),
    "below a blank line, which counts": ("\na,b\n" + ROWS, 2, ["a", "b"]),
    "none": (ROWS, 0, ["", ""]),
    "none, in a file with ragged rows": ("1\n1,2,3\n4,5,6\n", 0, ["", "", ""]),
    "far down": ("x\n" * 500 + "a,b\n1,2\n", 501, ["a", "b"]),
}


@pytest.mark.parametrize(("text", "row", "headers"), GIVEN.values(), ids=GIVEN)
def test_a_given_header_row_is_taken(text, row, headers):
    dialect, cells, _ = found(text, Declared(delimiter=",", header_row=row))
    assert (dialect.header_row, cells) == (row, headers)


@pytest.mark.parametrize(("text", "row"), [("a,b\n1,2\n", 3), ("a,b\n", 1000), ("a,b\n\n1,2\n", 2)])
def test_a_header_row_that_is_not_there_is_wrong_usage(text, row):
    with pytest.raises(UsageError, match=f"header row {row} is not there"):
        found(text, Declared(header_row=row))


def test_what_is_declared_wins_over_what_would_be_found():
    dialect, headers, _ = found("a;b,c;d\n1;2,3;4\n", Declared(delimiter=",", header_row=1))
    assert (dialect.delimiter, headers) == (",", ["a;b", "c;d"])


def test_a_declared_quote_and_escape_cut_the_header():
    declared = declare({"csv": {"quoteChar": "'", "escapeChar": "\\"}})
    assert found("'a,b',c\\,d\n1,2\n", declared)[1] == ["a,b", "c,d"]


def test_without_a_quote_character_quotes_are_text():
    declared = declare({"csv": {"quoteChar": ""}})
    assert found('"a,b"\n1,2\n', declared)[1] == ['"a', 'b"']


# name: text, error, what it says
OTHER_KINDS = {
    "nothing": ("", EmptySource, "empty"),
    "newlines only": ("\n\r\n\n", EmptySource, "empty"),
    "HTML": ("<!DOCTYPE html>\n<html>", NotATable, "HTML"),
    "HTML after blank lines": ("\n  <html lang='de'>", NotATable, "HTML"),
    "HTML that begins with its head": ("<head><title>x</title>", NotATable, "HTML"),
    "XML": ("<?xml version='1.0'?><a/>", NotATable, "XML"),
    "a JSON object": ('{"a": 1}', NotATable, "JSON"),
    "a JSON object over lines": ('{\n  "a": 1\n}', NotATable, "JSON"),
    "a JSON array": ('[{"a": 1}]', NotATable, "JSON"),
    "a JSON array over lines": ('[\n  {"a": 1}\n]', NotATable, "JSON"),
}


@pytest.mark.parametrize(("text", "error", "said"), OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_what_is_no_table_is_told_so(text, error, said):
    with pytest.raises(error, match=said) as raised:
        found(text)
    assert raised.value.hint


def test_a_single_nul_is_no_reason_to_refuse_a_table():
    assert found("a,b\n1,\0\n")[0].delimiter == ","


def test_a_header_in_brackets_is_no_json():
    assert found("[id],[name]\n1,2\n")[1] == ["[id]", "[name]"]


def test_a_record_cut_by_the_heads_end_does_not_count():
    dialect, headers, _ = found("a;b;c\n1;2;3\n4,4,4,4,4,4", whole=False)
    assert (dialect.delimiter, headers) == (";", ["a", "b", "c"])


def test_a_head_cut_within_a_character_does_not_matter():
    head = "a,b\n1,2\n3,ß".encode()[:-1]
    assert detect(head, Declared(), whole=False).headers == ["a", "b"]


def test_a_header_longer_than_the_head_is_an_error():
    with pytest.raises(NotATable, match="first row is longer"):
        found("name" * 1000, whole=False)


# name: descriptor, what it declares
DESCRIPTORS = {
    "nothing": (None, Declared()),
    "empty": ({}, Declared()),
    "delimiter": ({"csv": {"delimiter": ";"}}, Declared(delimiter=";")),
    "a flat one, as in Data Package": ({"delimiter": ";"}, Declared(delimiter=";")),
    "other quote": ({"csv": {"quoteChar": "'"}}, Declared(quote="'")),
    "no quote": ({"csv": {"quoteChar": ""}}, Declared(quote=None)),
    "escape": ({"csv": {"escapeChar": "\\"}}, Declared(escape="\\")),
    "quotes that escape themselves": ({"csv": {"escapeChar": '"'}}, Declared()),
    "no doubled quotes": ({"csv": {"doubleQuote": False}}, Declared(double_quote=False)),
    "no header": ({"header": False}, Declared(header_row=0)),
    "header row": ({"headerRows": [3]}, Declared(header_row=3)),
    "spaces": ({"csv": {"skipInitialSpace": True}}, Declared(skip_initial_space=True)),
    "spaces that stay": ({"skipInitialSpace": False}, Declared(skip_initial_space=False)),
    "two spaces": ({"delimiter": "  "}, Declared(delimiter="\t", wide=True)),
    "comments": ({"commentChar": "#"}, Declared(comment="#")),
    "comments of two signs": ({"commentChar": "//"}, Declared(comment="//")),
    "rows above the first": (
        {"header": False, "commentRows": [1, 2]},
        Declared(header_row=0, above=2),
    ),
    "annotations": ({"type": "x", "title": "y", "csv": {"lineTerminator": "\r\n"}}, Declared()),
}


@pytest.mark.parametrize(("descriptor", "declared"), DESCRIPTORS.values(), ids=DESCRIPTORS)
def test_a_frictionless_descriptor_is_understood(descriptor, declared):
    assert declare(descriptor) == declared


def test_the_options_win_over_the_descriptor():
    declared = declare({"csv": {"delimiter": ";"}, "headerRows": [3]}, "tab", 2)
    assert (declared.delimiter, declared.header_row) == ("\t", 2)


@pytest.mark.parametrize(
    ("name", "delimiter"), [("tab", "\t"), ("\\t", "\t"), ("pipe", "|"), ("semicolon", ";")]
)
def test_a_delimiter_may_be_given_by_name(name, delimiter):
    assert declare(None, name).delimiter == delimiter


# name: descriptor, delimiter, header row, what is said
WRONG = {
    "unknown property": ({"footer": 1}, None, None, "'footer' is not supported"),
    "unknown csv property": ({"csv": {"nope": 1}}, None, None, "'csv.nope' is not supported"),
    "csv is no object": ({"csv": 1}, None, None, "not an object"),
    "two characters": (None, "::", None, "single ASCII"),
    "not ASCII": (None, "¦", None, "single ASCII"),
    "a newline": (None, "\n", None, "single ASCII"),
    "a NUL": (None, "\0", None, "single ASCII"),
    "a digit": (None, "1", None, "letter or digit"),
    "a double quote": ({"csv": {"quoteChar": "'"}}, '"', None, "double quote"),
    "not a string": ({"csv": {"delimiter": 5}}, None, None, "single ASCII"),
    "delimiter as quote": ({"csv": {"quoteChar": "'"}}, "'", None, "must differ"),
    "delimiter as escape": ({"csv": {"escapeChar": ";"}}, ";", None, "must differ"),
    "doubleQuote is no boolean": ({"csv": {"doubleQuote": "no"}}, None, None, "true or false"),
    "header is no boolean": ({"header": "no"}, None, None, "true or false"),
    "several header rows": ({"headerRows": [1, 2]}, None, None, "one row"),
    "header row 0 in a descriptor": ({"headerRows": [0]}, None, None, "one row"),
    "a letter as comment": ({"commentChar": "x"}, None, None, "commentChar"),
    "a quote as comment": ({"commentChar": '"'}, None, None, "commentChar"),
    "rows left out elsewhere": (
        {"header": False, "commentRows": [2]},
        None,
        None,
        "the first rows",
    ),
    "rows left out below a header": ({"commentRows": [1]}, None, None, "no header"),
    "skipInitialSpace is no boolean": ({"skipInitialSpace": "no"}, None, None, "true or false"),
    "negative header row": (None, None, -1, "counted from 1"),
}


@pytest.mark.parametrize(("descriptor", "delimiter", "row", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_wrong_usage(descriptor, delimiter, row, said):
    with pytest.raises(UsageError, match=said):
        declare(descriptor, delimiter, row)


@given(
    st.builds(
        Dialect,
        delimiter=st.sampled_from(DELIMITERS),
        quote=st.sampled_from(['"', "'", None]),
        double_quote=st.booleans(),
        escape=st.sampled_from([None, "\\"]),
        header_row=st.integers(0, 9),
        skip_initial_space=st.booleans(),
        comment=st.sampled_from([None, "#", "//"]),
        above=st.integers(0, 3),
    )
)
@example(Dialect(delimiter="\t", wide=True))
def test_the_descriptor_that_comes_out_is_valid_and_goes_in_again(dialect):
    descriptor = dialect.to_descriptor()
    assert FrictionlessDialect.from_descriptor(descriptor).to_descriptor() == descriptor
    declared = declare(descriptor)
    assert declared.header_row == (None if dialect.header_row == 1 else dialect.header_row)
    assert (declared.delimiter, declared.quote) == (dialect.delimiter, dialect.quote)
    assert (declared.double_quote, declared.escape) == (dialect.double_quote, dialect.escape)
    assert bool(declared.skip_initial_space) == dialect.skip_initial_space
    assert (declared.wide, declared.comment) == (dialect.wide, dialect.comment)
    assert declared.above == (0 if dialect.header_row else dialect.above)


# A text whose header would swallow what stands behind a CR.
SWALLOWED = {
    "one column": "h0\rr1\rr2\nr3\nr4\nr5\nr6\nr7\n",
    "one column, CRLF": "h\rx\r\ny\r\nz\r\n",
    "a short row": "a,b,c\r1,2\n3,4,5\n6,7,8\n",
    "a long row": "a,b\r1,2,3\n3,4\n6,7\n",
    "a title above": "Trees\na,b,c\r1,2\n3,4,5\n6,7,8\n",
    "quotes": '"a","b\nc"\r"1"\n2,3\n4,5\n',
}


@pytest.mark.parametrize("header_row", [None, 1, 2])
@pytest.mark.parametrize("text", SWALLOWED.values(), ids=SWALLOWED)
def test_a_header_swallows_no_row(text, header_row):
    text = text.removeprefix("Trees\n") if header_row else text
    text = f"Notes\n{text}" if header_row == 2 else text
    with pytest.raises(NotATable, match="a carriage return outside quotes") as refused:
        detect(text.encode(), Declared(header_row=header_row), whole=True)
    assert refused.value.row
    assert refused.value.hint


@given(st.text(alphabet='a",;\r\n\x85\u2028é', max_size=40))
def test_a_long_text_has_the_records_of_a_short_one(text):
    def records(text: str) -> list | str:
        try:
            return list(Dialect().records(text))
        except reader.Error as error:
            return str(error)

    short = records(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "LONG_CHARACTERS", 0)
        assert records(text) == short
