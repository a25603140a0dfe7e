"""Header, sample and declared schema -> columns with valid names and types; and a Schema again."""

import pyarrow as pa
import pytest
import sqlalchemy as sa
from frictionless import Schema
from hypothesis import example, given
from hypothesis import strategies as st
from names import headers as any_headers

from loader.copy.database import DDL_DIALECT
from loader.errors import UsageError
from loader.types import widening
from loader.types.column import Column
from loader.types.names import name_columns
from loader.types.schema import describe, infer, read_descriptor

LONG = "a" * 70


def nested(levels: int) -> list[object]:
    return [nested(levels - 1)] if levels else []


# name: headers, names
NAMES = {
    "valid ones stay": (["a", "Straße 1", "x.y-z/%"], ["a", "Straße 1", "x.y-z/%"]),
    "empty": (["a", "", " "], ["a", "column_2", "column_3"]),
    "an empty one's name is taken": (["", "column_1"], ["column_1_2", "column_1"]),
    "duplicates": (["a", "a", "a"], ["a", "a_2", "a_3"]),
    "duplicates of a suffix": (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
    "other case is another name": (["a", "A"], ["a", "A"]),
    "leading underscores": (["_a", "__b", "_"], ["a", "b", "column_3"]),
    "leading underscores and spaces": (["_ _a", " _ b"], ["a", "b"]),
    "the DataStore's own": (["_id", "_full_text"], ["id", "full_text"]),
    "the DataStore's own, and theirs": (["_id", "id"], ["id_2", "id"]),
    "double quotes": (['a "b"'], ["a 'b'"]),
    "surrounding space": ([" a ", "\tb\u00a0"], ["a", "b"]),
    "surrounding space makes a duplicate": ([" a", "a", "a "], ["a_2", "a", "a_3"]),
    "a NUL": (["a\0b"], ["ab"]),
    "lines and tabs": (["a\nb", "a\tb"], ["a b", "a b_2"]),
    "what cannot be seen": (["Stra\u00adße", "\u200bb", "\ufeff"], ["Straße", "b", "column_3"]),
    "colons": (
        ["Zeit :von", ":x", "(:mm)", "a:b", "a: b", "::c"],
        ["Zeit _von", "x", "(_mm)", "a:b", "a: b", "::c"],
    ),
    "duplicates with a colon": (["Total :", "Total :", "_:x"], ["Total :", "Total __2", "x"]),
    "colons and dollars": (["a :$1", ":$", "$:a", "a:$b"], ["a _$1", "$", "$:a", "a:$b"]),
    "backslashes": (
        ["C:\\:temp", "a\\'b", 'a\\"b', "a\\\\:", "a\\b\\", "\\'"],
        ["C:_:temp", "a_'b", "a_'b_2", "a\\_:", "a\\b\\", "'"],
    ),
    "63 bytes": (["a" * 63], ["a" * 63]),
    "more than 63 bytes": ([LONG], ["a" * 63]),
    "more than 63 bytes, twice": ([LONG, LONG + "b"], ["a" * 63, "a" * 61 + "_2"]),
    "63 bytes, cut at a character": (["ß" * 40], ["ß" * 31]),
    "63 bytes, cut at a space": (["a" * 62 + " b"], ["a" * 62]),
}


@pytest.mark.parametrize(("headers", "names"), NAMES.values(), ids=NAMES)
def test_names_are_changed_only_as_far_as_needed(headers, names):
    assert name_columns(headers) == names


@given(
    st.lists(
        st.text(st.sampled_from("a_ \"\n\0ß2€\t:$\\'\u00ad"), max_size=70) | any_headers,
        min_size=1,
        max_size=9,
    )
)
@example(["a", "a", "a_2", "a_2_2"])
@example(["\\:" * 40, "(:\\'", "_:x", "a\\\\':", "x" * 60 + " :a", "x" * 60 + " :b"])
def test_names_are_always_valid_for_ckan_and_postgres(written):
    names = name_columns(written)
    assert len(set(names)) == len(written)
    for header, name in zip(written, names, strict=True):
        assert name == name.strip() != ""
        assert not name.startswith("_")
        assert not set(name) & set('"\0\n\t\u00ad')
        assert len(name.encode()) <= 63
        assert "\\'" not in name
        # CKAN writes its queries so.
        assert str(sa.text(f'"{name}"').compile(dialect=DDL_DIALECT)) == f'"{name}"'
        if written.count(header) == 1 and name_columns([header]) == [header]:
            assert name == header


def strings(*values: str | None) -> pa.StringArray:
    return pa.array(values, pa.string())


# name: sample, frictionless type, Postgres type
GUESSED = {
    "integers": (["1", "-2"], "integer", "bigint"),
    "numbers": (["1.5", "2"], "number", "numeric"),
    "booleans": (["true", "false"], "boolean", "boolean"),
    "dates": (["2020-01-31"], "date", "date"),
    "datetimes": (["2020-01-31T10:20:30", "2020-01-31T10:20:30.5"], "datetime", "timestamp"),
    "datetimes with a space": (["2020-01-31 10:20:30"], "datetime", "timestamp"),
    "datetimes with offsets": (
        ["2020-01-31T10:20:30Z", "2020-01-31T10:20:30+02:00"],
        "datetime",
        "timestamptz",
    ),
    "a quoted empty among offsets": (["2020-01-31T10:20:30Z", ""], "datetime", "timestamptz"),
    "times": (["10:20:30"], "time", "time"),
    "objects": (['{"a": 1}'], "object", "json"),
    "arrays": (["[1, 2]"], "array", "json"),
    "words": (["a", "b"], "string", "text"),
    "numbers and a word": (["1", "2", "x"], "string", "text"),
    "a coordinate": (["50.1,7.2"], "geopoint", "text"),
    "prices with a comma": (["1,5", "2,25"], "string", "text"),
    "sizes": (["10,20", "30,40"], "string", "text"),
    "a price and a size": (["50.1,7"], "string", "text"),
    "nothing": ([], "any", "text"),
    "empty cells": ([None, None], "any", "text"),
    "empty cells and integers": ([None, "1", None], "integer", "bigint"),
    "the same value many times, then another": (["1"] * 500 + ["x"], "string", "text"),
}


@pytest.mark.parametrize(("sample", "kind", "postgres"), GUESSED.values(), ids=GUESSED)
def test_types_are_guessed_by_frictionless(sample, kind, postgres):
    (column,) = infer(["a"], [strings(*sample)], None)
    assert (column.inferred_as, column.type, column.declared) == (kind, postgres, None)


DECLARED = {
    "integer": "bigint",
    "number": "numeric",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp",
    "time": "time",
    "object": "json",
    "array": "json",
    "string": "text",
    "any": "text",
    "year": "text",
    "yearmonth": "text",
    "duration": "text",
    "geopoint": "text",
    "geojson": "text",
}


@pytest.mark.parametrize(("kind", "postgres"), DECLARED.items(), ids=DECLARED)
def test_a_declared_type_wins_over_a_guess(kind, postgres):
    declared = read_descriptor({"fields": [{"name": "b", "type": kind}]})
    first, second = infer(["a", "b"], [strings("1"), strings("1")], declared)
    assert (first.type, first.inferred_as) == ("bigint", "integer")
    assert (second.type, second.inferred_as) == (postgres, None)


def test_declared_datetimes_with_offsets_keep_them():
    declared = read_descriptor({"fields": [{"name": "a", "type": "datetime"}]})
    (column,) = infer(["a"], [strings("2020-01-31T10:20:30Z")], declared)
    assert column.type == "timestamptz"


def test_missing_values_are_no_reason_for_text():
    declared = read_descriptor({"fields": [], "missingValues": ["", "NA", "-"]})
    columns = infer(
        ["a", "b"], [strings("1", "NA"), strings("2020-01-31T10:20:30Z", "-")], declared
    )
    assert [column.type for column in columns] == ["bigint", "timestamptz"]


def test_a_field_is_found_by_its_header_and_by_its_columns_name():
    declared = read_descriptor(
        {"fields": [{"name": "_id", "type": "integer"}, {"name": "x", "type": "date"}]}
    )
    columns = infer(["_id", " x"], [strings(), strings()], declared)
    assert [(c.name, c.header, c.type) for c in columns] == [
        ("id", "_id", "bigint"),
        ("x", " x", "date"),
    ]


def test_a_declared_field_that_the_file_does_not_have_is_wrong_usage():
    declared = read_descriptor({"fields": [{"name": "nope", "type": "date"}]})
    with pytest.raises(UsageError, match="'nope', which the file does not have") as raised:
        infer(["a", "b"], [strings(), strings()], declared)
    assert raised.value.hint == "the file has: a, b"


INVALID = {
    "fields are no list": {"fields": "a"},
    "fields are missing": {"missingValues": [""]},
    "a field is no object": {"fields": ["a"]},
    "a field without a name": {"fields": [{"type": "integer"}]},
    "a name twice": {"fields": [{"name": "a"}, {"name": "a"}]},
    "an unknown type": {"fields": [{"name": "a", "type": "json"}]},
    "missingValues is no list": {"fields": [], "missingValues": "NA"},
    "a format that is no string": {"fields": [{"name": "a", "type": "date", "format": 5}]},
    "a decimalChar that is no string": {"fields": [{"name": "a", "decimalChar": 5}]},
    **{
        f"{form} {char!r}, which is in numbers": {
            "fields": [{"name": "a", "type": "number", form: char}]
        }
        for form in ("decimalChar", "groupChar")
        for char in ("-", "+", "5", "e", "E", "x", ",-", "\u0663")
    },
    "groupChar alone is decimalChar too": {
        "fields": [{"name": "a", "type": "number", "groupChar": "."}]
    },
    "both are the same": {
        "fields": [{"name": "a", "type": "number", "groupChar": ",", "decimalChar": ","}]
    },
    "nested too deep": {"fields": [], "x": nested(60)},
}


@pytest.mark.parametrize("descriptor", INVALID.values(), ids=INVALID)
def test_an_invalid_descriptor_is_wrong_usage(descriptor):
    with pytest.raises(UsageError, match="the schema") as raised:
        read_descriptor(descriptor)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["integer", "string", "any", None])
