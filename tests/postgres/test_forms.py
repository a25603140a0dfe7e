"""What a declared field leaves open is an error of the schema, or no value; nothing is added."""

import datetime as dt
import time

import pyarrow as pa
import pytest
from frictionless import Field
from hypothesis import given
from hypothesis import strategies as st

from loader import describe
from loader.errors import UsageError, ValueDoesNotFit
from loader.options import Options
from loader.pipeline.load import load
from loader.types.convert import convert
from loader.types.schema import read_descriptor

BEGIN_1000, BEGIN_1970, END = (
    dt.datetime.fromisoformat(f"{year}-01-01") for year in (1000, 1970, 2060)
)
SINCE_1000, SINCE_1970 = st.datetimes(BEGIN_1000), st.datetimes(BEGIN_1970, END)


def value(text: str, **form) -> str | None:
    """Return what a text is in a form, as Postgres is given it."""
    field = Field.from_descriptor({"name": "a"} | form).to_descriptor()
    values, _ = convert(pa.array([text]), field)
    return values[0].as_py()


# A part of a text's date: what is not in it.
PARTS = {
    "nothing but a time": "10:30",
    "a time with seconds": "10:30:00.5",
    "an hour": "10pm",
    "a month": "March",
    "a month's number": "5",
    "a day, or a month": "30",
    "a year": "2020",
    "a month and a year": "March 2020",
    "the same in numbers": "2020-03",
    "a day and a year": "31 2020",
    "a day and a month": "5 March",
    "the same with a time": "5 March 10:30",
    "the leap day": "29 Feb",
    "a weekday": "Friday",
    "a weekday and a time": "Fri 10:30",
    "a weekday in a month": "Friday March 2020",
    "a weekday in a year": "Friday 2020",
    "a weekday, a day, a month": "Friday, 6 March",
    "a zone": "10:30+02:00",
}


@pytest.mark.parametrize("kind", ["date", "datetime"])
@pytest.mark.parametrize("text", PARTS.values(), ids=PARTS)
def test_a_part_of_a_date_is_none(kind, text):
    assert value(text, type=kind, format="any") is None


WHOLE = {
    "date": {
        "2020-03-05": "2020-03-05",
        "5 March 2020": "2020-03-05",
        "Thursday, March 5th, 2020": "2020-03-05",
        "20200305": "2020-03-05",
        "2000-01-01": "2000-01-01",
        "2004-12-15": "2004-12-15",
        "1/2/20": "2020-01-02",
        "2020-03-05 00:00": "2020-03-05",
        "2020-03-05T00:00:00Z": "2020-03-05",
    },
    "datetime": {
        "5 March 2020": "2020-03-05 00:00:00",
        "5 March 2020 10pm": "2020-03-05 22:00:00",
        "2000-01-01 10:30": "2000-01-01 10:30:00",
        "2004-12-15T01:00": "2004-12-15 01:00:00",
    },
    "time": {
        "10:30": "10:30:00",
        "10pm": "22:00:00",
        "0:00": "00:00:00",
        "1 am": "01:00:00",
        "10:30:00.25": "10:30:00.250000",
    },
}
WHOLES = [(kind, text, told) for kind, texts in WHOLE.items() for text, told in texts.items()]


@pytest.mark.parametrize(("kind", "text", "told"), WHOLES)
def test_a_whole_one_is_read(kind, text, told):
    assert value(text, type=kind, format="any") == told


@given(SINCE_1000, st.sampled_from(["%d %B %Y", "%Y-%m-%d", "%c", "%D"]))
def test_whatever_date_is_written_whole_is_that_date(moment, form):
    text = moment.strftime(form if form != "%D" else "%b %d, %Y")
    assert value(text, type="datetime", format="any")[:10] == moment.date().isoformat()


@given(
    SINCE_1000,
    st.sampled_from(["%d %B", "%B %Y", "%B", "%H:%M", "%A", "%A %B %Y", "%d", "%A, %d %B %H:%M"]),
)
def test_whatever_date_is_written_in_part_is_none(moment, form):
    for kind in ("date", "datetime"):
        assert value(moment.strftime(form), type=kind, format="any") is None


