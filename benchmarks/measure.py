"""Measure one way of loading one CSV, as a whole process from its start to its end.

In: a way, a CSV, a server. Out: a :class:`Run`: seconds and the process's peak memory. A run
whose table is not right is an error, not a measurement. Memory: none to speak of; the CSV and
the tables are only ever held by the processes measured.

    a  psql's \\copy into a bare table, its types declared: as fast as one connection goes
    b  aircan load --full-text none: types inferred and verified, _id, primary key, swap
    c  aircan load: all of it, full-text index included
    d  \\copy into a CKAN table with CKAN's trigger, then the same index: what c replaces
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.generate import KINDS
from benchmarks.server import Server

TABLE = "5f0c2b1e-7d3a-4a86-9a51-2c3f6e8d1b07"  # a resource id, as CKAN makes them
WAYS = {
    "a": "psql \\copy, bare table",
    "b": "aircan load --full-text none",
    "c": "aircan load",
    "d": "\\copy, CKAN's trigger, index",
}
AIRCAN_WAYS = ("b", "c")
_FULL_TEXT_WAYS = ("c", "d")

_TABLE_SHAPE = f"""
SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = '"{TABLE}"'::regclass AND attnum > 0 AND NOT attisdropped
  AND attname NOT LIKE '\\_%' ORDER BY attnum
"""
_GIN_INDEXES = f"""
SELECT count(*) FROM pg_indexes WHERE tablename = '{TABLE}' AND indexdef LIKE '%gin%_full_text%'
"""


class WrongResult(Exception):
    """The process ended well and its table is not what it should be."""


@dataclass(frozen=True)
class Data:
    """A CSV to load."""

    kind: str
    rows: int
    path: Path


@dataclass(frozen=True)
class Run:
    """What one process took."""

    seconds: float
    peak_mb: float


def measure(server: Server, way: str, data: Data, lanes: int) -> Run:
    """Load a CSV one way, check the table and drop it; only the load is timed.

    Args:
        server: Where to.
        way: A key of ``WAYS``.
        data: The CSV.
        lanes: Connections that AirCan copies with; psql has one.
    Returns: Seconds from start to end, and the process's peak memory.
    Raises:
        subprocess.CalledProcessError: the process failed.
        WrongResult: the table lacks rows, or its columns or index are not the expected ones.
    """
    server.run(*_PREPARE[way](data.kind))
    server.settle()
    try:
        run, output = run_process(command(server, way, data, lanes), server.url)
        if way in AIRCAN_WAYS:
            _check_report(json.loads(output), data.rows)
        _check_table(server, way, data)
    finally:
        server.run(f'DROP TABLE IF EXISTS "{TABLE}"')
    return run


def run_process(command: list[str], datastore_url: str) -> tuple[Run, str]:
    """Run a command to its end.

    Returns: What it took, and its standard output.
    Raises: subprocess.CalledProcessError: it failed; its ``stderr`` holds what it said.
    """
    with _text_file() as output, _text_file() as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=said,
            env=_environment(datastore_url),
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            raise subprocess.CalledProcessError(process.returncode, command, stderr=said.read())
        output.seek(0)
        return Run(seconds, usage.ru_maxrss * _MAXRSS_BYTES / 1e6), output.read()


def _text_file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


# Linux counts ru_maxrss in KiB, macOS in bytes. Linux starts a child's count at its parent's
# size: nothing below the runner's own 60 MB can be seen. psql is below it, AirCan is not.
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def _environment(datastore_url: str) -> dict[str, str]:
    """Return this process's environment, AirCan's settings replaced by the benchmark's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRCAN_")}
    return {**kept, "AIRCAN_DATASTORE_URL": datastore_url}


def command(server: Server, way: str, data: Data, lanes: int) -> list[str]:
    """Return the command line of the process to measure.

    Args:
        server: Where to.
        way: A key of ``WAYS``.
        data: The CSV.
        lanes: Connections that AirCan copies with.
    """
    if way in AIRCAN_WAYS:
        full_text = "none" if way == "b" else "all"
        options = ["--resource-id", TABLE, "--lanes", str(lanes), "--full-text", full_text]
        return [sys.executable, "-m", "loader", "load", str(data.path), *options, "--json"]
    columns = ", ".join(name for name, _ in KINDS[data.kind].columns)
    path = str(data.path).replace("'", "''")
    copy = f"\\copy \"{TABLE}\" ({columns}) FROM '{path}' WITH (FORMAT csv, HEADER)"
    index = f'CREATE INDEX ON "{TABLE}" USING gin (_full_text)'
    return server.psql_command(*([copy, index] if way == "d" else [copy]))


def _declared_columns(kind: str) -> str:
    return ", ".join(f"{name} {type_}" for name, type_ in KINDS[kind].columns)


def _bare_table(kind: str) -> list[str]:
    return [f'CREATE TABLE "{TABLE}" ({_declared_columns(kind)})']


def _ckan_table(kind: str) -> list[str]:
    return [
        f'CREATE TABLE "{TABLE}" '
        f"(_id serial PRIMARY KEY, _full_text tsvector, {_declared_columns(kind)})",
        f'CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON "{TABLE}" '
        "FOR EACH ROW EXECUTE FUNCTION populate_full_text_trigger()",
    ]


def _no_table(_kind: str) -> list[str]:
    return []


_PREPARE: dict[str, Callable[[str], list[str]]] = {
    "a": _bare_table,
    "b": _no_table,
    "c": _no_table,
    "d": _ckan_table,
}


def _check_report(report: dict[str, object], rows: int) -> None:
    """Raise WrongResult unless AirCan's report tells of the table and rows asked for."""
    told = (report["resource_id"], report["rows"])
    if told != (TABLE, rows):
        raise WrongResult(f"the report tells of table and rows {told}, not {(TABLE, rows)}")


def _check_table(server: Server, way: str, data: Data) -> None:
    """Raise WrongResult unless the table has every row, the right types and its index."""
    full_text = way in _FULL_TEXT_WAYS
    counted = "count(*), count(_full_text)" if full_text else "count(*), count(*)"
    expected = {
        f'SELECT {counted} FROM "{TABLE}"': f"{data.rows}|{data.rows}",
        _TABLE_SHAPE: "\n".join(f"{name} {type_}" for name, type_ in KINDS[data.kind].columns),
        _GIN_INDEXES: "1" if full_text else "0",
    }
    for query, wanted in expected.items():
        found = server.run(query)
        if found != wanted:
            raise WrongResult(f"way {way}, {data.kind}: {query.strip()}: {found!r}, not {wanted!r}")
