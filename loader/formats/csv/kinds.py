"""A cell -> what kind of value it looks like, for the score of a dialect and for the header.

In: the text of a cell. Out: a kind; '' for an empty cell, or a sign for one. Local forms count as
values: a delimiter that cuts ``1,5`` or ``31.12.2020`` into pieces is none. No column gets its type
from here: that is for ``types``, which verifies every cell. Holds the last cells it has seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from loader.types import checks, nulls, number_notation

TEXT = "text"
NUMBER = "number"
_MISSING = frozenset({"", "none", r"\n", *(sign.lower() for sign in nulls.SIGNS.to_pylist())})
_MONEY = r"[$\u20ac\u00a3\u00a5%]"
_GROUPED = r"[0-9]{1,3}(?:(?:\.[0-9]{3})+|(?:,[0-9]{3})+|(?:['\u2019 \u00a0\u202f][0-9]{3})+)"
_NUMBER = (
    rf"[(]?{_MONEY}? ?[+-]?{_MONEY}?(?:{_GROUPED}|[0-9]+)?(?:[.,][0-9]+)?"
    rf"(?:(?<=[0-9])[eE][+-]?[0-9]+)?"
    rf"-?(?: ?(?:{_MONEY}|EUR|USD|GBP|CHF))?[)]?"
)
_DAY = (
    r"(?:[0-9]{1,2}([./-])[0-9]{1,2}\1(?:[0-9]{4}|[0-9]{2})|[0-9]{4}([./-])[0-9]{1,2}\2[0-9]{1,2}"
    r"|[0-9]{1,2}[-. /]{1,2}[^\W\d_]{3,9}\.?[-. /,]{1,2}[0-9]{2,4}"
    r"|[^\W\d_]{3,9}\.? [0-9]{1,2}, [0-9]{4})"
)
_TIME = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?: ?[AaPp]\.?[Mm]\.?)?"
_ZONE = r"(?: ?(?:Z|UTC|[+-][0-9]{2}:?(?:[0-9]{2})?))?"
_KINDS = {
    kind: re.compile(pattern)
    for kind, pattern in {
        NUMBER: f"(?=.*[0-9]){_NUMBER}",
        "date": f"{checks.DATE.pattern}|{_DAY}",
        "time": _TIME,
        "moment": rf"{_DAY}(?:[T ]| - |, ?){_TIME}{_ZONE}",
        "boolean": f"(?i:{checks.BOOLEAN.pattern}|yes|no)",
    }.items()
}
_PLAIN = re.compile(r"-?[0-9]{1,40}(?:[.,][0-9]{1,40})?")  # most numbers: found out faster
_LONGEST = 60  # no value but a text is longer
_MOST_TEXT = 0.1  # of a column of values


@lru_cache(maxsize=1 << 15)
def kind_of(cell: str) -> str:
    """Return '', a kind of value, or TEXT."""
    cell = cell.strip(" \t\u00a0")
    if _PLAIN.fullmatch(cell):
        return NUMBER
    if cell.lower() in _MISSING:
        return ""
    if len(cell) > _LONGEST:
        return TEXT
    kind = next((kind for kind, known in _KINDS.items() if known.fullmatch(cell)), TEXT)
    # With a unit that is rarer than those above.
    return NUMBER if kind == TEXT and number_notation.learn(cell) else kind


def kind_of_column(cells: Sequence[str]) -> tuple[str, float]:
    """Return the kind that nearly all cells of a column have, and how many; TEXT if there is none.

    A column without values is ''.
    """
    kinds = Counter(map(kind_of, cells))
    kinds.pop("", None)
    if not kinds:
        return "", 0.0
    kind, count = kinds.most_common(1)[0]
    share = count / kinds.total()
    return (kind, share) if kind != TEXT and share >= 1 - _MOST_TEXT else (TEXT, 0.0)
