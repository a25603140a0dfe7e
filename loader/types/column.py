"""A column, of a file or of a table: its name, its type, and what is known of it besides.

Holds what the header, the schema and the Data Dictionary say of one column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loader.types import registry
from loader.types.checks import Check
from loader.types.notation import Notation

# Properties that give a declared field's values a form of their own.
_FORMS = ("decimalChar", "groupChar", "bareNumber", "trueValues", "falseValues")


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: Its name in the table.
        type: Its Postgres type as SQL has it; of a file's columns, one that a load stores.
        header: The header's cell as written; '' if it is not known, or there is none.
        inferred_as: The frictionless type guessed from the sample; None when declared.
        declared: The descriptor of the declared field; None when inferred.
        widened_from: The Postgres type it had before a value did not fit.
        info: Its entry in the Data Dictionary: label, notes, type_override.
        form: How its values are written, if otherwise than Postgres writes them, as far as those
            seen tell; of a column of text, what is not decided yet.
        notation: The one reading of it that is proven; the values are written anew.
        would_be: What the column would be without its signs for no value, or if its type were not
            kept, as far as the rows seen allow it.
    """

    name: str
    type: str
    header: str = ""
    inferred_as: str | None = None
    declared: Mapping[str, Any] | None = None
    widened_from: str | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    form: Notation | None = None
    notation: Notation | None = None
    would_be: Column | None = None

    @property
    def check(self) -> Check:
        """Which cells it may have: a declared integer stays one, also if stored as numeric."""
        if self.declared is not None:
            for row in registry.types_of(self.declared["type"]):
                if row.alternative and row.alternative.type == self.type:
                    return row.alternative.check
        return registry.type_named(self.type).check

    @property
    def label(self) -> str:
        """Its header where the name had to be another one, else nothing."""
        return self.header if self.header.strip() not in ("", self.name) else ""

    @property
    def type_override(self) -> str | None:
        """The type that the Data Dictionary decides, in the publisher's own words."""
        word = self.info.get("type_override")
        return word if isinstance(word, str) and word else None

    @property
    def read_as(self) -> str | None:
        """How its values are written; None: as Postgres writes them, or as the schema says."""
        return self.notation.read_as if self.notation else None

    @property
    def narrower(self) -> str | None:
        """The Postgres type that it would be; None if it would be text all the same."""
        would_be = self.would_be
        return would_be.type if would_be and would_be.type != registry.TEXT else None

    @property
    def is_watched(self) -> bool:
        """Whether every row is to be looked at, though its type holds them all."""
        return self.would_be is not None or (self.form is not None and self.notation is None)

    @property
    def is_converted(self) -> bool:
        """Whether its values are written anew, as Postgres does."""
        return self.notation is not None or self.is_in_own_form

    @property
    def is_in_own_form(self) -> bool:
        """Whether frictionless reads its values, and they are written anew as Postgres does."""
        when = registry.type_named(self.type).converted
        if self.declared is None or when == "never":
            return False
        return (
            when == "always"
            or self.declared.get("format", "default") != "default"
            or any(form in self.declared for form in _FORMS)
        )
