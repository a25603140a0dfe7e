"""The same for very large files: few at a time, on workers of their own if there are any."""

from airflow.sdk import DAG

from loader.factory import conf, dag_parts, environment

_COMMON = dag_parts.arguments("aircan_load_large", conf.LOAD, __doc__)
_NAMED = {
    "queue": environment.LARGE_QUEUE.tolerant(),
    "pool": environment.LARGE_POOL.tolerant(),
}
_WORKERS = {kind: name for kind, name in _NAMED.items() if name}

with DAG(
    "aircan_load_large",
    **_COMMON
    | {
        "max_active_runs": environment.LARGE_RUNS.tolerant(),
        "default_args": _COMMON["default_args"] | _WORKERS,
    },
):
    dag_parts.load()
