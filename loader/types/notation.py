"""A column's cells -> how its values are written, if every one of them proves it.

What people write otherwise than Postgres does: dates (``moment_notation``) and numbers
(``number_notation``). A notation grows with the cells seen: two are joined to the one that has the
cells of both. It may leave open what they mean, as 01/02/2020 does; then nothing is read by it,
until a value excludes all readings but one. In: cells. Out: notations. Holds a block's distinct
cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from loader.types import moment_notation, number_notation
from loader.types.checks import all_match
from loader.types.deciding import Deciding

_SAMPLED = 20  # distinct cells that a column has to show before all are looked at
# Words in the names of columns of dates, in the languages of ``months``; 20201231 is one there.
_DATES = "date dates day datum tag data dag jour fecha dia día giorno dt ymd yyyymmdd"
_DATE_WORDS = frozenset(_DATES.split())
# In those of numbers that nobody adds up.
_CODES = """
    phone tel telephone telefon telefono teléfono telefone téléphone telefoon mobile mobil fax handy
    cell cellulare number nr no num numero número numéro nummer id code kod zip plz postcode postal
    cap cep cp siren siret nip nif cif iban konto account
"""
_CODE_WORDS = frozenset(_CODES.split())
_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])")


class Notation(Protocol):
    """How the values of a column are written.

    Of a notation that may have several readings only ``join``, ``readings`` and ``decided`` are to
    be used, and what names the doubt.
    """

    @property
    def type(self) -> str:
        """The Postgres type of the values."""

    @property
    def fallback(self) -> str:
        """The type of a column that has other values too."""

    @property
    def hint(self) -> str:
        """What decides between two readings."""

    @property
    def read_as(self) -> str:
        """The notation in one line; ``parse`` reads it."""

    def join(self, other: object, /) -> Notation | None:
        """Return the notation that has the values of both; None if there is none."""

    def readings(self, deciding: Deciding, /) -> Sequence[Notation]:
        """Return what the values may be, each a notation with one reading."""

    def decided(self, deciding: Deciding, /) -> Notation | None:
        """Return the one reading that is proven; None if there is none."""

    def loosened(self) -> Notation:
        """Return the same for another file: what changes no value may be otherwise there."""

    def keeps(self, other: object, /) -> bool:
        """Tell whether the values of another reading are the same if read by this one."""

    @property
    def needs_every_cell(self) -> bool:
        """Whether a cell may tell something that its pattern does not show."""

    @property
    def is_doubtful(self) -> bool:
        """Whether the values allow more than one reading."""

    @property
    def doubt(self) -> str:
        """Why there is more than one."""

    @property
    def pattern(self) -> str:
        """What matches a cell, in RE2's syntax."""

    def read(self, cells: pa.StringArray, /) -> pa.StringArray | None:
        """Return the values as Postgres writes them; None if not all cells are written so.

        Whether they are of the type, such as days of the calendar, is left to its check.
        """

    def write(self, value: str, /) -> str:
        """Return the cell of a value that Postgres has written."""

    def field(self) -> dict[str, object] | None:
        """Return the properties of a frictionless field that is read alike; None: no such."""


@dataclass(frozen=True)
class Habits:
    """What a reader makes of cells that are not written as Postgres writes them.

    Attributes:
        is_lenient: Whether spaces around values are left out.
        is_notating: Whether notations are read.
        deciding: What decides where the values allow more than one reading.
        nulls_signs: Whether signs for no value are NULL.
        strips: Whether spaces around text are left out.
    """

    is_lenient: bool = True
    is_notating: bool = True
    deciding: Deciding = field(default_factory=Deciding)
    nulls_signs: bool = False
    strips: bool = False


STRICT = Habits(is_lenient=False, is_notating=False)


def learn(cells: pa.StringArray, header: str, seed: Notation | None = None) -> Notation | None:
    """Return the notation of all cells, nulls aside, decided or not; None if there is none.

    Args:
        cells: Without spaces around them.
        header: The name of the column.
        seed: That of the cells before.
    """
    cells = cells.drop_null()
    found = _of_all(_few(cells[: 10 * _SAMPLED]), header, seed)
    # A cell takes 10 us here, and 0.1 us where it is only seen whether it tells anything new.
    while found is not None and len(cells := _new_to(found, cells)):
        few = _few(cells)
        found = _of_all(few, header, found)
        cells = cells.filter(pc.invert(pc.is_in(cells, value_set=pa.array(few, pa.string()))))
    return found


def _few(cells: pa.StringArray) -> list[str]:
    few: list[str] = cells.unique()[:_SAMPLED].to_pylist()
    return few


def _new_to(found: Notation, cells: pa.StringArray) -> pa.StringArray:
    """Return the cells that may tell more of a notation than those that it was learnt from."""
    readings = found.readings(Deciding())
    if found.needs_every_cell or not readings:
        return cells
    if all(all_match(cells, reading.pattern) for reading in readings):
        return cells[:0]
    matched = (pc.match_substring_regex(cells, f"^(?:{reading.pattern})$") for reading in readings)
    return cells.filter(pc.invert(reduce(pc.and_, matched)))


def _of_all(cells: Iterable[str], header: str, seed: Notation | None) -> Notation | None:
    compact, is_name = may_be_compact(header), not _CODE_WORDS.isdisjoint(_words(header))
    found: Notation | None = seed
    for cell in cells:
        one: Notation | None = moment_notation.learn(cell, compact=compact)
        if one is None and (number := number_notation.learn(cell)):
            one = replace(number, is_name=is_name)
        if one is None:
            return None
        found = one if found is None else found.join(one)
        if found is None:
            return None
    return found


def may_be_compact(header: str) -> bool:
    """Tell whether a column's name is that of dates, among which 20201231 is one."""
    words = _words(header)
    return not _DATE_WORDS.isdisjoint(words) or any(w.endswith(("datum", "date")) for w in words)


def _words(header: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(header)]


def plain(kind: str) -> Notation | None:
    """Return the notation of a column of a type as Postgres writes it; None: it has none."""
    return number_notation.PLAIN.get(kind)


def parse(read_as: object) -> Notation | None:
    """Return the reading that ``read_as`` tells; None if it is none."""
    if not isinstance(read_as, str):
        return None
    if "%Y" in read_as:
        return moment_notation.parse(read_as)
    number = number_notation.learn(read_as)
    return replace(number, digits=0).decided(Deciding()) if number else None
