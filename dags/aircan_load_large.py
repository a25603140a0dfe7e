"""The same for very large files: few at a time, on workers of their own if there are any."""

import os

from airflow.sdk import DAG

from loader.factory import conf, wiring

_COMMON = wiring.common(conf.LOAD, __doc__)
_WORKERS = {
    name: os.environ[variable]
    for name, variable in (("queue", "AIRCAN_LARGE_QUEUE"), ("pool", "AIRCAN_LARGE_POOL"))
    if os.environ.get(variable)
}

with DAG(
    "aircan_load_large",
    **_COMMON
    | {
        "max_active_runs": int(os.environ.get("AIRCAN_LARGE_RUNS", "1")),
        "default_args": _COMMON["default_args"] | _WORKERS,
    },
):
    wiring.load_one()
