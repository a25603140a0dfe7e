"""Declared fields with a format of their own -> readers of their values, or an error.

In: frictionless fields with a ``format``, a ``groupChar``, ``trueValues`` and the like. Out: an
error if the format leaves a part of the value undetermined (a date without a year), else a reader.
Where frictionless would guess the rest of a text, or drop a part of it, the reader rejects the
text. Holds caches of limited size only.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from frictionless import Field
from frictionless.fields import BooleanField

from loader.errors import UsageError

Reader = Callable[[str], object]

_MOMENTS = ("date", "datetime", "time")
_NUMBER_FORMS = frozenset({"groupChar", "decimalChar", "bareNumber"})
_DATE_PARTS = ("year", "month", "day")
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
# The parts of a moment that each directive of strptime determines by itself.
_GIVES: dict[str, tuple[str, ...]] = {
    "Y": ("year",),
    "y": ("year",),
    "G": ("year",),
    "m": ("month",),
    "b": ("month",),
    "B": ("month",),
    "d": ("day",),
    "j": ("month", "day"),
    "H": ("hour",),
    "M": ("minute",),
    "S": ("second",),
    "f": ("fraction",),
}
_WEEKDAYS = frozenset("aAwu")
_KNOWN = frozenset("aAwdbBmyYHIpMSfzjUWGVu%")
# Directives of other programs, and of the machine's locale, with what to write instead. strptime
# reads %c, %x and %X, but by the locale of the machine, and %Z, but only its own zone's name: it
# drops the others.
_WRITTEN_AS = {
    "c": "%a %b %d %H:%M:%S %Y",
    "x": "%m/%d/%y",
    "X": "%H:%M:%S",
    "Z": "%z, which reads Z, +0200 and +02:00; where all values are in UTC, the word UTC or GMT",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "T": "%H:%M:%S",
    "r": "%I:%M:%S %p",
    "e": "%d",
    "h": "%b",
    "k": "%H",
    "l": "%I",
    "L": "%f",
    "N": "%f",
    "P": "%p",
    "-": "the directive without the dash: it reads numbers without a leading zero too",
}
_OF_THE_MACHINE = frozenset("cxXZ")
# Time zones in a format as words. UTC has one meaning and is kept; any other zone needs a %z.
_UTC = re.compile(r"(?<![A-Za-z])(?:Z|UTC|GMT)(?![A-Za-z])", re.IGNORECASE)
_OTHER_ZONE = re.compile(
    r"[+-]\d{2}(?::?\d{2})?(?!\d)|(?<![A-Za-z])(?:[A-Z]{2,3}(?<!GM)T|MES?Z|MSK)(?![A-Za-z])"
)
_UTC_OFFSET = re.compile(r"(?:UTC|GMT|Z)\s*[+-]\s*\d", re.IGNORECASE)
_PROBE = dt.datetime(2020, 11, 23, 22, 45, 51, tzinfo=dt.timezone.utc)
# What a unit may consist of beside letters, currency signs and spaces. The full stop of "Rs. 5"
# ends a word; that of "Rs.5" may be a decimal point. A slash or an exponent next to the number may
# belong to it too, so they are part of a unit only behind its letters: km/h, m².
_OF_UNITS = frozenset("%\uff05‰°℃℉")
_IN_UNITS = re.compile(r"(?<=[^\W\d_])(?:\.(?![\d.])|[²³])|(?<=[^\d\s/])/(?=[^\W\d_])")
_WORDS = re.compile(r"[^\W\d_]+")
# Words that change the value of the number beside them: multiples, and words for negative numbers.
# A number with one of them is rejected: "5 million" is not 5.
_CHANGING = frozenset(
    re.findall(
        r"\w+",
        """
        k tsd thsd tausend thousand thousands mille milliers mila duizend tusen tuhat tys tis ezer
        mil hundred hundreds hundert dozen ribu bin nghìn
        mio mill mln mn million millions millionen millón millones milioni milhão milhões miljoen
        miljoner milj miliony milionów millió milijun milijuna milyon juta jt triệu mkr tkr
        mrd mld md mds mia bn bln bil billion billions billionen milliard milliards milliarden
        miliardi miliardy miljard miljarder milliárd milijardi milyar miliar bilhão bilhões tỷ
        trn tn trillion trillions lakh lakhs lac lacs crore crores
        тыс тысяч тысячи млн миллион миллионов млрд миллиард миллиардов χιλ εκατ δισ
        ألف الف مليون مليار אלף מיליון
        cr dr debit credit deb cred debet kredit debe haber dare avere débit crédit doit avoir
        soll haben minus negative negativ neg moins menos meno минус
        """,
    )
)
_CURRENCIES = frozenset(
    re.findall(r"\w+", "eur euro euros usd dollar dollars gbp chf jpy cny inr cad aud sek nok dkk")
)
_CHANGING_BEFORE_CURRENCY = ("k", "t", "m", "mn", "mio", "mrd", "bn")  # TEUR
# Multiples; and debit and credit, as Brazilian (C, D) and German (S, H) accounts have them.
_CHANGING_CAPITALS = frozenset({"M", "MM", "B", "G", "T", "C", "D", "S", "H"})
_DEGREES = re.compile(r"°\s?[CF]")
# With a currency, as in $5m, they are multiples; without one, units such as metres and tonnes.
_CHANGING_MONEY = frozenset("mbt")
_CHANGING_DIRECTLY = tuple("十百千万萬億亿兆십백천만억조")
_BELOW_MICROSECONDS = re.compile(r"[.,]\d{6}0*[1-9]")
# dateutil completes a text from a default. These two defaults differ in every part and in the
# weekday, so a text that gives the same date with both of them is complete.
_DEFAULTS = (dt.datetime(2000, 1, 1, 0), dt.datetime(2004, 12, 15, 1))  # noqa: DTZ001  (as it)


def require_determined(field: Field, missing: Sequence[str]) -> None:
    """Check that a field's format determines its values completely.

    Args:
        field: Of a valid schema.
        missing: The schema's ``missingValues``.

    Raises:
        UsageError: The format lacks a part of a date or time, or a word has two meanings.
    """
    if field.type in _MOMENTS and field.format not in ("default", "any"):
        _require_format(field)
    if isinstance(field, BooleanField):
        _require_words(field, missing)


def _require_format(field: Field) -> None:
    whose = f"the format {field.format!r} of the schema's field {field.name!r}"
    found = _DIRECTIVE.findall(field.format)
    directives = set(found)
    _require_known(whose, found)
    if lacking := _lacking(field.type, directives):
        raise UsageError(
            f"{whose} lacks the {' and the '.join(lacking)} of a {field.type}",
            hint="name each part with a directive of strptime, such as %Y-%m-%d or %H:%M; or"
            " declare the field a string",
        )
    if "H" in directives and not {"I", "p"}.isdisjoint(directives):
        other = "%p" if "p" in directives else "%I"
        raise UsageError(
            f"{whose} has {other} beside %H, the hour of 24, and one of them would be dropped",
            hint="write %I for %H where there is a %p; or declare the field a string",
        )
    if field.type == "time":
        _require_time(whose, field.format, directives)
    if "hour" in _given(directives) and (zone := _OTHER_ZONE.search(_words(field.format))):
        raise UsageError(
            f"{whose} has the zone {zone[0]} in words, which would be dropped",
            hint="write %z, which reads Z, +0200 and +02:00; or declare the field a string",
        )
    try:
        dt.datetime.strptime(_PROBE.strftime(field.format), field.format)  # noqa: DTZ007
    except (ValueError, re.error):  # re.error: a directive stands in it twice
        raise UsageError(
            f"{whose} is none that strptime reads",
            hint="https://docs.python.org/3/library/datetime.html#format-codes",
        ) from None


def _require_known(whose: str, directives: Sequence[str]) -> None:
    for directive in directives:
        if directive in _OF_THE_MACHINE:
            raise UsageError(
                f"{whose} has %{directive}, whose meaning depends on the machine that reads it",
                hint=f"write {_WRITTEN_AS[directive]}",
            )
        if directive not in _KNOWN:
            link = "https://docs.python.org/3/library/datetime.html#format-codes"
            raise UsageError(
                f"{whose} is none that strptime reads: it does not know %{directive}",
                hint=f"write {_WRITTEN_AS[directive]}" if directive in _WRITTEN_AS else link,
            )


def _require_time(whose: str, form: str, directives: set[str]) -> None:
    """Check that a time's format has nothing but a time of day."""
    has_date = not set(_DATE_PARTS).isdisjoint(_given(directives))
    has_zone = "z" in directives or _has_utc(form)
    if has_date or has_zone:
        raise UsageError(
            f"{whose} has a {'date' if has_date else 'zone'}, which a time does not keep",
            hint=f"declare the field a {'datetime' if has_date else 'string'}",
        )


