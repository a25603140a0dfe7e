"""A schema's constraints that frictionless would check too slowly -> checked in linear time.

In: rows of cells, and a schema. Out: the rows and the schema for frictionless, and the cells that
do not match their pattern. A schema's patterns are taken out of what frictionless is given and
checked here, a block of rows at a time; what they do not match is reported as frictionless does.
frictionless reads no number, date and the like that is longer than any can be. Holds what was
found in the rows that frictionless has not read yet.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frictionless import Check, Error, Field, Row, Schema
from frictionless.errors import ConstraintError
from frictionless.exception import FrictionlessException

from loader.errors import UsageError, shorten
from loader.types import convert, field_formats
from loader.types.patterns import Pattern

_MOST_CHARACTERS = 1000
# Values of other types may be of any length: frictionless reads them in linear time.
_SHORT_TYPES = {
    *("integer", "number", "boolean", "date", "datetime", "time", "duration"),
    *("year", "yearmonth", "geopoint"),
}
# frictionless takes more texts for values of these types than the loader does.
_READ = {"integer", "number", "date", "datetime", "time"}
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_SHORT_FORMATS = {"email", "uuid"}


@dataclass(frozen=True)
class _Checked:
    """A field whose cells are checked here: against its pattern, or that of its items."""

    index: int
    name: str
    pattern: Pattern
    of_items: bool
    missing: frozenset[str]

    @property
    def note(self) -> str:
        """What frictionless writes."""
        whose = "array item " if self.of_items else ""
        return f'{whose}constraint "pattern" is "{self.pattern.text}"'

    def misses(self, rows: Sequence[Sequence[str]]) -> Iterator[int]:
        """Yield the indices of the rows whose cell the pattern does not match."""
        texts: list[str] = []
        owners: list[int] = []
        for index, row in enumerate(rows):
            if len(row) > self.index and row[self.index] not in self.missing:
                items = _items(row[self.index]) if self.of_items else [row[self.index]]
                texts += items
                owners += [index] * len(items)
        yield from sorted({owners[miss] for miss in self.pattern.misses(texts)})


class Constraints:
    """A schema for frictionless, and what is checked beside it.

    Args:
        descriptor: Of a valid Table Schema that has all columns.

    Attributes:
        schema: Without patterns.
        check: What reports cells that do not match theirs.

    Raises:
        UsageError: A pattern, a format or another constraint that cannot be used.
    """

    def __init__(self, descriptor: Mapping[str, Any]) -> None:
        given = copy.deepcopy(dict(descriptor))
        self._readers = {
            index: convert.reader_of(Field.from_descriptor(dict(field)).to_descriptor())
            for index, field in enumerate(descriptor["fields"])
            if field.get("type") in _READ and field_formats.has_own_format(field)
        }
        patterns = [_take_patterns(field) for field in given["fields"]]
        self._not_bare = [i for i, field in enumerate(given["fields"]) if _take_not_bare(field)]
        self.schema = Schema.from_descriptor(given)
        for field in self.schema.fields:
            _require_usable(field)
        self._checked = [
            _Checked(index, field.name, pattern, of_items, frozenset(_missing(field, self.schema)))
            for index, field in enumerate(self.schema.fields)
            for pattern, of_items in patterns[index]
        ]
        self._short = [i for i, field in enumerate(self.schema.fields) if _is_short(field)]
        self._missing = [frozenset(_missing(field, self.schema)) for field in self.schema.fields]
        self._found: dict[int, list[_Checked]] = {}
        self.check = _PatternCheck()
        self.check.found = self._found

    @property
    def bounded(self) -> list[str]:
        """The fields with a least or a greatest value."""
        fields = [*self.schema.fields, *filter(None, map(_item_field, self.schema.fields))]
        return [field.name for field in fields if _BOUNDS.intersection(field.constraints)]

    def records(self, blocks: Iterable[list[list[str]]]) -> Iterator[list[Any]]:
        """Check rows, and yield them as frictionless is to read them.

        Args:
            blocks: The rows of the file from the first on, the header's among them.
        """
        row_number = 1
        for rows in blocks:
            for checked in self._checked:
                for index in checked.misses(rows):
                    self._found.setdefault(row_number + index, []).append(checked)
            for row in rows:
                yield self._for_frictionless(row)
            row_number += len(rows)

    def _for_frictionless(self, row: Sequence[str]) -> list[Any]:
        cells: list[Any] = list(row)
        for index in self._short:
            if len(row) > index and len(row[index]) > _MOST_CHARACTERS:
                cells[index] = _Unread(row[index])
        for index, read in self._readers.items():
            is_value = len(row) > index and row[index] not in self._missing[index]
            if is_value and isinstance(cells[index], str) and read(row[index]) is None:
                cells[index] = _Unread(row[index])
        for index in self._not_bare:
            if len(row) > index and isinstance(cells[index], str):
                cells[index] = _NotBare(row[index])
        return cells


class _Unread:
    """A cell that no field reads, as it is no text."""

    def __init__(self, text: str) -> None:
        self._text = shorten(text)

    def __str__(self) -> str:
        return self._text


class _NotBare(str):
    """A number's cell: it is read without what stands around the number, and reported with it."""

    _text: str

    def __new__(cls, text: str) -> _NotBare:
        cell = super().__new__(cls, convert.bare_number(text.strip()))
        cell._text = text
        return cell

    def __str__(self) -> str:
        return self._text


