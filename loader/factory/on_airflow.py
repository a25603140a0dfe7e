"""Airflow's task context -> a Run; our errors -> Airflow's. All that knows Airflow's task API.

In: the context of the task that runs. Out: one step of ``loader.factory``, done. Imports Airflow's
runtime and the loader when a task runs, not when a DAG file is read.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from loader.errors import AircanError, TooManyLoads, UsageError
from loader.factory import conf, environment

if TYPE_CHECKING:
    from loader.factory.artifacts import Artifacts
    from loader.factory.connections import Connection
    from loader.factory.run import Run, Settings

_log = logging.getLogger(__name__)
# Of a load that finds its database busy; meanwhile it takes no worker's slot.
_PAUSE = timedelta(seconds=15)


def do(step: str) -> None:
    """Do one step of the run whose task this is: a function of ``loader.factory.tasks``."""
    with _errors():
        import pyarrow as pa  # noqa: PLC0415

        from loader.factory import tasks  # noqa: PLC0415  (2 s)

        pa.set_memory_pool(pa.system_memory_pool())  # in a process of its own, as ``aircan`` does
        done = getattr(tasks, step)(run_of_task())
    if done is False:
        from airflow.sdk.exceptions import AirflowSkipException  # noqa: PLC0415

        raise AirflowSkipException("there is nothing to do")


def find() -> list[int]:
    """Find the resources that are to be loaded; return the numbers of their mapped tasks."""
    with _errors():
        from airflow.sdk.configuration import conf as conf_of_airflow  # noqa: PLC0415

        from loader.factory import selection  # noqa: PLC0415

        run = run_of_task()
        run.settings.require_valid()
        most = conf_of_airflow.getint("core", "max_map_length", fallback=selection.MOST_AT_ONCE)
        return selection.select(run, _params()["reload"], is_going, most)


def clean_up() -> None:
    """Delete what nobody needs any more."""
    with _errors():
        from loader.factory import cleanup  # noqa: PLC0415

        days, dry_run = _params()["days"], _params()["dry_run"]
        run = run_of_task()
        run.settings.require_valid()
        cleanup.clean_up(run, timedelta(days=days), is_going, dry_run=dry_run)


def run_of_task() -> Run:
    """Return the Run of the task that runs.

    Raises:
        UsageError: Its conf cannot be, or there is no place for artifacts.
    """
    from airflow.sdk import get_current_context  # noqa: PLC0415
    from airflow.sdk.log import mask_secret  # noqa: PLC0415

    from loader.factory import selection  # noqa: PLC0415
    from loader.factory.run import Run  # noqa: PLC0415

    instance, params = get_current_context()["ti"], _params()
    if key := params.get("ckan_api_key"):
        mask_secret(key)  # as Airflow does with what it takes from a Connection
    group, dot, _ = instance.task_id.rpartition(".")
    dag_id, run_id = instance.dag_id, instance.run_id
    run = Run(dag_id, run_id, artifacts(), connection, settings(dag_id), group + dot)
    run = replace(run, is_going=partial(is_going, dag_id, run_id))
    if instance.map_index >= 0:
        run = replace(run, index=str(instance.map_index))
        return replace(
            run,
            conf=conf.read_without_resource(params, selection.selected(run, instance.map_index)),
        )
    return replace(
        run, conf=conf.read(params) if "resource" in params else conf.read_without_resource(params)
    )


def artifacts() -> Artifacts:
    """Return where the factory's artifacts are.

    Raises:
        UsageError: Nobody says where.
    """
    from loader.factory.artifacts import Artifacts  # noqa: PLC0415

    base = os.environ.get("AIRCAN_ARTIFACTS")
    if not base:
        raise UsageError(
            "there is no place for artifacts",
            hint="set AIRCAN_ARTIFACTS for Airflow's workers: gs://bucket/prefix, or a folder that"
            " all of them share",
        )
    return Artifacts(base)


def settings(dag_id: str) -> Settings:
    """Return the settings of the factory's operators that count for a DAG.

    What is wrong with them is among them: a step fails with it, and CKAN is still told.
    """
    from loader.factory.run import Settings  # noqa: PLC0415
    from loader.net.limits import Limits  # noqa: PLC0415

    return Settings(
        allowed_hosts=environment.ALLOWED_HOSTS.tolerant(),
        refuses_keys=environment.REFUSE_API_KEYS.tolerant(),
        max_loads=environment.MAX_LOADS.tolerant(),
        huge_bytes=environment.HUGE_BYTES.tolerant(),
        limits=Limits.read(
            environment.MAX_BYTES.tolerant(),
            environment.MAX_RATIO.tolerant(),
            environment.MIN_RATE.tolerant(),
        ),
        default_encoding=environment.DEFAULT_ENCODING.tolerant(),
        fault=next(environment.faults(dag_id), None),
    )


def connection(conn_id: str) -> Connection:
    """Return an Airflow Connection.

    Raises:
        UsageError: There is none.
    """
    from airflow.sdk import BaseHook  # noqa: PLC0415
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415

    from loader.factory.connections import NoConnection  # noqa: PLC0415

    try:
        found: Connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise NoConnection(conn_id) from None
    return found


def _line(error: AircanError) -> str:
    named = conf.named(error.option)
    hint = " ".join(filter(None, (error.hint, named and f"({named})")))
    table = "" if error.table == "untouched" else f"table: {error.table}"
    return "; ".join(filter(None, (str(error), hint, table)))


def is_going(dag_id: str, run_id: str) -> bool:
    """Ask Airflow whether a DagRun is still to end."""
    from airflow.sdk import get_current_context  # noqa: PLC0415

    going = ["queued", "running"]
    instance = get_current_context()["ti"]
    return bool(instance.get_dr_count(dag_id, run_ids=[run_id], states=going))


def _params() -> Mapping[str, Any]:
    from airflow.sdk import get_current_context  # noqa: PLC0415

    return dict(get_current_context()["params"])


@contextmanager
def _errors() -> Iterator[None]:
    """Turn our errors into Airflow's: a failure that a retry may help, or one for good."""
    from airflow.sdk.exceptions import (  # noqa: PLC0415
        AirflowException,
        AirflowFailException,
        AirflowRescheduleException,
    )

    try:
        yield
    except TooManyLoads as error:
        _log.info("%s: again in %d s", error, _PAUSE.seconds)
        raise AirflowRescheduleException(datetime.now(timezone.utc) + _PAUSE) from None
    except AircanError as error:
        line = _line(error)
        _log.error("%s", line)  # before Airflow's own traceback
        kind = AirflowException if error.retryable else AirflowFailException
        raise kind(line) from None