@pytest.mark.parametrize("char", [".", "-", "e"])
def test_what_only_numbers_have_does_not_matter_to_others(kind, char):
    field = {"name": "a", "groupChar": char} | ({"type": kind} if kind else {})
    assert list(read_descriptor({"fields": [field]}).fields) == ["a"]


@pytest.mark.parametrize("descriptor", [None, {}])
def test_no_descriptor_is_no_schema(descriptor):
    assert read_descriptor(descriptor) is None


# name: type, cells, type that holds them
WIDENED = {
    "it fits": ("bigint", ["1", None], "bigint"),
    "a fraction": ("bigint", ["1", "1.5"], "numeric"),
    "beyond 64 bits": ("bigint", ["9223372036854775808"], "numeric"),
    "a word among integers": ("bigint", ["1", "1.5", "N/A"], "text"),
    "a leading zero": ("bigint", ["007"], "text"),
    "a word among numbers": ("numeric", ["1.5", "x"], "text"),
    "a time among dates": ("date", ["2020-01-31", "2020-01-31T10:00:00"], "timestamp"),
    "another form of date": ("date", ["2020-01-31", "31/12/2020"], "text"),
    "an offset among timestamps": ("timestamp", ["2020-01-31T10:00:00Z"], "text"),
    "no offset among timestamptz": ("timestamptz", ["2020-01-31T10:00:00"], "text"),
    "a word among times": ("time", ["10:20:30", "noon"], "text"),
    "a word among booleans": ("boolean", ["true", "yes"], "text"),
    "half an object": ("json", ['{"a": 1'], "text"),
    "anything in text": ("text", ["1", "", None], "text"),
}


