"""From the content's bytes to UTF-8 bytes: the encoding given or found, no byte order mark.

In: a binary stream. Out: a `TextStream` whose bytes are UTF-8. Input that is UTF-8 already passes
through untouched: whether all of it is valid is checked row by row further on, where a bad byte
costs a row and not the load. So does a byte that a single-byte encoding has not: it comes out as a
byte that is no UTF-8. Memory: the chunk asked for, and 256 KiB ahead of it where the
encoding has to be guessed.

Before the first byte past ASCII there is nothing to guess: all that precedes reads the same in
every encoding but UTF-16 and UTF-32, and those show at the start. A byte order mark wins over the
encoding given: nobody begins a text with ``ï»¿``.
"""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections import Counter

from loader.errors import EncodingError, NotATable, UsageError
from loader.formats.csv.charset import guess
from loader.formats.readable import Readable, read_fully

_HEAD_BYTES = 4096
_NULS_BY_CHANCE = 2  # a text of single bytes may have as many
_LEAST_NULS = 0.02  # of one parity, in UTF-16: delimiters, digits and line ends have them
_MOST_OTHER_NULS = 0.1  # of the other parity, by those of the one: more needs more proof
_MOST_ODD = 0.05  # of the characters of UTF-16: controls, and what is none
_LEAST_PLAIN = 0.5  # of the characters of UTF-16, where all bytes but its NULs would be UTF-8 too
_FEW_NULS = 4  # in the first 4096 bytes
_MOST_NULS = 0.1  # of them: more is no text, be there no other control
_SAMPLE_BYTES = 256 * 1024  # from the first byte past ASCII on
_HIGH = re.compile(rb"[\x80-\xff]")
_MARKS = (  # UTF-32 first: its little-endian mark begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE_END = re.compile("[\r\n]")
_ODD = {"Cc", "Cn", "Co", "Cs"}  # controls, and what stands for no character that all know
# What the line ends of one byte are, taken for UTF-16 with the next byte: letters of Gujarati,
# Gurmukhi, Malayalam and Sinhala.
_HALF_LINE_END = re.compile("[\u0a00-\u0aff\u0d00-\u0dff]")
# ASCII, which in UTF-16 has a NUL beside it; and kana and the space of Japanese, which have bytes
# of ASCII there.
_PLAIN = re.compile("[\x20-\x7e\u3000\u3041-\u30ff]")
_ASCII = re.compile("[\x20-\x7e]")
_RAW_LEAD = re.compile("[\udcc2-\udcf4]")  # bytes that begin a character of UTF-8, if others follow
_OF_EITHER_ORDER = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}  # without a mark: as Windows


def decode(stream: Readable, encoding: str | None = None, default: str | None = None) -> TextStream:
    """Return the stream's text as UTF-8.

    Args:
        stream: The content, from its first byte; `read(n)` gives b"" only at the end.
        encoding: The name of a Python codec; None to find it out.
        default: One that wins over others that may be right too.

    Returns:
        The text, nothing of it read yet.

    Raises:
        UsageError: An encoding that Python does not know.
    """
    named = None if encoding is None else _codec_name(encoding, "encoding")
    wanted = None if default is None else _codec_name(default, "default_encoding")
    return TextStream(stream, named, wanted)


def _codec_name(encoding: str, option: str) -> str:
    try:
        b" ".decode(encoding)
        codecs.getincrementaldecoder(encoding)
    except UnicodeError:  # a codec it is, for which one space is not a text
        pass
    except (LookupError, ValueError):
        raise UsageError(
            f"unknown encoding {encoding!r}",
            hint="give one like utf-8, windows-1252 or utf-16",
            option=option,
        ) from None
    name = codecs.lookup(encoding).name
    return "utf-8" if name == "utf-8-sig" else name


