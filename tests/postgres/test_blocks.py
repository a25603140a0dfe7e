"""A text stream -> blocks of whole records: cut where Python's csv and Postgres would cut."""

import csv
import io
import random
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loader.errors import UnclosedQuote
from loader.formats.csv.blocks import MOST_CELLS, cut
from loader.formats.csv.dialect import Dialect

LINES = Dialect(header_row=0)
ANY_NEWLINE = Dialect(header_row=0, universal_newlines=True)
ESCAPED = Dialect(header_row=0, escape="\\")
ESCAPED_ONLY = Dialect(header_row=0, escape="\\", double_quote=False)
NOT_DOUBLED = Dialect(header_row=0, double_quote=False)
NO_QUOTES = Dialect(header_row=0, quote=None)
PAIRS = Dialect(header_row=0, width=2)
DIALECTS = {
    "usual": LINES,
    "of a width": PAIRS,
    "of a width, escape": Dialect(header_row=0, width=2, escape="\\"),
    "universal newlines": ANY_NEWLINE,
    "escape": ESCAPED,
    "escape, not doubled": ESCAPED_ONLY,
    "not doubled": NOT_DOUBLED,
    "no quotes": NO_QUOTES,
    "other quote": Dialect(header_row=0, quote="'", delimiter=";"),
}

texts = st.text(st.sampled_from('""",,\n\n\r\r;\'\\ab€'), max_size=60)


class Pieces:
    """A stream that gives pieces of at most `most` bytes."""

    def __init__(self, data: bytes, most: int = 1 << 20) -> None:
        self._data, self._most = io.BytesIO(data), most

    def read(self, size: int) -> bytes:
        assert size > 0
        return self._data.read(min(size, self._most))


def blocks_of(
    text: str,
    dialect: Dialect = LINES,
    block_bytes: int = 1 << 20,
    most: int = 1 << 20,
    width: int = 1,
):
    return list(cut(Pieces(text.encode(), most), dialect, block_bytes, width=width))


def records_of(*given, **options) -> list[bytes] | tuple[str, int]:
    """The records, or the error's row."""
    try:
        blocks = blocks_of(*given, **options)
    except UnclosedQuote as error:
        return "unclosed", error.row
    return [block.record(i) for block in blocks for i in range(block.rows)]


def as_csv_cuts(text: str, dialect: Dialect) -> list[str]:
    """The records as written, where Python's csv ends them."""
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        doublequote=dialect.double_quote,
    )
    ends = [0, *(reader.line_num for _ in reader)]
    return ["".join(lines[begin:end]) for begin, end in pairwise(ends)]


# name: text, dialect, records
RECORDS = {
    "nothing": ("", LINES, []),
    "LF": ("a\nb\n", LINES, ["a\n", "b\n"]),
    "CRLF": ("a\r\nb\r\n", LINES, ["a\r\n", "b\r\n"]),
    "CR": ("a\rb\r", ANY_NEWLINE, ["a\r", "b\r"]),
    "mixed": ("a\rb\nc\r\nd", ANY_NEWLINE, ["a\r", "b\n", "c\r\n", "d"]),
    "no final newline": ("a\nb", LINES, ["a\n", "b"]),
    "blank lines": ("\n\na\n\r\n\nb\n\n", LINES, ["a\n", "b\n"]),
    "delimiters alone": ('a,b\n,\n,,,\n"",\n,c', LINES, ["a,b\n", '"",\n', ",c"]),
    "delimiters alone, CRLF": (",\r\na,b\r\n,,\r\n,", LINES, ["a,b\r\n"]),
    "delimiters alone, CR": ("a,b\r,,\r,c\r,", ANY_NEWLINE, ["a,b\r", ",c\r"]),
    "spaces are cells": ("a,b\n ,\n", LINES, ["a,b\n", " ,\n"]),
    "blank CR lines": ("\r\ra\r\rb", ANY_NEWLINE, ["a\r", "b"]),
    "a line that begins with a CR": ("\ra\nb\n", LINES, ["\ra\n", "b\n"]),
    "two CRs and a LF": ("a\r\r\nb\n\r\r\n", LINES, ["a\r\r\n", "b\n"]),
    "a newline in quotes": ('"a\nb",c\nd\n', LINES, ['"a\nb",c\n', "d\n"]),
    "a CR in quotes": ('"a\rb"\rc\r', ANY_NEWLINE, ['"a\rb"\r', "c\r"]),
    "blank lines in quotes": ('"a\n\n\nb"\nc\n', LINES, ['"a\n\n\nb"\n', "c\n"]),
    "doubled quotes": ('"a""\n""b"\nc\n', LINES, ['"a""\n""b"\n', "c\n"]),
    "a stray quote in a cell": ('8" pipe,x\ny,9"\n', LINES, ['8" pipe,x\n', 'y,9"\n']),
    "stray quotes and a newline": ('a "b\nc" d\n', LINES, ['a "b\n', 'c" d\n']),
    "a stray quote after a closing one": ('"a"b"\n"c\nd"\n', LINES, ['"a"b"\n', '"c\nd"\n']),
    "a stray quote, then a quoted newline": ('8","a\nb"\n', LINES, ['8","a\nb"\n']),
    "an escaped quote": ('"a\\"\nb"\nc\n', ESCAPED, ['"a\\"\nb"\n', "c\n"]),
    "an escaped escape": ('"a\\\\"\nb\n', ESCAPED, ['"a\\\\"\n', "b\n"]),
    "an escaped newline": ("a\\\nb\nc\n", ESCAPED, ["a\\\nb\n", "c\n"]),
    "an escaped delimiter before a quote": ('a\\,"b\nc"\n', ESCAPED, ['a\\,"b\n', 'c"\n']),
    "quotes that do not double": ('"a""b\nc"\n', NOT_DOUBLED, ['"a""b\n', 'c"\n']),
    "no quotes": ('"a\nb"\n', NO_QUOTES, ['"a\n', 'b"\n']),
    "CRs between whole records": ("1,2\r3,4\r5,6\n", PAIRS, ["1,2\r", "3,4\r", "5,6\n"]),
    "CRs after LFs, to the end": ("1,2\n3,4\r5,6\r", PAIRS, ["1,2\n", "3,4\r", "5,6\r"]),
    "CRs, blank lines between": ("1,2\r\r\r3,4\n", PAIRS, ["1,2\r", "3,4\n"]),
    "a CR in a cell": ("1,2\r3\n4,5\n", PAIRS, ["1,2\r3\n", "4,5\n"]),
    "a CR between cells": ("1\r,2\n", PAIRS, ["1\r,2\n"]),
    "a CR in quotes between delimiters": ('"1,2\r3,4"\n', PAIRS, ['"1,2\r3,4"\n']),
    "delimiters in quotes are no cells": ('"1,2"\r"3,4"\n', PAIRS, ['"1,2"\r"3,4"\n']),
    "a CR and a short record": ("1,2\r3\r4,5\r6,7\n", PAIRS, ["1,2\r3\r4,5\r", "6,7\n"]),
    "CRs where nothing tells the width": ("1\r2\n", LINES, ["1\r2\n"]),
    "two CRs and a LF, of a width": ("1,2\r\r\n3,4\n", PAIRS, ["1,2\r\r\n", "3,4\n"]),
}


