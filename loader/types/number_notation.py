"""Numbers as people write them -> how a column's are written, and their values.

``1.234,56 €``, ``(12 %)``, ``50,00-``: a decimal comma or point, groups of three digits, one
currency sign or per cent sign, and a sign for negative numbers. In: cells. Out: the one notation
that has all of them, as far as they prove one; then the values as Postgres writes them. Holds the
block's cells once more.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.types.checks import all_match
from loader.types.deciding import Deciding
from loader.types.flat import Flat, flat, strings

_SPACES = (" ", "\u00a0", "\u202f")
_POINTS = (".", ",")
_GROUPS = (*_POINTS, *_SPACES, "'", "\u2019")
_DECIMALS = {"comma": ",", "point": "."}
_MINUSES = ("-", "\u2212")
_MAX_CHARACTERS = 100  # of a number from which a notation is learnt
_PARTS = re.compile(
    r"([^0-9]{0,12})([0-9](?:[0-9.,'\u2019 \u00a0\u202f]*[0-9])?)([^0-9]{0,12})", re.DOTALL
)
_ADDRESS_PARTS = 4  # 192.168.100.200 is an internet address
_WORDS = """
    % EUR USD GBP CHF JPY CNY SEK NOK DKK ISK PLN CZK HUF RON BGN HRK RSD TRY RUB UAH AUD NZD CAD
    BRL MXN ARS CLP COP PEN INR IDR MYR THB VND PHP KRW HKD SGD TWD ZAR ILS AED SAR EGP MAD KES
    NGN Euro euro Fr. Fr SFr. CHF. kr kr. Kr Kr. zł Kč Ft R$ US$ U$S A$ AU$ C$ CA$ NZ$ HK$ S$ NT$
    MX$ Rs Rs. лв лв. руб руб. р. грн TL lei Lei din din. дин. kn RM Rp S/ S/.