@pytest.mark.parametrize(
    ("kind", "form", "text"),
    [
        ("date", "any", "2020-03-05 10:30"),
        ("date", "any", "2020-03-05T00:00:00.000001"),
        ("date", "%d/%m/%Y %H:%M", "05/03/2020 10:30"),
        ("time", "any", "2020-03-05 10:30"),
        ("time", "any", "2000-01-01 10:30"),
        ("time", "any", "Friday 10:30"),
        ("time", "any", "March"),
        ("time", "any", "10"),
        ("datetime", "any", "2020-03-05 10:30+9900"),
    ],
)
def test_nothing_is_dropped_of_one(kind, form, text):
    assert value(text, type=kind, format=form) is None


def test_a_date_at_midnight_is_a_date():
    assert value("05/03/2020 00:00", type="date", format="%d/%m/%Y %H:%M") == "2020-03-05"


# A format, and what it lacks.
UNDETERMINED = {
    "date": {
        "%Y-W%W": "weekday",
        "%Y %U": "weekday",
        "%W": "year and the weekday",
        "%G-W%V": "weekday",
        "%V-%u": r"ISO year \(%G\)",
        "%Y-%V-%u": r"ISO year \(%G\)",
        "%H": "year and the month and the day",
        "%m": "year and the day",
        "%Y": "month and the day",
        "%Y-%m": "day",
        "%d %B": "year",
        "%j": "year",
        "%A": "year and the month and the day",
        "%%Y-%m-%d": "year",
        "%Y-%m-%%d": "day",
        "DD/MM/YYYY": "year and the month and the day",
        "": "year and the month and the day",
    },
    "datetime": {
        "%H:%M": "year and the month and the day",
        "%d/%m %H:%M": "year",
        "%Y-%m-%d %M": "hour",
        "%Y-%m-%d %p": "hour",
        "%Y-%m-%d %H %S": "minute",
        "%Y-%m-%d %H:%M.%f": "second",
        "%Y-%m-%d %I:%M": r"half of the day \(%p\)",
    },
    "time": {
        "%M:%S": "hour",
        "%p": "hour",
        "%I:%M": r"half of the day \(%p\)",
        "%z": "hour",
        "HH:MM": "hour",
    },
}
LACKING = [(kind, form, part) for kind, some in UNDETERMINED.items() for form, part in some.items()]


def schema(**field) -> dict:
    return {"fields": [{"name": "b"}, {"name": "a day"} | field]}


@pytest.mark.parametrize(("kind", "form", "lacks"), LACKING)
def test_a_format_that_leaves_a_part_open_is_wrong_usage(kind, form, lacks):
    said = f"of the schema's field 'a day' lacks the {lacks} of a {kind}$"
    with pytest.raises(UsageError, match=said) as raised:
        read_descriptor(schema(type=kind, format=form))
    assert f"the format {form!r} " in str(raised.value)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("kind", "form", "said"),
    [
        ("date", "%Y-%m-%d %Q", "is none that strptime reads: it does not know %Q"),
        ("date", "%Y-%m-%d %", "is none that strptime reads"),
        ("date", "%Y-%m-%d %d", "is none that strptime reads"),
        ("datetime", "%Y-%m-%d %e", "is none that strptime reads"),
        ("time", "%H:%M:%s", "is none that strptime reads"),
        ("date", "%G-%m-%d", "is none that strptime reads"),
        ("time", "%Y-%m-%d %H:%M", "has a date, which a time does not keep"),
        ("time", "%d %H:%M", "has a date, which a time does not keep"),
        ("time", "%H:%M%z", "has a zone, which a time does not keep"),
        ("time", "%H:%M:%SZ", "has a zone, which a time does not keep"),
        ("time", "%H:%M %p", "has %p beside %H"),
        ("datetime", "%d/%m/%Y %p %H:%M", "has %p beside %H"),
        ("datetime", "%d/%m/%Y %H:%M %I %p", "has %p beside %H"),
        ("datetime", "%d/%m/%Y %H:%M CET", "has the zone CET in words"),
        ("datetime", "%Y-%m-%dT%H:%M:%S+02:00", r"has the zone \+02:00 in words"),
    ],
)
def test_a_format_that_cannot_be_used_is_wrong_usage(kind, form, said):
    with pytest.raises(UsageError, match=f"'a day' {said}") as raised:
        read_descriptor(schema(type=kind, format=form))
    assert raised.value.hint


