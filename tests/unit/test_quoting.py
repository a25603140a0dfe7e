"""Octets -> those outside quotes: as one that reads them one by one finds them, in any windows."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loader.formats.csv import quoting
from loader.formats.csv.dialect import Dialect

DIALECTS = {
    "usual": Dialect(),
    "semicolon": Dialect(delimiter=";", quote="'"),
    "not doubled": Dialect(double_quote=False),
    "escape": Dialect(escape="\\"),
    "escape, not doubled": Dialect(escape="\\", double_quote=False),
    "escape, no quotes": Dialect(escape="\\", quote=None),
    "no quotes": Dialect(quote=None),
}


def one_by_one(text: str, dialect: Dialect) -> tuple[list[int], bool]:
    """The offsets of line ends and delimiters outside quotes, not escaped; whether one is open."""
    found, inside, at_start, i = [], False, True, 0
    while i < len(text):
        char = text[i]
        if char == dialect.escape:
            at_start = False
            i += 2
            continue
        if char == dialect.quote:
            if inside and dialect.double_quote and text[i + 1 : i + 2] == char:
                i += 2
                continue
            inside, at_start = not inside if inside or at_start else inside, False
        else:
            if not inside and char in "\r\n" + dialect.delimiter:
                found.append(i)
            at_start = char in "\r\n" + dialect.delimiter
        i += 1
    return found, inside


def marks(dialect: Dialect) -> quoting.Mark:
    wanted = np.frombuffer(b"\r\n" + dialect.delimiter.encode(), np.uint8)
    return lambda octets, start, stop: np.isin(octets[start:stop], wanted)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@given(
    text=st.text(st.sampled_from('"""\'\',;\n\r\\\\ab'), max_size=60),
    window_bytes=st.integers(1, 70),
)
@example(text='"a""\n""b"\n', window_bytes=4)
@example(text='\\"",\n\\,"\n"', window_bytes=2)
@example(text='"""""\n,""",\n', window_bytes=3)
def test_all_that_stands_outside_quotes_is_found(dialect, text, window_bytes):
    walk = quoting.Walk(np.frombuffer(text.encode(), np.uint8), dialect, window_bytes)
    found, is_open = one_by_one(text, dialect)
    assert (walk.all(marks(dialect)).tolist(), walk.is_open) == (found, is_open)
    assert walk.inside == sum(map(text.count, {"\r", "\n", dialect.delimiter})) - len(found)


# name: 4 MiB of a record
HEAVY = {
    "quotes": b'"' * (4 << 20),
    "doubled quotes with a letter between": b'"' + b'""a' * (4 << 20) + b'"',
    "cells of a quote": b'"a",' * (1 << 20),
    "stray quotes": b'a"' * (2 << 20),
    "escapes": b"\\" * (4 << 20),
}


@pytest.mark.parametrize("octets", HEAVY.values(), ids=HEAVY)
@pytest.mark.parametrize("name", ["usual", "not doubled", "escape"])
def test_little_is_held_whatever_the_octets_are(octets, name):
    octets = np.frombuffer(octets[: 4 << 20], np.uint8)
    walk = quoting.Walk(octets, DIALECTS[name])
    tracemalloc.start()
    walk.all(quoting.newlines)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