def _require_usable(field: Field) -> None:
    """Refuse what frictionless would stumble over at the first value, or take for the file's.

    Raises:
        UsageError: Says which field, and why.
    """
    item = _item_field(field)
    if item is not None:
        _require_usable(item)
    if getattr(field, "delimiter", None) == "":
        raise UsageError(f"the delimiter of the schema's field {field.name!r} is empty")
    try:
        read = field.create_value_reader()
    except FrictionlessException as error:
        raise UsageError(
            f"the schema's field {field.name!r} has the format {field.format!r}, which cannot be"
            f" checked here: {error.error.note}",
            hint="install that, or leave the format out of the schema for validation",
        ) from error
    for name in sorted(_BOUNDS.intersection(field.constraints)):
        bound = field.constraints[name]
        if read(bound) is None:
            raise UsageError(
                f"the {name} {shorten(str(bound))!r} of the schema's field {field.name!r} is no"
                f" {field.type}",
                hint="write it as the values of the file are written",
            )


def _item_field(field: Field) -> Field | None:
    item = getattr(field, "array_item", None)
    if field.type != "array" or not item:
        return None
    # As frictionless does: of an array in an array it knows no items.
    without = {name: value for name, value in item.items() if name != "arrayItem"}
    return Field.from_descriptor({**without, "name": field.name})


class _PatternCheck(Check):
    """Reports, row by row, what was found before."""

    type = "pattern"
    Errors = [ConstraintError]  # noqa: RUF012  (frictionless declares it so)
    found: dict[int, list[_Checked]]

    def validate_row(self, row: Row) -> Iterable[Error]:
        """Yield the errors of a row's cells that could be read."""
        unread = row.error_cells
        for checked in self.found.pop(row.row_number, ()):
            if checked.name not in unread:
                yield ConstraintError(
                    note=checked.note,
                    cells=["" if cell is None else str(cell) for cell in row.cells],
                    row_number=row.row_number,
                    cell=str(row.cells[checked.index]),
                    field_name=checked.name,
                    field_number=checked.index + 1,
                )


def _take_patterns(field: dict[str, Any]) -> list[tuple[Pattern, bool]]:
    """Take a field's pattern out of its descriptor, and that of its items."""
    taken = []
    for holder, of_items in ((field, False), (field.get("arrayItem"), True)):
        constraints = holder.get("constraints") if isinstance(holder, dict) else None
        if isinstance(constraints, dict) and "pattern" in constraints:
            text = constraints.pop("pattern")
            if not isinstance(text, str):
                raise UsageError(f"the schema's pattern {text!r} is not a string")
            taken.append((Pattern(text), of_items))
    return taken


def _take_not_bare(field: dict[str, Any]) -> bool:
    """Take it out of a field's descriptor that its numbers have text around them."""
    if field.pop("bareNumber", True) or field.get("type") not in ("integer", "number"):
        return False
    constraints = field.get("constraints", {})
    for name, given in constraints.items():
        if isinstance(given, str):
            constraints[name] = convert.bare_number(given)
        elif isinstance(given, list):
            constraints[name] = [
                convert.bare_number(value) if isinstance(value, str) else value for value in given
            ]
    return True


def _missing(field: Field, schema: Schema) -> Sequence[str]:
    return field.missing_values if field.has_defined("missing_values") else schema.missing_values


def _is_short(field: Field) -> bool:
    return field.type in _SHORT_TYPES or field.format in _SHORT_FORMATS


def _items(text: str) -> list[str]:
    """Return the texts of a JSON array; what is none, frictionless tells."""
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [item for item in items if isinstance(item, str)] if isinstance(items, list) else []
