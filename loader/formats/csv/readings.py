"""The texts that the same bytes are in each encoding, and how unlikely each of them is, in bits.

In: lines with bytes past ASCII. Out: readings, each with its cost. Holds a few copies of the lines.

Only what stands beside a byte past ASCII counts: all else is the same in every encoding. For a
single-byte encoding the bytes are counted by threes once, and each encoding gets its letters from
that. Besides letters, places count: a capital within a word, a sign between two letters and a
control are signs of a wrong reading.
"""

from __future__ import annotations

import codecs
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from loader.formats.csv.languages import UNKNOWN, Language, all_letters, languages, scripts

# A single-byte encoding and what it is less likely by, in bits: how rare its files are.
_PAGES = {
    "cp1252": 0.0,
    **dict.fromkeys(("cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256"), 1.0),
    **dict.fromkeys(("cp1257", "cp874"), 1.0),
    "cp1258": 3.0,
    **dict.fromkeys(("iso8859_2", "iso8859_15", "iso8859_5", "iso8859_7", "iso8859_9"), 4.0),
    **dict.fromkeys(("iso8859_8", "iso8859_13", "koi8_r", "koi8_u"), 4.0),
    **dict.fromkeys(("cp850", "cp852", "cp866"), 4.0),
    **dict.fromkeys(("cp437", "mac_roman"), 5.0),
    **dict.fromkeys(("iso8859_4", "iso8859_6", "cp857", "cp775", "cp862", "cp737"), 7.0),
    **dict.fromkeys(("cp855", "cp720", "cp1125"), 7.0),
    **dict.fromkeys(("mac_cyrillic", "mac_latin2", "mac_turkish"), 7.0),
}
# The same for those of two bytes, with the language that is written in it.
_EASTERN = {
    "cp932": ("ja", 1.0),
    "euc_jp": ("ja", 3.0),
    "gb18030": ("zh", 1.0),
    "big5": ("zh_Hant", 1.0),
    "cp950": ("zh_Hant", 1.5),
    "big5hkscs": ("zh_Hant", 4.0),
    "cp949": ("ko", 1.0),
}

_NO_LETTERS = frozenset("ªºµ")  # though Unicode says so
_BETWEEN = frozenset("’·\xad-")  # noqa: RUF001  (signs that may stand between two letters)
_BEFORE = _BETWEEN | frozenset("–“„«¿¡£°§\xa0")  # noqa: RUF001  (or before one)
_BEHIND = _BETWEEN | frozenset("–”“»²³°®™…ªº½\xa0")  # noqa: RUF001  (or behind one)
_SIGNS = {
    "€": 7.0,
    **dict.fromkeys("’°", 10.0),  # noqa: RUF001
    **dict.fromkeys("–”“«»½·£§ºª²³", 12.0),  # noqa: RUF001
    "\xa0": 3.0,  # between the groups of every number
    **dict.fromkeys("…—„®×±µ¿¡™№¼¾\xad״׳،؟", 14.0),  # noqa: RUF001
}
_BITS_OF_OTHER_SIGN, _BITS_OF_BOX, _BITS_OF_NONE = 17.0, 19.0, 22.0
_BITS_OF_ACCENT = 19.0  # one that stands alone
_ACCENTS = frozenset("´¨¸˜¯")  # noqa: RUF001
_BITS_OF_LONE_LETTER = 3.0
_MISPLACED_BETWEEN, _MISPLACED_BESIDE, _MISPLACED_CAPITAL = 10.0, 4.0, 8.0
# A language that has fewer of a text's letters than this, or than another one has, is not it.
_LEAST_SHARE, _SHARE_BEHIND = 0.3, 0.3
_MISPLACED_IDEOGRAPH = 12.0  # beside a letter of ASCII
_BESIDE_ASCII = re.compile("[A-Za-z](?=[^\x00-\x7f])|[^\x00-\x7f](?=[A-Za-z])")

# What the letters of ASCII say of the language: a fraction, as a table may be English but for some
# names, and at most so many bits.
_WEIGHT_OF_ASCII, _MOST_OF_ASCII = 0.3, 12.0
_OTHER_SCRIPT, _MIXED = 9.0, 9.0
_ASCII_BYTES = 8 * 1024
_WORD = re.compile(rb"[A-Za-z]+")

# An encoding in which the first lines cost so much more than in another one is not tried on all.
_HEAD_BYTES, _HOPELESS = 1024, 60.0
_MAY_BE_CUT = 4096  # of so many bytes the last character may be cut

# UTF-8 with bad bytes: the characters by what they are, and the bytes. Accents of Latin are rarer
# than letters of another alphabet.
_UTF8_LATIN, _UTF8_LETTER, _UTF8_OTHER, _UTF8_BAD = 12.0, 8.0, 22.0, 20.0


@dataclass(frozen=True, order=True)
class Reading:
    """What a text costs in an encoding: the cheapest is the most likely one."""

    bits: float
    encoding: str


