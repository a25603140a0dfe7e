"""Which values a type of limited precision would change."""

from __future__ import annotations

import psycopg
import pyarrow as pa
import pytest

from loader.errors import ValueDoesNotFit
from loader.types.precision import limit_of

NUMBERS = ("0", "-0.5", "1", "12.5", "12.50", "99.94", "99.96", "-100", "1200", "1250", "0.1")
NUMBERS += ("16777217", "0.30000000000000004", "123456789012345678901234567890", "1.5", "32768")
NUMBERS += ("-32768", "-32769", "2147483648", "1" + "0" * 39, "1" + "0" * 309, "0.00000000000001")
MOMENTS = ("2020-01-01 00:00:00", "2020-01-01 00:00:00.5", "2020-01-01 00:00:00.500")
MOMENTS += ("2020-01-01 00:00:00.25", "2020-01-01 00:00:00.123456")

# type: the values to ask about, and what Postgres compares them as
TYPES = {
    "numeric(4,1)": (NUMBERS, "numeric"),
    "numeric(4)": (NUMBERS, "numeric"),
    "numeric(4,-2)": (NUMBERS, "numeric"),
    "numeric(2,4)": (NUMBERS, "numeric"),
    "real": (NUMBERS, "numeric"),
    "double precision": (NUMBERS, "numeric"),
    "timestamp(1) without time zone": (MOMENTS, "timestamp"),
    "timestamp(0) with time zone": ([f"{moment}+02" for moment in MOMENTS], "timestamptz"),
    "time(2) without time zone": ([moment[11:] for moment in MOMENTS], "time"),
    "character varying(2)": (["", "a", "äö", "abc", "ab "], "text"),
    "character(2)": (["ab", "äö", "abc", "a ", "ab "], "text"),
    "smallint": (
        [number for number in NUMBERS[:3] + NUMBERS[-8:-3] if "." not in number],
        "bigint",
    ),
    "integer": (["2147483647", "2147483648", "-2147483648", "-2147483649"], "bigint"),
}


@pytest.mark.parametrize("kind", TYPES)
def test_it_is_what_postgres_would_change_or_refuse(
    database_18: psycopg.Connection, kind: str
) -> None:
    values, known = TYPES[kind]
    limit = limit_of("a", kind)
    assert limit is not None
    for value in values:
        cast = f"SELECT %(value)s::text::{kind}::text::{known} <> %(value)s::text::{known}"
        if known == "text":  # a cast cuts in silence what an insert refuses
            cast = f"SELECT %(value)s::text::{kind}::text <> %(value)s"
        try:
            [changed] = database_18.execute(cast, {"value": value}).fetchone()
        except psycopg.DataError:
            changed = True
        assert limit.changes(value) == changed, (kind, value)


@pytest.mark.parametrize(
    "kind", ["bigint", "numeric", "text", "timestamp", "text[]", "numeric(4,1)[]"]
)
def test_types_that_hold_what_was_verified_have_none(kind: str) -> None:
    assert limit_of("a", kind) is None


def test_the_first_value_that_would_change_is_named() -> None:
    limit = limit_of("price", "numeric(4,1)")
    limit.check(pa.array(["1", None, "0.50"]))
    with pytest.raises(ValueDoesNotFit) as caught:
        limit.check(pa.array(["1", None, "0.25", "0.35"]))
    assert (caught.value.column, caught.value.value) == ("price", "0.25")
    assert "numeric(4,1)" in caught.value.message
