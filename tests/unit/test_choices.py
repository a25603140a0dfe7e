"""Each closed set of values has one list; pages and the extension have what it has."""

import ast
import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

from loader import choices
from loader.cli import commands, output
from loader.factory import conf
from loader.factory.status import Status
from loader.options import Options

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "ckanext-aircan" / "ckanext" / "aircan"
FORM = EXTENSION / "templates" / "aircan" / "snippets" / "settings_form.html"

# an option: its values
OPTIONS = {
    "mode": choices.Mode,
    "via": choices.Via,
    "full_text": choices.FullText,
    "fts_index": choices.FtsIndex,
    "on_type_error": choices.OnTypeError,
    "on_concurrent_writes": choices.OnConcurrentWrites,
    "types": choices.Types,
    "dates": choices.Dates,
    "decimal": choices.Decimal,
    "missing": choices.Missing,
}


def row(page: str, option: str) -> str:
    """Return what the table of a page says of an option."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    (found,) = re.findall(rf"^\| `{option}` \| ([^|]+) \|", text, re.MULTILINE)
    return found


@pytest.mark.parametrize(("option", "values"), OPTIONS.items(), ids=OPTIONS)
def test_the_page_of_the_library_names_the_values(option, values):
    named = re.findall(r"`(\w+)`", row("library.md", option))
    assert sorted(named[: len(get_args(values))]) == sorted(get_args(values))


def test_the_page_of_the_factory_names_the_modes():
    assert re.findall(r"`(\w+)`", row("factory.md", "mode")) == list(get_args(choices.Mode))


def test_a_conf_may_choose_what_the_loader_can_do():
    properties = conf.LOAD["options"]["properties"] | {"mode": conf.LOAD["mode"]}
    chosen = {name: one["enum"] for name, one in properties.items() if "enum" in one}
    assert chosen == {name: list(get_args(values)) for name, values in OPTIONS.items()}


def test_the_command_names_the_flags_that_it_has():
    parameters = inspect.signature(commands.load).parameters.keys()
    others = {"source", "as_json", "debug"}
    assert output._FLAGS | output._VARIABLES.keys() - {"ckan_token"} == parameters - others


# The extension, which meets the loader in JSON


def lists_of_the_extension() -> dict[str, list[str]]:
    tree = ast.parse((EXTENSION / "logic" / "schema.py").read_text("utf-8"))
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
    }


def test_the_extension_takes_the_values_that_the_loader_takes():
    lists = lists_of_the_extension()
    assert lists["MODES"] == list(get_args(choices.Mode))
    assert lists["FULL_TEXT"] == list(get_args(choices.FullText))
    assert lists["ON_CONCURRENT_WRITES"] == list(get_args(choices.OnConcurrentWrites))
    assert lists["TYPES"] == list(get_args(choices.Types))
    assert lists["DATES"] == list(get_args(choices.Dates))
    assert lists["MISSING"] == list(get_args(choices.Missing))
    assert lists["FACTORY_STATUSES"] == list(get_args(Status))
    assert set(lists["STATUSES"]) > set(get_args(Status))


def test_the_extension_names_what_the_loader_does_by_default():
    tree = ast.parse((EXTENSION / "config.py").read_text("utf-8"))
    (defaults,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and node.target.id == "READING"
    ]
    assert defaults == {name: getattr(Options(), name) for name in defaults}
    assert defaults.keys() <= conf.LOAD["options"]["properties"].keys()


@pytest.mark.parametrize(
    "option", ["mode", "full_text", "on_concurrent_writes", "types", "dates", "decimal", "missing"]
)
def test_the_form_of_the_extension_offers_them(option):
    (select,) = re.findall(
        rf"form\.select\('{option}'.*?endcall", FORM.read_text("utf-8"), re.DOTALL
    )
    assert re.findall(r"'value': '(\w+)'", select) == list(get_args(OPTIONS[option]))