@pytest.mark.parametrize(("kind", "cells", "wider"), WIDENED.values(), ids=WIDENED)
def test_a_column_widens_to_the_narrowest_type_that_holds_all(kind, cells, wider):
    column = widening.settle(Column("a", kind), strings(*cells))
    assert (column.type, column.widened_from) == (wider, None if wider == kind else kind)


def test_a_column_widened_twice_remembers_its_first_type():
    column = widening.settle(widening.settle(Column("a", "bigint"), strings("1.5")), strings("x"))
    assert (column.type, column.widened_from) == ("text", "bigint")


# name: first type, last type, the widest that was not wide enough
BEFORE = {
    "one step": ("bigint", "numeric", "bigint"),
    "two steps": ("bigint", "text", "numeric"),
    "dates": ("date", "text", "timestamp"),
    "no steps between": ("json", "text", "json"),
    "stored as another": ("timestamp", "timestamptz", "timestamp"),
}


@pytest.mark.parametrize(("first", "last", "before"), BEFORE.values(), ids=BEFORE)
def test_the_type_before_is_known(first, last, before):
    assert widening.before(Column("a", first), Column("a", last)) == before


def test_the_descriptor_that_comes_out_is_valid_for_every_type():
    samples = [sample for sample, _, _ in GUESSED.values()]
    columns = infer([str(i) for i in range(len(samples))], [strings(*s) for s in samples], None)
    fields = Schema.from_descriptor(describe(columns)).fields
    kinds = [kind for _, kind, _ in GUESSED.values()]
    stored_as_text = {"geopoint": "string", "any": "string"}
    assert [field.type for field in fields] == [stored_as_text.get(k, k) for k in kinds]


def test_a_declared_field_comes_out_as_it_went_in():
    field = {
        "name": "b",
        "type": "date",
        "format": "%d/%m/%Y",
        "title": "B",
        "constraints": {"required": True},
    }
    columns = infer(["b"], [strings()], read_descriptor({"fields": [field]}))
    assert describe(columns) == {"fields": [field]}


def test_a_changed_name_keeps_its_header_as_title():
    assert describe(infer(["_id"], [strings("1")], None)) == {
        "fields": [{"name": "id", "type": "integer", "title": "_id"}]
    }