def _words(form: str) -> str:
    """Return a format without its directives."""
    return _DIRECTIVE.sub(" ", form)


def _given(directives: set[str]) -> set[str]:
    """Return the parts of a moment that the directives determine together."""
    given = {part for directive in directives for part in _GIVES.get(directive, ())}
    has_weekday = not _WEEKDAYS.isdisjoint(directives)
    if {"G", "V"} <= directives and has_weekday:
        given |= set(_DATE_PARTS)
    if {"U", "W"} & directives and has_weekday:
        given |= {"month", "day"}
    if "I" in directives:
        given.add("hour")
    return given


def _lacking(kind: str, directives: set[str]) -> list[str]:
    """Return the parts that a moment of this kind needs and no directive determines."""
    given = _given(directives)
    needed = [] if kind == "time" else list(_DATE_PARTS)
    if kind == "time" or {"minute", "second", "fraction", "p"} & (given | directives):
        needed.append("hour")
    if {"second", "fraction"} & given:
        needed.append("minute")
    if "fraction" in given:
        needed.append("second")
    lacking = [part for part in needed if part not in given]
    if {"U", "W", "V"} & directives and "day" in lacking:
        is_iso = "V" in directives
        lacking = ["year"] if "year" in lacking and not is_iso else []
        lacking += ["ISO year (%G)"] if is_iso and "G" not in directives else []
        lacking += [] if _WEEKDAYS & directives else ["weekday"]
    if "I" in directives and not {"p", "H"} & directives:
        lacking.append("half of the day (%p)")
    return lacking


