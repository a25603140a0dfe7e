"""One tree of errors, drawn in its module's docstring; each says in one line what and where."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader import errors
from loader.errors import AircanError, UsageError, ValueDoesNotFit
from loader.net.limits import Limits
from loader.options import Options

LOADER = Path(errors.__file__).parent

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
    error = ValueDoesNotFit("no", row=2, column="a", value="x" * 500, hint="mend", option="schema")
    assert error.to_dict() == {
        "type": "ValueDoesNotFit",
        "message": "no",
        "hint": "mend",
        "option": "schema",
        "row": 2,
        "column": "a",
        "value": "x" * 97 + "...",
        "retryable": False,
        "table": "unknown",
    }
    assert error.value == "x" * 500


def test_no_hint_is_none():
    assert UsageError("no").hint is None


# What hints may say of options, which those who show them have their own words for.

# words of a hint: the options of which one is to be named then
OF_OPTIONS = {
    r"\bencoding\b": {"encoding", "max_bad_rows", "header_row", "delimiter"},
    r"header's row|header row": {"header_row", "delimiter", "schema"},
    r"replace the table|replaces the table|by their key": {"mode", "key"},
    r"\blanes\b": {"lanes"},
    r"\bname (other|its|no) (columns|key)\b|another key": {"key"},
    r"allow more": {"max_bytes", "max_ratio", "max_bad_rows", "max_loads"},
    r"another place": {"rejects"},
    r"keep them|only warn of them": {"on_concurrent_writes"},
    r"the column widened": {"on_type_error"},
    r"check user|database's name|name a password|of the password|write_url": {"datastore_url"},
}
KNOWN = {field.name for kind in (Options, Limits) for field in fields(kind)}


def strings(node: ast.AST | None) -> str:
    """Return the texts in an expression, and those of the constants that it names."""
    parts = [] if node is None else list(ast.walk(node))
    return " ".join(
        str(part.value)
        for part in parts
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


def errors_raised() -> Iterator[tuple[str, str, str | None]]:
    """Yield place, hint and option of each error that the loader makes; or both of two options."""
    for path in sorted(LOADER.rglob("*.py")):
        if path.parent.name in ("cli", "factory"):  # they have words of their own
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {
            target.id: strings(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            given = {one.arg: one.value for one in node.keywords}
            if "hint" not in given:
                continue
            names = [one.id for one in ast.walk(given["hint"]) if isinstance(one, ast.Name)]
            hint = " ".join([strings(given["hint"]), *(named.get(name, "") for name in names)])
            option = strings(given["option"]) or "?" if "option" in given else None
            yield f"{path.relative_to(LOADER)}:{node.lineno}", hint, option


def test_no_hint_has_the_words_of_one_front_end():
    found = [place for place, hint, _ in errors_raised() if re.search(r"(^| )--[a-z]", hint)]
    assert found == []


def test_every_hint_that_speaks_of_an_option_names_it():
    seen = set()
    for place, hint, option in errors_raised():
        for words, options in OF_OPTIONS.items():
            if re.search(words, hint):
                seen.add(words)
                assert option is not None, f"{place}: {hint}"
                assert option == "?" or options & set(option.split()), f"{place}: {option}"
    assert seen == OF_OPTIONS.keys()


def test_every_option_that_an_error_names_is_one():
    named = [option for _, _, option in errors_raised() if option not in (None, "?")]
    options = {option for each in named for option in each.split()}
    assert len(options) > 10
    assert options <= KNOWN
