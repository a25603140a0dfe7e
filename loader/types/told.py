"""How a column is written <-> what the Data Dictionary says of it.

``read_as`` is a key of its own in a column's entry; CKAN's form drops it when an editor saves the
entry, so the notes say it too, where they are empty. In: an entry. Out: the same with it, or the
notation. Holds an entry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from loader.types import notation
from loader.types.notation import Notation

_NOTE = re.compile(r"Written as [^\n]{1,100}? \(([^\n]{1,60})\) in the file\.")
_NUMBER_NOTE = re.compile(r"Written as ([^\n]{1,60}) in the file\.")
_SAMPLE = "2020-12-31 13:45:30"


def reading(info: Mapping[str, Any]) -> Notation | None:
    """Return how the values of a table's column were written; None: as Postgres writes them.

    Args:
        info: The column's entry in the Data Dictionary.
    """
    if told := notation.parse(info.get("read_as")):
        return told
    notes = info.get("notes")
    if not isinstance(notes, str):
        return None
    found = _NOTE.fullmatch(notes.strip()) or _NUMBER_NOTE.fullmatch(notes.strip())
    return notation.parse(found[1]) if found else None


def with_reading(info: Mapping[str, Any], read_as: str | None) -> dict[str, Any]:
    """Return an entry with how the column is written now; notes of an editor stay.

    Args:
        info: The entry.
        read_as: None: as Postgres writes the values.
    """
    entry, notes = dict(info), info.get("notes")
    is_ours = isinstance(notes, str) and reading({"notes": notes}) is not None
    entry.pop("read_as", None)
    if is_ours:
        entry["notes"] = ""
    written = notation.parse(read_as)
    if written is not None:
        entry["read_as"] = read_as
        if not notes or is_ours:
            entry["notes"] = note(written)
    return entry


def note(written: Notation) -> str:
    """Return a sentence that says how a column is written."""
    if "%Y" not in written.read_as:
        return f"Written as {written.read_as} in the file."
    value = _SAMPLE if written.type == "timestamp" else _SAMPLE[:10]
    return f"Written as {written.write(value)} ({written.read_as}) in the file."
