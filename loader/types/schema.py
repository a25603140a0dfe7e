"""Header and sample -> Columns, by frictionless; and back to a frictionless Schema.

A declared type is the publisher's word. An inferred one is a guess from the sample, held until
a value does not fit it; then the column widens:

    bigint -> numeric -> text        date -> timestamp -> text        all others -> text
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from frictionless import Detector, Field, Schema
from frictionless.exception import FrictionlessException

from loader.errors import UsageError
from loader.types import convert, forms, plugins
from loader.types.descriptor import check_levels

_MAX_NAME_BYTES = 63
# What SQLAlchemy takes for a parameter in CKAN's queries.
_PARAMETER = re.compile(r"(?<![:\w$\\]):(?=[\w$])")
# For SQLAlchemy an escaped colon; for CKAN 2.11 a quote that begins a second statement.
_ESCAPE = re.compile(r"\\(?=[:'])")
_BEGIN = re.compile(r"^(?:[\s_]|:(?=[\w$]))+")
# Every table of Postgres has these already.
_SYSTEM_COLUMNS = {"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"}
_SAMPLED_VALUES = 100  # distinct ones of each column; every row is checked afterwards
_SAMPLED_CELLS = 20_000  # frictionless takes 25 us a cell: a table of 1,000 columns has fewer rows
_POSTGRES = {
    "integer": "bigint",
    "number": "numeric",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp",
    "time": "time",
    "object": "json",
    "array": "json",
}
_WIDER = {"bigint": "numeric", "date": "timestamp"}
_FRICTIONLESS = {
    "bigint": "integer",
    "numeric": "number",
    "timestamp": "datetime",
    "timestamptz": "datetime",
    "text": "string",
}
_DECLARED_AS = _FRICTIONLESS | {"json": "object"}
# Properties that give a field's values a form of their own.
_FORMS = ("decimalChar", "groupChar", "bareNumber", "trueValues", "falseValues")


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: Its name in the table.
        header: The header's cell as written.
        type: Its Postgres type.
        inferred_as: The frictionless type guessed from the sample; None when declared.
        field: The declared field; None when inferred.
        widened_from: The Postgres type it had before a value did not fit.
    """

    name: str
    header: str
    type: str
    inferred_as: str | None = None
    field: Field | None = None
    widened_from: str | None = None

    @property
    def kind(self) -> str:
        """What its values must be: a declared integer stays one, also if stored as numeric."""
        is_integer = self.field is not None and self.field.type == "integer"
        return "integer" if is_integer and self.type == "numeric" else self.type

    @property
    def label(self) -> str:
        """Its header where the name had to be another one, else nothing."""
        return self.header if self.header.strip() not in ("", self.name) else ""

    @property
    def has_own_form(self) -> bool:
        """Whether its values are written otherwise than Postgres and frictionless do."""
        if self.field is None or self.type in ("text", "json"):
            return False
        descriptor = self.field.to_descriptor()
        # A declared boolean may be 1 and 0 too.
        return (
            self.type == "boolean"
            or descriptor.get("format", "default") != "default"
            or any(form in descriptor for form in _FORMS)
        )


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


def read_descriptor(descriptor: Mapping[str, object] | None) -> Schema | None:
    """Return a declared frictionless Schema.

    Raises:
        UsageError: The descriptor is not a valid Table Schema, or leaves open what a value is.
    """
    plugins.load()
    if not descriptor:
        return None
    check_levels(descriptor, "the schema")
    _check_fields(descriptor.get("fields"))
    try:
        schema = Schema.from_descriptor(dict(descriptor))
    except FrictionlessException as error:
        reasons = [reason.note for reason in error.reasons] or [error.error.note]
        raise UsageError(
            f"the schema is not a valid Table Schema: {'; '.join(reasons)}",
            hint="https://specs.frictionlessdata.io/table-schema/",
        ) from error
    for field in schema.fields:
        forms.require_determined(field, schema.missing_values)
    return schema


def _check_fields(fields: object) -> None:
    """Refuse what frictionless stumbles over instead of refusing it."""
    for field in fields if isinstance(fields, list) else ():
        if not isinstance(field, Mapping):
            raise UsageError(f"the schema's field {field!r} is not an object")
        for form in ("decimalChar", "groupChar"):
            if not isinstance(field.get(form, ""), str):
                raise UsageError(f"the schema's {form} {field[form]!r} is not a string")
        if field.get("type") == "number":
            _check_number_forms(field)


def _check_number_forms(field: Mapping[str, Any]) -> None:
    """Refuse what would change a number without a word: ``-`` as groupChar makes 5 of -5."""
    for form in ("decimalChar", "groupChar"):
        value = field.get(form, "")
        if any(one.isalnum() or one in "+-" for one in value):
            raise UsageError(
                f"the schema's {form} {value!r} is a part of numbers themselves",
                hint="give what stands between digits, such as a comma, a full stop or a space",
            )
    if field.get("groupChar") and field["groupChar"] == field.get("decimalChar", "."):
        raise UsageError(
            f"the schema's groupChar {field['groupChar']!r} is the decimalChar too",
            hint="declare both: the decimalChar is a full stop unless it is declared",
        )


