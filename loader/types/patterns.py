r"""A schema's ``pattern`` -> which cells it does not match, in time linear in their length.

Patterns come from publishers, and Python's ``re`` may need for ever for one like ``(x+x+)+y``. RE2
never does, and refuses what it cannot match so: back references and looking around. What it
writes otherwise than Python is translated: there ``\d``, ``\w`` and ``\s`` know all alphabets.

In: a pattern, and cells. Out: the indices of the cells that do not match. Holds the cells once
more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.errors import UsageError

# What each means inside of brackets.
_CLASSES = {
    r"\d": r"\p{Nd}",
    r"\D": r"\P{Nd}",
    r"\w": r"\p{L}\p{N}_",
    # All else: each kind of punctuation, without the underscore, and so on.
    r"\W": r"\p{M}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\x{203F}\x{2040}\x{2054}\x{FE33}\x{FE34}"
    r"\x{FE4D}-\x{FE4F}\x{FF3F}\p{S}\p{Z}\p{C}",
    r"\s": r"\t-\r\x1C-\x20\x{85}\p{Z}",
    r"\S": r"\x00-\x08\x0E-\x1B\x21-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}"
    r"\x{200B}-\x{2027}\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF}",
}
_OPPOSITE = {r"\D": r"\d", r"\W": r"\w", r"\S": r"\s"}
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_UP_TO = re.compile(r"\{,(?=[0-9]+\})")
# A bracket that closes nothing yet is one of the characters.
_OPENING = re.compile(r"\[\^?\]?")


class Pattern:
    """A pattern that cells have to match whole.

    Args:
        text: As Python's ``re`` and XML Schema write it.

    Raises:
        UsageError: It is none, or cannot be matched in linear time.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        translated = _translate(text)
        self._whole = rf"\A(?:{translated})\z"
        try:
            for pattern in (translated, self._whole):  # each: "a)(b" is one only in brackets
                pc.match_substring_regex(pa.array([""]), pattern)
        except pa.ArrowInvalid as error:
            raise UsageError(
                f"the schema's pattern {text!r} cannot be used: {_reason(error)}",
                hint="write it without back references and without looking ahead or behind",
            ) from None

    def misses(self, cells: Sequence[str]) -> list[int]:
        """Return the indices of the cells that it does not match whole."""
        matched = pc.match_substring_regex(pa.array(cells, pa.string()), self._whole)
        return np.flatnonzero(~np.asarray(matched, dtype=bool)).tolist()


def _reason(error: pa.ArrowInvalid) -> str:
    return str(error).removeprefix("Invalid regular expression: ")


def _translate(text: str) -> str:
    """Return the pattern as RE2 writes it."""
    translated: list[str] = []
    position, in_brackets = 0, False
    while position < len(text):
        if escape := _ESCAPE.match(text, position):
            piece = escape[0]
            translated.append(_translate_escape(piece, in_brackets))
        elif not in_brackets and (up_to := _UP_TO.match(text, position)):
            piece = up_to[0]
            translated.append("{0,")
        elif not in_brackets and (opening := _OPENING.match(text, position)):
            piece, in_brackets = opening[0], True
            translated.append(piece)
        else:
            piece = text[position]
            in_brackets = in_brackets and piece != "]"
            translated.append(piece)
        position += len(piece)
    return "".join(translated)


def _translate_escape(piece: str, in_brackets: bool) -> str:
    if piece[1] in "uU" and len(piece) > 2:
        return rf"\x{{{piece[2:]}}}"
    if piece == r"\Z":
        return r"\z"
    if piece not in _CLASSES:
        return piece
    if in_brackets:
        return _CLASSES[piece]
    if piece in _OPPOSITE:
        return f"[^{_CLASSES[_OPPOSITE[piece]]}]"
    return f"[{_CLASSES[piece]}]"
