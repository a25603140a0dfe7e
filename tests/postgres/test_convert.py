"""What fits a type comes back from a real Postgres as it went in; what does not is left as text."""

import datetime as dt
import json
import re
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pyarrow as pa
import pytest
from frictionless import Field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.copy.encode import Form, encode
from loader.types import checks
from loader.types.convert import convert
from loader.types.nulls import empty_to_null, missing_to_null

CHECKS = {
    "bigint": checks.BIGINT,
    "integer": checks.INTEGER,
    "numeric": checks.NUMERIC,
    "boolean": checks.BOOLEAN,
    "date": checks.DATE,
    "time": checks.TIME,
    "timestamp": checks.TIMESTAMP,
    "timestamptz": checks.TIMESTAMPTZ,
    "json": checks.JSON,
    "text": checks.TEXT,
}
NINES = "9" * 18
MOST = "9223372036854775807"
NOT_NUMBERS = [
    "",
    " ",
    " 1",
    "1 ",
    "+5",
    "007",
    "00",
    "-0",
    "-",
    "1_000",
    "1,000",
    "0x10",
    "1\n",
    "1\n2",
]
NOT_NUMBERS += ["١٢", "１２", "Ⅷ", "1²", "NaN", "Infinity", "-inf", "N/A", "null", "€5"]  # noqa: RUF001
NOT_NUMERIC = [
    ".5",
    "5.",
    "-.5",
    "01.5",
    "-00.5",
    "-0.0",
    "1e5",
    "1E-5",
    "1.5e3",
    "1.5.6",
    "1,5",
    "--1",
]
NOT_TIMES = ["", "today", "now", "infinity", "epoch", "allballs", "noon", "2020", "20200131"]

