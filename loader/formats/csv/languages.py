"""How often letters follow one another in a language: what tells one encoding from another.

In: ``languages.json``, which ``benchmarks/languages.py`` derives from the names and words of CLDR
and Django. Out: languages and scripts, each with what a character costs. Holds all of them, 5 MB,
from the first text on that is neither ASCII nor UTF-8.

A character that is expected costs 3 to 6 bits, one that the language does not have 18. So the sum
over a text is how unlikely it is, and texts that the same bytes give in several encodings can be
compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

UNKNOWN = 18.0  # a letter that the language does not have, or of two scripts in one word
_STRANGE_ASCII = 9.0  # behind or before a letter: q in Polish
_AFTER_STRANGE = 5.0  # the letter behind one that the language does not have
_MIXED_ASCII = 4.5  # a letter of ASCII beside one of any language
_MIXED_GAIN = 2.0  # of a letter where its language is not known, over its average
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"  # a digit of the table is half a bit

# Ideographs and syllables that CLDR does not have: those which the national standard has in its
# first level are the usual ones.
_RARE_IN = {
    # script: its standard, the lead bytes of the first level and of all, bits of each
    "ja": ("euc_jp", range(0xB0, 0xD0), range(0xD0, 0xF5), 11.6, 15.0),
    "zh": ("gb2312", range(0xB0, 0xD8), range(0xD8, 0xF8), 11.8, 15.5),
    "zh_Hant": ("big5", range(0xA4, 0xC7), range(0xC9, 0xFA), 12.3, 16.0),
    "ko": ("euc_kr", range(0xB0, 0xC9), range(0xCA, 0xFE), 11.2, 16.0),
}
_EASTERN = [
    (frozenset("　、。・「」（），：；－ー．／＆々〇"), 8.0),  # noqa: RUF001
    (frozenset(map(chr, range(0xFF00, 0xFF61))), 11.0),  # letters of ASCII in full width
    (frozenset(map(chr, range(0xFF61, 0xFF66))), 14.0),  # signs in half width
    (frozenset(map(chr, range(0xFF66, 0xFFA0))), 7.0),  # kana in half width
    # Of private use: the codec's way to say "none".
    (frozenset(map(chr, range(0xE000, 0xF900))), 24.0),
]
_KANA = (frozenset(map(chr, range(0x3041, 0x3100))), 8.0)
_SIGNS_OF = {False: _EASTERN, True: [*_EASTERN, _KANA]}
_BITS_OF_OTHER_SIGN, _BITS_OF_OTHER, _BITS_OF_NONE = 17.0, 18.0, 24.0


@dataclass(frozen=True)
class Language:
    """Which letters a language has, and how often one follows another.

    Attributes:
        name: As in CLDR; "mixed" for names of all Western languages in one text.
        is_latin: Whether letters of ASCII are among its own.
        letters: Those past ASCII, in lower case.
    """

    name: str
    is_latin: bool
    letters: frozenset[str]
    _bits: Mapping[tuple[str, str], float]
    _ascii: frozenset[str]

    def bits(self, before: str, letter: str) -> float:
        """Return what a letter costs behind another one; a space stands for what is none."""
        known = self._bits.get((before, letter))
        if known is not None:
            return known
        if letter.isascii():
            if letter not in self._ascii:
                return _STRANGE_ASCII if self.is_latin else UNKNOWN
        elif letter not in self.letters:
            return UNKNOWN
        if not self.is_latin and before != " " and before.isascii():
            return UNKNOWN
        return _AFTER_STRANGE

    def bits_of_ascii(self, pairs: Mapping[tuple[str, str], int]) -> float:
        """Return what letters of ASCII cost, each behind another one."""
        return sum(n * self._bits.get(pair, _STRANGE_ASCII) for pair, n in pairs.items())


@dataclass(frozen=True)
class MixedLanguage(Language):
    """Names from everywhere in one text: a letter costs the same behind any other."""

    _average: Mapping[str, float]

    def bits(self, before: str, letter: str) -> float:  # noqa: ARG002
        """Return what a letter costs."""
        return _MIXED_ASCII if letter.isascii() else self._average.get(letter, UNKNOWN)


@dataclass(frozen=True)
class Script:
    """How often the characters of an Eastern script are used.

    Attributes:
        name: The language's, as in CLDR.
    """

    name: str
    _bits: Mapping[str, float]

    def bits(self, character: str) -> float:
        """Return what a character past ASCII costs."""
        known = self._bits.get(character)
        return self._bits_of_rare(character) if known is None else known

    def _bits_of_rare(self, character: str) -> float:
        for characters, bits in _SIGNS_OF[self.name == "ja"]:
            if character in characters:
                return bits
        standard, first, second, usual_bits, rare_bits = _RARE_IN[self.name]
        try:
            lead = character.encode(standard)[0]
        except UnicodeEncodeError:
            return _BITS_OF_OTHER if character.isalpha() else _BITS_OF_NONE
        if lead in first:
            return usual_bits
        return rare_bits if lead in second else _BITS_OF_OTHER_SIGN


@cache
def languages() -> tuple[Language, ...]:
    """Return the languages whose letters single bytes can be."""
    found = [_language(name, table) for name, table in _tables()["languages"].items()]
    return (*found, _mixed())


@cache
def scripts() -> dict[str, Script]:
    """Return the Eastern scripts by the name of their language."""
    return {name: Script(name, _read(table)) for name, table in _tables()["scripts"].items()}


@cache
def all_letters() -> frozenset[str]:
    """Return all letters past ASCII of all languages, in lower case."""
    return frozenset().union(*(language.letters for language in languages()))


@cache
def _tables() -> dict[str, dict[str, dict[str, str]]]:
    text = files("loader.formats.csv").joinpath("languages.json").read_text(encoding="utf-8")
    tables: dict[str, dict[str, dict[str, str]]] = json.loads(text)
    return tables


def _language(name: str, table: Mapping[str, str]) -> Language:
    letters = f" {table['ascii']}{table['letters']}"
    bits = _half_bits(table["bits"])
    return Language(
        name=name,
        is_latin=bool(table["ascii"]),
        letters=frozenset(table["letters"]),
        _bits=dict(zip(((a, b) for a in letters for b in letters), bits, strict=True)),
        _ascii=frozenset(f" {table['ascii']}"),
    )


def _mixed() -> Language:
    average = {
        letter: bits - _MIXED_GAIN for letter, bits in _read(_tables()["mixed"]["all"]).items()
    }
    return MixedLanguage(
        name="mixed",
        is_latin=True,
        letters=frozenset(average),
        _bits={},
        _ascii=frozenset(),
        _average=average,
    )


def _read(table: Mapping[str, str]) -> dict[str, float]:
    return dict(zip(table["letters"], _half_bits(table["bits"]), strict=True))


def _half_bits(digits: str) -> list[float]:
    return [_DIGITS.index(digit) / 2 for digit in digits]
