"""Measure one way of loading one CSV into a CKAN, from its start until all is done.

In: a way, a CSV, a site. Out: a :class:`Run`: when the rows were readable, visible, and when
all was finished. A run whose table is not right is an error, not a measurement. Memory: one row of
the CSV; the CSV and the tables are only ever held by the processes measured.

    xloader  xloader_submit, which CKAN's worker carries out
    copy     aircan reload, a whole process
    api      aircan reload --via api, as without access to the database
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.ckan_bounds import Run
from benchmarks.ckan_server import XLOADER, Site
from benchmarks.measure import WrongResult
from benchmarks.server import Server

WAYS = {
    "xloader": f"ckanext-xloader {XLOADER}",
    "copy": "aircan reload",
    "api": "aircan reload --via api",
}
POLL_S = 0.2
TIMEOUT_S = 10_800  # xloader's own, for a new table

# Whether something has come to pass.
Question = Callable[[], bool]


@dataclass(frozen=True)
class Probe:
    """What is looked at in a table of a kind, besides its number of rows.

    Args:
        column: A column.
        number: The SQL of a number made of its text.
        word: One that is in some rows and not in others.
    """

    column: str
    number: str
    word: str


PROBES = {
    "taxi": Probe("total_amount", "{}::numeric", "y"),
    "311": Probe("resolution_description", "char_length({})", "astoria"),
}
_NUMBERS: Mapping[str, Callable[[str], Decimal]] = {
    "taxi": Decimal,
    "311": lambda text: Decimal(len(text)),
}


@dataclass(frozen=True)
class Facts:
    """What a CSV says, and its table has to say too.

    Args:
        rows: Its rows.
        total: The sum of the probe's number.
        found: Rows that have the probe's word.
    """

    rows: int
    total: Decimal
    found: int


@dataclass(frozen=True)
class Data:
    """A CSV to load, below the site's folder."""

    kind: str
    path: Path
    facts: Facts


def read_facts(kind: str, path: Path) -> Facts:
    """Read a CSV and return what its table has to say."""
    probe, number = PROBES[kind], _NUMBERS[kind]
    word = re.compile(rf"\b{probe.word}\b", re.IGNORECASE)
    rows, total, found = 0, Decimal(0), 0
    with path.open(newline="", encoding="utf-8") as file:
        records = csv.reader(file)
        column = next(records).index(probe.column)
        for record in records:
            rows += 1
            total += number(record[column])
            found += any(map(word.search, record))
    return Facts(rows, total, found)


def measure(site: Site, way: str, data: Data, lanes: int) -> Run:
    """Load a CSV one way into a new resource, check its table and remove both.

    Args:
        site: Where to.
        way: A key of ``WAYS``.
        data: The CSV.
        lanes: Connections that AirCan copies with; xloader has one.
    Returns: Seconds from the start.
    Raises:
        subprocess.CalledProcessError: AirCan failed.
        WrongResult: xloader failed, or the table is not what the CSV says.
    """
    url = f"{site.url}/{data.path.name}"
    resource_id = site.portal.new_resource(url, name=data.path.name)["id"]
    site.server.settle()
    try:
        run = _time(site, way, resource_id, data, lanes)
        check_table(site.server, way, resource_id, data)
    finally:
        site.portal.action("resource_delete", id=resource_id)
        site.server.run(f'DROP TABLE IF EXISTS "{resource_id}"')
    return run


def _time(site: Site, way: str, resource_id: str, data: Data, lanes: int) -> Run:
    def is_readable() -> bool:
        return _is_readable(site, resource_id, data.facts.rows)

    start = time.perf_counter()
    with _START[way](site, resource_id, lanes) as load:
        times = follow({"readable": is_readable, **load.stages}, load.is_finished, start)
    # CKAN's API marks a table active for a moment when it is made.
    return Run(times["readable"], max(times["readable"], times["visible"]), times["finished"])


def follow(
    stages: Mapping[str, Question],
    is_finished: Question,
    start: float,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, float]:
    """Ask again and again, until all has come to pass.

    Args:
        stages: What a load reaches before it is finished.
        is_finished: Whether it is.
        start: When the load began, by ``time.perf_counter``.
        timeout_s: How long it may take.
    Returns: The seconds from the start after which the answer was yes, for each stage and for
        ``finished``.
    Raises: WrongResult: it takes too long, or is finished without having reached a stage.
    """
    times: dict[str, float] = {}
    while "finished" not in times:
        if is_finished():
            times["finished"] = time.perf_counter() - start
        for stage, is_reached in stages.items():
            if stage not in times and is_reached():
                now = time.perf_counter() - start
                times[stage] = min(now, times.get("finished", now))
        if "finished" not in times:
            if time.perf_counter() - start > timeout_s:
                raise WrongResult(f"not finished after {timeout_s} s")
            time.sleep(POLL_S)
    if missing := sorted(stages.keys() - times.keys()):
        raise WrongResult(f"finished, and never {' nor '.join(missing)}")
    return times


