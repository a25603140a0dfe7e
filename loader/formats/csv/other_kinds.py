"""What is no table -> refused by what it is, with what to do about it.

In: the head of a text, as UTF-8. Out: an error that names the kind, or nothing. A server that has
lost a file, or asks for a login, sends a page with status 200: it must not replace a table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from loader.errors import NotATable

_HEAD_CHARACTERS = 65536  # in which a tag that begins a page is closed
_LOGIN = "does the link lead to a login or error page?"
_EXPORT = "export it as CSV"


@dataclass(frozen=True)
class _Kind:
    """A kind of file: what it is called, how a text shows that it is one, and what to do."""

    name: str
    shows: Callable[[str], object]
    hint: str = _EXPORT


# How PNG, its kin and HDF5 begin, so that a program that changes line ends is found out.
_SIGNATURE = re.compile(r"[^\x00-\x7f][A-Z]{3}\r\n\x1a\n")
_MAGIC = re.compile(
    r"PAR1|ARROW1\0\0|Obj\x01|SQLite format 3|PK\x03\x04|Rar!\x1a|7z\ufffd|\x7fELF|MZ\ufffd"
    r"|GIF8[79]a|RIFF.{4}(?:WEBP|WAVE|AVI )|ID3[\x02-\x04]",
    re.DOTALL,
)
_TAG = re.compile(r"<(?:!doctype\b|!--|\?xml\b|/?[a-z][\w:.-]*(?=[\s/>]))", re.IGNORECASE)
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
    """Tell whether a text begins with a tag, and has one that is closed: `<5` and `<n>` are cells."""
    return bool(_TAG.match(text) and _CLOSED.search(text))


def _is_html(text: str) -> bool:
    return _is_markup(text) and bool(_HTML.match(text) or re.search("<html", text, re.IGNORECASE))


_KINDS = (
    _Kind("an HTML page", _is_html, _LOGIN),
    _Kind("an XML document", _is_markup),
    _Kind("a PDF", re.compile(r"%PDF-\d").match),
    _Kind("an RTF document", re.compile(r"\{\\rtf\d").match),
    _Kind("a PostScript file", re.compile("%!PS").match),
    _Kind(
        "a pointer of Git LFS, not the file that it stands for",
        re.compile(r"version https://git-lfs\.github\.com/spec/").match,
        "publish the file itself: git lfs pull gets it",
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
    if _SIGNATURE.match(text) or _MAGIC.match(text):
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