def likeliest(lines: bytes, sample: bytes) -> Reading:
    """Return the encoding in which a text is the least unlikely.

    Args:
        lines: Those with a byte past ASCII.
        sample: What they are from; its words of ASCII tell something of the language.
    """
    likely = _by_ascii(sample)
    head = lines[: lines.rfind(b"\n", 0, _HEAD_BYTES) + 1]
    encodings = [*(one for one in _EASTERN if _decoded(lines, one) is not None), *_PAGES]
    if head and len(head) < len(lines):
        rough = _compare(head, encodings, likely)
        least = min(one.bits for one in rough)
        encodings = [one.encoding for one in rough if one.bits < least + _HOPELESS]
    return min(_compare(lines, [*encodings, "utf-8"], likely))


def _compare(lines: bytes, encodings: Sequence[str], likely: Mapping[str, float]) -> list[Reading]:
    """Return what a text costs in each encoding that it can be in, if it may be the likeliest."""
    found: list[Reading] = []
    threes = _threes(lines)
    best = math.inf
    for encoding in encodings:
        bits: float | None
        rarity = 0.0
        if encoding in _PAGES:
            letters, rarity = _letters(threes, _page(encoding)), _PAGES[encoding]
            # What its signs cost alone may be too much.
            is_hopeless = letters.bits + rarity > best + _HOPELESS
            bits = None if is_hopeless else _bits_of_letters(letters, likely)
        elif encoding in _EASTERN:
            language, rarity = _EASTERN[encoding]
            bits = _bits_of_script(lines, encoding, language)
        else:
            bits = _bits_of_utf8(lines)
        if bits is not None:
            found.append(Reading(bits + rarity, encoding))
            best = min(best, bits + rarity)
    return found


def reading(lines: bytes, sample: bytes, encoding: str) -> Reading | None:
    """Return how unlikely a text is in any encoding that Python knows; None if it is none in it."""
    name = codecs.lookup(encoding).name.replace("-", "_")
    if name == "utf_8":
        utf8 = _bits_of_utf8(lines)
        return None if utf8 is None else Reading(utf8, "utf-8")
    if _is_page(name):
        letters = _letters(_threes(lines), _page(name))
        return Reading(_bits_of_letters(letters, _by_ascii(sample)), name)
    found = [_bits_of_script(lines, name, language) for language in scripts()]
    return min((Reading(bits, name) for bits in found if bits is not None), default=None)


def _threes(lines: bytes) -> dict[tuple[int, int, int], int]:
    """Return how often each byte past ASCII stands between which two others."""
    padded = b"\n" + lines + b"\n"
    counted = Counter(zip(padded, padded[1:], padded[2:], strict=False))
    return {three: count for three, count in counted.items() if three[1] > 0x7F}


def _by_ascii(sample: bytes) -> dict[str, float]:
    """Return what is to be added to the costs in each language, by its words of ASCII."""
    words = b" ".join(_WORD.findall(sample[:_ASCII_BYTES])).decode().lower()
    padded = f" {words} "
    pairs = Counter(pairwise(padded))
    del pairs[" ", " "]
    bits = {one.name: one.bits_of_ascii(pairs) if one.is_latin else None for one in languages()}
    bits["mixed"] = None
    least = min(cost for cost in bits.values() if cost is not None)
    return {
        **{
            name: _OTHER_SCRIPT
            if cost is None
            else min(_MOST_OF_ASCII, _WEIGHT_OF_ASCII * (cost - least))
            for name, cost in bits.items()
        },
        "mixed": _MIXED,
    }


@dataclass(frozen=True)
class _Page:
    """What each byte is in a single-byte encoding.

    Attributes:
        characters: U+FFFD where it is none.
        letters: The same in lower case, and a space where it is no letter.
        capitals: Whether it is a capital; None where a letter is neither that nor small, or none.
    """

    characters: tuple[str, ...]
    letters: tuple[str, ...]
    capitals: tuple[bool | None, ...]


@cache
def _page(encoding: str) -> _Page:
    characters = tuple(bytes([n]).decode(encoding, "replace") for n in range(256))
    return _Page(
        characters,
        letters=tuple(_lower(one) if _is_letter(one) else " " for one in characters),
        capitals=tuple(
            one.isupper() if _is_letter(one) and one.isupper() != one.islower() else None
            for one in characters
        ),
    )


@cache
def _is_page(encoding: str) -> bool:
    """Tell whether it is one of single bytes, the first half of them ASCII."""
    characters = "".join(_page(encoding).characters)
    past_ascii = characters[128:].replace("\ufffd", "")
    return (
        characters[:128].isascii()
        and bool(past_ascii)
        and bytes(range(128, 256)).decode(encoding, "ignore") == past_ascii
    )


@dataclass
class _Letters:
    """What a text has past ASCII in a single-byte encoding: its letters, and what else costs."""

    pairs: Counter[tuple[str, str]]
    letters: Counter[str]
    bits: float = 0.0


