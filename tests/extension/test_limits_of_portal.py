"""Of a caller's limit and the portal's, the tighter one counts; the factory reads both alike."""

from __future__ import annotations

import math

import pytest
from ckanext.aircan import limits
from hypothesis import example, given
from hypothesis import strategies as st

from loader.errors import UsageError
from loader.net.limits import Limits

# Each limit, what a caller asks for, what the portal allows, and what counts.
TIGHTER = [
    ("max_bytes", "1MB", "50GB", "1MB"),
    ("max_bytes", "60GB", "50GB", "50GB"),
    ("max_bytes", 1_000_000, "50GB", 1_000_000),
    ("max_bytes", "900000", "1KB", "1KB"),
    ("max_bytes", "1MiB", "1MB", "1MB"),
    ("max_bytes", "1 mib", "1.1 MB", "1 mib"),
    ("max_bytes", "9TB", "1PB", "9TB"),
    ("max_bytes", "1GB", None, "1GB"),
    ("max_bytes", "1GB", "", "1GB"),
    ("max_bytes", None, "50GB", "50GB"),
    ("max_bytes", None, None, None),
    ("max_ratio", "30", "300", "30"),
    ("max_ratio", 1000, "300", "300"),
    ("max_ratio", "99.5", "100", "99.5"),
    ("min_rate", "10KiB", "10KB", "10KiB"),
    ("min_rate", 0, "1KB", "1KB"),
    ("min_rate", "1MB", "1KB", "1MB"),
    # What is no limit is the factory's to refuse, and makes none looser.
    ("max_bytes", "much", "50GB", "much"),
    ("max_bytes", "", "50GB", ""),
    ("max_bytes", True, "50GB", True),
    ("max_bytes", -1, "50GB", -1),
    ("max_bytes", [1], "50GB", [1]),
    ("max_ratio", "30MB", "300", "30MB"),
    ("min_rate", -1, "1KB", -1),
    ("max_bytes", "1MB", "much", "much"),
]


@pytest.mark.parametrize(("name", "wished", "allowed", "counts"), TIGHTER)
def test_the_tighter_one_counts(name, wished, allowed, counts):
    assert repr(limits.tighter(name, wished, allowed)) == repr(counts)


@pytest.mark.parametrize("name", limits.TIGHTER)
@pytest.mark.parametrize("wished", [math.nan, math.inf, 10**400], ids=["nan", "inf", "googol^4"])
def test_what_is_no_number_is_refused_by_the_factory(name, wished):
    assert limits.tighter(name, wished, "1") is wished


NUMBERS = st.from_regex(r"[0-9]{1,15}(\.[0-9]{1,3})?", fullmatch=True)
UNITS = st.sampled_from(["", "B", "KB", "KiB", "mb", "MIB", "GB", "TiB", "PB", "IB", "K", "iB"])
WRITTEN = st.one_of(st.builds("{}{}{}".format, NUMBERS, st.sampled_from(["", " ", "  "]), UNITS))
VALUES = st.one_of(WRITTEN, st.text(max_size=6), st.integers(-5, 10**400), st.floats(0, 1e9))


@pytest.mark.parametrize("name", limits.TIGHTER)
@given(value=VALUES)
@example(value="4612 PB")
@example(value="4096PiB")
@example(value="999999999999999PiB")
def test_what_is_read_is_what_the_factory_reads(name, value):
    try:
        theirs = getattr(Limits.read(**{name: value}), name)
    except UsageError:
        theirs = None
    ours = limits.read(name, value)
    if theirs is not None:  # it rounds bytes down, and refuses less than 1
        assert ours is not None
        assert math.floor(ours) == math.floor(theirs)
    elif ours is not None:
        assert ours < 1


@pytest.mark.parametrize("name", limits.TIGHTER)
@given(wished=VALUES, allowed=WRITTEN)
def test_no_wish_makes_it_looser(name, wished, allowed):
    try:
        bound = Limits.read(**{name: allowed})
        counts = Limits.read(**{name: limits.tighter(name, wished, allowed)})
    except UsageError:
        return  # nothing is loaded
    assert counts.within(bound) == counts
