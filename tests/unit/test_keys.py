"""Which rows of an upsert have the key of a later one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from loader.errors import KeyViolated
from loader.scan.keys import Keys, duplicate_warnings
from loader.types.column import Column


def keys(*types: str) -> Keys:
    names = [f"part {number}" for number in range(1, len(types) + 1)]
    return Keys([Column(name, kind) for name, kind in zip(names, types, strict=True)])


def add(keys: Keys, *rows: tuple[str | None, ...], first_id: int = 1) -> None:
    parts = [pa.array(part, pa.string()) for part in zip(*rows, strict=True)]
    keys.add(np.arange(first_id, first_id + len(rows)), parts)


def test_all_but_the_last_row_of_a_key_are_overtaken() -> None:
    of_text = keys("text")
    add(of_text, ("a",), ("b",), ("a",))
    add(of_text, ("c",), ("a",), ("B",), first_id=4)
    assert of_text.overtaken().tolist() == [True, False, True, False, False, False]


def test_all_parts_of_a_key_count_and_each_for_itself() -> None:
    of_two = keys("text", "bigint")
    add(of_two, ("a", "1"), ("a", "2"), ("a1", ""), ("a", "1"))
    assert of_two.overtaken().tolist() == [True, False, False, False]


def test_numbers_are_equal_however_they_are_written() -> None:
    of_numbers = keys("numeric")
    long = "1" * 60
    add(of_numbers, ("1.0",), ("10",), (f"{long}.10",), (f"{long}.1",), (f"{long}.2",), ("1",))
    assert of_numbers.overtaken().tolist() == [True, False, True, False, False, False]
    of_text = keys("text")
    add(of_text, ("1.0",), ("1",))
    assert of_text.overtaken().tolist() == [False, False]


# type: two spellings of one value, and another value
SPELLINGS = {
    "boolean": ("True", "true", "false"),
    "timestamp": ("2020-01-01T00:00:00", "2020-01-01 00:00:00.000", "2020-01-01 00:00:01"),
    "timestamptz": ("2020-01-01T00:00:00Z", "2020-01-01 01:00:00+01", "2020-01-01 01:00:00Z"),
    "time": ("12:30:00.50", "12:30:00.5", "12:30:00"),
    "numeric": ("-0.10", "-0.1", "0.1"),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_what_is_equal_in_postgres_is_one_key(kind: str) -> None:
    one, same, other = SPELLINGS[kind]
    of_kind = keys(kind)
    add(of_kind, (one,), (other,), (same,))
    assert of_kind.overtaken().tolist() == [True, False, False]


def test_a_row_without_a_part_of_the_key_is_refused() -> None:
    of_two = keys("text", "numeric")
    add(of_two, ("a", "1"), ("a", None), ("a", None), first_id=7)
    add(of_two, (None, "1"), first_id=10)
    with pytest.raises(KeyViolated, match="the row with _id 8 has no value there") as caught:
        of_two.check()
    assert caught.value.column == "part 2"


def test_without_rows_none_is_overtaken() -> None:
    assert keys("text").overtaken().tolist() == []


def test_only_rows_that_were_left_out_are_told() -> None:
    assert duplicate_warnings(0) == []
    assert duplicate_warnings(3) == ["rows with the key of a later row, left out: 3"]