def _bits_of_letters(found: _Letters, likely: Mapping[str, float]) -> float:
    """Return what a text costs in the language that it is likeliest in."""
    if not found.letters:
        return found.bits
    shares = {one.name: _share(one, found.letters) for one in languages()}
    most = max(shares.values())
    costs = [
        sum(n * one.bits(*pair) for pair, n in found.pairs.items()) + likely[one.name]
        for one in languages()
        if shares[one.name] >= max(_LEAST_SHARE, most - _SHARE_BEHIND)
    ]
    return found.bits + min(costs, default=UNKNOWN * found.pairs.total())


def _share(language: Language, letters: Counter[str]) -> float:
    """Return how much of a text's letters past ASCII a language has."""
    return sum(n for letter, n in letters.items() if letter in language.letters) / letters.total()


def _letters(threes: Mapping[tuple[int, int, int], int], page: _Page) -> _Letters:
    found = _Letters(Counter(), Counter())
    letters, pairs = page.letters, found.pairs
    for (first, second, third), count in threes.items():
        letter = letters[second]
        if letter == " ":
            around = (letters[first] != " ", letters[third] != " ")
            found.bits += count * _bits_of_sign(page.characters[second], *around)
            continue
        found.letters[letter] += count
        pairs[letters[first], letter] += count
        if third <= 0x7F:
            pairs[letter, letters[third]] += count
        if letters[first] == letters[third] == " ":
            found.bits += count * _BITS_OF_LONE_LETTER
        capitals = page.capitals
        if _is_misplaced(capitals[first], capitals[second], capitals[third]):
            found.bits += count * _MISPLACED_CAPITAL
    return found


@cache
def _is_letter(character: str) -> bool:
    """Tell whether it is part of a word, be it a vowel sign or a tone that follows a letter."""
    return (character.isalpha() and character not in _NO_LETTERS) or (
        "\u0300" <= character <= "\u036f"
        or "\u064b" <= character <= "\u0652"
        or "\u0e31" <= character <= "\u0e4e"
    )


def _lower(letter: str) -> str:
    lower = letter.lower()
    return lower if len(lower) == 1 else letter


def _is_misplaced(before: bool | None, here: bool | None, after: bool | None) -> bool:
    """Tell whether capitals and small letters are mixed as in no word: aÉ, AÉb, éA."""
    if here:
        return before is False or (before is True and after is False)
    return here is False and after is True


@cache
def _bits_of_sign(sign: str, behind_letter: bool, before_letter: bool) -> float:
    bits = _SIGNS.get(sign)
    if bits is None:
        bits = _bits_of_rare_sign(sign)
    if behind_letter and before_letter:
        return bits + (0 if sign in _BETWEEN else _MISPLACED_BETWEEN)
    wrong = (behind_letter and sign not in _BEHIND) or (before_letter and sign not in _BEFORE)
    return bits + (_MISPLACED_BESIDE if wrong else 0)


def _bits_of_rare_sign(sign: str) -> float:
    if sign == "\ufffd" or "\x80" <= sign <= "\x9f" or "\ue000" <= sign <= "\uf8ff":
        return _BITS_OF_NONE
    if "\u2500" <= sign <= "\u25ff":
        return _BITS_OF_BOX
    return _BITS_OF_ACCENT if sign in _ACCENTS else _BITS_OF_OTHER_SIGN


def _decoded(lines: bytes, encoding: str) -> str | None:
    try:
        is_whole = len(lines) < _MAY_BE_CUT
        return codecs.getincrementaldecoder(encoding)().decode(lines, is_whole)
    except UnicodeError:
        return None


def _bits_of_script(lines: bytes, encoding: str, language: str) -> float | None:
    text = _decoded(lines, encoding)
    if text is None:
        return None
    script = scripts()[language]
    counted = Counter(text)
    bits = sum(n * script.bits(one) for one, n in counted.items() if not one.isascii())
    return bits + _MISPLACED_IDEOGRAPH * len(_BESIDE_ASCII.findall(text))


def _bits_of_utf8(lines: bytes) -> float | None:
    """Return what UTF-8 with bad bytes costs; None if it has no good character past ASCII."""
    bits, good = 0.0, 0
    for character, count in Counter(lines.decode("utf-8", "replace")).items():
        if character == "\ufffd":
            bits += count * _UTF8_BAD
        elif not character.isascii():
            good += count
            bits += count * _bits_in_utf8(character)
    return bits if good else None


@cache
def _bits_in_utf8(character: str) -> float:
    if _lower(character) in all_letters():
        return _UTF8_LATIN if character < "\u0370" else _UTF8_LETTER
    if character in _SIGNS or any(
        script.bits(character) < _BITS_OF_OTHER_SIGN for script in scripts().values()
    ):
        return _UTF8_LATIN
    return _UTF8_OTHER
