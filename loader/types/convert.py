"""Cells of a declared field in a form of its own -> the same values as Postgres writes them.

In: Arrow strings, null for an empty cell, and the descriptor of a field with a ``format``, a
``decimalChar``, ``trueValues``... Out: Arrow strings, to be verified as the column's type. The
values are read by frictionless, each distinct one once. Holds the block's distinct cells.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from frictionless import Field

from loader.types import field_formats
from loader.types.checks import MAX_NUMBER_CHARACTERS

# No number with groups and a currency, and no date in words, is longer; frictionless would take
# long over texts that are.
_MAX_READ_CHARACTERS = 2000
_NUMBER_START = re.compile(r"[-+\d]")


def convert(cells: pa.StringArray, field: Mapping[str, Any]) -> tuple[pa.StringArray, int | None]:
    """Convert cells that are written in a form of the field's own.

    Args:
        cells: The column of one block; null means an empty cell.
        field: The declared field's descriptor.

    Returns:
        The values in Postgres's form, and the index of the first cell that the field cannot
        read (None when all could be).
    """
    encoded = cells.dictionary_encode()
    reader = reader_of(field)
    values = [_canonical(reader(text), text) for text in encoded.dictionary.to_pylist()]
    converted = pc.take(pa.array(values, pa.string()), encoded.indices)
    lost = np.flatnonzero(
        np.asarray(pc.and_(pc.is_valid(cells), pc.is_null(converted)), dtype=bool)
    )
    return converted, int(lost[0]) if len(lost) else None


def reader_of(field: Mapping[str, Any]) -> Callable[[str], object]:
    """Return what reads a value of the field: its type only, as for all other fields.

    It gives None for a text that is no such value, or not all of one.

    Args:
        field: Its descriptor.
    """
    descriptor = dict(field)
    bare = descriptor.pop("bareNumber", True)
    marks = descriptor.get("groupChar", "") + descriptor.get("decimalChar", "")
    plain = Field.from_descriptor(descriptor)
    reader = field_formats.reader(plain) or plain.create_value_reader()
    if plain.type == "boolean":  # its words may be as long as they like
        return reader

    def read(text: str) -> object:
        if len(text) > _MAX_READ_CHARACTERS:
            return None
        return reader(text if bare else bare_number(text, marks))

    return read


def bare_number(text: str, marks: str = "") -> str:
    """Return a number without what stands before and behind it, as ``bareNumber`` means it.

    frictionless does it by an expression that takes a time quadratic in the text's length.

    Args:
        text: The whole cell.
        marks: The groupChar and the decimalChar.

    Returns:
        "" if there is none, or if what stands around it is or may be a part of the number.
    """
    first = _NUMBER_START.search(text)
    end = len(text)
    while end and not text[end - 1].isdecimal():
        end -= 1
    if first is None:
        return ""
    if not field_formats.may_stand_around(text[: first.start()], text[end:], marks):
        return ""
    return text[first.start() : end]


def _canonical(value: object, text: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return _written_out(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, int) else text


def _written_out(value: Decimal) -> str | None:
    """Return a number without an exponent; None if it is none, or longer than any may be.

    ``1e999999999`` would take a gigabyte.
    """
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or len(digits) + abs(exponent) > 2 * MAX_NUMBER_CHARACTERS:
        return None
    return f"{value:f}"
