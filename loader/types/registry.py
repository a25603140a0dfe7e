"""The types of columns, one row each: all that differs between types is in their rows.

In: names of types, as Postgres, CKAN, frictionless and publishers write them. Out: rows. Holds the
rows.

``TYPES`` are those that a load stores values as. A new one is one row of it: the rest of the loader
asks for the row, and compares no names. COPY needs nothing from a row, because its CSV format takes
every value as its text. ``TABLE_TYPES`` are those that tables have besides; a load verifies their
values as one of ``TYPES``, and Postgres casts them. All names are SQL's, without the schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from loader.types import checks, equality, rounding
from loader.types.checks import Check
from loader.types.rounding import Changes, Limiter


class Lexemes(Enum):
    """How the words of a value's text get into ``_full_text``.

    The texts of all but ``TEXT`` are short, and a "<" in them, which may open a tag, is none.
    """

    TEXT = "by the server's parser, which has limits, and reads tags"
    WORD = "by the server's parser"
    NUMBER = "the number itself"
    DATE = "year, month and day"
    TIME = "hours, minutes and seconds"
    TIMESTAMP = "those of the date and those of the time"
    TIMESTAMPTZ = "those of the date and the time in the session's zone, and its offset"


@dataclass(frozen=True)
class Alternative:
    """What a declared type may be stored as, as long as its values still are of that type.

    Attributes:
        type: The other type.
        check: Which cells are of the declared type, and fit the other.
    """

    type: str
    check: Check


@dataclass(frozen=True)
class Type:
    """A type that a load stores values as.

    Attributes:
        name: SQL's name, with which the table is created.
        check: Which cells it has.
        wider: The type that a column gets whose values do not fit this one.
        frictionless: The types of frictionless that are stored as this one; the column is
            described as the first, unless there are several. Where several rows have one, the
            sample of a column tells which of them it is; the first if it does not.
        converted: When frictionless reads the values of a declared field, and they are written
            anew: where the field is written in a form of its own; always, because it may have
            other words than this type; or never.
        alternative: What a declared column may be stored as.
        catalog_names: What else Postgres's catalog and CKAN's API write for it.
        words: What else publishers write for it in the Data Dictionary, in lower case.
        lexemes: How its values are searched.
        printed: Writes cells as Postgres prints the values; None: they are printed as they are.
        equal: Makes objects of cells that are equal where the values are.
        limiter: What the type changes if it has a length or a precision.
        created_as: What CKAN's ``datastore_create`` calls it, if not by its name.
    """

    name: str
    check: Check
    wider: str = "text"
    frictionless: tuple[str, ...] = ()
    converted: Literal["own forms", "always", "never"] = "own forms"
    alternative: Alternative | None = None
    catalog_names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    lexemes: Lexemes = Lexemes.TEXT
    printed: Callable[[pa.StringArray], pa.StringArray] | None = None
    equal: Callable[[pa.StringArray], Iterable[object]] = equality.texts
    limiter: Limiter | None = None
    created_as: str | None = None


@dataclass(frozen=True)
class TableType:
    """A type that only tables have which were not made by a load.

    Attributes:
        name: SQL's name.
        verified_as: The type of ours that its values are verified and copied as.
        catalog_names: What else Postgres's catalog and CKAN's API write for it.
        keeps_text: Whether its text is that of ``verified_as``, and so are the words of a search.
        rounds: Whether it makes another value of some, such as $1.24 of 1.239, in a way that
            cannot be found out by comparing.
        bound: Of integers: how many there are below zero.
        limiter: What the type changes.
        created_as: What CKAN's ``datastore_create`` calls it, if not by its name.
    """

    name: str
    verified_as: str = "text"
    catalog_names: tuple[str, ...] = ()
    keeps_text: bool = False
    rounds: bool = False
    bound: int | None = None
    limiter: Limiter | None = None
    created_as: str | None = None


TEXT = "text"  # holds every value

TYPES: tuple[Type, ...] = (
    Type(
        name="bigint",
        check=checks.BIGINT,
        wider="numeric",
        frictionless=("integer",),
        alternative=Alternative("numeric", checks.INTEGER),
        catalog_names=("int8",),
        words=("integer", "int", "int2", "int4", "int8", "smallint"),
        lexemes=Lexemes.NUMBER,
    ),
    Type(
        name="numeric",
        check=checks.NUMERIC,
        frictionless=("number",),
        words=("number", "decimal", "float", "float4", "float8", "real", "money"),
        lexemes=Lexemes.NUMBER,
        equal=equality.numbers,
        limiter=rounding.digits,
    ),
    Type(
        name="boolean",
        check=checks.BOOLEAN,
        frictionless=("boolean",),
        converted="always",  # a declared one may be 1 and 0 too
        catalog_names=("bool",),
        words=("bool",),
        lexemes=Lexemes.WORD,
        printed=pc.utf8_lower,
        equal=equality.booleans,
    ),
    Type(
        name="date",
        check=checks.DATE,
        wider="timestamp",
        frictionless=("date",),
        lexemes=Lexemes.DATE,
    ),
    Type(
        name="time",
        check=checks.TIME,
        frictionless=("time",),
        catalog_names=("time without time zone",),
        lexemes=Lexemes.TIME,
        equal=equality.times,
        limiter=rounding.seconds,
    ),
    Type(
        name="timestamp",
        check=checks.TIMESTAMP,
        frictionless=("datetime",),
        alternative=Alternative("timestamptz", checks.TIMESTAMPTZ),
        catalog_names=("timestamp without time zone",),
        words=("datetime",),
        lexemes=Lexemes.TIMESTAMP,
        equal=equality.timestamps,
        limiter=rounding.seconds,
    ),
    Type(
        name="timestamptz",
        check=checks.TIMESTAMPTZ,
        frictionless=("datetime",),
        catalog_names=("timestamp with time zone",),
        lexemes=Lexemes.TIMESTAMPTZ,
        equal=equality.instants,
        limiter=rounding.seconds,
    ),
    Type(
        name="json",
        check=checks.JSON,
        frictionless=("object", "array"),
        converted="never",
        words=("jsonb", "nested"),
        # CKAN makes another type of a "json" in lower case: its own "nested".
        created_as="JSON",
    ),
    Type(
        name=TEXT,
        check=checks.TEXT,
        frictionless=("string",),
        converted="never",
        words=("varchar", "string", "name", "bpchar"),
    ),
)

TABLE_TYPES: tuple[TableType, ...] = (
    TableType(
        name="smallint",
        verified_as="bigint",
        catalog_names=("int2",),
        keeps_text=True,
        bound=2**15,
        limiter=rounding.integers(2**15),
    ),
    TableType(
        name="integer",
        verified_as="bigint",
        catalog_names=("int4",),
        keeps_text=True,
        bound=2**31,
        limiter=rounding.integers(2**31),
    ),
    TableType(
        name="real",
        verified_as="numeric",
        catalog_names=("float4",),
        limiter=rounding.single,
    ),
    TableType(
        name="double precision",
        verified_as="numeric",
        catalog_names=("float8",),
        limiter=rounding.double,
    ),
    TableType(name="character varying", keeps_text=True, limiter=rounding.characters),
    TableType(name="character", limiter=rounding.padded),
    TableType(name="jsonb", verified_as="json"),
    # CKAN's own; datastore_create calls it json.
    TableType(
        name="nested",
        verified_as="json",
        catalog_names=("public.nested",),
        created_as="json",
    ),
    TableType(name="money", rounds=True),
    TableType(name="interval", rounds=True),
)


def type_named(name: str) -> Type:
    """Return the row of a type that a load stores values as.

    Raises:
        KeyError: There is no such row.
    """
    found = _found(name)
    if not isinstance(found, Type):
        raise KeyError(name)
    return found


def types_of(frictionless: str) -> list[Type]:
    """Return the rows of the types that a type of frictionless may be stored as; [] for text."""
    return [row for row in TYPES if frictionless in row.frictionless]


def type_meant(word: str) -> str | None:
    """Return the type that a publisher means with a word; None if the word is not known."""
    given = word.strip().lower()
    if isinstance(_found(given), Type):
        return given
    return next((row.name for row in TYPES if given in row.words), None)


def sql_name(written: str) -> str:
    """Return the name of a type as SQL has it, with its length or precision.

    Args:
        written: By Postgres's ``format_type``, or by CKAN's ``datastore_info``.
    """
    return next((row.name for row in _rows() if written in row.catalog_names), written)


def bare(name: str) -> str:
    """Return the name of a type without its length or precision."""
    return sql_name(re.sub(r"\([^()]*\)", "", name))


def verified_as(name: str) -> str:
    """Return the type that the values of a table's column are verified and copied as.

    Args:
        name: The column's type, of a load or not, as ``sql_name`` returns it.
    """
    found = _found(bare(name))
    if isinstance(found, Type):
        return found.name
    return found.verified_as if found else TEXT


def is_number(name: str) -> bool:
    """Tell whether a column's type has numbers and nothing else."""
    return type_named(verified_as(name)).lexemes is Lexemes.NUMBER


