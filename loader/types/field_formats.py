"""Declared fields with a format of their own -> readers of their values, or why there can be none.

In: frictionless fields with a ``format``, a ``groupChar``, ``trueValues``... Out: an error where
the format leaves a part of a value open, and readers that reject the texts which frictionless would
complete or change. Holds nothing but caches of limited size.
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
# What each directive of strptime gives by itself.
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
# What else may be meant, and how strptime has it. It reads some of these, but %c, %x and %X as the
# machine's locale has them, and %Z as its time zone: of others it would drop the zone.
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
# Zones that stand in a format as words. UTC is kept; what others mean, only %z tells.
_UTC = re.compile(r"(?<![A-Za-z])(?:Z|UTC|GMT)(?![A-Za-z])", re.IGNORECASE)
_OTHER_ZONE = re.compile(
    r"[+-]\d{2}(?::?\d{2})?(?!\d)|(?<![A-Za-z])(?:[A-Z]{2,3}(?<!GM)T|MES?Z|MSK)(?![A-Za-z])"
)
_UTC_OFFSET = re.compile(r"(?:UTC|GMT|Z)\s*[+-]\s*\d", re.IGNORECASE)
_PROBE = dt.datetime(2020, 11, 23, 22, 45, 51, tzinfo=dt.timezone.utc)
# What a unit may have beside letters, currency signs and spaces. In Rs. 5 the full stop ends a
# word, in Rs.5 it may be the number's; next to it, a slash and an exponent (km/h, m²) may be too.
_OF_UNITS = frozenset("%\uff05‰°℃℉")
_IN_UNITS = re.compile(r"(?<=[^\W\d_])(?:\.(?![\d.])|[²³])|(?<=[^\d\s/])/(?=[^\W\d_])")
_WORDS = re.compile(r"[^\W\d_]+")
# Words that change the value of the number beside them: multiples, and words for a negative number.
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
        cr dr debit credit soll haben minus negative negativ neg moins menos meno минус
        """,
    )
)
_CURRENCIES = frozenset(
    re.findall(r"\w+", "eur euro euros usd dollar dollars gbp chf jpy cny inr cad aud sek nok dkk")
)
_CHANGING_BEFORE_CURRENCY = ("k", "t", "m", "mn", "mio", "mrd", "bn")  # TEUR
_CHANGING_CAPITALS = frozenset({"M", "MM", "B", "G", "T"})
_CHANGING_MONEY = frozenset("mbt")  # $5m; without a currency they are metres and tonnes
_CHANGING_DIRECTLY = tuple("十百千万萬億亿兆십백천만억조")
_BELOW_MICROSECONDS = re.compile(r"[.,]\d{6}0*[1-9]")
# dateutil takes from a default what a text does not say. These two have no part in common, and no
# weekday: a text that gives the same date from both has all of it.
_DEFAULTS = (dt.datetime(2000, 1, 1, 0), dt.datetime(2004, 12, 15, 1))  # noqa: DTZ001  (as it)


def require_determined(field: Field, missing: Sequence[str]) -> None:
    """Check that a field's format leaves no part of a value open.

    Args:
        field: Of a valid schema.
        missing: The schema's ``missingValues``.

    Raises:
        UsageError: Its format lacks a part of a moment, or one of its words means two things.
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
    """See that a time's format has nothing but a time of day."""
    has_date = not set(_DATE_PARTS).isdisjoint(_given(directives))
    has_zone = "z" in directives or _has_utc(form)
    if has_date or has_zone:
        raise UsageError(
            f"{whose} has a {'date' if has_date else 'zone'}, which a time does not keep",
            hint=f"declare the field a {'datetime' if has_date else 'string'}",
        )


def _words(form: str) -> str:
    """Return what stands in a format beside directives."""
    return _DIRECTIVE.sub(" ", form)


def _given(directives: set[str]) -> set[str]:
    """Return the parts of a moment that the directives give together."""
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
    """Return the parts that a moment of this kind needs and that nothing gives."""
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
    """Return a reader that accepts only the texts that determine a value.

    Args:
        field: With a format or a number's form of its own; not looked at: ``bareNumber``.

    Returns:
        The reader: it returns the value, or None for a text that is not one. None where
        frictionless completes and changes nothing, so that its own reader will do.
    """
    if field.type in _MOMENTS and field.format == "any":
        return _any_moment(field.type)
    if field.type in _MOMENTS and field.format != "default":
        return _moment(field.type, field.format)
    if field.type in ("number", "integer"):
        return _plain_number(field)
    return None


