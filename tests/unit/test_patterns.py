"""A schema's pattern matches whole cells as Python's re does, or is refused with a reason."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loader.errors import UsageError
from loader.types.patterns import Pattern

atoms = st.sampled_from(
    [
        *(
            r"\d",
            r"\D",
            r"\w",
            r"\W",
            r"\s",
            r"\S",
            ".",
            "a",
            "ü",
            r"\.",
            r"\\",
            r"\[",
            r"\u00fc",
            r"\xe9",
        ),
        *(
            r"[\d,]",
            r"[^\W_]",
            r"[\s\S]",
            r"[^\s]",
            r"[]a]",
            r"[^]a]",
            r"[a-c\]]",
            r"[\[(]",
            r"[\W\d]",
        ),
    ]
)
repeated = st.tuples(
    atoms, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "{,2}", "{1,}"])
)
sequences = st.lists(repeated.map("".join), max_size=4).map("".join)
patterns = st.one_of(
    sequences,
    st.tuples(sequences, sequences).map("|".join),
    st.tuples(sequences, sequences).map(lambda two: f"({two[0]})+|(?:{two[1]})?"),
    sequences.map(lambda one: f"(?i){one}"),
    sequences.map(lambda one: f"^{one}$"),
)


@given(
    pattern=patterns, cells=st.lists(st.text("aAbü1٣_ .,;[]()\\\n\xa0é", max_size=4), max_size=8)
)
@example(pattern="a|b", cells=["a", "ab", "b"])
@example(pattern=r"\w+", cells=["Müller", "a b", ""])
@example(pattern="a{,2}", cells=["", "a", "aa", "aaa", "a{,2}"])
@example(pattern=".*", cells=["a\n", "a"])
def test_the_same_cells_match_as_in_python(pattern, cells):
    misses = [i for i, cell in enumerate(cells) if not re.fullmatch(pattern, cell)]
    assert Pattern(pattern).misses(cells) == misses


# What each has that RE2 does not match, or nobody.
REFUSED = {
    "a back reference": r"(a)\1",
    "a named one": r"(?P<x>a)(?P=x)",
    "a look ahead": "(?=a)b",
    "a look behind": "(?<!a)b",
    "an open bracket": "[a",
    "an open group": "(a",
    "one that closes ours": "a)(b",
    "nothing to repeat": "*a",
    "too large": "((a{1,500}){1,500}){1,500}",
    "an escape that is none": r"\y",
}


@pytest.mark.parametrize("pattern", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_matched_in_linear_time_is_wrong_usage(pattern):
    with pytest.raises(UsageError, match="pattern") as raised:
        Pattern(pattern)
    assert raised.value.hint
