"""Random small files, clean and dirty, against Python's csv: no cell differs without a word.

``AIRCAN_FUZZ_FILES`` says how many are tried; 100,000 take some ten minutes.
"""

import csv
import io
import os
import random
import re
from collections.abc import Iterator
from itertools import islice, zip_longest

import pytest

from loader.errors import AircanError
from loader.formats.csv import opening
from loader.formats.format import Settings

FILES = int(os.environ.get("AIRCAN_FUZZ_FILES", "1000"))
PART = 200  # files of one test
MOST_TEXTS = 500  # that one file may be without what was set aside
SETTINGS = Settings(None, None, None, None, lambda _: False)
NO_COMMENT = "\uffff"
DELIMITERS = [",", ";", "\t", "|", ":", "#", "^", "~", " "]
CELLS = {
    "integer": lambda rng: str(rng.randint(-50, 10_000)),
    "number": lambda rng: f"{rng.uniform(-5, 500):.2f}",
    "comma": lambda rng: f"{rng.uniform(0, 500):.2f}".replace(".", ","),
    "date": lambda rng: f"20{rng.randint(10, 29)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
    "german": lambda rng: f"{rng.randint(1, 28):02}.{rng.randint(1, 12):02}.2020",
    "time": lambda rng: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}",
    "word": lambda rng: rng.choice(
        ["Ulm", "Köln", "São Paulo", "x", "N/A", "-", "", "東京", "# 5"]
    ),
    "text": lambda rng: " ".join(
        rng.choices(["Main St.", "12", "a, b", 'say "hi"', "x;y", "it's"], k=3)
    ),
    "lines": lambda rng: rng.choice(["one\ntwo", "a", '"', "'", "\\", "é\r\nè", " padded ", ",,,"]),
}
DIRT = [
    ",",
    ";",
    '"',
    "'",
    "\n",
    "\\",
    "\0",
    " ",
    "#",
    "\t",
    '""',
    "\r\n",
    "\ufeff",
    "é",
    ",,,\n",
    "\n\n",
]


def made(rng: random.Random) -> bytes:
    """Return a file: a table in some dialect, with some dirt in most of them."""
    kinds = rng.choices(list(CELLS), k=rng.randint(1, 6))
    rows = [[CELLS[kind](rng) for kind in kinds] for _ in range(rng.randint(1, 25))]
    header = [f"{kind} {n}" if n % 2 else kind for n, kind in enumerate(kinds)]
    place = io.StringIO()
    escapes = rng.random() < 0.1
    writer = csv.writer(
        place,
        delimiter=rng.choice(DELIMITERS),
        quotechar=rng.choice('""""\''),
        doublequote=not escapes,
        escapechar="\\" if escapes else None,
        quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        lineterminator=rng.choice(["\n", "\n", "\r\n"]),
    )
    writer.writerows([header, *rows] if rng.random() < 0.85 else rows)
    text = place.getvalue()
    if rng.random() < 0.2:
        text = (
            rng.choice(["A title\n\n", "# made by x\n", "name: y\nof: z\n", "\n", "sep=,\n"]) + text
        )
    for _ in range(rng.choice([0, 0, 1, 2, 5])):
        at = rng.randint(0, len(text))
        dirt = rng.choice([*DIRT, "", ""])  # "": a character is missing
        text = text[:at] + dirt + text[at + (not dirt) :]
    encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])
    return text.encode(encoding, "replace")


def fitted(record: list[str], width: int) -> list[str] | None:
    """Return the cells of a record in a table, padded or without empty ones; None if it cannot."""
    if any(record[width:]):
        return None
    return (record + [""] * width)[:width]


def text_of(data: bytes, table) -> str:
    """Return the file's text without marks and NULs."""
    text = data.decode(table.text.encoding)
    return re.sub("(?m)^\ufeff+", "", text).replace("\0", "")