def _require_words(field: BooleanField, missing: Sequence[str]) -> None:
    words = {"trueValues": set(field.true_values), "falseValues": set(field.false_values)}
    if both := words["trueValues"] & words["falseValues"]:
        raise UsageError(
            f"{min(both)!r} is among the trueValues and the falseValues of the schema's field"
            f" {field.name!r}",
            hint="declare both; those that are not declared are true, True, TRUE, 1 and false,"
            " False, FALSE, 0",
        )
    nulls = {"", *missing, *(field.missing_values if field.has_defined("missing_values") else ())}
    for name, declared in (("trueValues", "true_values"), ("falseValues", "false_values")):
        if field.has_defined(declared) and (both := words[name] & nulls):
            raise UsageError(
                f"{min(both)!r} is among the {name} of the schema's field {field.name!r} and means"
                " that there is no value",
                hint="an empty cell and those of missingValues are NULL: take it out of one",
            )


def reader(field: Field) -> Reader | None:
    """Return a reader that accepts only texts that determine a value completely.

    Args:
        field: With a format, a ``groupChar`` or a ``decimalChar`` of its own. ``bareNumber`` is for
            the caller to heed.

    Returns:
        A function from a text to its value, or to None if the text is not valid. None if the reader
        of frictionless guesses and drops nothing, and can be used.
    """
    if field.type in _MOMENTS and field.format == "any":
        return _any_moment(field.type)
    if field.type in _MOMENTS and field.format != "default":
        return _moment(field.type, field.format)
    if field.type in ("number", "integer"):
        return _plain_number(field)
    return None


