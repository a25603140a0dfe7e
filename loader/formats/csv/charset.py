"""From a sample of a text's bytes to the name of its encoding: a guess, with its reasons here.

Valid UTF-8 is proof enough: in a text of single bytes the signs that follow a letter as in "Ã©"
make no words. All else is judged by how likely the text would be in each encoding: see
``formats.csv.readings``. Of lists of 30 names of places, in 39 languages and their code pages, that
finds 99 of 100; chardet 7 finds 93, cchardet 64, charset-normalizer with the alphabets of Latin
languages 73: see docs/encodings.md. Memory: a few copies of the sample.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from loader.formats.csv.readings import likeliest, reading

_TELLING_BYTES = 4 * 1024  # of lines with a byte past ASCII: more of them say no more
_GOOD_PER_BAD = 10  # UTF-8 with so few bad bytes needs no comparison
_NO_TEXT = 24.0  # bits of a byte past ASCII, and of one byte more: above it is a text in none
# A text may cost so much more in the default encoding than in the likeliest: for being short, and
# for each byte past ASCII. A wrong letter costs 4 to 10 bits more than the right one.
_DOUBT, _DOUBT_OF_BYTE = 6.0, 2.5

_LINE = re.compile(rb"[^\r\n]+")
_WORD = re.compile(rb"[^\x00-\x2f]{1,4096}")  # signs below 0x30 are part of no other character
_PAST_ASCII = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True)
class Guess:
    """The encoding that a text is likely in.

    Attributes:
        encoding: A codec's name.
        by_default: Whether another one would be likelier, but for the default.
    """

    encoding: str
    by_default: bool = False


def guess(sample: bytes, *, cut: bool, default: str | None = None) -> Guess | None:
    """Guess the encoding of a text that is not all ASCII.

    Args:
        sample: From the start of a line on, with bytes past ASCII in it.
        cut: Whether the text goes on after the sample.
        default: A codec that wins unless it is implausible, or UTF-8 proven.

    Returns:
        The guess, or None if nothing fits.
    """
    if _is_utf8(sample, cut=cut):
        return Guess("utf-8")
    lines = _telling_lines(sample, cut=cut)
    best = likeliest(lines, sample)
    past_ascii = len(lines) - len(lines.translate(None, bytes(range(128, 256))))
    if default is not None and best.encoding != "utf-8":
        named = reading(lines, sample, default)
        if named is not None and named.bits <= best.bits + _DOUBT + _DOUBT_OF_BYTE * past_ascii:
            return Guess(default, by_default=not _is_same(lines, default, best.encoding))
    return None if best.bits > _NO_TEXT * (1 + past_ascii) else Guess(best.encoding)


def _is_same(lines: bytes, one: str, other: str) -> bool:
    return lines.decode(one, "replace") == lines.decode(other, "replace")


def _is_utf8(sample: bytes, *, cut: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, not cut)
    except UnicodeDecodeError:
        text = sample.decode("utf-8", "replace")
        bad = text.count("\ufffd")
        return len(_PAST_ASCII.findall(text)) - bad >= _GOOD_PER_BAD * bad
    return True


def _telling_lines(sample: bytes, *, cut: bool) -> bytes:
    """Return the first lines with a byte past ASCII; not the last of a sample that is cut.

    Of a line that is too long, the words: a character of two bytes is never cut between them.
    """
    if cut:
        sample = sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r")) + 1] or sample
    lines: list[bytes] = []
    size = 0
    for match in _LINE.finditer(sample):
        line = match[0]
        if line.isascii():
            continue
        if len(line) > _TELLING_BYTES:
            line = _telling_words(line)
        lines.append(line)
        size += len(line)
        if size >= _TELLING_BYTES:
            break
    return b"\n".join(lines)


def _telling_words(line: bytes) -> bytes:
    words: list[bytes] = []
    size = 0
    for match in _WORD.finditer(line):
        if match[0].isascii():
            continue
        words.append(match[0])
        size += len(match[0])
        if size >= _TELLING_BYTES:
            break
    return b" ".join(words)