"""  # noqa: RUF001  (they are Cyrillic)
_UNITS = frozenset(_WORDS.split())


@dataclass(frozen=True)
class Negative:
    """How negative numbers are told from others: what stands around their digits.

    Attributes:
        before_unit: Before the unit in front.
        before: Between it and the digits.
        behind: Between the digits and the unit behind.
        behind_unit: Behind that.
    """

    before_unit: str = ""
    before: str = ""
    behind: str = ""
    behind_unit: str = ""


_IN_FRONT = Negative(before="-")
_TRUE_MINUS = Negative(before="\u2212")


@dataclass(frozen=True)
class NumberNotation:
    """How the numbers of a column are written, as far as those seen tell.

    Attributes:
        decimal: What stands before the decimal places; None: no value has any.
        group: What stands between groups of three digits; '' for nothing; None: no number was
            long enough.
        either: What stands before three digits in a way that may be either of these.
        prefix: The unit in front, with the space between.
        suffix: The unit behind.
        negative: None: no value is negative.
        digits: How many each has, groups without decimal places; 0: not all the same.
        is_address: Whether each may be an internet address.
        is_name: Whether the column's name is that of a number which nobody adds up.
    """

    decimal: str | None = None
    group: str | None = None
    either: str | None = None
    prefix: str = ""
    suffix: str = ""
    negative: Negative | None = None
    digits: int = 0
    is_address: bool = False
    is_name: bool = False

    type = "numeric"
    fallback = "text"

    def join(self, other: object) -> NumberNotation | None:
        """Return the notation of two columns' values together; None if there is none."""
        if not isinstance(other, NumberNotation):
            return None
        if (self.prefix, self.suffix) != (other.prefix, other.suffix):
            return None
        try:
            joined = NumberNotation(
                decimal=_same(self.decimal, other.decimal),
                group=_same(self.group, other.group),
                either=_same(self.either, other.either),
                prefix=self.prefix,
                suffix=self.suffix,
                negative=_same(self.negative, other.negative),
                digits=self.digits if self.digits == other.digits else 0,
                is_address=self.is_address and other.is_address,
                is_name=self.is_name or other.is_name,
            )
        except _DifferError:
            return None
        return joined if joined._is_possible else None

    @property
    def _is_possible(self) -> bool:
        if self.decimal is not None and self.decimal == self.group:
            return False
        # 1.234 beside 1,5 has groups, which 1234,5 has not.
        other = self.either not in (None, self.decimal, self.group)
        return not (other and self.decimal is not None and self.group is not None)

    def readings(self, deciding: Deciding) -> list[NumberNotation]:
        """Return what the values may be, each with its separators known."""
        mark = self.either
        if mark is None or mark in (self.decimal, self.group):
            return [replace(self, either=None)]
        as_group = replace(self, either=None, group=mark)
        as_decimal = replace(self, either=None, decimal=mark)
        if self.decimal is not None:
            return [as_group]
        if self.group is not None:
            return [as_decimal]
        if deciding.decimal != "auto":
            return [as_decimal if mark == _DECIMALS[deciding.decimal] else as_group]
        return [as_decimal, as_group]

    def decided(self, deciding: Deciding) -> NumberNotation | None:
        """Return the one reading that the values prove; None if they do not."""
        readings = self.readings(deciding)
        if len(readings) > 1 or self._is_mixed:
            return None
        return readings[0] if readings[0].proves else None

    @property
    def proves(self) -> bool:
        """Whether it is not how Postgres writes numbers, nor how people write codes."""
        has_unit = bool(self.prefix or self.suffix)
        if self.decimal is None and self.group and not has_unit:
            # A phone number, or a postcode: 601 123 456 in every row.
            is_code = self.group in _SPACES and (self.digits or self.is_name)
            return not (is_code or self.is_address)
        if self.decimal is None and not self.group and not has_unit:
            # "3-" is a mark at school, and "(3)" a number in a list.
            return self.negative == _TRUE_MINUS
        is_plain = self.decimal in (None, ".") and not self.group
        return has_unit or not is_plain or self.negative not in (None, _IN_FRONT)

    def loosened(self) -> NumberNotation:
        """Return the same for another file, with negative numbers in a style of its own."""
        return replace(self, negative=None)

    def keeps(self, other: object) -> bool:
        """Tell whether the values of another reading are the same if read by this one."""
        if not isinstance(other, NumberNotation):
            return True
        # What the caller has decided a mark to be, a later value may prove to be the other thing.
        return other.decimal in (None, self.decimal) and (
            not other.group or other.group == self.group
        )

    @property
    def needs_every_cell(self) -> bool:
        """Whether a cell may tell something that its pattern does not show."""
        if self.decimal is not None:
            return False
        is_code = bool(self.group) and (self.digits > 0 or self.is_address)
        return is_code or self._is_mixed

    @property
    def _is_mixed(self) -> bool:
        """Whether 1,234 is beside 1234: it has no group, but whether it has decimal places?"""
        return self.either is not None and self.decimal is None and self.group == ""

    @property
    def is_doubtful(self) -> bool:
        """Whether the values allow more than one reading."""
        return self.either is not None and self.decided(Deciding()) is None

    doubt = "may have decimal places or groups of digits"
    hint = "decimal=comma or point decides"

    @cached_property
    def pattern(self) -> str:
        """What matches a cell, in RE2's syntax; of a reading."""
        digits = r"(?:0|[1-9][0-9]{0,2})"
        if self.group == "":
            digits = r"(?:0|[1-9][0-9]*)"
        elif self.group is not None:
            digits = rf"(?:0|[1-9][0-9]{{0,2}}(?:{re.escape(self.group)}[0-9]{{3}})*)"
        places = "" if self.decimal is None else rf"(?:{re.escape(self.decimal)}[0-9]+)?"
        body = digits + places
        plain = self._around(body, Negative())
        if self.negative is None:
            return plain
        return f"(?:{plain}|{self._around(body, self.negative)})"

    def _around(self, body: str, sign: Negative) -> str:
        escape = re.escape
        return (
            f"{escape(sign.before_unit)}{escape(self.prefix)}{escape(sign.before)}{body}"
            f"{escape(sign.behind)}{escape(self.suffix)}{escape(sign.behind_unit)}"
        )

    def read(self, cells: pa.StringArray) -> pa.StringArray | None:
        """Return the values; None if not all cells are written so. Of a reading."""
        if not all_match(cells, self.pattern):
            return None
        filled = cells.drop_null()
        is_negative = self._negatives(filled)
        for unit in (self.prefix.strip(), self.suffix.strip()):
            if set(unit) & set(".,-"):  # of "Fr.": no decimal point
                filled = pc.replace_substring(filled, unit, "")
        values = _bare(flat(filled), self.decimal)
        if is_negative is not None and is_negative.any():
            values = _with_minus(values, is_negative)
        return strings(values, cells)

    def _negatives(self, cells: pa.StringArray) -> np.ndarray | None:
        if self.negative is None:
            return None
        sign = self.negative
        mark = sign.before_unit or sign.before or sign.behind or sign.behind_unit
        return np.asarray(pc.match_substring(cells, mark), dtype=bool)

    def write(self, value: str) -> str:
        """Return the cell of a value, as Postgres writes it; of a reading."""
        is_negative, value = value.startswith("-"), value.lstrip("-")
        whole, point, places = value.partition(".")
        if self.group:
            first = len(whole) % 3 or 3
            threes = [whole[i : i + 3] for i in range(first, len(whole), 3)]
            whole = self.group.join([whole[:first], *threes])
        body = whole + ((self.decimal or ".") + places if point else "")
        sign = (self.negative or _IN_FRONT) if is_negative else Negative()
        return (
            f"{sign.before_unit}{self.prefix}{sign.before}{body}"
            f"{sign.behind}{self.suffix}{sign.behind_unit}"
        )

    @property
    def read_as(self) -> str:
        """How a number is written, such as ``1.234,56 EUR``; of a reading."""
        if self.group:
            value = "1234567" if self.decimal is None else "1234.56"
        else:
            value = "1" if self.decimal is None else "1.5"
        is_plain = self.negative in (None, _IN_FRONT) and not self.prefix
        if not is_plain and self.negative is not None:
            value = f"-{value}"
        return self.write(value)

    def field(self) -> dict[str, object] | None:
        """Return the properties of a frictionless field that is read alike; None: there are none.

        Of a reading.
        """
        if self.negative not in (None, _IN_FRONT):
            return None
        if self.negative is not None and self.prefix:
            return None
        properties: dict[str, object] = {"type": "number"}
        if self.decimal not in (None, "."):
            properties["decimalChar"] = self.decimal
        if self.group:
            properties["groupChar"] = self.group
            if self.decimal is None and self.group == ".":
                properties["decimalChar"] = ","
        if self.prefix or self.suffix:
            properties["bareNumber"] = False
        return properties