class TextStream:
    """UTF-8 bytes without a byte order mark.

    Attributes:
        encoding: What the input is in; "utf-8" as long as only ASCII was seen.
        overruled: The encoding that was given, if the byte order mark is that of another one.
        by_default: Whether it is the default that was given, where another one is as likely.
    """

    def __init__(self, stream: Readable, encoding: str | None, default: str | None = None) -> None:
        self.encoding = encoding or "utf-8"
        self.overruled: str | None = None
        self.by_default = False
        self._default = default
        self._stream = stream
        self._settled = encoding is not None
        self._begun = False
        self._may_be_mark = True
        self._position = 0  # of the next byte to decode, in the input; not counted in UTF-8
        self._ahead = io.BytesIO()  # read from the stream and not yet taken
        self._decoder: codecs.IncrementalDecoder | None = None
        self._decoded = io.BytesIO()  # and not yet given out

    def read(self, size: int) -> bytes:
        """Return the next bytes.

        Args:
            size: How many at most, above 0. Fewer are no sign of the end, none is.

        Raises:
            EncodingError: Bytes that the encoding does not have, or no encoding fits. A byte that
                a single-byte encoding does not have is no error: it passes through, as a byte
                that is not UTF-8 either.
            NotATable: This is no text.
        """
        if not self._begun:
            self._begin()
        if self._decoder is not None:
            return self._read_decoded(self._decoder, size)
        data = self._take(size)
        high = None if self._settled or data.isascii() else _HIGH.search(data)
        if high is None:
            self._position += len(data)
            return data
        self._settle(data, high.start())
        return self.read(size)

    def _take(self, size: int) -> bytes:
        data = self._ahead.read(size)
        return data if len(data) == size else data + self._stream.read(size - len(data))

    def _begin(self) -> None:
        """Look at the head for what shows there: a byte order mark, or the NULs of UTF-16."""
        self._begun = True
        head = read_fully(self._stream, _HEAD_BYTES)
        marked = _by_mark(head)
        if marked is not None:
            named = self.encoding if self._settled else marked
            if named != marked and not (named in _OF_EITHER_ORDER and marked.startswith(named)):
                self.overruled = named
            self._use(marked)
        elif self.encoding in _OF_EITHER_ORDER:
            found = _by_nuls(head)
            fits = found is not None and found.startswith(self.encoding)
            self._use(found if found and fits else _OF_EITHER_ORDER[self.encoding])
        elif self._settled:
            self._use(self.encoding)
        elif found := _by_nuls(head):
            self._use(found)
        if self._decoder is None and head.startswith(codecs.BOM_UTF8):
            head = head[len(codecs.BOM_UTF8) :]
        self._ahead = io.BytesIO(head)

    def _settle(self, data: bytes, high: int) -> None:
        """Guess the encoding at the first byte past ASCII, from its line and what follows."""
        rest = data + self._ahead.read()
        missing = max(0, high + _SAMPLE_BYTES - len(rest))
        more = read_fully(self._stream, missing)
        rest += more
        line = max(rest.rfind(b"\n", 0, high), rest.rfind(b"\r", 0, high)) + 1
        sample = rest[line : high + _SAMPLE_BYTES]
        if is_binary(sample):
            raise NotATable(
                "the source is a binary file, not a CSV table",
                hint="export it as CSV, or name its encoding",
                option="encoding",
            )
        found = guess(sample, cut=len(more) == missing, default=self._default)
        if found is None:
            raise EncodingError(
                "no encoding fits the text", hint="name the right one", option="encoding"
            )
        self._ahead = io.BytesIO(rest)
        self.by_default = found.by_default
        self._use(found.encoding)

    def _use(self, encoding: str) -> None:
        self._settled = True
        self.encoding = encoding
        if encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding)()

    def _read_decoded(self, decoder: codecs.IncrementalDecoder, size: int) -> bytes:
        while True:
            data = self._decoded.read(size)
            if data:
                return data
            taken = self._take(size)
            text = self._convert(decoder, taken)
            if len(text) <= size:
                if text or not taken:
                    return text
            else:
                self._decoded = io.BytesIO(text)

    def _convert(self, decoder: codecs.IncrementalDecoder, data: bytes) -> bytes:
        start = self._position
        pending = decoder.getstate()[0]
        self._position += len(data)
        try:
            text = decoder.decode(data, final=not data)
            if self._may_be_mark and text:
                self._may_be_mark = False
                text = text.removeprefix("\ufeff")
            return text.encode()
        except UnicodeDecodeError as error:
            # Python calls all single-byte ones but ASCII so.
            if error.encoding == "charmap" and _keeps_ascii(self.encoding):
                return _with_raw_bytes(data, self.encoding)
            raise self._undecodable(start - len(pending) + error.start) from None
        except UnicodeError:  # half a surrogate pair, which UTF-7 for one lets pass
            raise self._undecodable(start) from None

    def _undecodable(self, offset: int) -> EncodingError:
        message = f"byte {offset} of the text is not {self.encoding}"
        if self.overruled:
            hint = f"its byte order mark says so: if it is {self.overruled}, leave out the mark"
            return EncodingError(message, hint=hint)
        return EncodingError(message, hint="name the right one", option="encoding")


