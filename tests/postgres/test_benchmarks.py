"""The benchmark's own promises: the same data everywhere, and bounds that do fail."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from benchmarks.bounds import FULL, GUARD, Measured, check, check_swaps
from benchmarks.chart import draw
from benchmarks.generate import CHUNK_ROWS, KINDS, lines, write
from benchmarks.measure import WAYS, Data, Run, WrongResult, _check_report, measure, run_process
from benchmarks.run import File, Plan, _conclude, _parser, _plan, _write, main
from benchmarks.server import embedded_server

ROOT = Path(__file__).parents[2]


def text(kind: str, rows: int) -> str:
    return "".join(lines(kind, rows))


class TestGenerate:
    @pytest.mark.parametrize(
        ("kind", "digest"),
        [
            ("taxi", "38b1055cd073806514fb35eae4e9f23197006804c818fd4696ee934ad8cc4e40"),
            ("311", "bf281db20689009055cdbc4c4a4695e64e7cf6c8a69405e65878c4701e0dda21"),
        ],
    )
    def test_the_bytes_are_the_same_on_every_machine(self, kind: str, digest: str) -> None:
        assert hashlib.sha256(text(kind, 2_000).encode()).hexdigest() == digest

    @pytest.mark.parametrize("kind", sorted(KINDS))
    @pytest.mark.parametrize("rows", [0, 1, 999, CHUNK_ROWS, CHUNK_ROWS + 1])
    def test_a_smaller_file_is_the_start_of_a_larger_one(self, kind: str, rows: int) -> None:
        smaller = text(kind, rows)
        assert text(kind, 2 * CHUNK_ROWS).startswith(smaller)
        assert smaller.count("\n") == rows + 1

    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_chunks_differ(self, kind: str) -> None:
        rows = text(kind, 2 * CHUNK_ROWS).splitlines()[1:]
        assert rows[:CHUNK_ROWS] != rows[CHUNK_ROWS:]

    @pytest.mark.parametrize(
        ("kind", "columns", "bytes_per_row"),
        [("taxi", 17, (90, 100)), ("311", 12, (275, 295))],
    )
    def test_size_and_width(self, kind: str, columns: int, bytes_per_row: tuple[int, int]) -> None:
        made = text(kind, CHUNK_ROWS)
        low, high = bytes_per_row
        assert low <= len(made) / CHUNK_ROWS <= high
        assert {len(row) for row in csv.reader(io.StringIO(made))} == {columns}

    def test_cells_are_as_varied_as_the_real_files(self) -> None:
        taxi = list(csv.DictReader(io.StringIO(text("taxi", CHUNK_ROWS))))
        requests = list(csv.DictReader(io.StringIO(text("311", CHUNK_ROWS))))
        assert {row["store_and_fwd_flag"] for row in taxi} == {"Y", "N", ""}
        assert any(row["passenger_count"] == "" for row in taxi)
        assert any(row["fare_amount"].endswith("0") for row in taxi)
        assert {row["closed_date"] == "" for row in requests} == {True, False}
        assert {'"' in row["resolution_description"] for row in requests} == {True, False}
        assert len({row["incident_address"] for row in requests}) > CHUNK_ROWS * 0.9

    def test_the_command_writes_what_the_function_makes(self, tmp_path: Path) -> None:
        path = tmp_path / "taxi.csv"
        command = [sys.executable, "-m", "benchmarks.generate", "taxi", "1234", str(path)]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
        assert path.read_text() == text("taxi", 1234)
        assert write("taxi", 1234, path) == path.stat().st_size


def measured(kind: str, rows: int = 1000, memory: float = 200, **seconds: float) -> Measured:
    runs = {
        way: [Run(s, memory), Run(s * 1.5, memory), Run(s / 2, memory)]
        for way, s in seconds.items()
    }
    return Measured(kind, rows, rows * 95, runs)


GOOD = measured("taxi", a=10.0, b=12.0, c=20.0, d=50.0)
GOOD_LARGER = measured("taxi", rows=4000, b=48.0, c=80.0)


def broken(base: Measured, larger: Measured | None = None, limits=FULL) -> list[str]:
    verdicts = check([base], [larger] if larger else [], limits)
    return [verdict.name for verdict in verdicts if not verdict.holds]


class TestBounds:
    def test_good_measurements_break_none(self) -> None:
        assert broken(GOOD, GOOD_LARGER) == []
        assert len(check([GOOD], [GOOD_LARGER], FULL)) == 8

    @pytest.mark.parametrize(
        ("seconds", "name"),
        [
            ({"a": 10.0, "b": 13.1, "c": 20.0, "d": 50.0}, "taxi b/a"),
            ({"a": 10.0, "b": 12.0, "c": 25.1, "d": 50.0}, "taxi c/d"),
        ],
    )
    def test_a_slow_way_breaks_its_ratio(self, seconds: dict[str, float], name: str) -> None:
        slow = measured("taxi", **seconds)
        assert broken(slow) == [name]
        assert broken(slow, limits=GUARD) == []

    def test_the_ratio_allowed_to_text_is_its_own(self) -> None:
        seconds = {"a": 10.0, "b": 12.0, "c": 29.0, "d": 50.0}
        assert broken(measured("taxi", **seconds)) == ["taxi c/d"]
        assert broken(measured("311", **seconds)) == []

    def test_one_run_too_large_breaks_the_memory_bound(self) -> None:
        runs = {**GOOD.runs, "c": [*GOOD.runs["c"], Run(20.0, 351)]}
        assert broken(replace(GOOD, runs=runs)) == ["taxi memory of c"]

    def test_memory_that_grows_with_the_rows(self) -> None:
        larger = measured("taxi", rows=4000, memory=221, b=48.0, c=80.0)
        assert broken(GOOD, larger) == [
            "taxi memory of b, 4 times the rows",
            "taxi memory of c, 4 times the rows",
        ]

    def test_time_that_grows_faster_than_the_rows(self) -> None:
        larger = measured("taxi", rows=4000, b=48.0, c=92.1)
        assert broken(GOOD, larger) == ["taxi time per row of c, 4 times the rows"]

    @pytest.mark.parametrize("way", ["a", "b", "c", "d"])
    def test_what_was_not_measured_is_not_kept(self, way: str) -> None:
        runs = {name: taken for name, taken in GOOD.runs.items() if name != way}
        with pytest.raises(KeyError):
            check([replace(GOOD, runs=runs)], [], FULL)

    def test_the_two_ratios_may_come_from_files_of_their_own(self) -> None:
        fast, slow = measured("taxi", a=10.0, b=28.0), measured("taxi", c=49.0, d=50.0)
        names = [verdict.name for verdict in check([fast, slow], [], GUARD) if not verdict.holds]
        assert names == ["taxi b/a", "taxi c/d"]

    @pytest.mark.parametrize("limits", [FULL, GUARD])
    def test_the_slowest_swap_counts(self, limits) -> None:
        assert check_swaps([0.5, 4.9], limits).holds
        assert not check_swaps([5.1, 0.5], limits).holds

    def test_a_verdict_is_one_line(self) -> None:
        verdict = check([measured("taxi", a=10.0, b=28.0, c=1.0, d=50.0)], [], GUARD)[0]
        assert str(verdict) == "taxi b/a: 2.80 x, at most 2.6: BROKEN"


class TestMeasure:
    def test_time_and_memory_are_the_process_s_own(self) -> None:
        # From a process as small as the benchmark's own: a child's memory counts from its parent's.
        held = "import time; held = bytearray(150_000_000); time.sleep(0.3); print('done')"
        code = (
            "import dataclasses, json, sys; from benchmarks.measure import run_process; "
            "run, output = run_process([sys.executable, '-c', sys.argv[1]], 'postgresql://no'); "
            "print(json.dumps([dataclasses.asdict(run), output]))"
        )
        said = subprocess.run(
            [sys.executable, "-c", code, held], capture_output=True, text=True, check=True, cwd=ROOT
        )
        run, output = json.loads(said.stdout)
        assert output == "done\n"
        assert 0.3 <= run["seconds"] < 30
        assert 150 <= run["peak_mb"] < 400

    def test_only_the_benchmark_s_settings_reach_the_process(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRCAN_CKAN_URL", "https://elsewhere.example")
        code = "import os; print(sorted(n for n in os.environ if n.startswith('AIRCAN_')))"
        _, output = run_process([sys.executable, "-c", code], "postgresql://bench")
        assert output == "['AIRCAN_DATASTORE_URL']\n"

    def test_a_failed_process_is_no_measurement(self) -> None:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            run_process([sys.executable, "-c", "raise SystemExit('why')"], "postgresql://unused")
        assert caught.value.stderr == "why\n"

    def test_a_report_of_fewer_rows_is_no_measurement(self) -> None:
        with pytest.raises(WrongResult):
            _check_report({"resource_id": "5f0c2b1e-7d3a-4a86-9a51-2c3f6e8d1b07", "rows": 9}, 10)


class TestConclusion:
    def test_every_broken_bound_is_one_line_and_the_exit_code_is_1(self) -> None:
        said = Console(file=io.StringIO(), width=200)
        slow = measured("taxi", a=10.0, b=28.0, c=49.0, d=50.0)
        assert _conclude(check([slow], [], GUARD), said) == 1
        lines_said = said.file.getvalue().splitlines()
        assert lines_said[-2:] == [
            "taxi b/a: 2.80 x, at most 2.6: BROKEN",
            "taxi c/d: 0.98 x, at most 0.95: BROKEN",
        ]
        assert all(line.endswith("holds") for line in lines_said[:-2])

    def test_with_nothing_broken_the_exit_code_is_0(self) -> None:
        assert _conclude(check([GOOD], [], FULL), Console(file=io.StringIO())) == 0

    def test_results_are_written_with_every_run_and_bound(self, tmp_path: Path) -> None:
        plan = Plan((File("taxi", 1000, tuple(WAYS)),), (), runs=3, lanes=2)
        verdicts = check([GOOD], [GOOD_LARGER], FULL)
        _write(tmp_path / "out", "machine", plan, ([GOOD], [GOOD_LARGER], [0.4, 1.5]), verdicts)
        results = json.loads((tmp_path / "out" / "results.json").read_text())
        assert results["measured"][0]["runs"]["d"][0] == {"seconds": 50.0, "peak_mb": 200}
        assert results["measured"][1]["rows"] == 4000
        assert results["swaps_under_autovacuum_s"] == [0.4, 1.5]
        assert [bound["holds"] for bound in results["bounds"]] == [True] * 8
        assert (tmp_path / "out" / "chart.svg").read_text().startswith("<svg")


class TestYardsticks:
    """Ways a and d on a real server: the runner's own half, which needs no AirCan."""

    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_a_and_d_load_and_are_checked(self, kind: str, tmp_path: Path) -> None:
        data = Data(kind, 500, tmp_path / "it's.csv")
        write(kind, data.rows, data.path)
        with embedded_server() as server:
            assert [measure(server, way, data, lanes=2).seconds > 0 for way in "ad"] == [True] * 2
            with pytest.raises(WrongResult, match=r"'500\|500', not '501\|501'"):
                measure(server, "d", replace(data, rows=501), lanes=2)
            assert server.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"

    def test_the_trigger_makes_the_full_text_that_ckan_makes(self) -> None:
        with embedded_server() as server:
            server.run(
                "CREATE TABLE t (_id serial, _full_text tsvector, a timestamp, b numeric, c text)",
                "CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON t"
                " FOR EACH ROW EXECUTE FUNCTION populate_full_text_trigger()",
                "INSERT INTO t (_id, a, b, c) VALUES (777, '2015-08-18 06:34:36', 15.30, 'Dogs')",
                "INSERT INTO t (_full_text, c) VALUES ('given', 'ignored')",
            )
            assert server.run("SELECT strip(_full_text) FROM t").splitlines() == [
                "'-08' '-18' '15.30' '2015' '34' '36' 'dog' 't06'",
                "'given'",
            ]


