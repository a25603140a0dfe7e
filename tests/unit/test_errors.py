"""One tree of errors, drawn in its module's docstring; each says in one line what and where."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader import errors
from loader.errors import AircanError, UsageError, ValueDoesNotFit

CLASSES = [value for value in vars(errors).values() if isinstance(value, type)]
CLASSES = [value for value in CLASSES if issubclass(value, AircanError)]


def drawn() -> dict[str, tuple[str | None, bool]]:
    """Each class in the docstring's drawing: its parent, and whether a retry can help."""
    found: dict[str, tuple[str | None, bool]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ((?:[| ]   )*)(\+-- )?([A-Z]\w+)(?: {2,}.*)?$", line.rstrip()):
            indent, branch, name = match.groups()
            depth = len(indent) // 4 + bool(branch)
            path = [*path[:depth], name]
            found[name] = (path[-2] if depth else None, "(a retry can help)" in line)
    return found


def test_the_drawing_is_the_tree():
    tree = {
        each.__name__: (
            each.__bases__[0].__name__ if each is not AircanError else None,
            each.retryable,
        )
        for each in CLASSES
    }
    assert drawn() == tree


@pytest.mark.parametrize("error", CLASSES, ids=lambda each: each.__name__)
def test_every_error_says_what_it_means(error):
    assert error.__doc__
    assert str(error("it is so")) == "it is so"


# name: place, line
LINES = {
    "no place": ({}, "it is wrong"),
    "a row": ({"row": 5}, "row 5: it is wrong"),
    "a column": ({"column": "a b"}, "column 'a b': it is wrong"),
    "a value": ({"value": "x"}, "value 'x': it is wrong"),
    "an empty value": ({"value": ""}, "value '': it is wrong"),
    "all": ({"row": 5, "column": "a", "value": "x"}, "row 5, column 'a', value 'x': it is wrong"),
    "a hint is told apart": ({"hint": "mend it"}, "it is wrong"),
    "a value of lines": ({"value": "x\ny\r"}, "value 'x\\ny\\r': it is wrong"),
}


@pytest.mark.parametrize(("place", "line"), LINES.values(), ids=LINES)
def test_the_place_comes_first(place, line):
    assert str(ValueDoesNotFit("it is wrong", **place)) == line


@given(st.text(), st.text(), st.text(), st.text())
def test_an_error_is_one_short_line_whatever_it_is_about(message, column, value, hint):
    error = ValueDoesNotFit(message, row=1, column=column, value=value * 100, hint=hint)
    assert len(str(error).splitlines()) == 1
    assert len((error.hint or "").splitlines()) <= 1
    assert str(error).isprintable()
    shown = str(error.to_dict()["value"])
    assert shown == value * 100 or (len(shown) == 100 and shown.endswith("..."))


def test_the_json_of_an_error_tells_all():
    error = ValueDoesNotFit("no", row=2, column="a", value="x" * 500, hint="mend")
    assert error.to_dict() == {
        "type": "ValueDoesNotFit",
        "message": "no",
        "hint": "mend",
        "row": 2,
        "column": "a",
        "value": "x" * 97 + "...",
        "retryable": False,
    }
    assert error.value == "x" * 500


def test_no_hint_is_none():
    assert UsageError("no").hint is None