def is_binary(data: bytes) -> bool:
    """Tell whether bytes begin as a binary file does: with NULs, and they are not all that is odd.

    Files of columns of a fixed width have NULs where a cell is empty, in every row.
    """
    head = data[:_HEAD_BYTES]
    nuls = head.count(0)
    if nuls <= _FEW_NULS:
        return False
    return nuls > _MOST_NULS * len(head) or len(_CONTROL.findall(head)) > nuls


def _keeps_ascii(encoding: str) -> bool:
    """Tell whether bytes below 0x80 are ASCII: those that are not stand for no raw byte."""
    return bytes(range(0x80)).decode(encoding, "replace").isascii()


def _with_raw_bytes(data: bytes, encoding: str) -> bytes:
    """Return the text as UTF-8 with the bytes between that the single-byte encoding has not.

    Between whole characters such a byte is no UTF-8, unless it begins a character that the next
    ones complete: 0xFF stands for it then.
    """
    text = data.decode(encoding, "surrogateescape")
    return _RAW_LEAD.sub("\udcff", text).encode(errors="surrogateescape")


def _by_mark(head: bytes) -> str | None:
    return next((name for mark, name in _MARKS if head.startswith(mark)), None)


def _by_nuls(head: bytes) -> str | None:
    """Find UTF-16 without a mark: the NULs of its ASCII characters stand on one side.

    So they may in a short binary file, or where NULs end the records of another text: as UTF-16
    these are a line of letters of the East. Usual characters of the East have one on the other
    side, such as U+3000, the space of Japanese names, or U+4E00, a one in Chinese: of a padded
    table these may be the most. Of 67,000 binary files none has both, a line end, and no odd
    character, in its first 4 KiB; as UTF-16 of the other order no such text has a line end.
    """
    nuls = {"utf-16-le": head[1::2].count(0), "utf-16-be": head[0::2].count(0)}
    if sum(nuls.values()) <= _NULS_BY_CHANCE:
        return None
    texts = {
        name: codecs.getincrementaldecoder(name)("replace").decode(head)
        for name, count in nuls.items()
        if count > _LEAST_NULS * len(head) / 2
    }
    is_utf8 = _is_utf8(head.replace(b"\0", b""))
    likely = [
        name
        for name, text in texts.items()
        if _odd_share(text) <= _MOST_ODD and (_is_plain(text) or not is_utf8)
    ]
    one_sided = [n for n in likely if sum(nuls.values()) - nuls[n] <= _MOST_OTHER_NULS * nuls[n]]
    with_lines = [n for n in likely if _LINE_END.search(texts[n])]
    proven = [n for n in with_lines if n in one_sided or _has_nothing_odd(texts[n])]
    if proven:
        return max(proven, key=nuls.__getitem__)
    # Without a line end, only a full head with its NULs on one side is evidence enough.
    return one_sided[0] if one_sided and len(head) == _HEAD_BYTES else None


def _odd_share(text: str) -> float:
    """Return how much of a text is none, from 0 to 1."""
    odd = sum(count for letter, count in Counter(text).items() if _is_odd(letter))
    return odd / max(1, len(text))


def _is_odd(letter: str) -> bool:
    return letter == "\ufffd" or (unicodedata.category(letter) in _ODD and letter not in "\t\r\n")


def _has_nothing_odd(text: str) -> bool:
    """Tell whether all is text, and every line end a whole character."""
    return not _HALF_LINE_END.search(text) and not any(map(_is_odd, set(text)))


def _is_plain(text: str) -> bool:
    """Tell whether it has ASCII beside its line ends, and little else but this and kana."""
    line = _LINE_END.sub("", text)
    return bool(_ASCII.search(line)) and len(_PLAIN.findall(line)) >= _LEAST_PLAIN * len(line)


def _is_utf8(data: bytes) -> bool:
    """Tell whether bytes, the last of which may be cut, are UTF-8 without controls."""
    if _CONTROL.search(data):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True
