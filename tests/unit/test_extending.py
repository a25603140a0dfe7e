"""The page on extending the loader: its examples do what it says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType

import pytest
from extending import run

from loader.errors import ArtifactsError, SourceNotFound
from loader.source import stream
from loader.source.content import open_content


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    made = ModuleType("made_by_the_page")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr(stream, "TRANSPORTS", dict(stream.TRANSPORTS))
    return made


def test_a_transport(module: ModuleType, capsys: pytest.CaptureFixture[str]):
    run(module, "transport")
    run(module, "listing")
    assert capsys.readouterr().out == "tree,height\nLinde,12\nEiche,20\n 30\n"
    settings = stream.SourceSettings(opening_wait_s=0)
    with open_content("mem://trees.csv", settings, hashed=True) as content:
        assert content.stream.read() == module.FILES["trees.csv"]
        assert content.tells_its_end
    with pytest.raises(SourceNotFound, match="no such file in this process"):
        stream.open_source("mem://lakes.csv", settings)


def test_a_store(module: ModuleType, capsys: pytest.CaptureFixture[str]):
    run(module, "store")
    assert capsys.readouterr().out == "{'path': 'trees.csv'} False\n"
    place = module.place
    with place.opened("rows.ndjson.gz", "wb") as rows:
        rows.write(b"[1]\n")
    with place.opened("rows.ndjson.gz") as rows:
        assert rows.read() == b"[1]\n"
    with suppress(RuntimeError), place.opened("rows.ndjson", "wb") as rows:
        rows.write(b"[1]\n")
        raise RuntimeError
    with pytest.raises(ArtifactsError, match="is not there"):
        place.read("rows.ndjson")
    place.clear()
    assert not place.exists("resource.json")
