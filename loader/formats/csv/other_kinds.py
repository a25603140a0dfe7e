"""What is no table -> refused by what it is, with what to do about it.

In: the first bytes of a file, and the head of its text. Out: an error that names the kind, or
nothing. A server that has lost a file, or asks for a login, sends a page with status 200: it must
not replace a table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loader.errors import NotATable

_HEAD_CHARACTERS = 65536  # in which a tag that begins a page is closed
_LOGIN = "does the link lead to a login or error page?"
_EXPORT = "export it as CSV"
_PACK = "pack one CSV file alone, with gzip or as a zip"
_LINK = "does the link lead to the table?"


@dataclass(frozen=True)
class _Kind:
    """A kind of file: what it is called, how a text shows that it is one, and what to do."""

    name: str
    shows: Callable[[str], object]
    hint: str = _EXPORT


# How binary files begin, what they are, and what to do. Some begin in letters that a header may
# have too: then a control character tells them, which no text has. ESC is not among
# these: logs have it before the colours of a terminal.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a]")
_MAGICS = (
    (re.compile(rb"PAR1"), "a Parquet file", _EXPORT),
    (re.compile(rb"ARROW1\0\0|FEA1"), "an Arrow file", _EXPORT),
    (re.compile(rb"ORC[\x00-\x1f]"), "an ORC file", _EXPORT),
    (re.compile(rb"Obj\x01"), "an Avro file", _EXPORT),
    (re.compile(rb"SQLite format 3\0"), "an SQLite database", _EXPORT),
    (re.compile(rb"\0\x01\0\0Standard (?:Jet|ACE) DB"), "an Access database", _EXPORT),
    (re.compile(rb"\$FL[23]@\(#\)"), "an SPSS file", _EXPORT),
    (re.compile(rb"<stata_dta>"), "a Stata file", _EXPORT),
    (re.compile(rb"\x89HDF\r\n\x1a\n|CDF[\x01\x02]"), "a file of HDF5 or NetCDF", _EXPORT),
    (re.compile(rb"\0\0\x27\x0a\0{20}"), "a shapefile", _EXPORT),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7z archive", _PACK),
    (re.compile(rb"Rar!\x1a\x07"), "a RAR archive", _PACK),
    (re.compile(rb".{257}ustar[\0 ]", re.DOTALL), "a tar archive", _PACK),
    (re.compile(rb"\x1f[\x9d\xa0]|LZIP|\x04\x22\x4d\x18"), "packed in a rare way", _PACK),
    (re.compile(rb"[\x89-\x8b][PMJ]NG\r|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*"), "an image", _LINK),
    (re.compile(rb"BM.{4}\0{4}|RIFF.{4}WEBP", re.DOTALL), "an image", _LINK),
    (re.compile(rb"RIFF.{4}WAVE|ID3[\x02-\x04]", re.DOTALL), "a sound", _LINK),
    (re.compile(rb"RIFF.{4}AVI |.{4}ftyp", re.DOTALL), "a video", _LINK),
    (re.compile(rb"\x7fELF|MZ.\0.\0\0\0|\xca\xfe\xba\xbe\0", re.DOTALL), "a program", _LINK),
)
_TAG = re.compile(r"<(?:!doctype\b|!--|\?xml\b|/?[a-z][\w:.-]*(?=[\s/>]))", re.IGNORECASE)
_DOCUMENT = re.compile(r"<(?:!doctype\b|html\b|head\b|body\b|\?xml\b)", re.IGNORECASE)
_CLOSED = re.compile(r"</[a-z]|/>|<!doctype|<!--|<\?xml", re.IGNORECASE)
_HTML = re.compile(
    r"<(?:!doctype html|html|head|body|title|meta|link|script|style|div|span|p|br|hr|b|i|h[1-6]"
    r"|table|thead|tbody|tr|td|th|ul|ol|li|a|img|form|pre|center|font|strong|em)\b",
    re.IGNORECASE,
)
# An object or an array, by what comes behind its bracket: `[id],[name]` is a header.
_JSON = re.compile(
    r'[{]\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})|[\[]\s*(?:[\[{]|"(?:[^"\\]|\\.)*"\s*[,\]]\s*$)'
)


def _is_markup(text: str) -> bool:
    """Tell whether a text begins a document, or with a tag and has one that is closed.

    ``<n>`` alone is a cell.
    """
    return bool(_DOCUMENT.match(text) or (_TAG.match(text) and _CLOSED.search(text)))


def _is_html(text: str) -> bool:
    return _is_markup(text) and bool(_HTML.match(text) or re.search("<html", text, re.IGNORECASE))


_KINDS = (
    _Kind("an HTML page", _is_html, _LOGIN),
    _Kind("an XML document", _is_markup),
    _Kind("a PDF", re.compile(r"%PDF-\d").match),
    _Kind("an RTF document", re.compile(r"\{\\rtf\d").match),
    _Kind("a PostScript file", re.compile("%!PS").match),
    _Kind(
        "a pointer of Git LFS",
        re.compile(r"version https://git-lfs\.github\.com/spec/").match,
        "publish the file that it stands for: git lfs pull gets it",
    ),
    _Kind("a JSON document", _JSON.match),
)


def refuse(text: str, whole: bool) -> None:
    """Refuse what is no table.

    Args:
        text: The head of a file.
        whole: Whether it is all of it.

    Raises:
        NotATable: It is another kind of file.
    """
    begin = text[:_HEAD_CHARACTERS].lstrip("\ufeff \t\r\n")
    for kind in _KINDS:
        if kind.shows(begin):
            raise NotATable(f"the source is {kind.name}, not a CSV table", hint=kind.hint)
    if whole and is_json(text):
        raise NotATable("the source is a JSON document, not a CSV table", hint=_EXPORT)


def refuse_binary(head: bytes) -> None:
    """Refuse a binary file that shows its kind.

    Args:
        head: Its first bytes, 512 at least if it has them.

    Raises:
        NotATable: It is one.
    """
    if not _CONTROL.search(head):
        return
    for magic, name, hint in _MAGICS:
        if magic.match(head):
            raise NotATable(f"the source is {name}, not a CSV table", hint=hint)


def refuse_controls(headers: Sequence[str]) -> None:
    """Refuse a header with control characters that no text has, ESC aside.

    Raises:
        NotATable: It is a binary file that has line ends by chance.
    """
    if any(_CONTROL.search(name.encode()) for name in headers):
        raise no_text()


def no_text() -> NotATable:
    """Return the error of a binary file."""
    return NotATable(
        "the source is a binary file, not a CSV table",
        hint="export it as CSV, or name its encoding",
        option="encoding",
    )


def is_json(text: str) -> bool:
    """Tell whether a text is one JSON object or array, from its first character to its last."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except RecursionError:  # as deep as that nothing else is
        return True
    except ValueError:
        return False
    return True