def infer(
    headers: Sequence[str],
    sample: Sequence[pa.StringArray],
    declared: Schema | None,
    types: Mapping[str, str] = MappingProxyType({}),
) -> list[Column]:
    """Return the columns: declared where the schema says so, guessed for the rest.

    Args:
        headers: The header's cells.
        sample: The first rows of each column.
        declared: The caller's schema; it need not name every column.
        types: Postgres types that win over the schema's, by the column's name; it may name
            columns that the file does not have.

    Raises:
        UsageError: The schema declares a field that the header does not have.
    """
    plugins.load()
    names = name_columns(headers)
    fields = _declared_fields(headers, names, declared)
    sample = [_without_missing(cells, declared) for cells in sample]
    guessed = _guess(names, sample)
    columns = []
    for name, header, cells in zip(names, headers, sample, strict=True):
        field = fields.get(name)
        if name in types:
            columns.append(
                Column(name, header, types[name], field=_of_type(name, field, types[name]))
            )
            continue
        kind = field.type if field else guessed[name]
        column = Column(
            name,
            header,
            _initial_type(kind, cells),
            inferred_as=None if field else kind,
            field=field,
        )
        columns.append(column)
    return columns


def _of_type(name: str, field: Field | None, postgres: str) -> Field:
    """Return a field of the Postgres type; it keeps its own form if it was of that type before."""
    kind = _DECLARED_AS.get(postgres, postgres)
    if field is not None and field.type == kind:
        return field
    return Field.from_descriptor({"name": name, "type": kind})


def _declared_fields(
    headers: Sequence[str], names: Sequence[str], declared: Schema | None
) -> dict[str, Field]:
    by_name = dict(zip(headers, names, strict=True)) | {name: name for name in names}
    fields: dict[str, Field] = {}
    for field in declared.fields if declared else ():
        if field.name not in by_name:
            raise UsageError(
                f"the schema declares the field {field.name!r}, which the file does not have",
                hint=f"the file has: {', '.join(headers[:20])}",
            )
        fields[by_name[field.name]] = field
    return fields


def _without_missing(cells: pa.StringArray, declared: Schema | None) -> pa.StringArray:
    missing = pa.array(declared.missing_values if declared else [""], pa.string())
    return convert.missing_to_null(cells, missing)


def _guess(names: Sequence[str], sample: Sequence[pa.StringArray]) -> dict[str, str]:
    """Return frictionless's guess for each column, from distinct values of its sample."""
    limit = max(5, min(_SAMPLED_VALUES, _SAMPLED_CELLS // max(len(names), 1)))
    values = [[text for text in cells.unique().to_pylist() if text][:limit] for cells in sample]
    height = max(map(len, values), default=0)
    fragment = [[cells[i] if i < len(cells) else "" for cells in values] for i in range(height)]
    schema = Detector(field_confidence=1).detect_schema(fragment, labels=list(names))
    return {name: field.type for name, field in zip(names, schema.fields, strict=True)}


def _initial_type(kind: str, cells: pa.StringArray) -> str:
    cells = convert.empty_to_null(cells)
    if kind == "datetime" and cells.null_count < len(cells) and convert.fits(cells, "timestamptz"):
        return "timestamptz"
    return _POSTGRES.get(kind, "text")


def before(began: Column, now: Column) -> str:
    """Return the widest type, on the way from one to the other, that was not wide enough."""
    kind = began.type
    while (wider := _WIDER.get(kind, "text")) != now.type and wider != "text":
        kind = wider
    return kind


def settle(column: Column, cells: pa.StringArray) -> Column:
    """Return the column with the narrowest type, from its own on, that all cells fit."""
    kind = column.type
    while not convert.fits(cells, kind):
        kind = _WIDER.get(kind, "text")
    return widen(column, kind)


def widen(column: Column, kind: str) -> Column:
    """Return the column with another type, remembering the one it began with."""
    if kind == column.type:
        return column
    return replace(column, type=kind, widened_from=column.widened_from or column.type)


def as_text(column: Column) -> Column:
    """Return the column as text, which holds everything."""
    return widen(column, "text")


def _frictionless_type(column: Column) -> str:
    if column.type == "json":
        return column.inferred_as or "any"
    return _FRICTIONLESS.get(column.type, column.type)


def describe(columns: Iterable[Column]) -> dict[str, object]:
    """Return the frictionless Schema descriptor of the table."""
    return {
        "fields": [
            column.field.to_descriptor() | {"name": column.name}
            if column.field
            else {"name": column.name, "type": _frictionless_type(column)}
            | ({"title": column.header} if column.header != column.name else {})
            for column in columns
        ]
    }
