"""The columns of a file and those of a table -> nothing, or how they differ.

Holds one line for each column.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from loader.errors import SchemaDiffers
from loader.types import registry
from loader.types.column import Column


def check_columns(
    have: Sequence[Column], columns: Sequence[Column], computed: Collection[str] = ()
) -> None:
    """Refuse a file whose columns are not those of the live table; their order does not matter.

    Args:
        have: The live table's, without ``_id`` and ``_full_text``.
        columns: The file's, with the types that its values were verified for.
        computed: The live table's that the file must not have, since the table computes them.

    Raises:
        SchemaDiffers: Names every column that is missing, new or of another type.
    """
    known = {column.name: column.type for column in have if column.name not in computed}
    given = {column.name: column.type for column in columns}
    differences = [f"{name!r} is missing" for name in known if name not in given]
    differences += [
        f"{name!r} is new" for name in given if name not in known and name not in computed
    ]
    differences += [f"{name!r} is computed by the table" for name in given if name in computed]
    differences += [
        f"{name!r} is {kind}, which rounds" for name, kind in known.items() if registry.rounds(kind)
    ]
    differences += [
        f"{name!r} is {given[name]}, not {kind}"
        for name, kind in known.items()
        if name in given and given[name] != registry.verified_as(kind)
    ]
    if differences:
        raise SchemaDiffers(
            f"the file's columns are not the table's: {', '.join(differences)}",
            hint="correct the file, or let it replace the table",
            option="mode",
        )
