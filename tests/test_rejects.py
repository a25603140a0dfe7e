"""Rejected records -> a CSV file in the order of the source, or none."""

import csv
import os
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import AircanError, RejectsNotWritten, TooManyBadRows, UsageError
from loader.rejects import Rejects, remove_leftovers, remove_stale
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


# What stands in the way: the path below the folder, what it says.
OBSTACLES = {
    "no folder": ("nowhere/x.csv", "No such file or directory"),
    "a file as its folder": ("file/x.csv", "Not a directory"),
    "a folder in its place": ("folder", "it is a folder"),
    "the folder itself": (".", "it is a folder"),
    "a name too long": ("x" * 300, "File name too long"),
    "a folder that takes no file": ("/proc/x.csv", "No such file or directory"),
}


@pytest.mark.parametrize(("name", "words"), OBSTACLES.values(), ids=OBSTACLES)
def test_a_place_that_cannot_be_written_is_wrong_usage_before_there_are_any(tmp_path, name, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=words) as refused, Rejects(tmp_path / name, 3):
        pass
    assert str(tmp_path / name) in str(refused.value)
    assert "--rejects" in (refused.value.hint or "")


def lose_the_place(rejects: Rejects, error: AircanError | None = None) -> None:
    with rejects:
        rejects.add(0, [a_reject(1)])
        rejects.path.mkdir()
        if error:
            raise error


def test_a_place_that_is_lost_later_is_no_wrong_usage(path):
    rejects = Rejects(path, 3)
    with pytest.raises(RejectsNotWritten, match="cannot be written"):
        lose_the_place(rejects)
    assert files(path) == [path.name]


def test_a_file_that_cannot_be_finished_does_not_hide_why_the_load_failed(path):
    with pytest.raises(AircanError, match="the first error"):
        lose_the_place(Rejects(path, 3), AircanError("the first error"))
    assert files(path) == [path.name]


def fill_the_disk(path: Path, size: int) -> None:
    with Rejects(path, 9) as rejects:
        rejects._partial.symlink_to("/dev/full")
        rejects.add(0, [Reject(1, "why", "x" * size)])


@pytest.mark.parametrize("size", [10, 10**6], ids=["when it is finished", "while it is written"])
def test_a_full_disk_is_told_as_such(path, size):
    with pytest.raises(RejectsNotWritten, match="No space left on device"):
        fill_the_disk(path, size)
    assert files(path) == []


def test_the_rejects_of_an_earlier_load_are_removed(path):
    with Rejects(path, 3) as rejects:
        rejects.add(0, [a_reject(1)])
    remove_stale(path)
    assert files(path) == []
    remove_stale(path)


@pytest.mark.parametrize("content", [b"", b"my,own\n", b"\xff\xfe"], ids=["", "rows", "no text"])
def test_a_file_that_holds_no_rejects_is_not_removed(path, content):
    path.write_bytes(content)
    remove_stale(path)
    assert path.read_bytes() == content


def test_what_a_killed_load_left_is_removed_and_nothing_else(path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    running = os.getpid()
    for end in (f"{gone.pid}.part", f"{running}.part", "mine.part", f"{gone.pid}"):
        path.with_name(f"{path.name}.{end}").touch()
    path.with_name(f"other.csv.{gone.pid}.part").touch()
    remove_leftovers(path)
    assert sorted(files(path)) == sorted(
        [
            f"other.csv.{gone.pid}.part",
            *(f"{path.name}.{end}" for end in (f"{running}.part", "mine.part", f"{gone.pid}")),
        ]
    )


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=5)
)
def test_any_raw_text_comes_back(tmp_path_factory, raws):
    path = tmp_path_factory.mktemp("rejects") / "x.csv"
    with Rejects(path, 10) as rejects:
        rejects.add(0, [Reject(i, "why", raw) for i, raw in enumerate(raws)])
    assert (written(path)[1:] if raws else []) == [[str(i), "why", r] for i, r in enumerate(raws)]
