"""Dates and times as people write them -> how a column's are written, and their values.

``31.12.2020``, ``12/31/2020 1:05 PM``, ``31 de diciembre de 2020``: day, month and year in some
order, the month as a number or by its name, with a time of day or without one. In: cells. Out: the
one notation that has all of them, as far as they prove one; then the values as Postgres writes
them. Holds the block's cells once more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.types import months
from loader.types.checks import all_match
from loader.types.deciding import Deciding
from loader.types.flat import Bytes, Flat, Numbers, flat, strings

if TYPE_CHECKING:
    from loader.types.months import Spelling

_MAX_CHARACTERS = 60
_MARKS = (("AM", "PM"), ("am", "pm"), ("a.m.", "p.m."), ("A.M.", "P.M."), ("a. m.", "p. m."))
_MARK = "|".join(re.escape(mark) for pair in _MARKS for mark in pair)
_CLOCK = (
    r"(?P<before>, | |T)(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})"
    r"(?::(?P<S>[0-9]{2})(?:\.(?P<f>[0-9]{1,6}))?)?"
    rf"(?:(?P<space>[ \u00a0\u202f]?)(?P<mark>{_MARK}))?"
)
_NAME = r"(?P<b>[^\W\d_]+\.?)"
# In each the groups are the date's parts, in their order, and what stands between them.
_DATES = tuple(
    re.compile(rf"{date}(?:{_CLOCK})?")
    for date in (
        r"(?P<x>[0-9]{1,2})(?P<one>[/.-])(?P<y>[0-9]{1,2})(?P<two>(?P=one))(?P<Y>[0-9]{4})",
        r"(?P<Y>[0-9]{4})(?P<one>[/.-])(?P<x>[0-9]{1,2})(?P<two>(?P=one))(?P<y>[0-9]{1,2})",
        r"(?P<x>[0-9]{1,2})(?P<one> de |\. |[ ./-]|)"
        rf"{_NAME}(?P<two> del? |, |[ ./-]|)(?P<Y>[0-9]{{4}})",
        rf"{_NAME}(?P<one>[ -])(?P<x>[0-9]{{1,2}})(?P<two>, |[ ,-])(?P<Y>[0-9]{{4}})",
        rf"(?P<Y>[0-9]{{4}})(?P<one>[ -]){_NAME}(?P<two>[ -])(?P<x>[0-9]{{1,2}})",
    )
)
_COMPACT = re.compile(r"(?P<Y>1[89][0-9]{2}|2[01][0-9]{2})(?P<x>[0-9]{2})(?P<y>[0-9]{2})")
_DAY = {
    True: "(?:0[1-9]|[12][0-9]|3[01])",
    False: "(?:[1-9]|[12][0-9]|3[01])",
    None: "(?:[12][0-9]|3[01])",
}
_MONTH = {True: "(?:0[1-9]|1[0-2])", False: "(?:[1-9]|1[0-2])", None: "1[0-2]"}
_HOUR = {True: "(?:[01][0-9]|2[0-3])", False: "(?:[0-9]|1[0-9]|2[0-3])", None: "(?:1[0-9]|2[0-3])"}
_MINUTE = "[0-5][0-9]"


@dataclass(frozen=True)
class Clock:
    """How a time of day is written behind a date.

    Attributes:
        before: What stands between.
        padded: Whether an hour below ten has a zero; None: there is none.
        seconds: Whether there are seconds.
        places: How many digits they have behind the point.
        space: Before the half of the day.
        marks: The words for its halves; None: there are 24 hours.
    """

    before: str
    padded: bool | None
    seconds: bool
    places: int
    space: str = ""
    marks: tuple[str, str] | None = None

    @property
    def width(self) -> int:
        """How long the time is as Postgres writes it, with what stands before it."""
        return len(" HH:MM:SS") + (self.places + 1 if self.places else 0)

    @property
    def pattern(self) -> str:
        """What matches it, in RE2's syntax."""
        hour = _HOUR[self.padded] if self.marks is None else _MONTH[self.padded]
        rest = f":{_MINUTE}" + f":{_MINUTE}" * self.seconds
        rest += rf"\.[0-9]{{{self.places}}}" if self.places else ""
        if self.marks is not None:
            rest += self.space + f"(?:{'|'.join(map(re.escape, self.marks))})"
        return re.escape(self.before) + hour + rest

    @property
    def read_as(self) -> str:
        """Return it in directives of strftime."""
        hour = "%I" if self.marks else "%H"
        form = self.before + (hour if self.padded is not False else f"%-{hour[1]}") + ":%M"
        form += ":%S" * self.seconds + (f".%{self.places}f" if self.places else "")
        return form + (f"{self.space}%p" if self.marks else "")

    def write(self, time: str) -> str:
        """Return a time of day as the file has it.

        Args:
            time: As Postgres writes it.
        """
        clock, _, places = time.partition(".")
        hour, minute, second = clock.split(":")
        number, mark = int(hour), ""
        if self.marks is not None:
            mark = self.space + self.marks[number >= 12]
            number = number % 12 or 12
        hour = str(number) if self.padded is False else f"{number:02}"
        rest = f":{minute}" + f":{second}" * self.seconds
        rest += "." + places.ljust(self.places, "0") if self.places else ""
        return f"{self.before}{hour}{rest}{mark}"