# A format, the directive that is wrong in it, and what is to be written instead.
OTHERWISE = {
    "date": [
        *(("%F", "%F", "%Y-%m-%d"), ("%D", "%D", "%m/%d/%y"), ("%e %B %Y", "%e", "%d")),
        *(("%-d/%-m/%Y", "%-", "without the dash"), ("%x", "%x", "%m/%d/%y")),
    ],
    "datetime": [
        *(("%Y-%m-%d %T", "%T", "%H:%M:%S"), ("%c", "%c", "%a %b %d %H:%M:%S %Y")),
        *(("%d/%m/%Y %H:%M %Z", "%Z", "%z"), ("%Y-%m-%dT%H:%M:%S.%LZ", "%L", "%f")),
    ],
    "time": [("%X", "%X", "%H:%M:%S"), ("%H:%M %Z", "%Z", "%z")],
}


@pytest.mark.parametrize(
    ("kind", "form", "wrong", "right"),
    [(kind, *one) for kind, some in OTHERWISE.items() for one in some],
)
def test_a_directive_that_has_no_one_meaning_is_told_with_what_to_write(kind, form, wrong, right):
    with pytest.raises(UsageError, match=f" {wrong}(,|$)") as raised:
        read_descriptor(schema(type=kind, format=form))
    assert f"the format {form!r} " in str(raised.value)
    assert right in raised.value.hint


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S", "%a, %d %b %Y %H:%M:%S.%f", "%Y%m%dT%H%M%S"])
def test_utc_in_a_format_is_kept(form):
    for zone in ("Z", " Z", "UTC", " UTC", " gmt"):
        whole = form + zone
        read_descriptor(schema(type="datetime", format=whole))
        written = dt.datetime.fromisoformat("2020-03-05T22:30:15").strftime(whole)
        assert value(written, type="datetime", format=whole) == "2020-03-05 22:30:15+00:00"


def test_a_time_in_utc_is_loaded_with_its_zone(datastore_url_18, tmp_path):
    source = tmp_path / "t.csv"
    source.write_text("d\n2020-01-01T10:00:00Z\n2020-07-01T10:00:00Z\n")
    declared = {"fields": [{"name": "d", "type": "datetime", "format": "%Y-%m-%dT%H:%M:%SZ"}]}
    report = load(str(source), Options("t", datastore_url_18, schema=declared))
    assert [column["type"] for column in report.columns] == ["timestamptz"]


# A value one part of which says something else than the others, and the form that has both.
CONTRADICTING = [
    ("Monday 31 December 2020", "%A %d %B %Y"),
    ("2020 01 02 366", "%Y %d %m %j"),
    ("2021 366", "%Y %j"),
    ("2021-W53-1", "%G-W%V-%u"),
    ("2020-W00-1", "%Y-W%W-%w"),
    ("4 March 05 2020", "%d %B %m %Y"),
    ("05.03.20 2021", "%d.%m.%y %Y"),
    ("Fri, 05 Mar 2020 10:30:00 GMT", "%a, %d %b %Y %H:%M:%S GMT"),
    ("Mon 31 Dec 2020", "any"),
    ("Friday, March 5th, 2020 10pm", "any"),
]


@pytest.mark.parametrize(("text", "form"), CONTRADICTING)
def test_what_contradicts_itself_is_none(text, form):
    read_descriptor(schema(type="datetime", format=form))
    assert value(text, type="datetime", format=form) is None