FITS = {
    "bigint": ["0", "1", "-1", NINES, MOST, "-9223372036854775808"],
    "integer": ["0", "-1", "9" * 19, "-" + "9" * 40],
    "numeric": ["0", "-1", "15.30", "0.0", "0.10", "-0.5", "-0.001", "9" * 40, "1." + "0" * 100],
    "boolean": ["true", "false", "True", "False", "TRUE", "FALSE"],
    "date": ["2020-01-31", "2020-02-29", "0001-01-01", "9999-12-31"],
    "time": [
        "00:00:00",
        "23:59:59",
        "10:20:30.5",
        "10:20:30.123456",
        "08:00:00.250",
        "08:00:00.000",
    ],
    "timestamp": [
        "2020-01-31",
        "2020-01-31 10:20",
        "2020-01-31T10:20:30",
        "2020-01-31 10:20:30",
        "2020-01-31T10:20:30.5",
        "2020-01-31T10:20:30.123456",
        "2020-01-31T10:20:30.000",
        "2020-01-31 10:20:30.250000",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59.999999",
    ],
    "timestamptz": [
        "2020-01-31T10:20:30Z",
        "2020-01-31 10:20:30.5+02:00",
        "2020-01-31T10:20-05",
        "2020-01-31T10:20:30+0530",
        "2020-01-31T10:20:30-00:00",
        "0001-01-02T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
    "json": [
        "{}",
        "[]",
        '{"a": [1, 2.50, 1e400, -0, null, true, "é\\u00e9"]}',
        '{"a": 1, "a": 2}',
        "[ 1 ,\n2 ]\t",
        '["\\ud83d\\ude00", "\U0001f600"]',
        f"[{'9' * 400}]",
        "[" * 500 + "]" * 500,
        "[" + "[]," * 2000 + '"[[[["]',
    ],
    "text": ["", "007", "x\ny", "\\N"],
}
DOES_NOT_FIT = {
    "bigint": [*NOT_NUMBERS, *NOT_NUMERIC, "1.0", "9223372036854775808", "-9223372036854775809"],
    "integer": [*NOT_NUMBERS, *NOT_NUMERIC, "1.0", "9" * 1001],
    "numeric": [*NOT_NUMBERS, *NOT_NUMERIC, "9" * 1001, "0." + "1" * 1000],
    "boolean": ["", "1", "0", "t", "yes", "on", "tRUE", " true", "true\n"],
    "date": [
        *NOT_TIMES,
        "2020-02-30",
        "2019-02-29",
        "2020-13-01",
        "2020-00-01",
        "2020-01-00",
        "0000-01-01",
        "10000-01-01",
        "-0001-01-01",
        "2020-1-1",
        "2020/01/31",
        "31/12/2020",
        "31.12.2020",
        " 2020-01-31",
        "2020-01-31 ",
        "2020-01-31T10:20:30",
        "2020-01-31\n",
        "２０２０-01-31",  # noqa: RUF001
    ],
    "time": [
        *NOT_TIMES,
        "24:00:00",
        "23:59:60",
        "10:60:00",
        "10:20",
        "1:20:30",
        "10:20:30.",
        "10:20:30.1234567",
        "10:20:30Z",
        "10:20:30+02",
        "10:20:30 PM",
    ],
    "timestamp": [
        *NOT_TIMES,
        "2020-01-31T10",
        "2020-01-31T1020",
        "2020-01-31T102030",
        "2020-01-31T102030.5",
        "2020-01-31T24:00:00",
        "2020-01-31T23:59:60",
        "2020-02-30T10:20:30",
        "0000-01-01T00:00:00",
        "2020-01-31T10:20:30.",
        "2020-01-31T10:20:30,5",
        "2020-01-31T10:20:30.1234567",
        "2020-01-31T10:20:30Z",
        "2020-01-31T10:20:30+02:00",
        "2020-01-31  10:20:30",
        "2020-01-31t10:20:30",
        "2020-01-31 10:20:30 ",
    ],
    "timestamptz": [
        *NOT_TIMES,
        "2020-01-31",
        "2020-01-31T10:20:30",
        "2020-01-31T10:20:30z",
        "2020-01-31T10:20:30 Z",
        "2020-01-31T10:20:30 UTC",
        "2020-01-31T10:20:30+15:00",
        "2020-01-31T10:20:30+02:60",
        "2020-02-30T10:20:30Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2020-01-31T24:00:00Z",
        "2020-01-31T10:20:30.1234567Z",
    ],
    "json": [
        "",
        "1",
        '"a"',
        "null",
        "{",
        "{'a': 1}",
        '{"a": NaN}',
        "[Infinity]",
        "[1,]",
        "[01]",
        "[.5]",
        '["a\nb"]',
        '["\\x"]',
        '["\\u0000"]',
        '["\\ud800"]',
        '{"\\udc00": 1}',
        '["\\ude00\\ud83d"]',
        "[" * 501 + "]" * 501,
        "[" * 100_000,
        " {}",
        "\ufeff{}",
    ],
}
STORED_AS = {"integer": "numeric"}
TYPES = [kind for kind in FITS if kind not in ("integer", "text")]


def described(field: dict[str, object]) -> dict[str, object]:
    return Field.from_descriptor({"name": "a"} | field).to_descriptor()


def strings(*values: str | None) -> pa.StringArray:
    return pa.array(values, pa.string())


def pairs(table: dict[str, list[str]]) -> list[object]:
    cases = [(kind, value) for kind, values in table.items() for value in values]
    return [pytest.param(*case, id=f"{case[0]} {case[1][:30]!r}") for case in cases]


@pytest.mark.parametrize(("kind", "value"), pairs(FITS))
def test_what_comes_back_as_it_is_fits(kind, value):
    assert CHECKS[kind].fits(strings(value))
    assert CHECKS[kind].fits(strings(None, value, None, value))


@pytest.mark.parametrize(("kind", "value"), pairs(DOES_NOT_FIT))
def test_what_would_be_changed_or_refused_does_not_fit(kind, value):
    assert not CHECKS[kind].fits(strings(value))
    assert not CHECKS[kind].fits(strings(FITS[kind][0], None, value, FITS[kind][0]))


@pytest.mark.parametrize("kind", FITS)
def test_empty_cells_fit_every_type(kind):
    assert CHECKS[kind].fits(strings())
    assert CHECKS[kind].fits(strings(None, None))


@pytest.mark.parametrize("kind", DOES_NOT_FIT)
@pytest.mark.parametrize("misfits", [[0], [6], [3], [3, 4], [1, 6], [2, 5]])
def test_the_first_misfit_is_found(kind, misfits):
    good = FITS[kind][0]
    cells = strings(*("x\ny" if i in misfits else None if i == 4 else good for i in range(7)))
    assert CHECKS[kind].first_misfit(cells) == misfits[0]


def test_part_of_a_column_fits_whatever_the_rest_holds():
    cells = strings("1", "x\ny", None, "2")
    assert [checks.BIGINT.fits(cells[i : i + 1]) for i in range(4)] == [True, False, True, True]


# Against a real Postgres: a value that fits is never refused, and never changed.


def store(database, kind: str, values: list[str]) -> list[str]:
    """COPY values as a load does, and return them as Postgres shows them."""
    kind = STORED_AS.get(kind, kind)
    database.execute("SET timezone = 'UTC'; DROP TABLE IF EXISTS t")
    database.execute(f"CREATE TABLE t (_id int, v {kind})")
    with database.cursor() as cursor, cursor.copy("COPY t FROM STDIN (FORMAT csv)") as copy:
        for piece in encode(pa.array(range(len(values))), [strings(*values)], Form(",", "\n")):
            copy.write(piece)
    shown = "extract(epoch FROM v)::text" if kind.startswith("timestamp") else "v::text"
    return [text for (text,) in database.execute(f"SELECT {shown} FROM t ORDER BY _id")]


def epoch(text: str) -> Decimal:
    """The seconds since 1970 that a timestamp as written means."""
    pattern = r"(.{10})(?:[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?(Z|[+-]\d\d(?::?\d\d)?)?)?"
    day, hours, minutes, seconds, offset = re.fullmatch(pattern, text, re.ASCII).groups()
    days = dt.date.fromisoformat(day).toordinal() - dt.date(1970, 1, 1).toordinal()
    whole = days * 86400 + int(hours or 0) * 3600 + int(minutes or 0) * 60 + Decimal(seconds or 0)
    if offset in (None, "Z"):
        return whole
    digits = offset[1:].replace(":", "").ljust(4, "0")
    shift = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return whole - shift if offset[0] == "+" else whole + shift


def same(kind: str, written: str, shown: str) -> bool:
    if kind == "boolean":
        return written.lower() == shown
    if kind == "time":
        return dt.timedelta(**_clock(written)) == dt.timedelta(**_clock(shown))
    if kind.startswith("timestamp"):
        return epoch(written) == Decimal(shown)
    return written == shown


def _clock(text: str) -> dict[str, float]:
    hours, minutes, seconds = text.split(":")
    whole, _, fraction = seconds.partition(".")
    return {
        "hours": int(hours),
        "minutes": int(minutes),
        "seconds": int(whole),
        "microseconds": int(fraction.ljust(6, "0")),
    }


@pytest.mark.parametrize("kind", [kind for kind in FITS if kind != "text"])
def test_each_of_these_comes_back_from_postgres(database, kind):
    shown = store(database, kind, FITS[kind])
    assert [v for v, s in zip(FITS[kind], shown, strict=True) if not same(kind, v, s)] == []


digits = st.text("0123456789", min_size=1, max_size=25)
number = st.from_regex(
    r"[-+]?[0-9\u0660\uff10]{0,25}[.,]?[0-9]{0,8}(?:[eE][-+]?[0-9]{1,3})?", fullmatch=True
)
day = st.one_of(
    st.dates().map(str),
    st.from_regex(r"[0-2][09][0-9]{2}-[01][0-9]-[0-3][0-9]", fullmatch=True),
    st.from_regex(r"[0-9]{0,5}[-/. ]?[0-9]{1,2}[-/. ]?[0-9]{1,2}", fullmatch=True),
)
clock = st.one_of(
    st.times().map(str),
    st.from_regex(r"[0-2][0-9]:?[0-6][0-9](:?[0-6][0-9]([.,][0-9]{0,7})?)?", fullmatch=True),
)
offset = st.sampled_from(["", "", "Z", "z", " Z", "+02", "-0530", "+05:30", "+14:59", "-15", "+00"])
offset |= st.from_regex(r"[+-][0-2][0-9]:?[0-9]{0,2}", fullmatch=True)
moment = st.builds(
    "{}{}{}{}".format, day, st.sampled_from(["T", " ", "", "t", "  "]), clock, offset
)
odd = st.text(st.sampled_from("0123456789+-.:TZe_ \n\t٣３²"), max_size=12)  # noqa: RUF001
leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
document = st.recursive(
    leaf, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3)
)
broken = st.text(st.sampled_from('{}[]",:\\u0d8ce1 -.tn'), max_size=12)
written = {
    "bigint": st.integers(-(2**64), 2**64).map(str) | number | digits | odd,
    "numeric": number | digits | odd,
    "boolean": st.sampled_from(["true", "TRUE", "tRue", "t", "1", "false", "False", "no", " true"]),
    "date": day | moment | odd,
    "time": clock | odd,
    "timestamp": moment | day | odd,
    "timestamptz": moment | odd,
    "json": st.one_of(
        document.map(json.dumps),
        document.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
        broken.map("[{}]".format),
        broken.map('["{}"]'.format),
    ).filter(lambda text: text.isprintable() or max(text) < "\ud800"),
}


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_fits_comes_back_from_postgres(database, kind, data):
    values = data.draw(st.lists(written[kind], min_size=20, max_size=60))
    fitting = [value for value in values if CHECKS[kind].fits(strings(value))]
    assert CHECKS[kind].fits(strings(*values)) == (len(fitting) == len(values))
    shown = store(database, kind, fitting)
    assert [(v, s) for v, s in zip(fitting, shown, strict=True) if not same(kind, v, s)] == []


