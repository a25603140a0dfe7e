"""What a file says reaches a terminal and a log as text, and JSON as what it is."""

import json
import logging
import unicodedata
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader import printable
from loader.errors import AircanError, SourceError

# What moves the cursor, turns the direction, begins a line or is not seen.
HARMFUL = {
    "controls": "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)])),
    "lines": "\u2028\u2029\r\n\x0b\x0c\x85",
    "directions": "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    "without a width": "\u00ad\u180e\u200b\u200c\u200d\u2060\ufeff\ufff9\u034f\u3164\ufe0f",
    "tags": "\U000e0001\U000e0041\U000e0100",
    "halves": "\udc80\ud800",
    "of nobody": "\ue000\U0010ffff\ufffe",
}
PLAIN = "aÄ漢字🌳 é\\\"'[red]{}"
every_harm = pytest.mark.parametrize("harm", HARMFUL.values(), ids=HARMFUL)

values = st.recursive(
    st.none() | st.booleans() | st.text() | st.text(st.characters()) | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


@every_harm
def test_json_holds_none_of_it_and_says_the_same(harm):
    value = {f"a{harm}b": [harm, PLAIN]}
    text = printable.to_json(value)
    assert not set(text) - {"\n"} & set(harm)
    assert json.loads(text) == value
    assert json.dumps(PLAIN, ensure_ascii=False)[1:-1] in text


@given(values)
def test_any_value_comes_back_from_json(value):
    text = printable.to_json(value)
    assert json.loads(text) == value
    seen = {unicodedata.category(c) for c in text if c != "\n"}
    assert not seen & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    text.encode()


@every_harm
def test_a_shown_text_holds_none_of_it(harm):
    for show in (printable.shown, printable.one_line, printable.lines):
        assert not set(show(f"a{harm}b")) - {"\n", " "} & set(harm)
    assert "\n" not in printable.shown(f"a{harm}b") + printable.one_line(f"a{harm}b")
    assert printable.shown(PLAIN) == PLAIN


@every_harm
def test_an_error_holds_none_of_it_wherever_it_quotes_a_file(harm):
    error = SourceError(f"a{harm}b", hint=f"c{harm}d", column=f"e{harm}f", value=f"g{harm}h")
    for text in (str(error), error.message, error.hint, *error.args):
        assert not set(text) - {" "} & set(harm)
    assert error.to_dict()["value"] == f"g{harm}h"
    assert "PLAIN" in str(AircanError("PLAIN"))


@every_harm
def test_a_log_has_one_line_for_each_message(harm):
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(printable.LogFormatter("%(levelname)s %(message)s"))
    # Of no other's handlers: pytest would report what is logged, and cannot send half a character.
    logger = logging.Logger("test of the formatter")  # noqa: LOG001
    logger.addHandler(handler)
    logger.warning("of %s\nINFO forged", f"a{harm}b")
    error = ValueError(f"a{harm}b\nINFO forged")
    logger.error("failed", exc_info=error)
    said = stream.getvalue()
    assert not set(said) - {"\n", " "} & set(harm)
    assert [line.split()[0] for line in said.split("\n")[:2]] == ["WARNING", "ERROR"]