def has_own_format(descriptor: Mapping[str, Any]) -> bool:
    """Tell whether a field's descriptor gives its values a format that ``reader`` looks at."""
    has_format = descriptor.get("format", "default") != "default"
    is_moment = descriptor.get("type") in _MOMENTS
    return has_format if is_moment else not _NUMBER_FORMS.isdisjoint(descriptor)


def _any_moment(kind: str) -> Reader:
    """Return a reader of moments in any format, which rejects what it would complete or change.

    dateutil drops digits below a microsecond and a weekday beside a date; frictionless drops a
    date's time of day and a time's date.
    """
    from dateutil import parser  # noqa: PLC0415  (frictionless has it)

    info = parser.parserinfo()

    def read(text: str) -> object:
        # Of UTC+3, dateutil makes what is 3 hours behind UTC, as POSIX means it and nobody else.
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
    """Return the zone of a text that has this name and offset; None if it has neither.

    dateutil by itself takes a name for the machine's own zone, if that has it.

    Raises:
        ValueError: It has a name that is not UTC's, which stands for several zones in the world.
    """
    if name not in (None, "UTC", "GMT"):
        raise ValueError(name)
    if offset is None:
        return None
    return dt.timezone(dt.timedelta(seconds=offset))


def _same_hour(defaults: tuple[dt.datetime, dt.datetime]) -> dt.datetime:
    """Return the second with the hour of the first: a date without one is its midnight."""
    return defaults[1].replace(hour=defaults[0].hour)


def _moment(kind: str, form: str) -> Reader:
    """Return a reader of moments in a format of strptime, which drops no part of them.

    strptime drops one of two directives that contradict each other, and a zone in words.
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
    """Tell whether the directives can say two things of a date, or name a day that is none."""
    twice = (directives & set(same) for same in ("Yy", "mbB"))
    return not directives.isdisjoint("aAwujUWVG") or any(len(same) > 1 for same in twice)


# Any time of day, in as many ways as few: strptime has read it.
_TIME_WRITTEN = dict.fromkeys("HIMS", r"\s?\d{1,2}") | {
    "f": r"\d{1,6}",
    "p": r"[^\s\d]*",
    "z": r"(?:Z|[+-][\d:.]+)",
}


@lru_cache(maxsize=4096)  # of a column of moments, many are of one date
def _written(day: dt.date, form: str) -> re.Pattern[str]:
    """Return what matches this date as the format writes it, with any time of day."""
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
    """Return what matches a format's words: strptime takes any white space for a space."""
    return r"\s+".join(map(re.escape, re.split(r"\s+", words)))


def _as_date(moment: dt.datetime) -> dt.date | None:
    """Return a moment's date, if that is all there is of it: it is at midnight."""
    return moment.date() if moment.time() == dt.time() else None


@lru_cache(maxsize=1024)  # a column has few units
def may_stand_around(before: str, behind: str, marks: str) -> bool:
    """Tell whether what stands around a number is none of its parts, and does not change it.

    Args:
        before: What is in front of the number and its sign.
        behind: What is behind its last digit.
        marks: Characters that stand between digits.
    """
    around = f"{before}0{behind}"
    kinds = [(letter, unicodedata.category(letter)) for letter in _IN_UNITS.sub("", around)]
    for letter, kind in kinds:
        is_known = kind[0] in "LM" or kind == "Sc" or letter in _OF_UNITS or letter == "0"
        if not letter.isspace() and (letter in marks or not is_known):
            return False
    words = set(_WORDS.findall(around))
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
    """Return a reader of numbers that knows where groups are.

    frictionless takes the groupChar out wherever it stands: of ``1.2.3.4`` it would make 1234.
    Python's own numbers have underscores.
    """
    group = getattr(field, "group_char", "")
    decimal = getattr(field, "decimal_char", ".")
    digits = r"\d+"
    if group:
        of = re.escape(group)
        # As most do, 1,234,567; and as India does, 12,34,567. None begins with 0, as 0,123 does.
        begin = rf"(?!0)(?:\d{{1,3}}(?:{of}\d{{3}})+|\d{{1,2}}(?:{of}\d{{2}})+{of}\d{{3}})"
        digits = rf"(?:{begin}|\d+)"
    point = "" if field.type == "integer" else rf"(?:{re.escape(decimal)}\d*)?"
    exponent = "" if field.type == "integer" else r"(?:[eE][+-]?\d+)?"
    form = re.compile(rf"[+-]?(?:{digits})?{point}{exponent}")
    read = field.create_value_reader()

    def whole(text: str) -> object:
        return read(text) if form.fullmatch(text.strip()) else None

    return whole