class TestWholeRun:
    def test_a_small_run_measures_every_way(self, tmp_path: Path) -> None:
        options = ["--kinds", "taxi", "--rows", "300", "--runs", "1", "--scale", "1"]
        # So few rows are all start-up: the ratios are broken, and that is said and returned.
        assert main([*options, "--out", str(tmp_path)]) == 1
        results = json.loads((tmp_path / "results.json").read_text())
        [usual] = results["measured"]
        assert (usual["rows"], sorted(usual["runs"])) == (300, ["a", "b", "c", "d"])
        bounds = {bound["name"]: bound["holds"] for bound in results["bounds"]}
        assert len(bounds) == 5
        assert bounds["swap while an autovacuum has the old table"] is True
        assert len(results["swaps_under_autovacuum_s"]) == 1
        assert bounds["taxi b/a"] is False

    @pytest.mark.parametrize(
        ("options", "usual", "larger"),
        [
            (["--kinds", "311"], [("abcd", 1_500_000)], [("abc", 6_000_000)]),
            (["--kinds", "311", "--rows", "10", "--scale", "1"], [("abcd", 10)], []),
            (["--kinds", "311", "--guard"], [("ab", 1_000_000), ("cd", 200_000)], []),
            (["--kinds", "311", "--guard", "--rows", "10"], [("abcd", 10)], []),
        ],
    )
    def test_what_the_options_plan(
        self, options: list[str], usual: list[tuple[str, int]], larger: list[tuple[str, int]]
    ) -> None:
        plan = _plan(_parser().parse_args(options))
        assert [("".join(one.ways), one.rows) for one in plan.files] == usual
        assert [("".join(one.ways), one.rows) for one in plan.larger] == larger