def read(text: str, dialect, *, keeps_rows: bool) -> list[list[str]]:
    """Return the records that Python's csv reads; lines of comment are blank ones.

    Those as wide as rows may be rows, and comments where the first column has values.
    """
    is_fresh = [True]

    def lines():
        for line in io.StringIO(text, newline=""):
            is_comment = is_fresh[0] and line.startswith(dialect.comment or NO_COMMENT)
            is_row = keeps_rows and line.count(dialect.delimiter) == dialect.width - 1
            is_comment = is_comment and not is_row
            is_fresh[0] = False
            yield "\n" if is_comment else line

    reader = csv.reader(
        lines(),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        doublequote=dialect.double_quote,
        escapechar=dialect.escape,
        skipinitialspace=dialect.skip_initial_space,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )
    records = []
    while True:
        is_fresh[0] = True
        record = next(reader, None)
        if record is None:
            return records
        records.append(record)


def without(text: str, rejects, delimiter: str) -> Iterator[str]:
    """Yield the text without the records that were set aside, which may be found several times.

    They may have lost some spaces.
    """
    if not rejects:
        yield text
        return
    cells = map(re.escape, rejects[0].raw.split(delimiter))
    raw = f"{re.escape(delimiter)} *".join(cells)
    for match in re.compile(rf"(?<![^\n]) *(?:{raw})(?=\r?\n|\Z)").finditer(text):
        begin, end = match.span()
        end += 2 if text.startswith("\r\n", end) else 1
        for rest in without(text[end:], rejects[1:], delimiter):
            yield text[:begin] + rest


def compare(data: bytes, table) -> list[str]:
    """Return where the table's rows are not what Python's csv reads, without a word."""
    width, dialect = len(table.headers), table.dialect
    empty = [""] * width
    rows, rejects = {}, []
    for block in table.blocks:
        parsed = table.parse(block)
        columns = [[cell or "" for cell in column.to_pylist()] for column in parsed.cells]
        for index, cells in enumerate(zip(*columns, strict=True)):
            rows[parsed.row_number(index)] = list(cells)
        rejects += parsed.rejects
    text, first = text_of(data, table), max(dialect.header_row, dialect.above)
    if dialect.begin is not None:
        text, first = text.encode()[dialect.begin :].decode(), 0
    have = [row for _, row in sorted(rows.items()) if any(row)]
    rejects.sort(key=lambda reject: reject.row)
    faults = [f"set aside and not in the file: {rejects}"]
    for kept in islice(without(text, rejects, dialect.delimiter), MOST_TEXTS):
        for keeps_rows in (False, True):
            records = read(kept, dialect, keeps_rows=keeps_rows)[first:]
            filled = [one for one in (fitted(record, width) for record in records) if one != empty]
            if filled == have:
                return []
            pairs = zip_longest(filled, have)
            faults = [f"csv reads {one}, the table has {two}" for one, two in pairs if one != two]
    return faults


def has_bare_returns(data: bytes) -> bool:
    return b"\r" in data.replace(b"\r\n", b"").replace(b"\r\0\n\0", b"")


# Files that were read wrongly once: rows ended in what a parser took for an escaped line end.
ONCE = [3785, 24812, 63122, 84944]


def faults_of(seed: int) -> list[str] | None:
    """Return what is wrong with the reading of a file; None if it is refused, or not compared."""
    data = made(random.Random(seed))
    if has_bare_returns(data):  # csv ends a record there in any case
        return None
    try:
        table = opening.open_table(io.BytesIO(data), SETTINGS)
        # csv has no delimiter of several characters.
        return None if table.dialect.wide else compare(data, table)
    except AircanError:
        return None


@pytest.mark.parametrize("seed", ONCE)
def test_what_was_read_wrongly_once_is_read_like_pythons_csv(seed):
    assert faults_of(seed) == []


@pytest.mark.parametrize("part", range(FILES // PART))
def test_no_file_is_read_otherwise_than_by_pythons_csv(part):
    found = {seed: faults_of(seed) for seed in range(part * PART, (part + 1) * PART)}
    assert {seed: faults for seed, faults in found.items() if faults} == {}
    assert sum(faults is not None for faults in found.values()) > 0.8 * PART
