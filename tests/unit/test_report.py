"""What a load did, as one JSON object."""

import json
import time

import pytest

from loader.errors import RowsLost
from loader.report import BadRows, Report

KEYS = [
    "resource_id",
    "table",
    "source",
    "via",
    "mode",
    "rows",
    "bytes",
    "columns",
    "bad_rows",
    "hash",
    "warnings",
    "timings_s",
    "rows_per_second",
    "error",
]


def test_the_report_is_one_json_object_with_these_keys():
    report = Report("r-1", "x.csv", table="replaced", rows=10, bytes=99)
    report.columns = [{"id": "a", "type": "bigint", "inferred_as": "integer", "widened_from": None}]
    report.bad_rows = BadRows(1, 2, "x.rejects.csv", [{"row": 5, "reason": "4 cells, 3 columns"}])
    report.timings_s["total"] = 4.0
    told = json.loads(json.dumps(report.to_dict()))
    assert list(told) == KEYS
    assert (told["resource_id"], told["table"], told["rows_per_second"]) == ("r-1", "replaced", 2)
    assert told["bad_rows"] == {
        "rejected": 1,
        "repaired": 2,
        "rejects": "x.rejects.csv",
        "first": [{"row": 5, "reason": "4 cells, 3 columns"}],
    }
    assert told["error"] is None


def test_an_error_is_part_of_it():
    report = Report("r", "x.csv", error=RowsLost("2 rows read, 1 stored"))
    assert report.to_dict()["error"]["type"] == "RowsLost"
    assert json.dumps(report.to_dict())


def test_before_any_time_has_passed_the_speed_is_0():
    assert Report("r", "x.csv", rows=10).rows_per_second == 0


def wait_and_fail(report: Report) -> None:
    with report.timing("copy"):
        time.sleep(0.01)
        raise RowsLost("no")


def test_the_time_of_a_step_adds_up_also_when_it_fails():
    report = Report("r", "x.csv")
    for _ in range(2):
        with pytest.raises(RowsLost):
            wait_and_fail(report)
    assert 0.02 <= report.timings_s["copy"] < 5
    assert report.timings_s["swap"] == 0


def test_a_report_comes_back_from_its_json():
    report = Report("trips", "trips.csv", "api", "append", "merged", rows=3, bytes=20)
    report.columns = [{"id": "a", "type": "bigint", "label": "A "}]
    report.bad_rows = BadRows(1, 2, "x.rejects.csv", [{"row": 5, "reason": "4 cells, 3 columns"}])
    report.hash, report.warnings = "d41d8cd9", ["a: text"]
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_the_report_of_an_older_version_tells_nothing_of_the_table():
    told = Report("trips", "trips.csv", table="replaced").to_dict() | {"table": "trips"}
    assert Report.from_dict(told).table == "unknown"
