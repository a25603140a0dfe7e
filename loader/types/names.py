"""A header's cells -> names of columns that CKAN and Postgres take.

In: the header's cells. Out: as many names, all different. Holds the header once more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_MAX_NAME_BYTES = 63
# What SQLAlchemy takes for a parameter in CKAN's queries.
_PARAMETER = re.compile(r"(?<![:\w$\\]):(?=[\w$])")
# For SQLAlchemy an escaped colon; for CKAN 2.11 a quote that begins a second statement.
_ESCAPE = re.compile(r"\\(?=[:'])")
_BEGIN = re.compile(r"^(?:[\s_]|:(?=[\w$]))+")
# Every table of Postgres has these already.
_SYSTEM_COLUMNS = {"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"}


def name_columns(headers: Sequence[str]) -> list[str]:
    """Return valid, unique names, changed only as far as CKAN and Postgres need it.

    CKAN refuses leading underscores, double quotes, surrounding space and what cannot be seen, and
    fails to search a table with a column whose name has a colon where SQLAlchemy sees a parameter,
    or a backslash before a colon or a quote; Postgres cuts names at 63 bytes.
    """
    names: dict[str, None] = {}
    taken = set(headers) | _SYSTEM_COLUMNS
    numbers: dict[str, int] = {}
    for position, header in enumerate(headers, start=1):
        name = _valid_name(header) or f"column_{position}"
        if name != header or name in names or name in _SYSTEM_COLUMNS:
            name = _free_name(name, taken, numbers)
            taken.add(name)
        names[name] = None
    return list(names)


def _valid_name(header: str) -> str:
    spaced = re.sub(r"[\t-\r]", " ", header.replace('"', "'"))
    seen = "".join(letter for letter in spaced if not unicodedata.category(letter).startswith("C"))
    return _cut(_readable(seen), _MAX_NAME_BYTES)


def _readable(name: str) -> str:
    """Return the name without what CKAN or SQLAlchemy would misread."""
    return _PARAMETER.sub("_", _BEGIN.sub("", _ESCAPE.sub("_", name)))


def _free_name(name: str, taken: set[str], numbers: dict[str, int]) -> str:
    """Return the name, or with the first number that makes it free.

    Args:
        name: Valid.
        taken: What is not free.
        numbers: The last one tried for each name, below which none is free: a thousand equal
            headers take a thousand tries, not half a million.
    """
    free, number = name, numbers.get(name, 1)
    while free in taken:
        number += 1
        suffix = f"_{number}"
        free = _readable(_cut(name, _MAX_NAME_BYTES - len(suffix)) + suffix)
    numbers[name] = number
    return free


def _cut(name: str, length: int) -> str:
    return name.encode()[:length].decode(errors="ignore").rstrip()
