"""Texts that somebody else wrote -> texts that a terminal and a log take as they look.

In: names, problems and messages, of editors, files and plugins. Out: one line that moves no cursor,
changes no colour and turns no direction.
"""

from __future__ import annotations

# They take no room, or look empty, though Unicode counts them among letters and marks.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | {
    *map(chr, range(0xFE00, 0xFE10)),
    *map(chr, range(0xE0100, 0xE01F0)),
}


def one_line(text: object) -> str:
    """Return a text in one line, with a replacement character for each that cannot be shown."""
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() and c not in _UNSEEN else "\ufffd" for c in line)