def has_own_format(descriptor: Mapping[str, Any]) -> bool:
    """Return whether the descriptor of a field has a format of its own: one for ``reader``."""
    has_format = descriptor.get("format", "default") != "default"
    is_moment = descriptor.get("type") in _MOMENTS
    return has_format if is_moment else not _NUMBER_FORMS.isdisjoint(descriptor)


def _any_moment(kind: str) -> Reader:
    """Return a reader of moments in any format; it rejects texts that would be read in part.

    dateutil drops digits below a microsecond, and a weekday beside a date. frictionless drops the
    time of day of a date, and the date of a time.
    """
    from dateutil import parser  # noqa: PLC0415  (frictionless has it)

    info = parser.parserinfo()

    def read(text: str) -> object:
        # dateutil reads UTC+3 as POSIX does, 3 hours behind UTC; everybody else means 3 ahead.
        if _BELOW_MICROSECONDS.search(text) or _UTC_OFFSET.search(text):
            return None
        first, second = _DEFAULTS if kind == "time" else (_DEFAULTS[0], _same_hour(_DEFAULTS))
        try:
            moment, again = (
                parser.parse(text, default=default, tzinfos=_zone) for default in (first, second)
            )
        except (ValueError, ArithmeticError):
            return None
        if kind == "time":
            has_date = (moment.date(), again.date()) != (first.date(), second.date())
            return None if has_date or moment.hour != again.hour else moment.timetz()
        weekdays = set(map(info.weekday, _WORDS.findall(text))) - {None}
        if moment.date() != again.date() or not weekdays <= {moment.weekday()}:
            return None
        return moment if kind == "datetime" else _as_date(moment)

    return read


def _zone(name: str | None, offset: int | None) -> dt.tzinfo | None:
    """Return the zone for a name and an offset that dateutil has found; None if there is neither.

    Without this function, dateutil reads a name as the machine's own zone if that has the name.

    Raises:
        ValueError: The name is not that of UTC: others stand for several zones in the world.
    """
    if name not in (None, "UTC", "GMT"):
        raise ValueError(name)
    if offset is None:
        return None
    return dt.timezone(dt.timedelta(seconds=offset))


def _same_hour(defaults: tuple[dt.datetime, dt.datetime]) -> dt.datetime:
    """Return the second default with the hour of the first: a date needs no hour of its own."""
    return defaults[1].replace(hour=defaults[0].hour)


def _moment(kind: str, form: str) -> Reader:
    """Return a reader of moments in a format of strptime; it drops no part of a text.

    If two directives contradict each other, strptime drops one of them; and it drops a zone in
    words.
    """
    directives = set(_DIRECTIVE.findall(form))
    has_hour = "hour" in _given(directives)
    has_utc = kind == "datetime" and has_hour and "z" not in directives and _has_utc(form)
    may_contradict = _may_contradict(directives)

    def read(text: str) -> object:
        try:
            moment = dt.datetime.strptime(text, form)  # noqa: DTZ007  (it is what the file says)
        except (ValueError, ArithmeticError):
            return None
        if may_contradict and not _written(moment.date(), form).fullmatch(text):
            return None
        if kind == "date":
            return _as_date(moment)
        if kind == "time":
            return moment.time()
        return moment.replace(tzinfo=dt.timezone.utc) if has_utc else moment

    return read


def _has_utc(form: str) -> bool:
    return _UTC.search(_words(form)) is not None


def _may_contradict(directives: set[str]) -> bool:
    """Return whether two directives determine the same part, or a day that may not exist."""
    years, months = directives & set("Yy"), directives & set("mbB")
    return not directives.isdisjoint("aAwujUWVG") or len(years) > 1 or len(months) > 1


# Any time of day. These patterns may match too much: strptime has accepted the text before.
_TIME_WRITTEN = dict.fromkeys("HIMS", r"\s?\d{1,2}") | {
    "f": r"\d{1,6}",
    "p": r"[^\s\d]*",
    "z": r"(?:Z|[+-][\d:.]+)",
}


