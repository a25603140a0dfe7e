"""How a table is to be read: what its caller says of it, and what is left to be found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ReadSettings:
    """What is known of a table before it is read; ``loader.Options`` explains each.

    Attributes:
        schema: A frictionless Table Schema descriptor.
        dialect: A frictionless Dialect descriptor.
        delimiter: One character; wins over the dialect's.
        encoding: The name of a Python codec; None to find it.
        header_row: Counted from 1; 0 means none; None to find it.
        max_bad_rows: How many rows may be set aside.
        default_encoding: A codec that wins over others that may be right too.
        local_forms: Whether local forms of dates and numbers are read.
        nulls_signs: Whether signs for no value are NULL.
        dates: What decides the order of day and month, as of ``types.deciding``.
        decimal: What decides which sign is the decimal one.
        strip: Whether spaces around the cells of text are left out.
    """

    schema: Mapping[str, object] | None = None
    dialect: Mapping[str, object] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    header_row: int | None = None
    max_bad_rows: int = 1000
    default_encoding: str | None = None
    local_forms: bool = True
    nulls_signs: bool = False
    dates: str = "auto"
    decimal: str = "auto"
    strip: bool = False