def test_postgres_builds_search_terms_of_every_json_that_fits(database):
    for document in FITS["json"]:
        database.execute("SELECT json_each_text(json_build_object('v', %s::json))", [document])


# Fields that are declared with a form of their own are read by frictionless and written anew.

# name: field, cells, what Postgres is given, index of the first that cannot be read
OWN_FORMS = {
    "a date": (
        {"type": "date", "format": "%d/%m/%Y"},
        ["31/12/2020", None, "01/02/0999"],
        ["2020-12-31", None, "0999-02-01"],
        None,
    ),
    "a date that is none": (
        {"type": "date", "format": "%d/%m/%Y"},
        ["31/12/2020", "2020-12-31", "31/02/2020"],
        ["2020-12-31", None, None],
        1,
    ),
    "a datetime": (
        {"type": "datetime", "format": "%d.%m.%Y %H:%M"},
        ["31.12.2020 10:20"],
        ["2020-12-31 10:20:00"],
        None,
    ),
    "a datetime with offset": (
        {"type": "datetime", "format": "%d.%m.%Y %H:%M %z"},
        ["31.12.2020 10:20 +0200"],
        ["2020-12-31 10:20:00+02:00"],
        None,
    ),
    **{
        f"any form: {text}": ({"type": "datetime", "format": "any"}, [text], [told], lost)
        for text, told, lost in (
            ("1 March 2020 10:00", "2020-03-01 10:00:00", None),
            ("2020-01-01 10:00:00.123456000", "2020-01-01 10:00:00.123456", None),
            ("2020-01-01 10:00 UTC", "2020-01-01 10:00:00+00:00", None),
            ("2020-01-01 10:00 EST", None, 0),
            ("2020-01-01 10:00 CEST", None, 0),
            ("2020-01-01 10:00:00.1234567", None, 0),
            ("2020-01-01 10:00:00,000000001", None, 0),
        )
    },
    "a time": ({"type": "time", "format": "%H.%M"}, ["10.20"], ["10:20:00"], None),
    "decimal comma": ({"type": "number", "decimalChar": ","}, ["1,50"], ["1.50"], None),
    "groups": (
        {"type": "number", "decimalChar": ",", "groupChar": "."},
        ["1.234.567,80", "-5"],
        ["1234567.80", "-5"],
        None,
    ),
    "currency": (
        {"type": "number", "bareNumber": False},
        ["€ 5.20", "30 %"],
        ["5.20", "30"],
        None,
    ),
    "exponents are digits": ({"type": "number", "groupChar": "'"}, ["1'000E2"], ["100000"], None),
    "no number is stored for NaN": (
        {"type": "number", "groupChar": "'"},
        ["1", "NaN"],
        ["1", None],
        1,
    ),
    "integers with a unit": ({"type": "integer", "bareNumber": False}, ["5 km"], ["5"], None),
    "booleans": (
        {"type": "boolean", "trueValues": ["ja"], "falseValues": ["nein"]},
        ["ja", "nein", None, "true"],
        ["true", "false", None, None],
        3,
    ),
    "constraints are not the loader's": (
        {"type": "integer", "bareNumber": False, "constraints": {"maximum": 5}},
        ["1000 km"],
        ["1000"],
        None,
    ),
    "nothing": ({"type": "date", "format": "%d/%m/%Y"}, [], [], None),
    "empty cells": ({"type": "date", "format": "%d/%m/%Y"}, [None, None], [None, None], None),
}