_Part = TypeVar("_Part", str, Negative)


class _DifferError(Exception):
    """Two columns are written differently."""


def _same(one: _Part | None, other: _Part | None) -> _Part | None:
    if one is None or other is None or one == other:
        return other if one is None else one
    raise _DifferError


def _bare(values: Flat, decimal: str | None) -> Flat:
    """Return numbers with a decimal point and without all that is no digit."""
    keeps, data = values.is_digit, values.data
    if decimal is not None:
        is_point = data == ord(decimal)
        keeps |= is_point
        data = np.where(is_point, np.uint8(ord(".")), data)
    ends = np.concatenate(([0], np.cumsum(keeps)))[values.offsets]
    return Flat(data[keeps], ends)


def _with_minus(values: Flat, is_negative: np.ndarray) -> Flat:
    """Return the values with a minus before some of them."""
    minuses = np.concatenate(([0], np.cumsum(is_negative)))
    offsets = values.offsets + minuses
    data = np.full(offsets[-1], ord("-"), np.uint8)
    places = np.arange(len(values.data)) + np.repeat(minuses[1:], np.diff(values.offsets))
    data[places] = values.data
    return Flat(data, offsets)


def learn(cell: str) -> NumberNotation | None:
    """Return what one cell tells; None if it is no number."""
    if len(cell) > _MAX_CHARACTERS:
        return None
    parts = _PARTS.fullmatch(cell)
    if parts is None:
        return None
    around, separators = _around(parts[1], parts[3]), _separators(parts[2])
    if around is None or separators is None:
        return None
    prefix, suffix, negative = around
    return replace(separators, prefix=prefix, suffix=suffix, negative=negative)


