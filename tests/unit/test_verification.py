"""Every value is held against its type: the column widens, or it is said why not."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pyarrow as pa
import pytest

from loader.errors import ValueDoesNotFit
from loader.formats.csv import table
from loader.formats.csv.blocks import cut
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.table import CsvRows
from loader.types import schema
from loader.types.column import Column
from loader.types.verification import Verification

MISSING = [""]


def blocks_of(values: list[str], rows_per_block: int = 1000, header: str = "a\n") -> list[CsvRows]:
    """One column's values below a header, in blocks of so many rows."""
    dialect = Dialect(delimiter="|")
    whole = header + "".join(f"{value}\n" for value in values)
    block_bytes = rows_per_block * max((len(v.encode()) + 1 for v in values), default=1)
    return [
        table.parse(b, dialect, 1) for b in cut(io.BytesIO(whole.encode()), dialect, block_bytes)
    ]


def guessed(kind: str) -> list[Column]:
    return [Column("a", kind, inferred_as="any")]


def declared(kind: str, **properties: object) -> list[Column]:
    field = {"name": "a", "type": kind} | properties
    return schema.infer(
        ["a"], [pa.array([], pa.string())], schema.read_descriptor({"fields": [field]})
    )


def judge(verification: Verification, blocks: list[CsvRows]) -> list[list[str | None]] | None:
    """The column's values as Postgres would get them, or None if it was widened."""
    converted = [verification.verify(rows) for rows in blocks]
    if None in converted:
        return None
    return [value for (column,) in converted for value in column.to_pylist()]


def settled(
    columns: list[Column], blocks: list[CsvRows], **options
) -> tuple[Verification, list[str | None]]:
    """Judge as the pipeline does: again from the start, once, if a column was widened."""
    verification = Verification(columns, MISSING, **options)
    values = judge(verification, blocks)
    if values is None:
        again = Verification(verification.columns, MISSING, **options)
        values = judge(again, blocks)
    return verification, values


# name: guessed type, values, type in the end, reason
LATE = {
    "nothing": ("bigint", ["1"] * 60, "bigint", []),
    "N/A": (
        "bigint",
        ["1"] * 60 + ["N/A"],
        "text",
        ["a: text instead of bigint, for 'N/A' in row 62"],
    ),
    "007": (
        "bigint",
        ["1"] * 60 + ["007"],
        "text",
        ["a: text instead of bigint, for '007' in row 62"],
    ),
    "20 digits": (
        "bigint",
        ["1"] * 60 + ["9" * 20],
        "numeric",
        [f"a: numeric instead of bigint, for '{'9' * 20}' in row 62"],
    ),
    "another form of date": (
        "date",
        ["2020-01-31"] * 60 + ["31/12/2020"],
        "text",
        ["a: text instead of date, for '31/12/2020' in row 62"],
    ),
    "a time": (
        "date",
        ["2020-01-31"] * 60 + ["2020-01-31T10:20:30"],
        "timestamp",
        ["a: timestamp instead of date, for '2020-01-31T10:20:30' in row 62"],
    ),
    "a fraction, then a word": (
        "bigint",
        ["1"] * 60 + ["1.5"] * 60 + ["x"],
        "text",
        ["a: text instead of bigint, for 'x' in row 122"],
    ),
    "a word, then a fraction": (
        "bigint",
        ["1"] * 60 + ["x"] + ["1.5"] * 60,
        "text",
        ["a: text instead of bigint, for 'x' in row 62"],
    ),
    "several words": (
        "bigint",
        ["1", "x", "y", "z"] * 10,
        "text",
        ["a: text instead of bigint, for 'x' in row 3"],
    ),
    "a long value": (
        "bigint",
        ["x" * 500],
        "text",
        [f"a: text instead of bigint, for '{'x' * 97}...' in row 2"],
    ),
}


