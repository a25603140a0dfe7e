"""The benchmark against xloader: its arithmetic, its bounds, and that they do fail."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.ckan import Plan, conclude, table, write
from benchmarks.ckan_bounds import Measured, Run, check
from benchmarks.ckan_measure import PROBES, WAYS, Data, aircan, check_table, follow, read_facts
from benchmarks.generate import KINDS
from benchmarks.generate import write as write_csv
from benchmarks.measure import WrongResult
from benchmarks.server import Server, embedded_server

TABLE = "0b5c1f7e-2f0d-4b5e-8f53-6f1d6f0f7a11"


def measured(kind: str, way: str, visible: float, finished: float, rows: int = 1000) -> Measured:
    runs = [Run(visible / 2 * one, visible * one, finished * one) for one in (1, 3, 0.5)]
    return Measured(kind, way, rows, rows * 95, runs)


XLOADER = measured("taxi", "xloader", 80.0, 90.0)
COPY = measured("taxi", "copy", 20.0, 30.0)
API = measured("taxi", "api", 30.0, 36.0, rows=100)
GOOD = [XLOADER, COPY, API]


def broken(*measured: Measured) -> list[str]:
    return [verdict.name for verdict in check(measured) if not verdict.holds]


class TestBounds:
    def test_figures_that_just_reach_them_break_none(self) -> None:
        assert broken(*GOOD) == []
        assert [verdict.value for verdict in check(GOOD)] == pytest.approx([4, 3, 12])

    @pytest.mark.parametrize(
        ("slow", "name"),
        [
            (measured("taxi", "copy", 20.1, 30.0), "taxi visible, copy against xloader"),
            (measured("taxi", "xloader", 80.0, 89.9), "taxi finished, copy against xloader"),
            (measured("taxi", "api", 1.0, 35.9, rows=100), "taxi rows/s, copy against api"),
        ],
    )
    def test_a_ratio_too_small_is_broken(self, slow: Measured, name: str) -> None:
        others = [one for one in GOOD if one.way != slow.way]
        assert broken(*others, slow) == [name]

    def test_the_ratios_asked_of_text_are_its_own(self) -> None:
        copy = measured("taxi", "copy", 26.0, 36.0)
        files = [XLOADER, copy, API]
        assert broken(*files) == [
            "taxi visible, copy against xloader",
            "taxi finished, copy against xloader",
            "taxi rows/s, copy against api",
        ]
        text = [replace(one, kind="311") for one in files]
        assert broken(*text) == ["311 rows/s, copy against api"]

    @pytest.mark.parametrize("way", list(WAYS))
    def test_what_was_not_measured_is_not_kept(self, way: str) -> None:
        with pytest.raises(KeyError):
            check([one for one in GOOD if one.way != way])

    def test_a_verdict_is_one_line(self) -> None:
        assert str(check(GOOD)[0]) == (
            "taxi visible, copy against xloader: 4.00 times as fast, at least 4: holds"
        )


def answers(given: str) -> Callable[[], bool]:
    left = given.split()
    return lambda: left.pop(0) == "yes"


class TestFollow:
    def test_every_stage_has_the_time_of_its_first_yes(self) -> None:
        start = time.perf_counter()
        stages = {"readable": answers("no yes"), "visible": answers("no no yes")}
        times = follow(stages, answers("no no no yes"), start)
        assert 0 < times["readable"] < times["visible"] < times["finished"]
        assert times["finished"] <= time.perf_counter() - start

    def test_what_is_seen_only_at_the_end_was_there_by_then(self) -> None:
        times = follow({"readable": answers("yes")}, answers("yes"), time.perf_counter())
        assert times["readable"] == times["finished"]

    def test_a_load_that_ends_without_its_rows_is_no_measurement(self) -> None:
        stages = {"readable": answers("no no"), "visible": answers("yes")}
        with pytest.raises(WrongResult, match=r"^finished, and never readable$"):
            follow(stages, answers("no yes"), time.perf_counter())

    def test_a_load_that_does_not_end_is_no_measurement(self) -> None:
        with pytest.raises(WrongResult, match="not finished after 0 s"):
            follow({"readable": answers("yes")}, answers("no"), time.perf_counter(), timeout_s=0)


class TestProcess:
    def test_a_process_that_fails_is_no_measurement(self) -> None:
        with (
            aircan({"AIRCAN_CKAN_URL": "nonsense"}, "reload", TABLE) as load,
            pytest.raises(subprocess.CalledProcessError) as caught,
        ):
            follow({}, load.is_finished, time.perf_counter())
        assert caught.value.returncode == 2
        assert "URL" in caught.value.stderr

    def test_a_process_that_ends_well_is_finished(self) -> None:
        with aircan({}, "--version") as load:
            assert follow({}, load.is_finished, time.perf_counter())["finished"] > 0


def data_of(kind: str, folder: Path) -> Data:
    path = folder / f"{kind}.csv"
    write_csv(kind, 500, path)
    return Data(kind, path, read_facts(kind, path))


def load_as_text(server: Server, data: Data) -> None:
    names = [name for name, _ in KINDS[data.kind].columns]
    columns = ", ".join(f"{name} text" for name in names)
    words = " || ' ' || ".join(f"coalesce({name}, '')" for name in names)
    server.run(
        f'CREATE TABLE "{TABLE}" (_id serial, _full_text tsvector, {columns})',
        f"\\copy \"{TABLE}\" ({', '.join(names)}) FROM '{data.path}' WITH (FORMAT csv, HEADER)",
        f'UPDATE "{TABLE}" SET _full_text = to_tsvector({words})',
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with embedded_server() as server:
        yield server


class TestCheckOfATable:
    def test_facts_are_those_of_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "311.csv"
        path.write_text(
            "unique_key,city,resolution_description\n"
            '1,ASTORIA,"Astoria, again\nand again"\n2,FLUSHING,""\n3,GASTORIA,no\n'
        )
        facts = read_facts("311", path)
        assert (facts.rows, facts.total, facts.found) == (3, Decimal(24 + 0 + 2), 1)

    def test_every_kind_is_looked_at_by_a_word_that_some_rows_have(self, tmp_path: Path) -> None:
        assert PROBES.keys() == KINDS.keys()
        for kind in KINDS:
            facts = data_of(kind, tmp_path).facts
            assert 0 < facts.found < facts.rows == 500

    @pytest.mark.parametrize(
        "damage",
        [
            "DELETE FROM {table} WHERE _id = 500",
            "UPDATE {table} SET {column} = '0' WHERE _id = 7",
            "UPDATE {table} SET _full_text = NULL WHERE NOT _full_text @@ '{word}'::tsquery",
            "UPDATE {table} SET _full_text = ''",
        ],
    )
    def test_a_table_that_is_not_the_file_is_no_measurement(
        self, server: Server, damage: str, tmp_path: Path
    ) -> None:
        for kind in KINDS:
            data = data_of(kind, tmp_path)
            load_as_text(server, data)
            try:
                check_table(server, "xloader", TABLE, data)
                probe = PROBES[kind]
                values = {"table": f'"{TABLE}"', "column": probe.column, "word": probe.word}
                server.run(damage.format(**values))
                with pytest.raises(WrongResult, match=f"^xloader, {kind}: the table says "):
                    check_table(server, "xloader", TABLE, data)
            finally:
                server.run(f'DROP TABLE "{TABLE}"')


class TestConclusion:
    def test_every_broken_bound_is_one_line_and_the_exit_code_is_1(self) -> None:
        said = Console(file=io.StringIO(), width=200)
        slow = replace(COPY, runs=[Run(40.0, 40.0, 40.0)])
        assert conclude(check([XLOADER, slow, replace(API, rows=1)]), said) == 1
        lines = said.file.getvalue().splitlines()
        assert lines[0].endswith("holds")
        assert lines[1:] == [
            "taxi visible, copy against xloader: 2.00 times as fast, at least 4: BROKEN",
            "taxi finished, copy against xloader: 2.25 times as fast, at least 3: BROKEN",
        ]

    def test_with_nothing_broken_the_exit_code_is_0(self) -> None:
        assert conclude(check(GOOD), Console(file=io.StringIO())) == 0

    def test_the_table_has_a_line_for_every_way_and_file(self) -> None:
        said = Console(file=io.StringIO(), width=200)
        said.print(table(GOOD))
        text = said.file.getvalue()
        assert all(name in text for name in WAYS.values())
        assert "30.00 90.00 15.00" in text

    def test_results_are_written_with_every_run_and_bound(self, tmp_path: Path) -> None:
        plan = Plan(("taxi",), rows=1000, api_rows=100, runs=3, lanes=2)
        write(tmp_path / "out", "machine", plan, GOOD, check(GOOD))
        results = json.loads((tmp_path / "out" / "ckan.json").read_text())
        assert results["measured"][0]["runs"][0] == {
            "readable": 40.0,
            "visible": 80.0,
            "finished": 90.0,
        }
        assert [bound["holds"] for bound in results["bounds"]] == [True] * 3
        assert (results["machine"], results["api_rows"]) == ("machine", 100)

    def test_without_a_ckan_nothing_is_measured_and_the_exit_code_is_2(
        self, tmp_path: Path
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.ckan", "--rows", "10"],
            env={**os.environ, "AIRCAN_TEST_CKAN": str(tmp_path)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2, done.stderr
        assert done.stdout.startswith("not measured: CKAN 2.12.0 is not installed in ")
