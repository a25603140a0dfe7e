"""Header and sample -> Columns, by frictionless; and back to a frictionless Schema.

In: the header's cells, the first rows, and the declared schema. Out: columns. A declared type is
the publisher's word. An inferred one is a guess from the sample, held until a value does not fit
it (``widening``). Holds the distinct values of the sample.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from frictionless import Detector, Schema
from frictionless.exception import FrictionlessException

from loader.errors import UsageError
from loader.types import convert, field_formats, notation, nulls, plugins, registry
from loader.types.column import Column
from loader.types.descriptor import check_levels
from loader.types.names import name_columns
from loader.types.notation import Notation

# A property of fields: how values are written that frictionless has no properties for.
READ_AS = "readAs"
_SAMPLED_VALUES = 100  # distinct ones of each column; every row is checked afterwards
_SAMPLED_CELLS = 20_000  # frictionless takes 25 us a cell: a table of 1,000 columns has fewer rows


@dataclass(frozen=True)
class Declared:
    """A declared Table Schema, as far as a load needs it.

    Attributes:
        fields: The descriptor of each field, by its name.
        missing: The ``missingValues``.
    """

    fields: Mapping[str, Mapping[str, Any]]
    missing: Sequence[str]

    def names_all(self, headers: Sequence[str]) -> bool:
        """Tell whether each column has a field, by the header's cell or by the table's name."""
        pairs = zip(headers, name_columns(headers), strict=True)
        return all(header in self.fields or name in self.fields for header, name in pairs)


def read_descriptor(descriptor: Mapping[str, object] | None) -> Declared | None:
    """Return what a frictionless Schema descriptor declares.

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
        field_formats.require_determined(field, schema.missing_values)
    fields = {field.name: field.to_descriptor() for field in schema.fields}
    return Declared(fields, schema.missing_values)


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
        if any(sign.isalnum() or sign in "+-" for sign in value):
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
    declared: Declared | None,
    types: Mapping[str, str] = MappingProxyType({}),
    *,
    trims: bool = False,
) -> list[Column]:
    """Return the columns: declared where the schema says so, guessed for the rest.

    Args:
        headers: The header's cells.
        sample: The first rows of each column.
        declared: The caller's schema; it need not name every column.
        types: Postgres types that win over the schema's, by the column's name; it may name
            columns that the file does not have.
        trims: Whether spaces around a value do not count.

    Raises:
        UsageError: The schema declares a field that the header does not have.
    """
    plugins.load()
    names = name_columns(headers)
    fields = _declared_fields(headers, names, declared)
    sample = [_without_missing(cells, declared) for cells in sample]
    if trims:
        sample = [_trimmed(cells) for cells in sample]
    guessed = _guess(names, sample)
    columns = []
    for name, header, cells in zip(names, headers, sample, strict=True):
        field = fields.get(name)
        if name in types:
            column = Column(name, types[name], header, declared=_of_type(name, field, types[name]))
        else:
            kind = field["type"] if field else guessed[name]
            inferred_as = None if field else _shown(kind, cells)
            column = Column(name, _initial_type(kind, cells), header, inferred_as, field)
            if field and READ_AS in field:
                column = _written_as(column, field[READ_AS])
        columns.append(column)
    return columns


def _written_as(column: Column, read_as: object) -> Column:
    """Return a declared column whose values are written as a property of ours says."""
    written = notation.parse(read_as)
    if written is None or not registry.holds(column.type, written.type):
        raise UsageError(
            f"the schema's {READ_AS} {read_as!r} is none of the type {column.type}",
            hint="such as %d.%m.%Y for a date or 1.234,56 EUR for a number",
        )
    return replace(column, form=written.loosened(), notation=written.loosened())


def _of_type(name: str, field: Mapping[str, Any] | None, postgres: str) -> Mapping[str, Any]:
    """Return a field of the Postgres type; it keeps its own form if it was of that type before."""
    kind = next(iter(registry.type_named(postgres).frictionless), "any")
    if field is not None and field["type"] == kind:
        return field
    return {"name": name, "type": kind}