@pytest.mark.parametrize(("field", "cells", "given", "lost"), OWN_FORMS.values(), ids=OWN_FORMS)
def test_a_form_of_its_own_is_read(field, cells, given, lost):
    values, misfit = convert(strings(*cells), described(field))
    assert (values.to_pylist(), misfit) == (given, lost)


def test_threads_do_not_lose_each_other_s_zones():
    field = described({"type": "datetime", "format": "any"})
    texts = [f"2020-01-01 10:{n % 60:02} CEST" for n in range(600)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: convert(strings(text), field), texts * 4))
    assert all((values.to_pylist(), misfit) == ([None], 0) for values, misfit in found)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.warn("as before", UserWarning, stacklevel=1)
    assert len(said) == 1


# name: how a number is declared
NUMBER_FORMS = {
    "groups": {"type": "number", "groupChar": ","},
    "a decimal comma": {"type": "number", "decimalChar": ","},
    "text around it": {"type": "number", "bareNumber": False},
    "all of them": {"type": "number", "groupChar": ".", "decimalChar": ",", "bareNumber": False},
    "an integer": {"type": "integer", "bareNumber": False},
}
HUGE = ["1e999999999", "1e-999999999", "-1E+99999999", "0e999999999", "0e-999999999", "1e1001"]
HUGE += ["9" * 200_000, "1e" + "9" * 1000, "1e" + "9" * 1_000_000, "1" * 1_000_000 + " EUR"]


@pytest.mark.parametrize("form", NUMBER_FORMS.values(), ids=NUMBER_FORMS)
@pytest.mark.parametrize("huge", HUGE, ids=lambda huge: huge[:12])
def test_a_huge_number_is_no_value_and_takes_no_memory(form, huge):
    cells = strings("1", huge, "2")
    tracemalloc.start()
    values, misfit = convert(cells, described(form))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert misfit == 1 or not checks.NUMERIC.fits(values)
    assert peak < 16 << 20


def test_missing_values_become_null():
    cells = missing_to_null(strings("NA", "1", None, "-", "NAN", ""), strings("NA", "-"))
    assert cells.to_pylist() == [None, "1", None, None, "NAN", ""]


@pytest.mark.parametrize("cells", [[], [None], ["", "1", None, ""], ["1"]])
def test_empty_cells_become_null(cells):
    assert empty_to_null(strings(*cells)).to_pylist() == [cell or None for cell in cells]