@pytest.mark.parametrize("text", ["thursday  5 march 2020", "THURSDAY 05 March\t2020"])
def test_a_date_is_its_weekday_however_it_is_written(text):
    assert value(text, type="date", format="%A %d %B %Y") == "2020-03-05"


@pytest.fixture
def in_berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


ZONES = {
    "2020-07-01 10:00 CET": None,
    "2020-07-01 10:00 CEST": None,
    "2020-07-01 10:00 GMT+0200": None,
    "2020-07-01 10:00 UTC -3": None,
    "2020-07-01 10:00 CET-1": None,
    "2020-07-01 10:00 GMT": "2020-07-01 10:00:00+00:00",
    "2020-07-01T10:00z": "2020-07-01 10:00:00+00:00",
    "2020-07-01 10:00 -0300": "2020-07-01 10:00:00-03:00",
    "Wed, 1 Jul 2020 10:00": "2020-07-01 10:00:00",
}


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(("text", "told"), ZONES.items())
def test_a_zone_is_the_same_on_every_machine(text, told):
    assert value(text, type="datetime", format="any") == told


DETERMINED = {
    "date": [
        *("%Y-%m-%d", "%d/%m/%y", "%d %B %Y", "%Y%j", "%b %d, %Y", "%A, %d.%m.%Y"),
        *("%Y-W%W-%w", "%Y %U %a", "%G-W%V-%u", "%G-%V-%A", "100%% %d/%m/%Y", "fmt:%d/%m/%Y"),
    ],
    "datetime": [
        *("%Y-%m-%d", "%d/%m/%Y %H", "%d/%m/%Y %I:%M %p", "%Y-%m-%dT%H:%M:%S.%f%z"),
        *("%Y-W%W-%w %H:%M", "%a, %d %b %Y %I:%M:%S.%f %p %z", "%A %d %B %m %y %Y %j %W %V %u %H"),
    ],
    "time": ["%H", "%H:%M", "%I:%M %p", "%I %p", "%H.%M.%S", "%H:%M:%S.%f"],
}
KEPT = [(kind, form) for kind, some in DETERMINED.items() for form in some]


@pytest.mark.parametrize(("kind", "form"), KEPT)
@given(moment=SINCE_1970)
def test_what_a_format_writes_it_reads(kind, form, moment):
    field = schema(type=kind, format=form)
    read_descriptor(field)
    plain = form.removeprefix("fmt:")
    moment = moment.replace(tzinfo=dt.timezone.utc if "%z" in form else None)
    if kind == "date":
        moment = dt.datetime.combine(moment.date(), dt.time())
    written = moment.strftime(plain)
    told = value(written, type=kind, format=form)
    parsed = dt.datetime.fromisoformat(told) if kind != "time" else dt.time.fromisoformat(told)
    assert parsed.strftime(plain) == written
    if kind != "time":
        assert parsed.date() == moment.date()


# Groups

# groupChar, decimalChar; numbers, and what they are
GROUPS = {
    "full stops": (
        ".",
        ",",
        {
            "1.234": "1234",
            "1.234.567,80": "1234567.80",
            "-12.345": "-12345",
            "+12.345": "12345",
            "123.456.789": "123456789",
            "1234567,5": "1234567.5",
            ",5": "0.5",
            "0,123": "0.123",
            "007": "7",
            "1.00.000": "100000",
            "12.34.567,5": "1234567.5",
            "1.234E2": "123400",
        },
    ),
    "commas": (",", ".", {"1,00,000": "100000", "1,000,000.25": "1000000.25", " 1,000 ": "1000"}),
    "spaces": (" ", ",", {"1 234 567,8": "1234567.8", "12": "12"}),
    "apostrophes": ("'", ".", {"1'234.50": "1234.50", "1'000E2": "100000"}),
    "underscores": ("_", ".", {"1_000": "1000"}),
    "two characters": (", ", ".", {"1, 000": "1000"}),
    "what means something in an expression": ("|", "*", {"1|000*5": "1000.5"}),
}
GROUPED = [
    (group, decimal, text, told)
    for group, decimal, texts in GROUPS.values()
    for text, told in texts.items()
]