@lru_cache(maxsize=4096)  # of a column of moments, many are of one date
def _written(day: dt.date, form: str) -> re.Pattern[str]:
    """Return a pattern of this date as the format writes it, with any time of day."""
    parts = _DIRECTIVE.split(form)
    found = [
        _written_part(day, part) if is_directive % 2 else _written_words(part)
        for is_directive, part in enumerate(parts)
    ]
    return re.compile("".join(found), re.IGNORECASE | re.DOTALL)


def _written_part(day: dt.date, directive: str) -> str:
    if directive in _TIME_WRITTEN:
        return _TIME_WRITTEN[directive]
    text = "%" if directive == "%" else day.strftime(f"%{directive}")
    return rf"\s?0*{int(text)}" if text.isdecimal() else re.escape(text)


def _written_words(words: str) -> str:
    """Return a pattern of a format's words: strptime accepts any white space for a space."""
    return r"\s+".join(map(re.escape, re.split(r"\s+", words)))


def _as_date(moment: dt.datetime) -> dt.date | None:
    """Return a moment's date if its time is midnight; else None: the time would be dropped."""
    return moment.date() if moment.time() == dt.time() else None


@lru_cache(maxsize=1024)  # a column has few units
def may_stand_around(before: str, behind: str, marks: str) -> bool:
    """Return whether the text around a number is a unit that does not change its value.

    Args:
        before: The text before the number and its sign.
        behind: The text behind its last digit.
        marks: The characters that may stand between its digits, as ``groupChar`` does.
    """
    around = f"{before}0{behind}"
    kinds = [(letter, unicodedata.category(letter)) for letter in _IN_UNITS.sub("", around)]
    for letter, kind in kinds:
        is_known = kind[0] in "LM" or kind == "Sc" or letter in _OF_UNITS or letter == "0"
        if not letter.isspace() and (letter in marks or not is_known):
            return False
    words = set(_WORDS.findall(_DEGREES.sub("°", around)))
    is_money = any(kind == "Sc" for _, kind in kinds) or not _CURRENCIES.isdisjoint(
        word.lower() for word in words
    )
    return not (
        behind.lstrip().startswith(_CHANGING_DIRECTLY)
        or words & (_CHANGING_CAPITALS | (_CHANGING_MONEY if is_money else set()))
        or any(_makes_another_number(word.lower()) for word in words)
    )


def _makes_another_number(word: str) -> bool:
    return word in _CHANGING or any(
        word.removeprefix(begin) in _CURRENCIES and word.startswith(begin)
        for begin in _CHANGING_BEFORE_CURRENCY
    )


def _plain_number(field: Field) -> Reader:
    """Return a reader of numbers that accepts the groupChar only between groups of digits.

    frictionless removes it anywhere: it would read ``1.2.3.4`` as 1234. And Python's int, which it
    uses, accepts underscores.
    """
    group_char = getattr(field, "group_char", "")
    decimal = getattr(field, "decimal_char", ".")
    digits = r"\d+"
    if group_char:
        mark = re.escape(group_char)
        # Groups of three, 1,234,567, or as in India, 12,34,567. The first group has no leading
        # zero: the comma of 0,123 is more likely a decimal one.
        grouped = rf"(?!0)(?:\d{{1,3}}(?:{mark}\d{{3}})+|\d{{1,2}}(?:{mark}\d{{2}})+{mark}\d{{3}})"
        digits = rf"(?:{grouped}|\d+)"
    point = "" if field.type == "integer" else rf"(?:{re.escape(decimal)}\d*)?"
    exponent = "" if field.type == "integer" else r"(?:[eE][+-]?\d+)?"
    form = re.compile(rf"[+-]?(?:{digits})?{point}{exponent}")
    read = field.create_value_reader()

    def read_number(text: str) -> object:
        return read(text) if form.fullmatch(text.strip()) else None

    return read_number