def _declared_fields(
    headers: Sequence[str], names: Sequence[str], declared: Declared | None
) -> dict[str, Mapping[str, Any]]:
    by_name = dict(zip(headers, names, strict=True)) | {name: name for name in names}
    fields: dict[str, Mapping[str, Any]] = {}
    for name, field in declared.fields.items() if declared else ():
        if name not in by_name:
            raise UsageError(
                f"the schema declares the field {name!r}, which the file does not have",
                hint=f"the file has: {', '.join(headers[:20])}",
            )
        fields[by_name[name]] = field
    return fields


def _without_missing(cells: pa.StringArray, declared: Declared | None) -> pa.StringArray:
    missing = pa.array(declared.missing if declared else [""], pa.string())
    return nulls.missing_to_null(cells, missing)


def _trimmed(cells: pa.StringArray) -> pa.StringArray:
    """Return the first rows without spaces around the cells, if a cell has any."""
    few = cells[:_SAMPLED_VALUES]
    trimmed = nulls.trimmed(few)
    return nulls.trimmed(cells) if not trimmed.equals(few) else cells


def _shown(kind: str, cells: pa.StringArray) -> str:
    """Return a guess of frictionless as it is shown: a price such as 1,5 is no coordinate."""
    if kind == "geopoint":
        sample = filter(None, cells.unique().to_pylist())
        pairs = [text.split(",") for text in itertools.islice(sample, _SAMPLED_VALUES)]
        return kind if all("." in part for pair in pairs for part in pair) else "string"
    return kind


def _guess(names: Sequence[str], sample: Sequence[pa.StringArray]) -> dict[str, str]:
    """Return frictionless's guess for each column, from distinct values of its sample."""
    limit = max(5, min(_SAMPLED_VALUES, _SAMPLED_CELLS // max(len(names), 1)))
    values = [[text for text in cells.unique().to_pylist() if text][:limit] for cells in sample]
    height = max(map(len, values), default=0)
    fragment = [[cells[i] if i < len(cells) else "" for cells in values] for i in range(height)]
    schema = Detector(field_confidence=1).detect_schema(fragment, labels=list(names))
    return {name: field.type for name, field in zip(names, schema.fields, strict=True)}


def _initial_type(frictionless: str, cells: pa.StringArray) -> str:
    """Return the type that a type of frictionless is stored as; the sample decides of several."""
    first, *others = registry.types_of(frictionless) or [registry.type_named(registry.TEXT)]
    cells = nulls.empty_to_null(cells)
    if cells.null_count < len(cells):
        return next((row.name for row in others if row.check.fits(cells)), first.name)
    return first.name


def describe(columns: Iterable[Column]) -> dict[str, object]:
    """Return the frictionless Schema descriptor of the table."""
    return {"fields": [_described(column) for column in columns]}


def _described(column: Column) -> dict[str, object]:
    if column.declared:
        return {**column.declared, "name": column.name}
    title = {"title": column.header} if column.header != column.name else {}
    described: dict[str, object] = {"name": column.name, "type": _frictionless_type(column)}
    if column.notation is not None:
        described |= _said(column.notation) or {READ_AS: column.read_as}
    return {**described, **title}


def has_read_as(column: Column) -> bool:
    """Return whether a column's descriptor has ``readAs``: its values are not frictionless's."""
    return column.notation is not None and not _said(column.notation)


def _said(written: Notation) -> dict[str, object] | None:
    """Return the properties of a field that is read like a column; None if there are none."""
    said = written.field()
    if said and said.get("bareNumber") is False:
        marks = f"{said.get('groupChar', '')}{said.get('decimalChar', '')}"
        if not convert.bare_number(written.read_as, marks):
            return None  # such as S/ 5, whose slash might belong to the number
    return said


def _frictionless_type(column: Column) -> str:
    names = registry.type_named(column.type).frictionless
    return names[0] if len(names) == 1 else column.inferred_as or "any"