@pytest.mark.parametrize(("group", "decimal", "text", "told"), GROUPED)
def test_a_number_in_groups_is_read(group, decimal, text, told):
    assert value(text, type="number", groupChar=group, decimalChar=decimal) == told


MISGROUPED = [
    *("1.2.3.4", "1.2.3,4", "1.23", "1.2345", "12.34", "1.2.345", "1234.567", "1.234.56"),
    *("1.00.00", "100.00.000", ".123", "123.", "1.234.", ".1.234", "1..234", ".", "1.234,567.8"),
    *("1,234.5", "1,2.345", "0.123", "00.123", "0.000", "-.123", "-0.123", "1.-234", "1.234E2.000"),
    *("1_000", "1_0", "192.168.0.1", "31.12.2020"),
]


@pytest.mark.parametrize(("group", "decimal"), [(".", ","), ("'", "."), ("·", ","), (", ", "#")])
@pytest.mark.parametrize("text", MISGROUPED)
def test_what_is_in_no_groups_is_no_number(group, decimal, text):
    written = text.translate({ord("."): group, ord(","): decimal})
    assert value(written, type="number", groupChar=group, decimalChar=decimal) is None


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=2, min_value=-(10**15), max_value=10**15
    ),
    st.sampled_from([(".", ","), (",", "."), (" ", ","), ("\u202f", ","), ("'", ".")]),
)
def test_a_number_comes_back_from_its_groups(number, chars):
    group, decimal = chars
    text = f"{number:,.2f}".translate({ord(","): group, ord("."): decimal})
    told = value(text, type="number", groupChar=group, decimalChar=decimal)
    assert told == f"{number:.2f}"


@pytest.mark.parametrize("form", [{"decimalChar": ","}, {"bareNumber": False}])
@pytest.mark.parametrize("kind", ["number", "integer"])
def test_pythons_own_groups_are_none(kind, form):
    if kind == "integer":
        form = {"bareNumber": False}
    assert value("1_000", type=kind, **form) is None


# What stands around numbers

AROUND = {
    "5": ["$5", "5 EUR", "5 %", "$+5", "Rs. 5", "5 km/h", "5\u00a0m²", "5 °C", "ca. 5 t", "5 m"],
    "-5": ["$-5", "-5 €"],
}
CHANGED = {
    "a point": ["$.50", ".5%", "$,50", "Rs.5", "5.", "5,- €", "5'"],
    "a sign": [
        "\u22125",
        "\u20135",
        "(5)",
        "$(5)",
        "5-",
        "5 EUR-",
        "minus 5",
        "5 CR",
        "<5",
        "±5",
        "5 D",
        "5 C",
        "5 S",
        "5 H",
        "5 cred.",
        "(5,00 €)",
        "5 \u2013",
        "₋5",
        "5 débit",
    ],
    "a multiple": ["5k", "5 K", "5 M", "$5m", "5 Mio. €", "Mrd. EUR 5", "5 MSEK", "k€ 5", "5m EUR"],
    "a multiple in other letters": ["5万円", "5 억", "5 млн", "5½", "5²"],
}


@pytest.mark.parametrize("told", AROUND)
def test_a_unit_around_a_number_is_left_out(told):
    for kind in ("number", "integer"):
        texts = {text: value(text, type=kind, bareNumber=False) for text in AROUND[told]}
        assert texts == dict.fromkeys(texts, told)


@pytest.mark.parametrize("texts", CHANGED.values(), ids=CHANGED)
def test_what_is_a_part_of_the_number_is_not_left_out(texts):
    forms = [{}, {"groupChar": ","}, {"groupChar": ".", "decimalChar": ","}]
    declared = [{"type": "integer"}, *({"type": "number"} | form for form in forms)]
    for form in declared:
        told = {text: value(text, bareNumber=False, **form) for text in texts}
        assert told == dict.fromkeys(texts)


