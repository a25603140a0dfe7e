"""What a file or a schema holds cannot make the loader think for ever: four times as much takes
about four times as long, where one that tries all ways would take sixteen.
"""

import io
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from frictionless import Field

from loader import describe, options, printable
from loader.errors import AddressRefused, UsageError
from loader.formats.csv import charset, table
from loader.formats.csv.blocks import cut
from loader.formats.csv.declared import Declared
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.opening import detect
from loader.formats.csv.table import parse
from loader.net import session, uri
from loader.net.guard import Guard
from loader.options import Options
from loader.scan import rejects
from loader.types import checks, convert, names, registry
from loader.types.patterns import Pattern

_LEAST_S = 0.02  # so that what is measured is not the machine's other work
_MOST_CHARACTERS = 1 << 20


def seconds(work: Callable[[str], object], text: str) -> float:
    """What the work took of a processor."""
    began = time.process_time()
    work(text)
    return time.process_time() - began


def takes_less(work: Callable[[str], object], text: str, than_s: float) -> bool:
    """Whether the work takes less once in three times: others may have had its caches."""
    return any(seconds(work, text) < than_s for _ in range(3))


def parsed(text: str) -> None:
    blocks = cut(io.BytesIO(text.encode()), Dialect(header_row=0))
    for block in blocks:
        parse(block, Dialect(header_row=0), 2)


