"""What Postgres, CKAN and publishers call a type -> what it is called here.

Ours are the types that a load stores values as. All names are those of SQL, without the schema.
"""

from __future__ import annotations

import re

OURS = ("bigint", "numeric", "boolean", "date", "time", "timestamp", "timestamptz", "json", "text")

# What Postgres's catalog and CKAN's API write -> what SQL says, which is shorter, or plainer.
_WRITTEN_AS = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "public.nested": "nested",
}
# Types of a table that are none of ours -> the one that their values are verified and copied as.
_VERIFIED_AS = {
    "smallint": "bigint",
    "integer": "bigint",
    "real": "numeric",
    "double precision": "numeric",
    "nested": "json",
    "jsonb": "json",
}
# What publishers write as a column's type -> the one of ours that is meant.
_MEANT = {
    "text": "text varchar string name bpchar",
    "numeric": "numeric number decimal float float4 float8 real money",
    "bigint": "bigint integer int int2 int4 int8 smallint",
    "boolean": "boolean bool",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp datetime",
    "timestamptz": "timestamptz",
    "json": "json jsonb nested",
}
_MEANT_BY = {word: kind for kind, words in _MEANT.items() for word in words.split()}


def name(written: str) -> str:
    """Return the name of a type as SQL has it, with its length or precision.

    Args:
        written: By Postgres's ``format_type``, or by CKAN's ``datastore_info``.
    """
    return _WRITTEN_AS.get(written, written)


def bare(kind: str) -> str:
    """Return the name of a type without its length or precision."""
    return name(re.sub(r"\([^()]*\)", "", kind))


def verified_as(kind: str) -> str:
    """Return which of our types the values of a table's column are verified and copied as."""
    plain = bare(kind)
    if plain in OURS:
        return plain
    return _VERIFIED_AS.get(plain, "text")


def meant_by(word: str) -> str | None:
    """Return which of our types a publisher means; None: the word is not known."""
    return _MEANT_BY.get(word.strip().lower())
