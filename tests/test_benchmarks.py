"""The benchmark's own promises: the same data everywhere, and bounds that do fail."""

from __future__ import annotations

import csv
import hashlib
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.bounds import FULL, GUARD, Measured, check
from benchmarks.chart import draw
from benchmarks.generate import CHUNK_ROWS, KINDS, lines, write
from benchmarks.measure import WAYS, Run, WrongResult, _check_report, run_process


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
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
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

    def test_a_verdict_is_one_line(self) -> None:
        verdict = check([measured("taxi", a=10.0, b=23.0, c=1.0, d=50.0)], [], GUARD)[0]
        assert str(verdict) == "taxi b/a: 2.30 x, at most 2.2: BROKEN"


class TestMeasure:
    def test_time_and_memory_are_the_process_s_own(self) -> None:
        code = "import time; held = bytearray(150_000_000); time.sleep(0.3); print('done')"
        run, output = run_process([sys.executable, "-c", code], "postgresql://unused")
        assert output == "done\n"
        assert 0.3 <= run.seconds < 30
        assert 150 <= run.peak_mb < 400

    def test_only_the_benchmark_s_settings_reach_the_process(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRCAN_CKAN_URL", "https://elsewhere.example")
        code = "import os; print(sorted(n for n in os.environ if n.startswith('AIRCAN_')))"
        _, output = run_process([sys.executable, "-c", code], "postgresql://bench")
        assert output == "['AIRCAN_DATASTORE_URL']\n"

    def test_a_failed_process_is_no_measurement(self) -> None:
        with pytest.raises(subprocess.CalledProcessError):
            run_process([sys.executable, "-c", "raise SystemExit(3)"], "postgresql://unused")

    def test_a_report_of_fewer_rows_is_no_measurement(self) -> None:
        with pytest.raises(WrongResult):
            _check_report({"table": "5f0c2b1e-7d3a-4a86-9a51-2c3f6e8d1b07", "rows": 9}, 10)


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

    @pytest.mark.parametrize("seconds", [0.004, 0.4, 5.0, 4000.0, 100_000.0])
    def test_any_length_of_time_fits(self, seconds: float) -> None:
        root = parsed(draw([measured("taxi", a=seconds, b=seconds, c=seconds, d=seconds)], ""))
        assert 1 <= sum(1 for _ in root.iter(f"{self.SVG}path")) <= 30