def repaired(text: str) -> None:
    cells = text.count(",") + 1
    table._repair(text, cells, Dialect(), cells // 2)


def detected(text: str) -> None:
    detect(text.encode(), Declared(), whole=True)


def guessed(text: str) -> None:
    charset._telling_lines(text.encode("latin-1"), cut=False)


def read_as(**descriptor) -> Callable[[str], object]:
    field = Field.from_descriptor({"name": "a", **descriptor}).to_descriptor()
    return lambda text: convert.convert(pa.array([text]), field)


def validated(**descriptor) -> Callable[[str], object]:
    """A whole validation, of a file whose second row has the text."""

    def work(text: str) -> None:
        Path("in.csv").write_text(f'"a"\n"1"\n"{text}"\n', encoding="utf-8")
        declared = {"fields": [{"name": "a", **descriptor}]}
        describe.validate("in.csv", Options(schema=declared))

    return work


def precise(text: str) -> None:
    registry.changes("time(3)")(text)


def logged(text: str) -> None:
    session._Masking().filter(logging.makeLogRecord({"msg": text, "args": ()}))


def guarded(text: str) -> None:
    with suppress(AddressRefused):
        Guard(closed=("gs://bucket/runs",)).require_open(text)


def translated(text: str) -> None:
    with suppress(UsageError):
        Pattern(text)


# name: the work, what it is done on of about that many characters
KINDS = {
    "half of the cells too much, the last not empty": (repaired, lambda n: "," * n + "y"),
    "half of the cells too much": (repaired, lambda n: "," * n),
    "surplus that is not empty": (parsed, lambda n: "1,x" + "," * n + "y\n"),
    "surplus": (parsed, lambda n: "1,x" + "," * n + "\n"),
    "surplus in quotes": (parsed, lambda n: "1,x" + ',""' * (n // 3) + "\n"),
    "surplus, odd quotes": (parsed, lambda n: "1,x" + ',"""' * (n // 4 * 2) + "\n"),
    "a short row": (parsed, lambda n: "x" * n + "\n"),
    "quotes": (parsed, lambda n: 'a,"' + '""' * (n // 2) + '"\n'),
    "stray quotes": (parsed, lambda n: "a," + 'b"' * (n // 2) + "\n"),
    "CRs": (parsed, lambda n: "a,b\n" + "x,y\r" * (n // 4) + "\n"),
    "CRs in a cell": (parsed, lambda n: "a," + "b\r" * (n // 2) + "\n"),
    "a head of CRs": (detected, lambda n: "a,b\n" + "\r" * n + "1,2\n"),
    "a head of CRs and LFs": (detected, lambda n: "a,b\r1,2\n" * (n // 8)),
    "a head of quotes": (detected, lambda n: 'a,b\n1,"' + '""' * (n // 2) + '"\n'),
    "a head of spaces": (detected, lambda n: "a,b\n1," + " " * n + "\n"),
    "a head of spaces and quotes": (detected, lambda n: 'a, "b"\n' + '1, "x' * (n // 6) + "\n"),
    "a head of two spaces": (detected, lambda n: "a  b\n" + 'a  "b' * (n // 6) + "\n"),
    "a head of single quotes": (detected, lambda n: "a,b\n" + ",'x,y" * (n // 5) + "\n"),
    "a head of lines that end in backslashes": (detected, lambda n: "a,b\n" + "x,y\\\n" * (n // 5)),
    "a head of backslashes": (detected, lambda n: 'a,b\n1,"x\\""\n' + '"\\' * (n // 2) + "\n"),
    "a head of comments": (detected, lambda n: "a,b\n1,2\n" + "#\n" * (n // 2)),
    "a head of delimiters": (detected, lambda n: "a,b\n" + ",;|\t" * (n // 4) + "\n"),
    "a long line of ASCII": (guessed, lambda n: "x, " * (n // 3) + "\né\n"),
    "a long line not of ASCII": (guessed, lambda n: "x, " * (n // 3) + "é\n"),
    "many lines of ASCII": (guessed, lambda n: "x, \n" * (n // 4) + "é\n"),
    "JSON of open brackets": (checks._is_json_text, lambda n: "[" * n),
    "JSON of open strings": (checks._is_json_text, lambda n: "[" * 600 + '\\"' * (n // 2)),
    "JSON of quotes": (checks._is_json_text, lambda n: "[" * 600 + '"a' * (n // 2)),
    "JSON of escapes": (checks._is_json_text, lambda n: "[" * 600 + '"' + "\\" * n),
    "JSON of digits": (checks._is_json_text, lambda n: "[" + "1" * n + "]"),
    "a number with text inside": (
        read_as(type="number", bareNumber=False),
        lambda n: "1" + "a" * n + "1",
    ),
    "an integer with text inside": (
        read_as(type="integer", bareNumber=False),
        lambda n: "1" + "a" * n + "1",
    ),
    "a number's text": (convert.bare_number, lambda n: "1" + "a" * n + "1" + "b" * n),
    "an integer of digits": (read_as(type="integer", bareNumber=False), lambda n: "1" * n),
    "groups": (read_as(type="number", groupChar=","), lambda n: "1," * (n // 2)),
    "a date in any form": (read_as(type="date", format="any"), lambda n: "1 Jan " * (n // 6)),
    "a date in spaces": (read_as(type="date", format="%d %m %Y"), lambda n: "1" + " " * n),
    "a number": (lambda text: checks.NUMERIC.fits(pa.array([text])), lambda n: "1" * n),
    "a time's fraction": (precise, lambda n: "." + "0" * n + "1"),
    "a type's brackets": (registry.bare, lambda n: "(" * n),
    "a name of colons": (lambda text: names.name_columns([text]), lambda n: " :a" * (n // 3)),
    "a name of spaces": (lambda text: names.name_columns([text]), lambda n: "_ " * (n // 2)),
    "a file's endings": (options.default_resource_id, lambda n: ".csv" * (n // 4) + "x"),
    "a pattern": (lambda text: Pattern("(x+x+)+y").misses([text]), lambda n: "x" * n),
    "validation, a pattern": (
        validated(type="string", constraints={"pattern": "(x+x+)+y"}),
        lambda n: "x" * n,
    ),
    "validation, a pattern of items": (
        validated(
            type="array", arrayItem={"type": "string", "constraints": {"pattern": "(x+x+)+y"}}
        ),
        lambda n: '[""' + "x" * n + '""]',
    ),
    "validation, a number with text inside": (
        validated(type="number", bareNumber=False),
        lambda n: "1" + "a" * n + "1",
    ),
    "validation, an integer with text inside": (
        validated(type="integer", bareNumber=False),
        lambda n: "1" + "a" * n + "1",
    ),
    "validation, a date": (
        validated(type="date", format="any"),
        lambda n: "1 Jan " * (n // 6),
    ),
    "validation, an address": (
        validated(type="string", format="email"),
        lambda n: "a." * (n // 2) + "@b.de",
    ),
    "validation, a URI": (
        validated(type="string", format="uri"),
        lambda n: "http://a/" + "%20a" * (n // 4) + " ",
    ),
    "validation, a duration": (validated(type="duration"), lambda n: "P" + "1" * n),
}


@pytest.mark.parametrize(("work", "make"), KINDS.values(), ids=KINDS)
def test_four_times_as_much_takes_less_than_eight_times_as_long(tmp_path, monkeypatch, work, make):
    monkeypatch.chdir(tmp_path)
    n = 1 << 10
    enough = max(_LEAST_S, 2 * seconds(work, make(16)))  # a validation has much else to do
    while seconds(work, make(n)) < enough and n < _MOST_CHARACTERS:
        n *= 2
    least = min(seconds(work, make(n)) for _ in range(3))
    if not takes_less(work, make(4 * n), 8 * max(least, _LEAST_S)):
        # Of a long row less is held in memory, which takes longer: that way has to be linear too.
        more = min(seconds(work, make(4 * n)) for _ in range(3))
        assert takes_less(work, make(16 * n), 8 * more)


# What a publisher, a server or a file has written, and what is put into lines and logs.
TEXTS = {
    "masking a URL": uri.mask_uri,
    "masking a path": uri.mask_path,
    "masking a log": logged,
    "a rotating parameter": uri._is_rotating,
    "the name of a URL's file": uri.file_name,
    "a guarded URL": guarded,
    "a cell of the rejects": rejects.as_text,
    "a text shown": printable.shown,
    "an error": lambda text: str(UsageError(text, hint=text)),
    "a column's name": lambda text: names.name_columns([text]),
    "a pattern of a schema": translated,
    "a table's default name": options.default_resource_id,
}
BEGINS = ("", "https://h/", "https://h/a?", "=", ";")
ODD = [*"a/?;&=:@#%\\.-+~$ \t\n\r'\"`|,([{<\u200b\uff1d0"]
UNITS = [*ODD, "%3B", "%25", "?a=", ";=", "; =", "\t-1", "a://", "//"]
_CHARACTERS = 1 << 12


@pytest.mark.parametrize("work", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("begin", BEGINS)
def test_no_text_of_one_kind_takes_the_square_of_its_length(begin, work):
    for unit in UNITS:
        less, more = (begin + unit * (n // len(unit)) for n in (_CHARACTERS, 4 * _CHARACTERS))
        if not takes_less(work, more, 8 * _LEAST_S):
            assert takes_less(work, more, 8 * min(seconds(work, less) for _ in range(3))), unit


def test_many_equal_headers_take_no_square_of_their_number():
    def work(text: str) -> None:
        names.name_columns(text.split(","))

    least = min(seconds(work, "a," * 2000) for _ in range(3))
    assert takes_less(work, "a," * 8000, 8 * max(least, _LEAST_S))