@pytest.mark.parametrize(("kind", "values", "final", "reasons"), LATE.values(), ids=LATE)
@pytest.mark.parametrize("rows_per_block", [7, 5000])
def test_a_guess_that_a_late_row_breaks_is_widened(kind, values, final, reasons, rows_per_block):
    verification, loaded = settled(guessed(kind), blocks_of(values, rows_per_block))
    assert loaded == values
    assert verification.columns[0].type == final
    assert verification.columns[0].widened_from == (None if final == kind else kind)
    assert verification.widened == (final != kind)
    assert verification.reasons == reasons


@pytest.mark.parametrize(
    "values", [["1"] * 40 + ["x", "1", "y"] * 20, ["x"] + ["1.5"] * 50, ["1.5", "x"] * 50]
)
def test_in_whatever_order_blocks_end_the_reason_names_the_first_row(values):
    blocks = blocks_of(values, 4)
    in_order, backwards = (
        Verification(guessed("bigint"), MISSING),
        Verification(guessed("bigint"), MISSING),
    )
    judge(in_order, blocks)
    judge(backwards, blocks[::-1])
    assert len(in_order.reasons) == 1
    assert in_order.reasons == backwards.reasons
    assert in_order.columns == backwards.columns


@pytest.fixture
def hasty_threads():
    """Threads take turns so often that each may come between any two steps of the other."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_two_lanes_at_once_verify_as_one_does(hasty_threads):
    values = ["1"] * 60 + ["1.5", "2"] * 30 + ["N/A", "1"] * 30
    blocks = blocks_of(values, 2)
    one = Verification(guessed("bigint"), MISSING)
    judge(one, blocks)
    for _ in range(20):
        two, together = Verification(guessed("bigint"), MISSING), Barrier(2)

        def lane(
            mine: list[CsvRows], verification: Verification = two, start: Barrier = together
        ) -> None:
            start.wait()
            for rows in mine:
                verification.verify(rows)

        with ThreadPoolExecutor(2) as lanes:
            list(lanes.map(lane, (blocks[0::2], blocks[1::2])))
        assert (two.columns, two.reasons, two.widened) == (one.columns, one.reasons, True)


def test_what_is_verified_after_a_column_was_widened_is_not_to_be_stored():
    first, second = blocks_of(["x", "1"], 1)
    verification = Verification(guessed("bigint"), MISSING)
    assert verification.verify(first) is None
    assert verification.verify(second) is None


# name: declared type, properties, values, Postgres type, values stored
DECLARED = {
    "integer": ("integer", {}, ["1", "-5"], "bigint", ["1", "-5"]),
    "an integer beyond 64 bits": ("integer", {}, ["1", "9" * 20], "numeric", ["1", "9" * 20]),
    "number": ("number", {}, ["15.30"], "numeric", ["15.30"]),
    "string": ("string", {}, ["007", '""'], "text", ["007", ""]),
    "a quoted empty number": ("number", {}, ["1", '""'], "numeric", ["1", None]),
    "a date of its own form": (
        "date",
        {"format": "%d/%m/%Y"},
        ["31/12/2020"],
        "date",
        ["2020-12-31"],
    ),
    "a boolean that is 1 and 0": ("boolean", {}, ["1", "0"], "boolean", ["true", "false"]),
    "datetimes that have offsets": (
        "datetime",
        {},
        ["2020-01-31T10:20:30Z"],
        "timestamptz",
        ["2020-01-31T10:20:30Z"],
    ),
    "an object": ("object", {}, ["{}"], "json", ["{}"]),
}


@pytest.mark.parametrize(
    ("kind", "properties", "values", "postgres", "stored"), DECLARED.values(), ids=DECLARED
)
@pytest.mark.parametrize("rows_per_block", [1, 1000])
def test_values_of_their_declared_type_are_stored(
    kind, properties, values, postgres, stored, rows_per_block
):
    verification, loaded = settled(declared(kind, **properties), blocks_of(values, rows_per_block))
    assert (verification.columns[0].type, loaded) == (postgres, stored)


# name: declared type, properties, values, value refused, its row
REFUSED = {
    "a word": ("integer", {}, ["1"] * 10 + ["N/A", "x"], "N/A", 12),
    "a fraction of an integer": ("integer", {}, ["1", "1.5"], "1.5", 3),
    "a fraction beside a great integer": ("integer", {}, ["9" * 20, "1.5"], "1.5", 3),
    "a leading zero": ("number", {}, ["007"], "007", 2),
    "another form of date": ("date", {}, ["2020-01-31", "31/12/2020"], "31/12/2020", 3),
    "an ISO date": ("date", {"format": "%d/%m/%Y"}, ["31/12/2020", "2020-12-31"], "2020-12-31", 3),
    "another boolean": ("boolean", {"trueValues": ["ja"]}, ["ja", "nein", "x"], "nein", 3),
    "half an object": ("object", {}, ["{}", "{"], "{", 3),
}


@pytest.mark.parametrize(
    ("kind", "properties", "values", "value", "row"), REFUSED.values(), ids=REFUSED
)
@pytest.mark.parametrize("rows_per_block", [1, 1000])
def test_a_value_that_its_declared_type_cannot_hold_is_refused(
    kind, properties, values, value, row, rows_per_block
):
    with pytest.raises(ValueDoesNotFit, match=f"declared type {kind}") as raised:
        settled(declared(kind, **properties), blocks_of(values, rows_per_block))
    assert (raised.value.row, raised.value.column, raised.value.value) == (row, "a", value)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("kind", "properties", "values"),
    [(kind, properties, values) for kind, properties, values, _, _ in REFUSED.values()],
    ids=REFUSED,
)
def test_a_declared_type_gives_way_if_the_caller_wants_it(kind, properties, values):
    _, loaded = settled(declared(kind, **properties), blocks_of(values), widen_declared=True)
    assert loaded == values


def test_declared_datetimes_with_and_without_offset_are_refused():
    values = ["2020-01-31T10:20:30", "2020-01-31T10:20:30Z"]
    for order in (values, values[::-1]):
        for rows_per_block in (1, 2):
            with pytest.raises(ValueDoesNotFit, match="UTC offset"):
                settled(declared("datetime"), blocks_of(order, rows_per_block))


def test_what_is_no_datetime_is_named_before_what_has_no_offset():
    values = ["2020-01-31T10:20:30", "N/A", "2020-01-31T10:20:30Z"]
    with pytest.raises(ValueDoesNotFit, match="declared type datetime") as raised:
        settled(declared("datetime"), blocks_of(values))
    assert raised.value.value == "N/A"


def test_missing_values_are_null_in_every_type():
    for kind in ("integer", "string", "date"):
        verification = Verification(declared(kind), ["", "NA", "-"])
        assert judge(verification, blocks_of(["NA", "-", "NA"])) == [None, None, None]


def test_a_quoted_empty_string_stays_one_in_text_only():
    (rows,) = blocks_of(['""', "x"])
    assert judge(Verification(guessed("text"), MISSING), [rows]) == ["", "x"]
    (rows,) = blocks_of(['""', "1"])
    assert judge(Verification(guessed("bigint"), MISSING), [rows]) == [None, "1"]


def test_each_column_has_its_own_reason():
    dialect = Dialect()
    (block,) = cut(io.BytesIO(b"a,b,c\n1,x,2\ny,1,3\n"), dialect)
    columns = [Column(name, "bigint") for name in "abc"]
    verification = Verification(columns, MISSING)
    assert verification.verify(table.parse(block, dialect, 3)) is None
    assert [column.type for column in verification.columns] == ["text", "text", "bigint"]
    assert verification.reasons == [
        "b: text instead of bigint, for 'x' in row 2",
        "a: text instead of bigint, for 'y' in row 3",
    ]