def parsed(chart: str) -> ET.Element:
    return ET.fromstring(chart)  # noqa: S314 - the text is our own


class TestChart:
    SVG = "{http://www.w3.org/2000/svg}"

    def test_the_chart_is_xml_with_a_bar_for_every_way_of_every_kind(self) -> None:
        chart = draw([GOOD, replace(GOOD, kind="311")], "4 < 5 cores & more")
        root = parsed(chart)
        bars = [rect for rect in root.iter(f"{self.SVG}rect") if rect.get("rx")]
        assert len(bars) == 2 * len(WAYS)
        words = [node.text for node in root.iter(f"{self.SVG}text")]
        assert "4 < 5 cores & more" in words
        assert "b/a = 1.20, c/d = 0.40" in words

    def test_a_bar_is_as_long_as_its_seconds(self) -> None:
        root = parsed(draw([GOOD], "machine"))
        bars = [rect for rect in root.iter(f"{self.SVG}rect") if rect.get("rx")]
        widths = [float(bar.get("width", "")) for bar in bars]
        assert widths == pytest.approx([82.0, 98.4, 164.0, 410.0])

    def test_a_file_measured_in_two_ways_has_two_bars(self) -> None:
        root = parsed(draw([measured("311", a=1.0, b=2.0)], "machine"))
        assert sum(1 for rect in root.iter(f"{self.SVG}rect") if rect.get("rx")) == 2
        assert "b/a = 2.00" in [node.text for node in root.iter(f"{self.SVG}text")]

    @pytest.mark.parametrize("seconds", [0.004, 0.4, 5.0, 4000.0, 100_000.0])
    def test_any_length_of_time_fits(self, seconds: float) -> None:
        root = parsed(draw([measured("taxi", a=seconds, b=seconds, c=seconds, d=seconds)], ""))
        assert 1 <= sum(1 for _ in root.iter(f"{self.SVG}path")) <= 30
