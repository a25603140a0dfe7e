"""The columns of a file and those of a table -> nothing, or how they differ.

Holds one line for each column.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from loader.errors import SchemaDiffers
from loader.types import datatypes

# What they make of a value cannot be compared with it: $1.24 of 1.239.
_ROUNDS = ("money", "interval")


def check_columns(
    have: Sequence[tuple[str, str]],
    columns: Sequence[tuple[str, str]],
    computed: Collection[str] = (),
) -> None:
    """Refuse a file whose columns are not those of the live table; their order does not matter.

    Args:
        have: The live table's, without ``_id`` and ``_full_text``.
        columns: The file's, with the types that its values were verified for.
        computed: The live table's that the file must not have, since the table computes them.

    Raises:
        SchemaDiffers: Names every column that is missing, new or of another type.
    """
    have = [(name, kind) for name, kind in have if name not in computed]
    known, given = dict(have), dict(columns)
    differences = [f"{name!r} is missing" for name, _ in have if name not in given]
    differences += [
        f"{name!r} is new" for name, _ in columns if name not in known and name not in computed
    ]
    differences += [f"{name!r} is computed by the table" for name, _ in columns if name in computed]
    differences += [f"{name!r} is {kind}, which rounds" for name, kind in have if kind in _ROUNDS]
    differences += [
        f"{name!r} is {given[name]}, not {kind}"
        for name, kind in have
        if name in given and given[name] != datatypes.verified_as(kind)
    ]
    if differences:
        raise SchemaDiffers(
            f"the file's columns are not the table's: {', '.join(differences)}",
            hint="correct the file, or let it replace the table",
            option="mode",
        )
