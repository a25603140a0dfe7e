"""Rejected records -> a CSV file in the order of the source, or none."""

import csv
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import AircanError, TooManyBadRows, UsageError
from loader.rejects import Rejects
from loader.table import Reject


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.rejects.csv"


def written(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def a_reject(row: int) -> Reject:
    return Reject(row, "4 cells, 3 columns", f"{row},b,c,d")


def reject_and_fail(path: Path, message: str) -> None:
    with Rejects(path, 3) as rejects:
        rejects.add(0, [a_reject(1)])
        raise AircanError(message)


def files(path: Path) -> list[str]:
    return [file.name for file in path.parent.iterdir()]


def test_rejects_are_rows_with_reason_and_raw_text(path):
    reject = Reject(7, "4 cells, 3 columns", 'a,"b\nc",d,"é ""x"""')
    with Rejects(path, 10) as rejects:
        rejects.add(0, [reject])
    assert written(path) == [["row", "reason", "raw"], ["7", reject.reason, reject.raw]]
    assert files(path) == [path.name]


def test_rejects_are_in_the_order_of_the_source_though_blocks_end_out_of_order(path):
    blocks = [(i, [a_reject(100 * i + j) for j in range(i % 3)]) for i in range(50)]
    random.Random(1).shuffle(blocks)
    with Rejects(path, 1000) as rejects:
        for number, block in blocks:
            rejects.add(number, block)
    rows = [int(row) for row, _, _ in written(path)[1:]]
    assert rows == sorted(rows)
    assert len(rows) == rejects.count == sum(len(block) for _, block in blocks)
    assert [reject.row for reject in rejects.first] == rows[:10]


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_one_more_than_the_limit_is_an_error_that_names_the_first(path, limit):
    with Rejects(path, limit) as rejects:
        for number in range(limit, 0, -1):
            rejects.add(number, [a_reject(10 * number + 2)])
        with pytest.raises(TooManyBadRows, match=f"more than {limit} rows") as raised:
            rejects.add(0, [a_reject(2)])
    assert raised.value.row == 2
    assert "4 cells, 3 columns" in str(raised.value)
    assert str(path) in (raised.value.hint or "")
    assert len(written(path)) == 1 + limit + 1


def test_as_many_as_the_limit_are_no_error(path):
    with Rejects(path, 3) as rejects:
        rejects.add(0, [a_reject(i) for i in range(3)])
    assert rejects.count == 3


def test_without_rejects_there_is_no_file(path):
    with Rejects(path, 3) as rejects:
        rejects.add(0, [])
        rejects.add(1, [])
    assert files(path) == []
    assert (rejects.count, rejects.first) == (0, [])


def test_discarded_rejects_leave_no_file(path):
    with Rejects(path, 3) as rejects:
        rejects.add(0, [a_reject(1)])
        rejects.discard()
    assert files(path) == []


def test_the_file_is_kept_when_the_load_fails(path):
    with pytest.raises(AircanError, match="other"):
        reject_and_fail(path, "other")
    assert len(written(path)) == 2


def test_an_older_file_is_replaced_only_when_the_new_one_is_whole(path):
    path.write_text("old")
    with Rejects(path, 3) as rejects:
        rejects.add(0, [a_reject(1)])
        assert path.read_text() == "old"
    assert len(written(path)) == 2


def test_a_place_that_cannot_be_written_is_wrong_usage(tmp_path):
    path = tmp_path / "nowhere" / "x.csv"
    rejects = Rejects(path, 3)
    with pytest.raises(UsageError, match="No such file or directory") as raised:
        rejects.add(0, [a_reject(1)])
    assert str(path) in str(raised.value)
    assert "--rejects" in (raised.value.hint or "")


def test_a_folder_in_its_place_is_wrong_usage(path):
    path.mkdir()
    with pytest.raises(UsageError, match="cannot be written"), Rejects(path, 3) as rejects:
        rejects.add(0, [a_reject(1)])
    assert files(path) == [path.name]


def test_a_file_that_cannot_be_finished_does_not_hide_why_the_load_failed(path):
    path.mkdir()
    with pytest.raises(AircanError, match="the first error"):
        reject_and_fail(path, "the first error")
    assert files(path) == [path.name]


@pytest.mark.parametrize("size", [10, 10**6], ids=["when it is finished", "while it is written"])
def test_a_full_disk_is_told_as_such(path, size):
    rejects = Rejects(path, 9)
    rejects._partial.symlink_to("/dev/full")
    with pytest.raises(UsageError, match="No space left on device"), rejects:
        rejects.add(0, [Reject(1, "why", "x" * size)])
    assert files(path) == []


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=5)
)
def test_any_raw_text_comes_back(tmp_path_factory, raws):
    path = tmp_path_factory.mktemp("rejects") / "x.csv"
    with Rejects(path, 10) as rejects:
        rejects.add(0, [Reject(i, "why", raw) for i, raw in enumerate(raws)])
    assert (written(path)[1:] if raws else []) == [[str(i), "why", r] for i, r in enumerate(raws)]
