"""Dates and numbers as people write them: found where the column proves them, and given back."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from loader.types import convert, local, months, notation, number_notation, registry, schema
from loader.types.column import Column
from loader.types.deciding import Deciding
from loader.types.moment_notation import Clock, MomentNotation
from loader.types.notation import Habits, Notation
from loader.types.number_notation import Negative, NumberNotation

NB, NNB, MINUS, QUOTE = "\u00a0", "\u202f", "\u2212", "\u2019"


def strings(*values: str | None) -> pa.StringArray:
    return pa.array(values, pa.string())


def column_of(cells: list[str], header: str = "a", **habits) -> Column:
    """The column as it begins if these are all cells."""
    kind = next(
        row.name for row in registry.TYPES if row.name != "json" and row.check.fits(strings(*cells))
    )
    begun = Column("a", kind, header, inferred_as="string")
    return local.read(begun, strings(*cells), Habits(**habits), looks_for_signs=True)


def values_of(column: Column, cells: list[str]) -> list[str]:
    assert column.notation is not None
    return column.notation.read(strings(*cells)).to_pylist()


# name: cells, type, read_as, values
READ = {
    "dmy, slashes": (
        ["31/12/2020", "01/02/2020"],
        "date",
        "%d/%m/%Y",
        ["2020-12-31", "2020-02-01"],
    ),
    "mdy, slashes": (
        ["12/31/2020", "01/02/2020"],
        "date",
        "%m/%d/%Y",
        ["2020-12-31", "2020-01-02"],
    ),
    "dots": (["31.12.2020"], "date", "%d.%m.%Y", ["2020-12-31"]),
    "dashes": (["31-12-2020"], "date", "%d-%m-%Y", ["2020-12-31"]),
    "unpadded": (["1.2.2020", "13.10.2020"], "date", "%-d.%-m.%Y", ["2020-02-01", "2020-10-13"]),
    "unpadded months": (
        ["01/2/2020", "31/1/2020"],
        "date",
        "%d/%-m/%Y",
        ["2020-02-01", "2020-01-31"],
    ),
    "year first, slashes": (
        ["2020/12/31", "2020/01/02"],
        "date",
        "%Y/%m/%d",
        ["2020-12-31", "2020-01-02"],
    ),
    "year first, dots": (["2020.01.02"], "date", "%Y.%m.%d", ["2020-01-02"]),
    "year first, unpadded": (["2020-1-2"], "date", "%Y-%-m-%-d", ["2020-01-02"]),
    "leap day": (["29/02/2020"], "date", "%d/%m/%Y", ["2020-02-29"]),
    "English, short": (
        ["31-Dec-2020", "01-May-2021"],
        "date",
        "%d-%b-%Y",
        ["2020-12-31", "2021-05-01"],
    ),
    "English, capitals": (
        ["31-DEC-2020", "01-JUN-2021"],
        "date",
        "%d-%b-%Y [en upper]",
        ["2020-12-31", "2021-06-01"],
    ),
    "English, nothing between": (["31Dec2020"], "date", "%d%b%Y", ["2020-12-31"]),
    "English": (["31 December 2020"], "date", "%d %B %Y", ["2020-12-31"]),
    "English, month first": (
        ["December 31, 2020", "May 1, 2021"],
        "date",
        "%B %-d, %Y",
        ["2020-12-31", "2021-05-01"],
    ),
    "German": (
        ["31. Dezember 2020", "1. März 2021"],
        "date",
        "%-d. %B %Y [de]",
        ["2020-12-31", "2021-03-01"],
    ),
    "Spanish": (["31 de diciembre de 2020"], "date", "%d de %B de %Y [es]", ["2020-12-31"]),
    "French": (
        ["31 décembre 2020", "1 août 2021"],
        "date",
        "%-d %B %Y [fr]",
        ["2020-12-31", "2021-08-01"],
    ),
    "Italian": (["31 dicembre 2020"], "date", "%d %B %Y [it]", ["2020-12-31"]),
    "Portuguese": (["31 de dezembro de 2020"], "date", "%d de %B de %Y [pt]", ["2020-12-31"]),
    "Dutch": (
        ["31 december 2020", "01 maart 2020"],
        "date",
        "%d %B %Y [nl]",
        ["2020-12-31", "2020-03-01"],
    ),
    "hour and minute": (
        ["31/12/2020 10:15"],
        "timestamp",
        "%d/%m/%Y %H:%M",
        ["2020-12-31 10:15:00"],
    ),
    "seconds": (["31.12.2020 08:15:30"], "timestamp", "%d.%m.%Y %H:%M:%S", ["2020-12-31 08:15:30"]),
    "parts of a second": (
        ["31.12.2020 10:15:30.5"],
        "timestamp",
        "%d.%m.%Y %H:%M:%S.%1f",
        ["2020-12-31 10:15:30.5"],
    ),
    "unpadded hours": (
        ["4/13/2014 0:11:00", "4/1/2014 10:11:00"],
        "timestamp",
        "%-m/%-d/%Y %-H:%M:%S",
        ["2014-04-13 00:11:00", "2014-04-01 10:11:00"],
    ),
    "halves of the day": (
        ["12/31/2020 12:05 AM", "12/31/2020 1:05 PM"],
        "timestamp",
        "%m/%d/%Y %-I:%M %p",
        ["2020-12-31 00:05:00", "2020-12-31 13:05:00"],
    ),
    "halves, dotted": (
        ["31/12/2020 12:05 p.m."],
        "timestamp",
        "%d/%m/%Y %I:%M %p [a.m.]",
        ["2020-12-31 12:05:00"],
    ),
    "year first, without seconds": (["2020-12-31 10:15"], "timestamp", None, None),
    "decimal comma": (["1,5", "-2,50", "1234,0"], "numeric", "1,5", ["1.5", "-2.50", "1234.0"]),
    "comma behind a zero": (["0,125", "1,250"], "numeric", "1,5", ["0.125", "1.250"]),
    "groups of points": (["1.234,56", "12,00"], "numeric", "1.234,56", ["1234.56", "12.00"]),
    "groups of commas": (["1,234.56", "12.00"], "numeric", "1,234.56", ["1234.56", "12.00"]),
    "groups alone, several": (["1.234.567", "12"], "numeric", "1.234.567", ["1234567", "12"]),
    "groups of spaces": (["1 234 567", "12"], "numeric", "1 234 567", ["1234567", "12"]),
    "groups of fixed spaces": ([f"1{NB}234,5"], "numeric", f"1{NB}234,56", ["1234.5"]),
    "groups of narrow spaces": ([f"1{NNB}234,5"], "numeric", f"1{NNB}234,56", ["1234.5"]),
    "apostrophes": (["1'234.50", "5.00"], "numeric", "1'234.56", ["1234.50", "5.00"]),
    "curved apostrophes": ([f"1{QUOTE}234.50"], "numeric", f"1{QUOTE}234.56", ["1234.50"]),
    "a comma among points": (["1.5", "1,234"], "numeric", "1,234.56", ["1.5", "1234"]),
    "euros": (["1,50 €", "12 €"], "numeric", "1,5 €", ["1.50", "12"]),
    "dollars": (["$1,234.56", "-$5.00"], "numeric", "-$1,234.56", ["1234.56", "-5.00"]),
    "pounds": (["£5", "£6"], "numeric", "£1", ["5", "6"]),
    "a word": (["1.234,56 EUR"], "numeric", "1.234,56 EUR", ["1234.56"]),
    "a word with a point": (["Fr. 1'234.50"], "numeric", "Fr. 1'234.56", ["1234.50"]),
    "crowns": (["1 234,50 Kč", "5,00 Kč"], "numeric", "1 234,56 Kč", ["1234.50", "5.00"]),
    "reais": (["R$ 1.234,50"], "numeric", "R$ 1.234,56", ["1234.50"]),
    "per cent": (["15,5 %", "3 %"], "numeric", "1,5 %", ["15.5", "3"]),
    "per cent, whole": (["15%", "3%"], "numeric", "1%", ["15", "3"]),
    "minus behind": (["50,00-", "1,00"], "numeric", "1,5-", ["-50.00", "1.00"]),
    "minus behind, with a point": (["50.00-", "1.00"], "numeric", "1.5-", ["-50.00", "1.00"]),
    "brackets": (["(987.65)", "1.00"], "numeric", "(1.5)", ["-987.65", "1.00"]),
    "brackets around dollars": (["($987.65)", "$1.00"], "numeric", "($1.5)", ["-987.65", "1.00"]),
    "a true minus, whole": ([f"{MINUS}5", "1"], "numeric", f"{MINUS}1", ["-5", "1"]),
    "brackets, whole": (["(1,234)", "1,234,567"], "numeric", "(1,234,567)", ["-1234", "1234567"]),
    "a true minus": ([f"{MINUS}5,5", "1"], "numeric", f"{MINUS}1,5", ["-5.5", "1"]),
}


@pytest.mark.parametrize(("cells", "kind", "read_as", "values"), READ.values(), ids=READ)
def test_what_is_proven_is_read(cells, kind, read_as, values):
    column = column_of(cells)
    if values is None:  # Postgres's own
        assert (column.type, column.notation) == (kind, None)
        return
    assert (column.type, column.read_as) == (kind, read_as)
    assert values_of(column, cells) == values
    assert [column.notation.write(value) for value in values] == cells


LEFT = {
    "a day may be a month": ["01/02/2020", "12/11/2020"],
    "with dots too": ["01.02.2020"],
    "two orders": ["31/12/2020", "12/31/2020"],
    "no such day": ["31.02.2020"],
    "no leap year": ["29/02/2021"],
    "day nought": ["00/12/2020"],
    "two digits of a year": ["31/12/20", "31.12.99"],
    "padded and not": ["01/12/2020", "1/12/2020", "31/12/2020"],
    "with a time and without": ["31/12/2020", "31/12/2020 10:15"],
    "hour 24": ["31/12/2020 24:15"],
    "half of hour 13": ["31/12/2020 13:15 PM"],
    "another separator": ["31/12/2020", "31.12.2020"],
    "months without a day": ["December 2020", "Jan-20"],
    "names of two languages": ["31 December 2020", "31 Dezember 2020"],
    "in several cases": ["31 DEC 2020", "01 Jan 2020"],
    "no month": ["31 Foo 2020"],
    "a zone": ["31/12/2020 10:15 CET", "31/12/2020 10:15Z"],
    "eight digits under another name": ["31122020x"],
    "three digits behind a comma": ["1,234", "12,500"],
    "three digits behind a comma, and longer numbers": ["1,234", "1234"],
    "a currency proves no separator": ["1.234 €", "5 €"],
    "groups of two": ["1.23.456", "1.234.5"],
    "a leading zero": ["007,5"],
    "a leading zero in groups": ["0.123.456"],
    "no digit before the comma": [",5", "1,5"],
    "no digit behind the comma": ["5,", "1,5"],
    "minus nought": ["-0,0", "1,5"],
    "plus": ["+1,5"],
    "a phone number": ["601 123 456", "602 123 456"],
    "a postcode": ["123 45", "543 21"],
    "a version": ["1.10.0", "1.2.345"],
    "internet addresses": ["192.168.100.200", "10.101.102.103"],
    "one currency and another": ["5,00 €", "5,00 $"],
    "a currency here and there": ["5,00 €", "5,00"],
    "two spaces before it": ["5,00  €"],
    "two currencies": ["€5,00 EUR"],
    "a multiple": ["5,00 Mio. €", "5k"],
    "two minuses": ["-5,00-"],
    "negative in two ways": ["-5,00", "(5,00)"],
    "an open bracket": ["(5,00"],
    "an exponent": ["1,5e3"],
    "marks at school": ["2-", "3", "1-"],
    "numbers of a list": ["(1)", "(2)"],
    "lines of a range": ["5-", "10-"],
    "a range": ["1,5-2,5"],
    "a coordinate": ["50.1,7.2"],
    "both separators in two roles": ["1.234,5", "1,234.5"],
    "other digits": ["\u0661\u0662\u066b\u0665"],
    "words": ["Berlin", "1,5"],
}


@pytest.mark.parametrize("cells", LEFT.values(), ids=LEFT)
def test_what_is_not_proven_stays_text(cells):
    column = column_of(cells)
    assert (column.type, column.notation) == ("text", None)


@pytest.mark.parametrize(
    ("dates", "values"),
    [("auto", None), ("iso", None), ("dmy", ["2020-02-01"]), ("mdy", ["2020-01-02"])],
)
@pytest.mark.parametrize("mark", "/.-")
def test_an_option_decides_between_two_readings(dates, values, mark):
    cells = [f"01{mark}02{mark}2020"]
    column = column_of(cells, deciding=Deciding(dates=dates))
    assert (values_of(column, cells) if column.notation else None) == values


@pytest.mark.parametrize("prefix", ["", "€ ", "-"])
@pytest.mark.parametrize(
    ("decimal", "values"), [("comma", ["1.234", "12"]), ("point", ["1234", "12"])]
)
def test_what_a_comma_is_may_be_said(prefix, decimal, values):
    cells = [f"{prefix}1,234", f"{prefix}12"]
    assert column_of(cells).type == "text"
    column = column_of(cells, deciding=Deciding(decimal=decimal))
    assert column.type == "numeric"
    minus = "-" * (prefix == "-")
    assert column.notation.read(strings(*cells)).to_pylist() == [minus + value for value in values]


@pytest.mark.parametrize("decimal", ["comma", "point"])
@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,234", "1,5"], ["1.234", "1.5"]),
        (["1,234", "1,234,567"], ["1234", "1234567"]),
        (["1,234", "1,234.5"], ["1234", "1234.5"]),
        (["1.234,5", "1,5"], ["1234.5", "1.5"]),
    ],
)
def test_what_the_values_prove_is_not_said_otherwise(decimal, cells, values):
    column = column_of(cells, deciding=Deciding(decimal=decimal))
    assert column.notation.read(strings(*cells)).to_pylist() == values


@pytest.mark.parametrize("dates", ["dmy", "mdy"])
@pytest.mark.parametrize(
    ("cell", "read_as"), [("31/12/2020", "%d/%m/%Y"), ("12/31/2020", "%m/%d/%Y")]
)
def test_an_option_decides_nothing_that_is_proven(cell, read_as, dates):
    assert column_of([cell], deciding=Deciding(dates=dates)).read_as == read_as


# name: header, cells, type
NAMED = {
    "date": ("date", ["20201231"], "date"),
    "part of a name": ("start_date", ["20201231"], "date"),
    "camels": ("OrderDate", ["20201231", "20200101"], "date"),
    "German": ("Geburtsdatum", ["19991231"], "date"),
    "Spanish": ("FECHA", ["20201231"], "date"),
    "Portuguese": ("dia", ["20201231"], "date"),
    "not a date's": ("id", ["20201231"], "bigint"),
    "no date": ("date", ["20201331", "20201231"], "bigint"),
    "no such day": ("date", ["20200231"], "bigint"),
    "another length": ("date", ["20201231", "1"], "bigint"),
    "far away": ("date", ["99991231"], "bigint"),
    "a phone's": ("Phone", ["1 601 123 456", "601 123 456"], "text"),
    "a postcode's": ("PLZ", ["1 234", "12 345"], "text"),
    "a number's": ("Kunden-Nr.", ["1 234", "12 345"], "text"),
    "an amount's": ("Betrag", ["1 234", "12 345"], "numeric"),
}


@pytest.mark.parametrize(("header", "cells", "kind"), NAMED.values(), ids=NAMED)
def test_a_name_tells_what_digits_are(header, cells, kind):
    assert column_of(cells, header).type == kind


# Every form, and values written in it

numbers = st.builds(
    NumberNotation,
    decimal=st.sampled_from([".", ","]),
    group=st.sampled_from(["", ".", ",", " ", NB, NNB, "'", QUOTE]),
    negative=st.sampled_from(
        [
            None,
            Negative(before="-"),
            Negative(before=MINUS),
            Negative(behind="-"),
            Negative(before="(", behind=")"),
        ]
    ),
    prefix=st.just(""),
    suffix=st.sampled_from(["", "%", " %", " €", f"{NB}€", " EUR", " kr.", "€"]),
).filter(lambda form: form.decimal != form.group)
outer = st.builds(
    NumberNotation,
    decimal=st.sampled_from([".", ","]),
    group=st.sampled_from(["", " ", "'"]),
    negative=st.sampled_from(
        [
            None,
            Negative(before_unit="-"),
            Negative(before="-"),
            Negative("(", "", ")", ""),
            Negative(behind="-"),
        ]
    ),
    prefix=st.sampled_from(["$", "€ ", "R$ ", "Fr. ", "£"]),
)
moments = st.builds(
    MomentNotation,
    orders=st.sampled_from([("dmy",), ("mdy",), ("ymd",)]),
    between=st.sampled_from([("/", "/"), (".", "."), ("-", "-")]),
    padded=st.tuples(st.booleans(), st.booleans()),
    names=st.none(),
    clock=st.none()
    | st.builds(
        Clock,
        before=st.sampled_from([" ", ", ", "T"]),
        padded=st.booleans(),
        seconds=st.just(value=True),
        places=st.integers(0, 6),
        space=st.sampled_from(["", " ", NNB]),
        marks=st.none() | st.sampled_from([("AM", "PM"), ("a.m.", "p.m.")]),
    ).map(lambda clock: clock if clock.marks else replace(clock, space="")),
)
LAYOUTS = [
    ("dmy", " ", " "),
    ("dmy", "-", "-"),
    ("dmy", ". ", " "),
    ("dmy", " de ", " de "),
    ("dmy", "", ""),
    ("mdy", " ", ", "),
    ("ymd", "-", "-"),
    ("dmy", "/", "/"),
]
named = st.builds(
    lambda layout, padded, place: MomentNotation(
        (layout[0],), layout[1:], (padded, None), frozenset({place})
    ),
    st.sampled_from(LAYOUTS),
    st.booleans(),
    st.integers(0, len(months.spellings()) - 1),
)


def written_number(value: Decimal) -> str:
    return f"{value:f}"


FIRST, LAST, PROOF = (
    dt.datetime.fromisoformat(text) for text in ("1000-01-01", "9999-12-31", "2020-12-31T01:00")
)
values_of_numbers = st.lists(
    st.decimals(-(10**9), 10**9, places=2, allow_nan=False).filter(bool), min_size=1, max_size=20
)
values_of_moments = st.lists(st.datetimes(FIRST, LAST), min_size=1, max_size=20)


def given_back(form: Notation, values: list[str], header: str = "a") -> None:
    """What is written in a form is found to be written so, and read as it was."""
    cells = [form.write(value) for value in values]
    column = column_of(cells, header)
    assume(column.notation is not None)
    assert values_of(column, cells) == values
    assert [column.notation.write(value) for value in values] == cells
    again = notation.parse(column.notation.read_as)
    assert again is not None
    joined = notation.learn(strings(*cells), header, again)
    assert joined is not None
    assert joined.decided(Deciding()).read(strings(*cells)).to_pylist() == values


@given(numbers | outer, values_of_numbers)
@settings(max_examples=400)
def test_a_number_written_in_a_form_is_read_as_it_was(form, values):
    if form.negative is None:
        values = [abs(value) for value in values]
    given_back(form, [written_number(value) for value in values])


@given(moments, values_of_moments)
@settings(max_examples=400)
def test_a_moment_written_in_a_form_is_read_as_it_was(form, values):
    values = [*values, PROOF]  # proves the order
    places = form.clock.places if form.clock else 0
    unit = 10 ** (6 - places)
    texts = []
    for value in values:
        kept = value.replace(microsecond=value.microsecond // unit * unit)
        text = (
            kept.date().isoformat()
            if form.clock is None
            else f"{kept:%Y-%m-%d %H:%M:%S}".rjust(19, "0")
        )
        texts.append(text + (f".{kept.microsecond:06}"[: places + 1] if places else ""))
    given_back(form, texts)


@given(named, values_of_moments)
@settings(max_examples=400)
def test_a_date_with_a_months_name_is_read_as_it_was(form, values):
    given_back(form, [value.date().isoformat() for value in values])


@pytest.mark.parametrize(
    "read_as",
    [
        *(
            "%d%m%Y",
            "%d1%m.%Y",
            "%d\n%m\n%Y",
            "%d.%m/%Y",
            "%Y",
            "%d.%m.%y",
            "%m.%d %H:%M",
            "x%d.%m.%Y",
        ),
        *("%d.%m.%Y %H.%M", "%d.%m.%Y %I:%M", "%d.%m.%Y%H:%M", "%d.%m.%Y [de]", "%d %B %Y [xx]"),
        *(
            "%Y%d%m",
            "%d.%d.%Y",
            "%d.%m.%Y %H:%M:%S.%9f",
            "",
            "1.234",
            "12",
            "x",
            "1,2,3",
            None,
            7,
            [],
        ),
    ],
)
def test_what_is_no_notation_is_not_taken_for_one(read_as):
    assert notation.parse(read_as) is None


letters = st.text(st.sampled_from("0123456789.,'-()%€ /"), max_size=12)
alike = st.sampled_from(
    [
        r"[0-9]{1,3}[.,][0-9]{1,3}",
        r"[0-9]{1,2}/[0-9]{1,2}/20[0-9]{2}",
        r"-?[0-9]{1,4},[0-9] ?[%€]?",
        r"\(?[0-9]{1,3}\.[0-9]{3},[0-9]{2}\)?",
        r"[0-9]{1,3} [0-9]{3}",
        r"[0-9.,]{1,9}-?",
    ]
).flatmap(lambda form: st.lists(st.from_regex(form, fullmatch=True), min_size=1, max_size=6))


@given(st.lists(letters, min_size=1, max_size=6) | alike)
@example(["1.2,3.456,7"])
@example(["-0,5", "5,0"])
@settings(max_examples=2000)
def test_nothing_is_changed_that_cannot_be_written_back(cells):
    column = column_of(cells)
    if column.notation is None:
        return
    trimmed = [cell.strip() or None for cell in cells]
    values = column.notation.read(pa.array(trimmed, pa.string())).to_pylist()
    assert column.check.fits(pa.array(values, pa.string()))
    back = [value and column.notation.write(value) for value in values]
    assert back == trimmed


def test_a_word_is_one_month_in_all_languages():
    numbers: dict[str, int] = {}
    for spelling in months.spellings():
        assert len(set(spelling.words)) == 12
        for number, word in enumerate(spelling.words, 1):
            assert numbers.setdefault(word, number) == number
            others = [other for other in spelling.words if other != word]
            assert not any(word in other for other in others), (word, spelling)
    tags = [(spelling.directive, spelling.tag) for spelling in months.spellings()]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("unit", [*sorted(number_notation._UNITS), "€", "$", "£", "¥", "₹"])
@pytest.mark.parametrize("form", ["{unit} 1.234,50", "{unit}1.234,50", "1.234,50 {unit}"])
def test_a_field_with_a_unit_is_read_as_the_column_was(unit, form):
    cells = [form.format(unit=unit)]
    column = column_of(cells)
    assert values_of(column, cells) == ["1234.50"]
    (field,) = schema.describe([column])["fields"]
    declared = schema.read_descriptor({"fields": [field]})
    (again,) = schema.infer(["a"], [strings()], declared)
    assert again.is_converted
    if again.notation is not None:
        assert values_of(again, cells) == ["1234.50"]
    else:
        converted, misfit = convert.convert(strings(*cells), field)
        assert (converted.to_pylist(), misfit) == (["1234.50"], None)