def test_a_currency_s_sign_that_is_the_decimal_char_is_not_left_out():
    form = {"type": "number", "bareNumber": False, "decimalChar": "$"}
    assert (value("20$50 CVE", **form), value("$50 CVE", **form)) == ("20.50", None)


# Words

WORDS = {
    "both": ({"trueValues": ["x", "ja"], "falseValues": ["nein", "ja"]}, [""], "'ja'"),
    "a default of the other": ({"falseValues": ["1"]}, [""], "'1'"),
    "the other default": ({"trueValues": ["0", "y"]}, [""], "'0'"),
    "missing and true": ({"trueValues": ["-"], "falseValues": ["n"]}, ["", "-"], "'-'"),
    "missing and false": ({"trueValues": ["y"], "falseValues": ["-"]}, ["-"], "'-'"),
    "missing in the field": (
        {"trueValues": ["y"], "falseValues": ["-"], "missingValues": ["-"]},
        [""],
        "'-'",
    ),
    "empty": ({"trueValues": ["y"], "falseValues": [""]}, [""], "''"),
    "empty, which is always missing": ({"trueValues": ["y"], "falseValues": [""]}, ["-"], "''"),
}


@pytest.mark.parametrize(("form", "missing", "word"), WORDS.values(), ids=WORDS)
def test_a_word_that_means_two_things_is_wrong_usage(form, missing, word):
    descriptor = schema(type="boolean", **form) | {"missingValues": missing}
    with pytest.raises(UsageError, match=f"^{word} is among .* of the schema's field 'a day'"):
        read_descriptor(descriptor)


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        ({}, ["", "0"]),
        ({"trueValues": ["1"], "falseValues": ["0"]}, [""]),
        ({"trueValues": ["ja", "ja"], "falseValues": ["Ja"]}, ["", "JA"]),
    ],
)
def test_words_that_mean_one_thing_are_taken(form, missing):
    descriptor = schema(type="boolean", **form) | {"missingValues": missing}
    assert read_descriptor(descriptor).missing == missing


# The way of a whole file

OPEN = {
    "a date in any form": ({"type": "date", "format": "any"}, "1 May 2020", "10:30"),
    "a datetime in any form": ({"type": "datetime", "format": "any"}, "1 May 2020 10:00", "March"),
    "a time in any form": ({"type": "time", "format": "any"}, "10:30", "March"),
    "a date with a time": (
        {"type": "date", "format": "%d.%m.%Y %H:%M"},
        "1.5.2020 00:00",
        "1.5.2020 10:30",
    ),
    "groups": ({"type": "number", "groupChar": ".", "decimalChar": ","}, "1.234", "1.2.3.4"),
    "groups with a unit": (
        {"type": "number", "groupChar": ".", "decimalChar": ",", "bareNumber": False},
        "1.234 EUR",
        "1.2.3.4 EUR",
    ),
    "a unit": ({"type": "number", "bareNumber": False}, "5 EUR", "(5) EUR"),
    "a weekday": ({"type": "date", "format": "%a %d.%m.%Y"}, "Fri 1.5.2020", "Mon 1.5.2020"),
}


@pytest.mark.parametrize(("field", "good", "bad"), OPEN.values(), ids=OPEN)
def test_a_value_with_an_open_part_is_told_by_load_and_by_validate(
    datastore_url_18, tmp_path, field, good, bad
):
    source = tmp_path / "t.csv"
    source.write_text(f"n;x\n{good};1\n-;2\n{bad};3\n")
    declared = {"fields": [{"name": "n"} | field, {"name": "x"}], "missingValues": ["", "-"]}
    with pytest.raises(ValueDoesNotFit) as raised:
        load(str(source), Options("t", datastore_url_18, schema=declared))
    assert (raised.value.row, raised.value.column, raised.value.value) == (4, "n", bad)
    report = describe.validate(source, Options(schema=declared))
    (error,) = report["tasks"][0]["errors"]
    assert (error["type"], error["rowNumber"], error["cell"]) == ("type-error", 4, bad)