@dataclass(frozen=True)
class MomentNotation:
    """How the dates of a column are written, as far as those seen tell.

    Attributes:
        orders: ``dmy``, ``mdy`` or ``ymd``: those in which all values are dates.
        between: What stands between the first and the second, and the second and the third part.
        padded: Whether the first and the second number that is no year have a zero if they are
            below ten; None: there is none.
        names: The spellings of months' names that have all of them; None: months are numbers.
        clock: The time of day.
    """

    orders: tuple[str, ...]
    between: tuple[str, str]
    padded: tuple[bool | None, bool | None]
    names: frozenset[int] | None = None
    clock: Clock | None = None

    doubt = "may have the day first or the month"
    hint = "dates=dmy or mdy decides"

    @property
    def type(self) -> str:
        """The Postgres type."""
        return "timestamp" if self.clock else "date"

    @property
    def fallback(self) -> str:
        """The type of a column that has these values and others: 20201231 is a number too."""
        return "bigint" if self.between == ("", "") and self.names is None else "text"

    def join(self, other: object) -> MomentNotation | None:
        """Return the notation of two columns' values together; None if there is none."""
        if not isinstance(other, MomentNotation) or self.between != other.between:
            return None
        orders = tuple(order for order in self.orders if order in other.orders)
        try:
            padded = tuple(map(_same, self.padded, other.padded))
            clock = _joined(self.clock, other.clock)
        except _DifferError:
            return None
        names = self.names
        if names is not None and other.names is not None:
            names &= other.names
        elif names is not other.names:
            return None
        if not orders or (names is not None and not names):
            return None
        return MomentNotation(orders, self.between, (padded[0], padded[1]), names, clock)

    def readings(self, deciding: Deciding) -> list[MomentNotation]:
        """Return what the values may be."""
        dates = deciding.dates
        orders = [dates] if dates in self.orders else self.orders
        if len(self.orders) > 1 and dates == "iso":
            return []
        return [replace(self, orders=(order,)) for order in orders]

    def decided(self, deciding: Deciding) -> MomentNotation | None:
        """Return the one reading that the values, or the caller, prove; None if they do not."""
        readings = self.readings(deciding)
        return readings[0] if len(readings) == 1 else None

    def loosened(self) -> MomentNotation:
        """Return the same for another file, whose days may be padded otherwise."""
        if self.fallback == "bigint":
            return self
        clock = self.clock and replace(self.clock, padded=None)
        return replace(self, padded=(None, None), clock=clock)

    def keeps(self, other: object) -> bool:
        """Tell whether the values of another reading are the same if read by this one."""
        return isinstance(other, MomentNotation) and self.orders == other.orders

    needs_every_cell = False

    @property
    def is_doubtful(self) -> bool:
        """Whether the values allow more than one reading."""
        return len(self.orders) > 1

    @cached_property
    def _spelling(self) -> Spelling:
        return months.spellings()[min(self.names or ())]

    @cached_property
    def pattern(self) -> str:
        """What matches a cell, in RE2's syntax; of a reading."""
        padded = iter(self.padded)
        parts = []
        for part in self.orders[0]:
            if part == "y":
                parts.append("[0-9]{4}")
            elif part == "m" and self.names is not None:
                parts.append(f"(?:{'|'.join(map(re.escape, self._words()))})")
            else:
                parts.append((_DAY if part == "d" else _MONTH)[next(padded)])
        one, two = map(re.escape, self.between)
        clock = self.clock.pattern if self.clock else ""
        return f"{parts[0]}{one}{parts[1]}{two}{parts[2]}{clock}"

    def _words(self) -> list[str]:
        """Return the names that all spellings have in which the column may be."""
        spellings = [months.spellings()[i].words for i in self.names or ()]
        return [word for word in spellings[0] if all(word in words for words in spellings)]

    def read(self, cells: pa.StringArray) -> pa.StringArray | None:
        """Return the values; None if not all cells are written so. Of a reading."""
        if not all_match(cells, self.pattern):
            return None
        if self.names is None:
            return self._in_numbers(cells)
        encoded = cells.dictionary_encode()  # there are far fewer days than rows
        return pc.take(self._in_numbers(self._numbered(encoded.dictionary)), encoded.indices)

    def _numbered(self, cells: pa.StringArray) -> pa.StringArray:
        """Return the cells with numbers for the names of months."""
        for number, word in enumerate(self._spelling.words, 1):
            # Nothing may stand between a name and the numbers beside it: 31Dec2020.
            cells = pc.replace_substring(cells, word, f"/{number:02}/")
        return cells

    def _in_numbers(self, cells: pa.StringArray) -> pa.StringArray:
        filled = cells.drop_null()
        numbers = Numbers(flat(filled), self._count())
        width = 10 + (self.clock.width if self.clock else 0)
        data = np.empty((len(filled), width), np.uint8)
        data[:, [4, 7]] = ord("-")
        for place, part in enumerate(self.orders[0]):
            if part == "y":
                data[:, 0:4] = numbers.last_digits(place, 4)
            else:
                begin = 5 if part == "m" else 8
                data[:, begin : begin + 2] = numbers.two_digits(place)
        if self.clock:
            self._put_time(self.clock, numbers, filled, data[:, 10:])
        offsets = np.arange(len(filled) + 1) * width
        return strings(Flat(data.reshape(-1), offsets), cells)

    def _count(self) -> int:
        """Return how many numbers a cell has."""
        if self.between == ("", "") and self.names is None:
            return 1
        clock = self.clock
        return 3 + (2 + clock.seconds + (clock.places > 0) if clock else 0)

    def _put_time(self, clock: Clock, numbers: Numbers, cells: pa.StringArray, to: Bytes) -> None:
        to[:] = np.frombuffer(b" 00:00:00.".ljust(to.shape[1], b"0")[: to.shape[1]], np.uint8)
        hours = numbers.two_digits(3)
        if clock.marks is not None:
            is_pm = np.asarray(pc.match_substring(cells, clock.marks[1]), dtype=bool)
            value = (hours[:, 0] - 48) * 10 + hours[:, 1] - 48
            value = value % 12 + 12 * is_pm.astype(np.uint8)
            hours = np.stack([value // 10 + 48, value % 10 + 48], axis=1)
        to[:, 1:3] = hours
        to[:, 4:6] = numbers.two_digits(4)
        if clock.seconds:
            to[:, 7:9] = numbers.two_digits(5)
        if clock.places:
            to[:, 10:] = numbers.last_digits(6, clock.places)

    def write(self, value: str) -> str:
        """Return the cell of a value, as Postgres writes it; of a reading."""
        day, _, time = value.partition(" ")
        year, month, date = day.split("-")
        padded = iter(self.padded)
        parts = []
        for part in self.orders[0]:
            if part == "y":
                parts.append(year)
            elif part == "m" and self.names is not None:
                parts.append(self._spelling.words[int(month) - 1])
            else:
                number = month if part == "m" else date
                parts.append(str(int(number)) if next(padded) is False else number)
        one, two = self.between
        clock = self.clock.write(time) if self.clock else ""
        return f"{parts[0]}{one}{parts[1]}{two}{parts[2]}{clock}"

    @property
    def read_as(self) -> str:
        """How a moment is written, in directives of strftime; of a reading."""
        padded = iter(self.padded)
        parts, tag = [], ""
        for part in self.orders[0]:
            if part == "y":
                parts.append("%Y")
            elif part == "m" and self.names is not None:
                parts.append(self._spelling.directive)
                tag = self._spelling.tag and f" [{self._spelling.tag}]"
            else:
                parts.append(f"%-{part}" if next(padded) is False else f"%{part}")
        one, two = self.between
        clock = self.clock.read_as if self.clock else ""
        if self.clock and self.clock.marks not in (None, _MARKS[0]):
            tag += f" [{self.clock.marks[0]}]"
        return f"{parts[0]}{one}{parts[1]}{two}{parts[2]}{clock}{tag}"

    def field(self) -> dict[str, object] | None:
        """Return the properties of a frictionless field that is read alike; None: there are none.

        Of a reading.
        """
        form = self.read_as
        if "[" in form or not form.isascii():
            return None
        form = re.sub(r"%\df", "%f", form).replace("%-", "%")
        return {"type": "datetime" if self.clock else "date", "format": form}


class _DifferError(Exception):
    """Two columns are written differently."""


def _same(one: bool | None, other: bool | None) -> bool | None:
    if one is None or other is None or one == other:
        return other if one is None else one
    raise _DifferError


def _joined(one: Clock | None, other: Clock | None) -> Clock | None:
    if one is None or other is None:
        if one is not other:
            raise _DifferError
        return None
    if replace(one, padded=None) != replace(other, padded=None):
        raise _DifferError
    return replace(one, padded=_same(one.padded, other.padded))


def learn(cell: str, *, compact: bool = False) -> MomentNotation | None:
    """Return what one cell tells; None if it is no date, with or without a time of day.

    Args:
        cell: The cell.
        compact: Whether it may be ``20201231``.
    """
    if not 8 <= len(cell) <= _MAX_CHARACTERS:
        return None
    if compact and (found := _COMPACT.fullmatch(cell)):
        is_date = int(found["x"]) in range(1, 13) and int(found["y"]) in range(1, 32)
        return MomentNotation(("ymd",), ("", ""), (True, True)) if is_date else None
    for pattern in _DATES:
        if (found := pattern.fullmatch(cell)) and (notation := _of(found)):
            return notation
    return None


def _of(found: re.Match[str]) -> MomentNotation | None:
    clock = _clock(found) if found["before"] else None
    if found["before"] and clock is None:
        return None
    between = (found["one"], found["two"])
    places = sorted((part for part in "xybY" if part in found.re.groupindex), key=found.start)
    if "b" in places:
        names = months.spellings_of(found["b"])
        order = "".join({"x": "d", "b": "m", "Y": "y"}[part] for part in places)
        if not names or int(found["x"]) not in range(1, 32):
            return None
        return MomentNotation((order,), between, (_padding(found["x"]), None), names, clock)
    first, second = int(found["x"]), int(found["y"])
    if places[0] == "Y":
        orders = ["ymd"] if _is_day(second, first) else []
    else:
        orders = ["dmy"] * _is_day(first, second) + ["mdy"] * _is_day(second, first)
    if not orders:
        return None
    padded = (_padding(found["x"]), _padding(found["y"]))
    return MomentNotation(tuple(orders), between, padded, None, clock)


def _is_day(day: int, month: int) -> bool:
    return 1 <= day <= 31 and 1 <= month <= 12


def _padding(number: str) -> bool | None:
    if len(number) == 1:
        return False
    return True if number[0] == "0" else None


def _clock(found: re.Match[str]) -> Clock | None:
    """Return how a time of day is written; None if there is no such time."""
    hour, mark = int(found["H"]), found["mark"]
    marks = next((pair for pair in _MARKS if mark in pair), None)
    is_hour = 1 <= hour <= 12 if marks else hour < 24
    if not is_hour or int(found["M"]) > 59 or int(found["S"] or 0) > 59:
        return None
    return Clock(
        before=found["before"],
        padded=_padding(found["H"]),
        seconds=found["S"] is not None,
        places=len(found["f"] or ""),
        space=found["space"] or "",
        marks=marks,
    )


_SAMPLE = "2020-12-31 13:45:30"
_DIRECTIVES = re.compile(r"%(-?)([dmYbBHI]|\d?f|[MSp])")


def parse(read_as: str) -> MomentNotation | None:
    """Return the reading that ``read_as`` tells; None if it is none that cells are read by."""
    notation = _parsed(read_as)
    if notation is None or notation.read_as != read_as:
        return None
    # Somebody may have edited it: only what would be learnt of a cell is one.
    learnt = learn(notation.write(_SAMPLE), compact=True)
    return notation if learnt and learnt.join(notation) else None


def _parsed(read_as: str) -> MomentNotation | None:
    form, *tags = re.split(r" \[([^]]*)\]", read_as)
    tags = [tag for tag in tags if tag]
    found = _DIRECTIVES.split(form)
    texts, dashes, directives = found[0::3], found[1::3], found[2::3]
    parts = [d for d in directives if d in "dmYbB"]
    if len(parts) != 3 or directives[:3] != parts or texts[0]:
        return None
    marks = _MARKS[0]
    named = next((d for d in parts if d in "bB"), None)
    for tag in tags:
        marks = next((pair for pair in _MARKS if pair[0] == tag), marks)
    tag = next((tag for tag in tags if all(tag != pair[0] for pair in _MARKS)), "")
    names = None
    if named is not None:
        place = months.spelling_named(f"%{named}", tag)
        if place is None:
            return None
        names = frozenset({place})
    order = "".join({"Y": "y", "b": "m", "B": "m"}.get(part, part) for part in parts)
    if order not in ("dmy", "mdy", "ymd"):
        return None
    clock = _parsed_clock(texts[3:], dashes[3:], directives[3:], marks)
    if clock is None and (len(directives) > 3 or texts[3]):
        return None
    between = (texts[1], texts[2])
    dated = zip(dashes[:3], parts, strict=True)
    padded = [dash == "" for dash, part in dated if part in "dm"]
    second = padded[1] if len(padded) > 1 else None
    return MomentNotation((order,), between, (padded[0], second), names, clock)


def _parsed_clock(
    texts: list[str], dashes: list[str], directives: list[str], marks: tuple[str, str]
) -> Clock | None:
    kinds = "".join(directive[-1] for directive in directives)
    if not re.fullmatch(r"HM(Sf?)?|IM(Sf?)?p", kinds):
        return None
    places = next((int(d[0]) for d in directives if d.endswith("f")), 0)
    halves = kinds.endswith("p")
    return Clock(
        before=texts[0],
        padded=dashes[0] == "",
        seconds="S" in kinds,
        places=places,
        space=texts[len(directives) - 1] if halves else "",
        marks=marks if halves else None,
    )