@pytest.mark.parametrize(("text", "dialect", "records"), RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize("block_bytes", [1, 4, 1 << 20])
def test_records_are_cut_at_their_ends(text, dialect, records, block_bytes):
    assert records_of(text, dialect, block_bytes) == [record.encode() for record in records]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@given(
    text=texts,
    block_bytes=st.integers(1, 40),
    most=st.integers(1, 40),
    width=st.sampled_from([1, MOST_CELLS // 2, MOST_CELLS, MOST_CELLS * 2]),
)
@example(text='a,"x\r\n', block_bytes=1, most=1, width=1)
@example(text="a\r\nb\r\n", block_bytes=2, most=1, width=1)
@example(text="1,2\r3,4\r\r5,6\r\n7,8", block_bytes=4, most=1, width=1)
def test_blocks_and_pieces_of_any_size_give_the_same_records(
    dialect, text, block_bytes, most, width
):
    assert records_of(text, dialect, block_bytes, most, width) == records_of(text, dialect)


@pytest.mark.parametrize("dialect", [ANY_NEWLINE, replace(ANY_NEWLINE, double_quote=False)])
@given(text=st.text(st.sampled_from('""",\n\r;ab€'), max_size=60))
@example(text='"a"b"\n')
@example(text='"a""b\nc"\n')
def test_there_are_as_many_records_as_pythons_csv_reads(dialect, text):
    if isinstance(records_of(text, dialect), tuple):
        text += '"'  # it was open: now it is closed
    wanted = [raw for raw in as_csv_cuts(text, dialect) if raw.strip("\r\n" + dialect.delimiter)]
    assert len(records_of(text, dialect)) == len(wanted)


@given(
    text=texts,
    block_bytes=st.integers(1, 40),
    header_row=st.integers(0, 4),
    dialect=st.sampled_from([LINES, ANY_NEWLINE]),
    width=st.sampled_from([1, MOST_CELLS // 3, MOST_CELLS // 2, MOST_CELLS]),
)
def test_rows_and_ids_are_counted_through_blocks(text, block_bytes, header_row, dialect, width):
    whole = records_of(text, dialect)
    if isinstance(whole, tuple):
        return
    blocks = blocks_of(text, replace(dialect, header_row=header_row), block_bytes, width=width)
    assert all(0 < block.rows <= MOST_CELLS // width for block in blocks)
    assert [block.number for block in blocks] == list(range(len(blocks)))
    next_id, last_row = 1, header_row
    for block in blocks:
        assert block.first_id == next_id
        next_id += block.rows
        rows = [block.row_number(i) for i in range(block.rows)]
        assert rows == sorted(set(rows))
        assert rows[0] > last_row
        last_row = rows[-1]


# name: text, dialect, rows of the records
ROW_NUMBERS = {
    "no header": ("a\nb\n", LINES, [1, 2]),
    "below a header": ("h\na\nb\n", Dialect(header_row=1), [2, 3]),
    "below a preamble": ("p\n\nh\na\nb\n", Dialect(header_row=3), [4, 5]),
    "below a header of two lines": ('"h\ni"\na\nb\n', Dialect(header_row=1), [2, 3]),
    "blank lines count": ("h\n\na\n\n\nb\n", Dialect(header_row=1), [3, 6]),
    "newlines in quotes do not": ('h\n"a\n\nb"\nc\n', Dialect(header_row=1), [2, 3]),
    "a header alone": ("h\n", Dialect(header_row=1), []),
    "a header without newline": ("h", Dialect(header_row=1), []),
    "a header and blank lines": ("h\n\n\n", Dialect(header_row=1), []),
}


@pytest.mark.parametrize(("text", "dialect", "rows"), ROW_NUMBERS.values(), ids=ROW_NUMBERS)
@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_a_record_knows_its_row(text, dialect, rows, block_bytes):
    blocks = blocks_of(text, dialect, block_bytes)
    assert [block.row_number(i) for block in blocks for i in range(block.rows)] == rows


@pytest.fixture(scope="module")
def rows_of_random_csv() -> list[list[str]]:
    rng = random.Random(1)
    pieces = ['"', ",", "\n", "\r\n", "a", "€", " ", "\\", "b;c"]
    return [
        [str(i), *("".join(rng.choices(pieces, k=rng.randrange(6))) for _ in range(2))]
        for i in range(3000)
    ]


def test_postgres_reads_the_same_rows(database, rows_of_random_csv):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows_of_random_csv)
    blocks = blocks_of(text.getvalue(), block_bytes=1000, most=77)
    database.execute("CREATE TABLE t (n int, a text, b text)")
    for block in blocks:
        with database.cursor() as cursor:
            with cursor.copy("COPY t FROM STDIN (FORMAT csv)") as copy:
                copy.write(block.data)
            assert cursor.rowcount == block.rows
    stored = database.execute(
        "SELECT n::text, coalesce(a, ''), coalesce(b, '') FROM t ORDER BY t.n"
    )
    assert [list(row) for row in stored] == rows_of_random_csv
    assert len(blocks) > 10


# name: text, row that the quote opens in
UNCLOSED = {
    "at the start": ('"a\nb\nc\n', 1),
    "in the middle": ('a\nb,"c\nd\ne\n', 2),
    "in the last row": ('a\nb\n"c', 3),
    "below blank lines": ('a\n\n\n"c\n', 4),
    "below quoted newlines": ('"a\n\nb"\n"c\n', 2),
    "after a stray one": ('8" pipe\nx,"y\n', 2),
}


@pytest.mark.parametrize(("text", "row"), UNCLOSED.values(), ids=UNCLOSED)
@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_a_quote_that_never_closes_is_an_error_with_its_row(text, row, block_bytes):
    with pytest.raises(UnclosedQuote, match="never closed") as raised:
        blocks_of(text, block_bytes=block_bytes)
    assert raised.value.row == row
    assert raised.value.hint


class Endless:
    """A stream whose first quote never closes, with no end."""

    def __init__(self, start: bytes) -> None:
        self._start = start
        self.given = 0

    def read(self, size: int) -> bytes:
        piece, self._start = self._start[:size] or (b"x, y\n" * (size // 5 + 1))[:size], b""
        self.given += len(piece)
        return piece


@pytest.mark.parametrize(
    ("start", "row"), [(b'a,b\n1,"2', 2), (b'a,b\n\n1,2\n"', 4)], ids=["a cell", "a row"]
)
def test_a_record_longer_than_allowed_is_an_error_and_memory_stays_bounded(start, row):
    stream = Endless(start)
    tracemalloc.start()
    with pytest.raises(UnclosedQuote, match="longer than 2 MiB") as raised:
        list(cut(stream, LINES, block_bytes=1 << 16, max_record_bytes=2 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert raised.value.row == row
    assert stream.given < 3 << 20
    # Pieces, the record, and the offsets of its newlines, 8 bytes each 5: no more at any length.
    assert peak < 24 << 20


def test_a_record_longer_than_a_block_stays_whole():
    records = ["a\n", '"' + "x\n" * 100_000 + '"\n', *["b\n"] * 1000]
    blocks = blocks_of("".join(records), block_bytes=1000)
    assert [b.record(i).decode() for b in blocks for i in range(b.rows)] == records
    assert sorted(len(block.data) for block in blocks)[-2] <= 200_010


@pytest.mark.parametrize("text", ["a,b\n1,x\\", "a,b\n1,\\\\\\", "\\", 'a\n"b"\\', "a\n\\\n\\"])
@pytest.mark.parametrize("dialect", [ESCAPED, ESCAPED_ONLY])
@pytest.mark.parametrize("most", [1, 1 << 20])
def test_an_escape_of_nothing_ends_no_file(text, dialect, most):
    with pytest.raises(UnclosedQuote, match=r"the file ends in \\, behind which"):
        blocks_of(text, dialect, 4, most)
    whole = b"".join(records_of(text + "\\", dialect))
    assert whole == f"{text}\\".encode()