def _around(before: str, behind: str) -> tuple[str, str, Negative | None] | None:
    """Return the units in front of a number and behind it, and its sign."""
    if "(" in before and ")" in behind:
        front, back = _taken(before, "(", "front"), _taken(behind, ")", "back")
    elif minus := next((sign for sign in _MINUSES if sign in before), None):
        front, back = _taken(before, minus, "front"), _taken(behind, "", "back")
    elif minus := next((sign for sign in _MINUSES if sign in behind), None):
        front, back = _taken(before, "", "front"), _taken(behind, minus, "back")
    else:
        front, back = _taken(before, "", "front"), _taken(behind, "", "back")
    if front is None or back is None or (front[0] and back[0]):
        return None
    prefix, before_unit, inner = front
    suffix, behind_unit, inner_behind = back
    sign = Negative(before_unit, inner, inner_behind, behind_unit)
    return prefix, suffix, sign if sign != Negative() else None


def _taken(text: str, sign: str, side: str) -> tuple[str, str, str] | None:
    """Return unit, sign beyond it and sign next to the number; None if there is more."""
    outer = inner = ""
    if sign:
        is_outer = text.startswith(sign) if side == "front" else text.endswith(sign)
        is_inner = text.endswith(sign) if side == "front" else text.startswith(sign)
        if is_inner:
            inner = sign
            text = text[: -len(sign)] if side == "front" else text[len(sign) :]
        elif is_outer:
            outer = sign
            text = text[len(sign) :] if side == "front" else text[: -len(sign)]
        else:
            return None
    return (text, outer, inner) if _is_unit(text, side) else None


def _is_unit(text: str, side: str) -> bool:
    if text and text[-1 if side == "front" else 0] in _SPACES:
        text = text[:-1] if side == "front" else text[1:]
        if not text:
            return False
    is_sign = len(text) == 1 and unicodedata.category(text) == "Sc"
    return not text or is_sign or text in _UNITS


def _separators(body: str) -> NumberNotation | None:
    """Return what stands between the digits of a number."""
    marks = [letter for letter in body if not letter.isdecimal()]
    if not marks:
        if body[0] == "0" and len(body) > 1:
            return None
        return NumberNotation(group="" if len(body) > 3 else None, digits=len(body))
    if len(marks) == 1:
        return _one_mark(*body.partition(marks[0]))
    return _several_marks(body, marks)


def _several_marks(body: str, marks: list[str]) -> NumberNotation | None:
    group, last = marks[0], marks[-1]
    whole = body.rpartition(last)[0]
    if set(marks) == {group} and _is_grouped(body, group):
        parts = body.split(group)
        is_address = len(parts) == _ADDRESS_PARTS and group == "." and _are_bytes(parts)
        digits = len(body) - len(marks)
        return NumberNotation(group=group, digits=digits, is_address=is_address)
    if last in _POINTS and last != group and _is_grouped(whole, group):
        return NumberNotation(decimal=last, group=group)
    return None


def _one_mark(whole: str, mark: str, places: str) -> NumberNotation | None:
    may_be_group = _is_grouped(f"{whole}{mark}{places}", mark)
    digits = len(whole) + len(places)
    if mark not in _POINTS:
        return NumberNotation(group=mark, digits=digits) if may_be_group else None
    if may_be_group:
        return NumberNotation(either=mark, digits=digits)
    if not whole or (whole[0] == "0" and len(whole) > 1):
        return None
    return NumberNotation(decimal=mark, group="" if len(whole) > 3 else None)


def _is_grouped(text: str, mark: str) -> bool:
    first, *others = text.split(mark)
    return (
        mark in _GROUPS
        and 1 <= len(first) <= 3
        and first.isdecimal()
        and first[0] != "0"
        and all(len(part) == 3 and part.isdecimal() for part in others)
    )


def _are_bytes(parts: list[str]) -> bool:
    return all(int(part) < 256 for part in parts)


# The columns of canonical numbers as notations: a later value may be written otherwise.
PLAIN = {
    "bigint": NumberNotation(group="", negative=_IN_FRONT),
    "numeric": NumberNotation(decimal=".", group="", negative=_IN_FRONT),
}
