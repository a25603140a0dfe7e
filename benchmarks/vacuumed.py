"""Measure the swap while an autovacuum has the old table in hand, and comes to all that it may.

In: a server, a CSV. Out: how long the swap took, each time. The server's autovacuum is made so slow
that to wait for its end would take minutes. Memory: none to speak of.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.measure import TABLE, Data, WrongResult, command, run_process
from benchmarks.server import DATABASE, Server

# It comes within a second to every table that has changed, and takes 0.1 to 0.4 s for each page.
_SLOW: Mapping[str, str] = {
    "autovacuum_naptime": "1s",
    "autovacuum_vacuum_cost_delay": "100ms",
    "autovacuum_vacuum_cost_limit": "1",
    "autovacuum_vacuum_threshold": "0",
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_insert_threshold": "0",
    "autovacuum_vacuum_insert_scale_factor": "0",
}
# Only the administrator sees whose vacuum it is.
_IN_HAND = f"SELECT count(*) FROM pg_stat_progress_vacuum WHERE datname = '{DATABASE}' AND relid ="
_PATIENCE_S = 60.0
_PAUSE_S = 0.1


def measure_swaps(server: Server, data: Data, lanes: int, runs: int) -> list[float]:
    """Load a CSV again and again, each time while an autovacuum has its table in hand.

    Args:
        server: Where to; its settings are as before in the end.
        data: The CSV.
        lanes: Connections that AirCan copies with.
        runs: How often.
    Returns: The seconds of each swap.
    Raises:
        subprocess.CalledProcessError: a load failed.
        WrongResult: no autovacuum came.
    """
    with _slow_autovacuum(server):
        try:
            _load(server, data, lanes)
            return [_swap_under_vacuum(server, data, lanes) for _ in range(runs)]
        finally:
            server.run(f'DROP TABLE IF EXISTS "{TABLE}"')


def _swap_under_vacuum(server: Server, data: Data, lanes: int) -> float:
    oid = server.run(f"""SELECT '"{TABLE}"'::regclass::oid""")
    end = time.monotonic() + _PATIENCE_S
    while server.run(f"{_IN_HAND} {oid}", admin=True) == "0":
        if time.monotonic() > end:
            raise WrongResult(f"no autovacuum came to {TABLE}")
        time.sleep(_PAUSE_S)
    return _load(server, data, lanes)


def _load(server: Server, data: Data, lanes: int) -> float:
    _, output = run_process(command(server, "b", data, lanes), server.url)
    return float(json.loads(output)["timings_s"]["swap"])


@contextmanager
def _slow_autovacuum(server: Server) -> Iterator[None]:
    _set(server, [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in _SLOW.items()])
    try:
        yield
    finally:
        _set(server, [f"ALTER SYSTEM RESET {name}" for name in _SLOW])


def _set(server: Server, statements: list[str]) -> None:
    server.run(*statements, "SELECT pg_reload_conf()", admin=True)
