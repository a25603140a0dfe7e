"""What a caller says of how a file is to be read comes to the reader, whatever way it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import loader
from loader import api, describe, reloading
from loader.cli import commands
from loader.options import Options
from loader.scan.settings import ReadSettings

# flags: the keywords that say the same
SAID: dict[str, tuple[list[str], dict[str, Any]]] = {
    "nothing": ([], {}),
    "an encoding": (["--default-encoding", "cp1250"], {"default_encoding": "cp1250"}),
    "strict types": (["--types", "strict"], {"types": "strict"}),
    "days first": (["--dates", "dmy"], {"dates": "dmy"}),
    "months first": (["--dates", "mdy"], {"dates": "mdy"}),
    "no order": (["--dates", "iso"], {"dates": "iso"}),
    "a decimal comma": (["--decimal", "comma"], {"decimal": "comma"}),
    "missing": (["--missing", "auto"], {"missing": "auto"}),
    "spaces": (["--strip"], {"strip": True}),
    "several": (
        ["--default-encoding", "cp1255", "--types", "strict", "--dates", "mdy", "--strip"],
        {"default_encoding": "cp1255", "types": "strict", "dates": "mdy", "strip": True},
    ),
}
LOADS = (("load", "in.csv"), ("reload", "resource"))
ON_SAID = pytest.mark.parametrize(("flags", "keywords"), SAID.values(), ids=SAID)
ON_LOADS = pytest.mark.parametrize("command", LOADS, ids=lambda command: command[0])
ON_READERS = pytest.mark.parametrize("name", ["infer", "validate"])


class Told(Exception):
    """Ends a call once it has said how to read."""


def settings_of(types: str = "auto", missing: str = "keep", **others: Any) -> ReadSettings:
    """What a reader is told of such options."""
    means = {"local_forms": types == "auto", "nulls_signs": missing == "auto"}
    return ReadSettings(**means, **others)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIRCAN_DEFAULT_ENCODING", raising=False)
    Path("in.csv").write_text("a,b\n1,2\n")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[ReadSettings]:
    """How `infer` and `validate` have the reader read."""
    settings: list[ReadSettings] = []

    def read(_: object, given: ReadSettings, *__: object) -> None:
        settings.append(given)
        raise Told

    monkeypatch.setattr(describe, "read", read)
    return settings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """How `load` and `reload` want a file loaded."""
    options: list[Options] = []

    def load(_: object, given: Options, *__: object) -> None:
        options.append(given)
        raise Told

    for module, name in ((commands, "load_source"), (api, "load_source"), (reloading, "reload")):
        monkeypatch.setattr(module, name, load)
    return options


def aircan(*arguments: str) -> None:
    done = CliRunner().invoke(commands.app, list(arguments))
    assert "unexpected Told" in done.output


@ON_READERS
@ON_SAID
def test_infer_and_validate_tell_the_reader(told, name, flags, keywords):
    aircan(name, "in.csv", *flags)
    with pytest.raises(Told):
        getattr(loader, name)("in.csv", schema={}, **keywords)
    assert told == [settings_of(schema={}, **keywords)] * 2


@ON_LOADS
@ON_SAID
def test_a_load_tells_the_reader(asked, command, flags, keywords):
    name, what = command
    aircan(name, what, *flags)
    with pytest.raises(Told):
        getattr(loader, name)(what, **keywords)
    by_flags, by_keywords = asked
    assert by_keywords.reading == settings_of(**keywords)
    assert by_flags.reading == settings_of(schema={} if name == "load" else None, **keywords)


@ON_LOADS
def test_a_load_may_keep_the_types_of_its_table(asked, command):
    name, what = command
    aircan(name, what)
    aircan(name, what, "--keep-types")
    with pytest.raises(Told):
        getattr(loader, name)(what, keep_types=True)
    assert [options.keep_types for options in asked] == [False, True, True]


@ON_READERS
def test_the_environment_names_an_encoding_too(told, name, monkeypatch):
    monkeypatch.setenv("AIRCAN_DEFAULT_ENCODING", "cp1250")
    aircan(name, "in.csv")
    aircan(name, "in.csv", "--default-encoding", "cp1255")
    for keywords in ({}, {"default_encoding": "cp1255"}):
        with pytest.raises(Told):
            getattr(loader, name)("in.csv", **keywords)
    encodings = [settings.default_encoding for settings in told]
    assert encodings == ["cp1250", "cp1255", "cp1250", "cp1255"]


def test_a_load_takes_the_encoding_of_the_environment(asked, monkeypatch):
    monkeypatch.setenv("AIRCAN_DEFAULT_ENCODING", "cp1250")
    aircan("load", "in.csv")
    aircan("load", "in.csv", "--default-encoding", "cp1255")
    assert [options.default_encoding for options in asked] == ["cp1250", "cp1255"]


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("--types", value) for value in ("text", "", "AUTO")),
        *(("--dates", value) for value in ("ymd", "", "us")),
        *(("--missing", value) for value in ("null", "", "drop")),
    ],
)
@pytest.mark.parametrize("command", [*LOADS, ("infer", "in.csv"), ("validate", "in.csv")])
def test_another_value_is_wrong_usage(command, flag, value):
    done = CliRunner().invoke(commands.app, [*command, flag, value])
    assert done.exit_code == 2
    assert f"Invalid value for '{flag}'" in done.output
