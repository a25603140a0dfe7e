"""The page on extending the loader: its examples do what it says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
from extending import run

import loader
from loader.errors import ArtifactsError, SourceNotFound
from loader.pipeline import load
from loader.source import stream
from loader.source.content import open_content


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    made = ModuleType("made_by_the_page")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr(stream, "TRANSPORTS", dict(stream.TRANSPORTS))
    monkeypatch.setattr(load, "DESTINATIONS", dict(load.DESTINATIONS))
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


def test_a_destination(
    module: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    Path("trees.csv").write_text("tree,height\nLinde,12\nEiche,\n")
    run(module, "destination")
    run(module, "listing a destination")
    lines = ['{"tree": "Linde", "height": "12"}\n', '{"tree": "Eiche", "height": null}\n']
    assert capsys.readouterr().out == f"2 replaced {''.join(lines)}\n"
    url = "lines://trees.jsonl"
    # A type that proves too narrow: nothing of the first reading is left.
    rows = f"1,{'x' * 100_000}\n" * 60  # types are guessed from the first 4 MiB
    Path("trees.csv").write_text(f"number,note\n{rows}one,\n")
    report = loader.load("trees.csv", datastore_url=url)
    assert (report.via, report.rows, report.columns[0]["widened_from"]) == ("lines", 61, "bigint")
    assert "replaced the table trees" in report.warnings
    written = Path("trees.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in written] == ["1"] * 60 + ["one"]
    # A load that fails leaves what was there.
    Path("trees.csv").write_text("tree,height\nLinde,12\n" + "a,b,c\n" * 2)
    with pytest.raises(loader.AircanError) as failed:
        loader.load("trees.csv", datastore_url=url, max_bad_rows=0)
    assert failed.value.table == "untouched"
    assert Path("trees.jsonl").read_text().splitlines() == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trees.csv", "trees.jsonl"]