def holds(name: str, other: str) -> bool:
    """Tell whether a type that loads make has the values of another one, or some of them."""
    return (
        name == other
        or type_named(name).wider == other != TEXT
        or type_named(other).wider == name != TEXT
    )


def keeps_text(name: str) -> bool:
    """Tell whether a column's type prints values as the type does that they are copied as."""
    found = _found(bare(name))
    return found.keeps_text if isinstance(found, TableType) else found is not None


def rounds(name: str) -> bool:
    """Tell whether a column's type changes values in a way that cannot be found out."""
    found = _found(name)
    return isinstance(found, TableType) and found.rounds


def bound(name: str) -> int | None:
    """Return how many integers a column's type has below zero; None if not limited like that."""
    found = _found(name)
    return found.bound if isinstance(found, TableType) else None


def is_limited(name: str) -> bool:
    """Tell whether a column's type, with some length or precision, changes some values."""
    found = _found(bare(name))
    return found is not None and found.limiter is not None


def changes(name: str) -> Changes | None:
    """Return the test whether a column's type changes a value; None if it changes none."""
    found = _found(bare(name))
    if found is None or found.limiter is None:
        return None
    sizes: Sequence[int] = [int(size) for size in re.findall(r"-?\d+", name)]
    return found.limiter(sizes)


def created_as(name: str) -> str:
    """Return what ``datastore_create`` calls a type."""
    found = _found(name)
    return (found.created_as if found else None) or name


def _found(name: str) -> Type | TableType | None:
    return next((row for row in _rows() if row.name == name), None)


def _rows() -> Iterator[Type | TableType]:
    yield from TYPES
    yield from TABLE_TYPES
