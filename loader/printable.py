"""Texts that a file or a server wrote -> texts that a terminal and a log take as they look.

In: any text. Out: one that moves no cursor, changes no colour, turns no direction and begins no
line of its own. Holds a copy of it.
"""

from __future__ import annotations

import json
import logging
from typing import Any

# They take no room, or look empty, though Unicode counts them among letters and marks.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | {
    *map(chr, range(0xFE00, 0xFE10)),
    *map(chr, range(0xE0100, 0xE01F0)),
}


def is_plain(character: str) -> bool:
    """Tell whether a character is seen as what it is: no control, no mark of direction, no gap."""
    return character.isprintable() and character not in _UNSEEN


def shown(text: str) -> str:
    """Return a text with a replacement character for each that cannot be shown."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if is_plain(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def one_line(text: str) -> str:
    """Return the same with all white space, line ends too, as single spaces."""
    return shown(" ".join(text.split()))


def lines(text: str) -> str:
    """Return the same with its line ends."""
    return "\n".join(map(shown, text.expandtabs().split("\n")))


def to_json(value: Any) -> str:  # noqa: ANN401
    r"""Return a value as JSON that reads back equal, with \uXXXX for what cannot be shown."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:
        return text  # json.dumps has escaped the controls
    return "".join(c if c == "\n" or is_plain(c) else json.dumps(c)[1:-1] for c in text)


class LogFormatter(logging.Formatter):
    """One line for each message, whatever it quotes; a traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line."""
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback if there is one."""
        return lines(super().format(record))
