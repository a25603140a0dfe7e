"""A schema's fields -> whether what they say of their values' form determines these values.

In: fields that are written in a form of their own. Out: an error where the form leaves a part of a
value open, and readers that give up what frictionless would fill in or change. Holds nothing.
"""

from __future__ import annotations

import datetime as dt
import re
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
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
    "x": _DATE_PARTS,
    "c": (*_DATE_PARTS, "hour", "minute", "second"),
    "X": ("hour", "minute", "second"),
    "H": ("hour",),
    "M": ("minute",),
    "S": ("second",),
    "f": ("fraction",),
}
_WEEKDAYS = frozenset("aAwu")
_PROBE = dt.datetime(2020, 11, 23, 22, 45, 51, tzinfo=dt.timezone.utc)
_BELOW_MICROSECONDS = re.compile(r"[.,]\d{6}0*[1-9]")
# dateutil takes from a default what a text does not say. These two have no part in common, and no
# weekday: a text that gives the same date from both has all of it.
_DEFAULTS = (dt.datetime(2000, 1, 1, 0), dt.datetime(2004, 12, 15, 1))  # noqa: DTZ001  (as it)
_WARNINGS = threading.Lock()  # what is done with warnings counts for all threads


def require_determined(field: Field, missing: Sequence[str]) -> None:
    """See that a field's form leaves no part of a value open.

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
    directives = set(_DIRECTIVE.findall(field.format))
    if lacking := _lacking(field.type, directives):
        raise UsageError(
            f"{whose} lacks the {' and the '.join(lacking)} of a {field.type}",
            hint="name each part with a directive of strptime, such as %Y-%m-%d or %H:%M; or"
            " declare the field a string",
        )
    if field.type == "time" and not set(_DATE_PARTS).isdisjoint(_given(directives)):
        raise UsageError(
            f"{whose} has a date, which a time does not keep",
            hint="declare the field a datetime",
        )
    try:
        dt.datetime.strptime(_PROBE.strftime(field.format), field.format)  # noqa: DTZ007
    except (ValueError, re.error):  # re.error: a directive stands in it twice
        raise UsageError(
            f"{whose} is none that strptime reads",
            hint="https://docs.python.org/3/library/datetime.html#format-codes",
        ) from None


def _given(directives: set[str]) -> set[str]:
    """Return the parts of a moment that the directives give together."""
    given = {part for one in directives for part in _GIVES.get(one, ())}
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
    if "I" in directives and not {"p", "H", "c", "X"} & directives:
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
    """Return what reads a field's values as far as they are determined.

    Args:
        field: With a format or a number's form of its own; not looked at: ``bareNumber``.

    Returns:
        The value, or None for a text that is none; None where frictionless changes nothing.
    """
    if field.type in _MOMENTS and field.format == "any":
        return _any_moment(field.type)
    if field.type == "date" and field.format != "default":
        return _day(field.format)
    if field.type in ("number", "integer"):
        return _plain_number(field)
    return None


def is_own(descriptor: Mapping[str, Any]) -> bool:
    """Tell whether a field's descriptor gives its values a form that ``reader`` looks at."""
    has_format = descriptor.get("format", "default") != "default"
    is_moment = descriptor.get("type") in _MOMENTS
    return has_format if is_moment else not _NUMBER_FORMS.isdisjoint(descriptor)


def _any_moment(kind: str) -> Reader:
    """Return a reader of moments in any form that gives up what it would fill in or change.

    dateutil drops a zone that it does not know, with a warning, and digits below a microsecond;
    frictionless drops a date's time of day and a time's date.
    """
    from dateutil import parser  # noqa: PLC0415  (frictionless has it)

    def read(text: str) -> object:
        if _BELOW_MICROSECONDS.search(text):
            return None
        first, second = _DEFAULTS if kind == "time" else (_DEFAULTS[0], _same_hour(_DEFAULTS))
        try:
            with _WARNINGS, warnings.catch_warnings():
                warnings.simplefilter("error", parser.UnknownTimezoneWarning)
                one, other = parser.parse(text, default=first), parser.parse(text, default=second)
            one.utcoffset()  # an offset of days is told only when it is looked at
        except (ValueError, ArithmeticError, parser.UnknownTimezoneWarning):
            return None
        if kind == "time":
            has_date = (one.date(), other.date()) != (first.date(), second.date())
            return None if has_date or one.hour != other.hour else one.timetz()
        if one.date() != other.date():
            return None
        return one if kind == "datetime" else _as_date(one)

    return read


def _same_hour(defaults: tuple[dt.datetime, dt.datetime]) -> dt.datetime:
    """Return the second with the hour of the first: a date without one is its midnight."""
    return defaults[1].replace(hour=defaults[0].hour)


def _day(form: str) -> Reader:
    """Return a reader of dates in a form of strptime, which may have a time of day."""

    def read(text: str) -> object:
        try:
            return _as_date(dt.datetime.strptime(text, form))  # noqa: DTZ007  (it becomes a date)
        except ValueError:
            return None

    return read


def _as_date(moment: dt.datetime) -> dt.date | None:
    """Return a moment's date, if that is all there is of it: it is at midnight."""
    return moment.date() if moment.time() == dt.time() else None


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
