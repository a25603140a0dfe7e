"""What a source is, and whether its rows are valid, without loading it."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from frictionless import Resource
from http_server import HttpServer

from loader import describe, errors
from loader.options import Options
from loader.types import notation


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(content: str, name: str = "in.csv", encoding: str = "utf-8") -> str:
    Path(name).write_bytes(content.encode(encoding))
    return name


def problems(report: dict) -> list[tuple]:
    """Return type, row and field of each error."""
    return [
        (error["type"], error.get("rowNumber"), error.get("fieldName"))
        for error in report["tasks"][0]["errors"]
    ]


# infer


def test_a_descriptor_names_all_that_was_found():
    source = write("Bericht\n\nname|größe|name\nA|1,5|x\n", "Zwei Städte.2024.csv", "cp1252")
    assert describe.infer(source) == {
        "name": "zwei-städte-2024",
        "type": "table",
        "path": "Zwei Städte.2024.csv",
        "scheme": "file",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "cp1252",
        "dialect": {"csv": {"delimiter": "|"}, "headerRows": [3]},
        "schema": {
            "fields": [
                {"name": "name", "type": "string"},
                {"name": "größe", "type": "number", "decimalChar": ","},
                {"name": "name_2", "type": "string", "title": "name"},
            ]
        },
    }


READ_BY_FRICTIONLESS = {
    "the usual": ("a,b\n1,x\n2,y\n", "utf-8"),
    "no usual delimiter": ("a;b\n1;x\n", "utf-8"),
    "another encoding": ("a,b\n1,Zoë\n2,Łódź\n", "cp1250"),
    "a preamble": ("Title\n\na,b\n1,x\n", "utf-8"),
}


@pytest.mark.parametrize(
    ("content", "encoding"), READ_BY_FRICTIONLESS.values(), ids=READ_BY_FRICTIONLESS.keys()
)
def test_frictionless_reads_the_file_with_the_descriptor(content, encoding):
    descriptor = describe.infer(write(content, encoding=encoding), Options(encoding=encoding))
    rows = Resource.from_descriptor(json.loads(json.dumps(descriptor))).read_rows()
    expected = [line.replace(";", ",").split(",") for line in content.split("\n")[:-1]]
    header = next(i for i, line in enumerate(expected) if line[0] == "a")
    assert [[str(row["a"]), row["b"]] for row in rows] == expected[header + 1 :]


def test_a_source_that_is_packed_and_far_away_is_described():
    with HttpServer(gzip.compress(b"a\n1\n")) as server:
        descriptor = describe.infer(f"{server.url}.gz?X-Goog-Signature=secret")
    assert descriptor["schema"] == {"fields": [{"name": "a", "type": "integer"}]}
    assert descriptor["scheme"] == "http"
    assert descriptor["path"].endswith("/data.csv.gz?X-Goog-Signature=***")


def test_a_path_object_will_do():
    write("a\n1\n")
    assert describe.infer(Path("in.csv"))["path"] == "in.csv"
    assert describe.validate(Path("in.csv"))["valid"]


def test_declared_fields_stay_as_they_are():
    declared = {
        "fields": [{"name": "b", "type": "date", "format": "%d/%m/%Y", "title": "Day"}],
        "missingValues": ["", "-"],
        "primaryKey": ["b"],
    }
    schema = describe.infer(write("a,b\n1,31/12/2020\n"), Options(schema=declared))["schema"]
    assert schema == {
        **declared,
        "fields": [{"name": "a", "type": "integer"}, declared["fields"][0]],
    }


def test_a_header_without_rows_has_columns_of_text():
    fields = describe.infer(write("a,b\n"))["schema"]["fields"]
    assert fields == [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]


def test_what_is_no_table_is_the_same_error_as_for_a_load():
    with pytest.raises(errors.NotATable):
        describe.infer(write("<!doctype html>"))


# validate


def test_every_row_is_checked_against_what_is_declared():
    schema = {
        "fields": [
            {"name": "id", "type": "integer", "constraints": {"required": True}},
            {"name": "kind", "type": "string", "constraints": {"enum": ["a", "b"]}},
        ]
    }
    rows = "1,a\n2,b\n" * 5000
    report = describe.validate(write(f"id,kind\n{rows},c\nx,a\n3\n"), Options(schema=schema))
    assert not report["valid"]
    assert problems(report) == [
        ("constraint-error", 10002, "id"),
        ("constraint-error", 10002, "kind"),
        ("type-error", 10003, "id"),
        ("missing-cell", 10004, "kind"),
    ]


def test_a_key_that_comes_twice_is_found():
    schema = {
        "fields": [{"name": "id", "type": "integer"}],
        "primaryKey": "id",
    }
    report = describe.validate(write("id\n1\n2\n1\n"), Options(schema=schema))
    assert problems(report) == [("primary-key", 4, None)]


def test_missing_values_are_no_errors():
    schema = {"fields": [{"name": "id", "type": "integer"}], "missingValues": ["", "-"]}
    assert describe.validate(write("id,b\n1,x\n-,y\n"), Options(schema=schema))["valid"]


def test_what_is_inferred_is_checked_too():
    first_block = f"1,{'x' * 1000}\n" * 5000
    report = describe.validate(write(f"id,note\n{first_block}N/A,late\n"))
    assert problems(report) == [("type-error", 5002, "id")]


def test_at_most_a_thousand_errors_are_listed():
    schema = {"fields": [{"name": "id", "type": "integer"}]}
    report = describe.validate(write("id\n" + "x\n" * 3000), Options(schema=schema))
    assert len(problems(report)) == 1000


def test_rows_are_those_of_the_file_below_a_preamble():
    schema = {"fields": [{"name": "id", "type": "integer"}]}
    source = write('"A title\nin two lines"\n\nid,name\n1,a\n\nx,b\n')
    report = describe.validate(source, Options(schema=schema))
    assert problems(report) == [("blank-row", 5, None), ("type-error", 6, "id")]


def test_a_pattern_is_matched_whole_and_told_as_frictionless_tells_it():
    fields = [
        {"name": "id", "type": "integer"},
        {
            "name": "code",
            "type": "string",
            "constraints": {"pattern": "[A-Z]{2}|x", "minLength": 1},
        },
        {
            "name": "mail",
            "type": "string",
            "format": "email",
            "constraints": {"pattern": ".*@b.de"},
        },
    ]
    rows = "1,AB,a@b.de\n" * 3000 + "2,ABC,a@b.de\n\n3,-,\ny,b,nothing\n4,x,a@c.de\n5\n,,\n"
    given = {"fields": fields, "missingValues": ["", "-"]}
    report = describe.validate(write(f"id,code,mail\n{rows}"), Options(schema=given))
    assert problems(report) == [
        ("constraint-error", 3002, "code"),
        ("blank-row", 3003, None),
        ("type-error", 3005, "id"),
        ("type-error", 3005, "mail"),
        ("constraint-error", 3005, "code"),
        ("constraint-error", 3006, "mail"),
        ("missing-cell", 3007, "code"),
        ("missing-cell", 3007, "mail"),
        ("blank-row", 3008, None),
    ]
    first = report["tasks"][0]["errors"][0]
    assert first["note"] == 'constraint "pattern" is "[A-Z]{2}|x"'
    assert (first["cell"], first["fieldNumber"]) == ("ABC", 2)
    assert first["cells"] == ["2", "ABC", "a@b.de"]
    assert report["stats"]["errors"] == 9


def test_patterns_of_a_lists_items_are_checked():
    items = {"type": "string", "constraints": {"pattern": "a+"}}
    schema = {"fields": [{"name": "n", "type": "array", "arrayItem": items}]}
    rows = '"[""a"", ""aa""]"\n"[""a"", ""b"", ""c""]"\n[]\n[1\n'
    report = describe.validate(write(f"n\n{rows}"), Options(schema=schema))
    assert problems(report) == [("constraint-error", 3, "n"), ("type-error", 5, "n")]


@pytest.mark.parametrize("form", [{}, {"groupChar": ","}, {"bareNumber": False}])
def test_a_number_of_a_billion_digits_takes_no_memory(form):
    limits = {"constraints": {"minimum": 5, "maximum": "1e99999999"}}
    schema = {"fields": [{"name": "n", "type": "number"} | form | limits], "primaryKey": "n"}
    source = write("n\n7\n1e999999999\n1e-999999999\n")
    tracemalloc.start()
    report = describe.validate(source, Options(schema=schema))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row for _, row, _ in problems(report)] == [3, 4]
    assert peak < 32 << 20


def test_patterns_in_rows_longer_than_what_is_read_ahead():
    schema = {"fields": [{"name": "n", "constraints": {"pattern": "x*", "maxLength": 10**6}}]}
    rows = [("x" if i % 2 else "y") * 100_000 for i in range(150)]
    report = describe.validate(write("\n".join(["n", *rows])), Options(schema=schema))
    assert [row for _, row, _ in problems(report)] == list(range(2, 152, 2))


@pytest.mark.parametrize("pattern", ["(?=a)b", "(a", 5])
def test_a_pattern_that_cannot_be_used_is_wrong_usage(pattern):
    schema = {"fields": [{"name": "n", "type": "string", "constraints": {"pattern": pattern}}]}
    with pytest.raises(errors.UsageError):
        describe.validate(write("n\nb\n"), Options(schema=schema))


def test_numbers_with_text_around_them_are_read_and_told_as_written():
    constraints = {"minimum": "5 EUR"}
    schema = {
        "fields": [
            {"name": "n", "type": "number", "bareNumber": False, "constraints": constraints},
            {"name": "i", "type": "integer", "bareNumber": False},
        ]
    }
    rows = "about -5 EUR,7 km\n$ 12.50,x8\nEUR 1 or 2,no\n- 5.5 -,--3\n"
    report = describe.validate(write(f"n,i\n{rows}"), Options(schema=schema))
    assert problems(report) == [
        ("constraint-error", 2, "n"),
        ("type-error", 4, "n"),
        ("type-error", 4, "i"),
        ("type-error", 5, "n"),
        ("type-error", 5, "i"),
    ]
    assert [error["cell"] for error in report["tasks"][0]["errors"]][:2] == [
        "about -5 EUR",
        "EUR 1 or 2",
    ]


@pytest.mark.parametrize(
    "kind", ["number", "integer", "date", "datetime", "time", "year", "duration"]
)
def test_what_is_too_long_for_its_type_is_told_short(kind):
    schema = {"fields": [{"name": "n", "type": kind}]}
    report = describe.validate(write(f"n\n{'1' * 100_000}\n"), Options(schema=schema))
    assert problems(report) == [("type-error", 2, "n")]
    assert len(json.dumps(report)) < 5000


def test_a_quote_that_never_closes_is_an_error_of_the_table():
    rows = f"{'x' * 1000},1\n" * 5000
    report = describe.validate(write(f'a,b\n{rows}"open,1\n'))
    assert [kind for kind, _, _ in problems(report)] == ["source-error"]
    assert "row 5002" in report["tasks"][0]["errors"][0]["note"]


def test_secrets_are_not_in_the_report():
    with HttpServer(b"a\n1\n") as server:
        report = describe.validate(f"{server.url}?token=hunter2")
    assert "hunter2" not in json.dumps(report)
    assert report["tasks"][0]["place"].endswith("?token=***")


# A field that validation cannot check: type, format and constraints; a value; what is said.
UNUSABLE = {
    "WKT": (
        {"type": "string", "format": "wkt"},
        "POINT(1 2)",
        "'a' has the format 'wkt', which cannot be checked here: Please install .frictionless.wkt",
    ),
    "WKT with values": (
        {"type": "string", "format": "wkt", "constraints": {"enum": ["POINT(1 2)"]}},
        "POINT(1 2)",
        "'a' has the format 'wkt', which cannot be checked here",
    ),
    "WKT in an array": (
        {"type": "array", "arrayItem": {"type": "string", "format": "wkt"}},
        '["POINT(1 2)"]',
        "'a' has the format 'wkt', which cannot be checked here",
    ),
    "no integer": (
        {"type": "integer", "constraints": {"minimum": "x"}},
        "1",
        "the minimum 'x' of the schema's field 'a' is no integer",
    ),
    "no number": (
        {"type": "number", "constraints": {"maximum": [1]}},
        "1.5",
        "the maximum '.1.' of the schema's field 'a' is no number",
    ),
    "no date": (
        {"type": "date", "format": "%d.%m.%Y", "constraints": {"maximum": "2020-01-01"}},
        "01.01.2020",
        "the maximum '2020-01-01' of the schema's field 'a' is no date",
    ),
    "no year": ({"type": "year", "constraints": {"minimum": "x"}}, "2020", "is no year"),
    "no month": (
        {"type": "yearmonth", "constraints": {"maximum": "x"}},
        "2020-01",
        "is no yearmonth",
    ),
    "no integer in an array": (
        {"type": "array", "arrayItem": {"type": "integer", "constraints": {"minimum": "x"}}},
        "[1]",
        "the minimum 'x' of the schema's field 'a' is no integer",
    ),
    "a list cut at nothing": (
        {"type": "list", "delimiter": ""},
        "1",
        "the delimiter of the schema's field 'a' is empty",
    ),
    "a time zone in the bound only": (
        {"type": "datetime", "constraints": {"minimum": "2020-01-01T00:00:00Z"}},
        "2020-01-01T00:00:00",
        "a minimum or maximum of the schema cannot be compared with a value of 'a'",
    ),
    "a time zone in the value only": (
        {"type": "datetime", "constraints": {"maximum": "2020-01-01T00:00:00"}},
        "2020-01-01T00:00:00Z",
        "a minimum or maximum of the schema cannot be compared with a value of 'a'",
    ),
}


@pytest.mark.parametrize(("field", "value", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_constraint_that_cannot_be_used_is_told(field, value, said):
    quoted = value.replace('"', '""')
    source = write(f'a,b\n"{quoted}",1\n')
    schema = {"fields": [{"name": "a", **field}]}
    with pytest.raises(errors.UsageError, match=said) as caught:
        describe.validate(source, Options(schema=schema))
    assert "\n" not in caught.value.message


# The same types with what can be used.
USABLE = {
    "email": ({"type": "string", "format": "email"}, "a@example.org"),
    "uri": ({"type": "string", "format": "uri"}, "http://example.org"),
    "uuid": ({"type": "string", "format": "uuid"}, "95ecc380-afe9-11e4-9b6c-751b66dd541e"),
    "binary": ({"type": "string", "format": "binary"}, "YWJj"),
    "geopoint": ({"type": "geopoint"}, "1, 2"),
    "geojson": ({"type": "geojson"}, '{"type": "Point", "coordinates": [1, 2]}'),
    "topojson": (
        {"type": "geojson", "format": "topojson"},
        '{"type": "Topology", "objects": {}, "arcs": []}',
    ),
    "integer": ({"type": "integer", "constraints": {"minimum": "1", "maximum": 2}}, "1"),
    "date": (
        {"type": "date", "format": "%d.%m.%Y", "constraints": {"maximum": "01.01.2020"}},
        "01.01.2020",
    ),
    "yearmonth": ({"type": "yearmonth", "constraints": {"minimum": "2020-01"}}, "2020-01"),
    "duration": ({"type": "duration"}, "P1Y2D"),
    "list": ({"type": "list", "delimiter": ";", "itemType": "integer"}, "1;2"),
    "array": (
        {"type": "array", "arrayItem": {"type": "integer", "constraints": {"minimum": 1}}},
        "[1]",
    ),
}


@pytest.mark.parametrize(("field", "value"), USABLE.values(), ids=USABLE)
def test_every_type_and_format_is_validated(field, value):
    quoted = value.replace('"', '""')
    source = write(f'a,b\n"{quoted}",1\n')
    schema = {"fields": [{"name": "a", **field}]}
    report = describe.validate(source, Options(schema=schema))
    assert (report["valid"], report["errors"]) == (True, [])


# What a load reads as people write it, frictionless finds no fault in.
WRITTEN = {
    "dates": "a|b\n31.12.2020|x\n1.1.2021|y\n",
    "spaces": "a|b\n 5|x\n6 | y\n",
    "spaces around dates": "a|b\n 31.12.2020|x\n01.01.2021|y\n",
    "German months": "a|b\n31. Dezember 2020|x\n1. Mai 2021|y\n",
    "halves of the day": "a|b\n12/31/2020 1:05 PM|x\n",
    "numbers": "a|b\n1.234,50|x\n-5,00|y\n",
    "brackets": "a|b\n$1,234.50|x\n($5.00)|y\n",
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_what_a_load_reads_is_valid(text):
    assert describe.validate(write(text))["valid"]
    assert describe.infer(write(text))["schema"]["fields"][0]["type"] != "string"


@pytest.mark.parametrize("missing", ["keep", "auto"])
def test_signs_for_no_value_are_valid_where_a_load_reads_none(missing):
    source = write("a|b\n5|x\nN/A|N/A\n")
    assert describe.validate(source, Options(missing=missing))["valid"]


def test_a_value_that_does_not_fit_is_still_found():
    schema = {"fields": [{"name": "a", "type": "integer"}]}
    report = describe.validate(write("a|b\n5|x\nN/A|N/A\n"), Options(schema=schema))
    assert [error["rowNumber"] for error in report["tasks"][0]["errors"]] == [3]


def dates_in_words(count: int, others: dict[int, str]) -> str:
    """A file of so many dates as a German writes them, with other cells in some rows."""
    dates = (f"{i % 28 + 1}. Mai {1990 + i % 30}" for i in range(count))
    cells = (others.get(row, date) for row, date in enumerate(dates, start=2))
    return "a|b\n" + "".join(f"{cell}|x\n" for cell in cells)


@pytest.mark.parametrize("count", [1, 2, 999, 1000, 1001, 2500])
def test_cells_that_are_no_values_are_found_among_those_that_are(count):
    odd = {row: "31. Februar 2020" if row % 2 else "soon" for row in {2, 3, 700, 1001, count + 1}}
    odd = {row: cell for row, cell in odd.items() if row <= count + 1}
    field = {"name": "a", "type": "date", "readAs": "%-d. %B %Y [de]"}
    schema = {"fields": [field], "missingValues": ["-"]}
    source = write(dates_in_words(count, odd | {row + 1: "-" for row in odd} | odd))
    errors = describe.validate(source, Options(schema=schema))["tasks"][0]["errors"]
    found = {error["rowNumber"]: error["cell"] for error in errors}
    assert found == odd


def test_columns_are_read_many_cells_at_a_time(monkeypatch):
    alone = []
    learn = notation.learn
    source = write(dates_in_words(20_000, {}))

    def counted(cells, *given):
        alone.append(len(cells))
        return learn(cells, *given)

    monkeypatch.setattr(notation, "learn", counted)
    assert describe.validate(source)["valid"]
    assert len(alone) < 10