def _is_readable(site: Site, resource_id: str, rows: int) -> bool:
    """Ask for the last row, and for the total only when it is there.

    CKAN 2.12 keeps a total once it was asked for: that of a table still empty would stay.
    """
    last = {"filters": {"_id": rows}, "fields": ["_id"], "limit": 1, "include_total": False}
    found = site.search(resource_id, **last)
    if not found or not found["records"]:
        return False
    counted = site.search(resource_id, limit=0)
    return counted is not None and counted["total"] == rows


@dataclass(frozen=True)
class Load:
    """A load that was started: what it reaches, other than rows in datastore_search."""

    is_finished: Question
    stages: Mapping[str, Question] = field(default_factory=dict)


Starter = Callable[[Site, str, int], AbstractContextManager[Load]]


@contextmanager
def _xloader(site: Site, resource_id: str, _lanes: int) -> Iterator[Load]:
    if not site.portal.action("xloader_submit", resource_id=resource_id):
        raise WrongResult("xloader did not take the job")
    visible = ("running_but_viewable", "complete")
    yield Load(
        lambda: _xloader_state(site, resource_id) == "complete",
        {"visible": lambda: _xloader_state(site, resource_id) in visible},
    )


def _xloader_state(site: Site, resource_id: str) -> str:
    task = site.portal.action(
        "task_status_show", entity_id=resource_id, task_type="xloader", key="xloader"
    )
    if task["state"] == "error":
        raise WrongResult(f"xloader: {task['error']}\n{site.portal.log('worker')[-3000:]}")
    return str(task["state"])


@contextmanager
def _copy(site: Site, resource_id: str, lanes: int) -> Iterator[Load]:
    options = ("--via", "copy", "--lanes", str(lanes))
    with aircan(_environment(site), "reload", resource_id, *options) as load:
        yield _until_active(site, resource_id, load)


@contextmanager
def _api(site: Site, resource_id: str, _lanes: int) -> Iterator[Load]:
    with aircan(_environment(site), "reload", resource_id, "--via", "api") as load:
        yield _until_active(site, resource_id, load)


def _environment(site: Site) -> dict[str, str]:
    """Return the settings of the command, which is to fetch the file from this machine."""
    host = urlsplit(site.url).netloc
    return {**site.portal.environment, "AIRCAN_ALLOWED_HOSTS": host}


def _until_active(site: Site, resource_id: str, load: Load) -> Load:
    """Take for visible what the portal's pages show: AirCan's rows come with their full text."""

    def is_active() -> bool:
        return bool(site.portal.action("resource_show", id=resource_id)["datastore_active"])

    return replace(load, stages={"visible": is_active})


@contextmanager
def aircan(environment: Mapping[str, str], *arguments: str) -> Iterator[Load]:
    """Start a process; to ask it whether it is finished raises CalledProcessError if it failed.

    Args:
        environment: Its settings; none of this process's reach it.
        *arguments: Its command line.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRCAN_")}
    command = [sys.executable, "-m", "loader", *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**kept, **environment},
        )

        def is_finished() -> bool:
            if process.poll():
                said.seek(0)
                raise subprocess.CalledProcessError(process.returncode, command, stderr=said.read())
            return process.returncode == 0

        try:
            yield Load(is_finished)
        finally:
            process.kill()
            process.wait()


_START: Mapping[str, Starter] = {"xloader": _xloader, "copy": _copy, "api": _api}


def check_table(server: Server, way: str, resource_id: str, data: Data) -> None:
    """Raise WrongResult unless the table has all of the CSV, and every row its full text."""
    probe, facts = PROBES[data.kind], data.facts
    number = probe.number.format(f'"{probe.column}"::text')
    found = server.run(
        f"SELECT count(*), sum({number}), count(_full_text), "
        f"count(*) FILTER (WHERE _full_text @@ '{probe.word}'::tsquery) FROM \"{resource_id}\""
    )
    expected = f"{facts.rows}|{facts.total}|{facts.rows}|{facts.found}"
    if found != expected:
        raise WrongResult(f"{way}, {data.kind}: the table says {found}, the file {expected}")
