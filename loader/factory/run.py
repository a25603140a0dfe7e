"""One task of a DagRun: what is asked for, what the operators decide, and what it may use.

In: a conf, the operators' settings, their connections. Out: the CKAN, the database and the guard of
the load, and the place where its steps leave what they found. Holds nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from loader.ckan.client import Ckan
from loader.ckan.settings import CkanSettings
from loader.errors import UsageError
from loader.factory import connections
from loader.factory.artifacts import Artifacts, Place
from loader.factory.conf import DATASTORE_CONN_ID, Conf
from loader.factory.connections import Connection
from loader.factory.status import Job
from loader.net.guard import WEB, Guard
from loader.net.limits import Limits

# What the steps leave, by name.
RESOURCE, DATASET, REPORT = "resource.json", "dataset.json", "report.json"
TABLE = "table.json"
ROWS, REJECTS, ERROR = "rows.ndjson.gz", "rejects.csv", "error.json"
CHANGING = "changing.json"  # a try of ``load`` has begun to change the table
_CALLS = CkanSettings()
# The end of a job is often the first that a process tells CKAN, which may just be restarting.
_STATUS_CALLS = CkanSettings(connect_timeout_s=5, read_timeout_s=15, opening_retries=6)


@dataclass(frozen=True)
class Settings:
    """What the operators of the factory decide, not those who ask it for a load.

    Attributes:
        allowed_hosts: Hosts and networks that files may come from though they are not public.
        refuses_keys: Whether a token in a conf, which Airflow shows, is refused.
        max_loads: How many loads a database takes at a time; None for any number.
        huge_bytes: Files from this size on leave one of those to smaller ones.
        limits: What every file has to keep to; a conf may make them tighter.
        default_encoding: Of files whose encoding is in doubt; a conf may name another.
        fault: What is wrong with the operators' settings; None if nothing is.
    """

    allowed_hosts: str = ""
    refuses_keys: bool = False
    max_loads: int | None = None
    huge_bytes: int = 1 << 30
    limits: Limits = field(default_factory=Limits)
    default_encoding: str | None = None
    fault: UsageError | None = None

    def require_valid(self) -> None:
        """Raise what is wrong with them."""
        if self.fault is not None:
            raise self.fault


@dataclass(frozen=True)
class Run:
    """One task of a DagRun.

    Attributes:
        dag_id: The DAG.
        run_id: The DagRun.
        artifacts: Where all of them leave what they found.
        connection: Looks up an Airflow Connection.
        settings: Of the factory.
        group: The task group and its dot, or nothing.
        index: Of a mapped task, or nothing.
        conf: What is asked for.
        is_going: Whether the DagRun is still to end: somebody may stop it while a task begins.
    """

    dag_id: str
    run_id: str
    artifacts: Artifacts
    connection: Callable[[str], Connection]
    settings: Settings = Settings()
    group: str = ""
    index: str = ""
    conf: Conf = field(default_factory=Conf)
    is_going: Callable[[], bool] = lambda: True

    def place(self, step: str) -> Place:
        """Return the place of one of the steps."""
        return self.artifacts.place(*filter(None, self._parts(step)))

    def _parts(self, step: str) -> tuple[str, ...]:
        return self.dag_id, self.run_id, f"{self.group}{step}", self.index

    def ckan(self, settings: CkanSettings = _CALLS) -> Ckan:
        """Return the CKAN of the connection, or of the conf if it brings a token.

        The caller closes it.

        Raises:
            UsageError: The conf brings a token and may not, or means another CKAN.
        """
        endpoint, key = self.conf.ckan_api_endpoint, self.conf.ckan_api_key
        if key and self.settings.refuses_keys:
            raise UsageError(
                "the conf holds a ckan_api_key, which Airflow shows to all its users",
                hint=f"put it into the Airflow connection {self.conf.ckan_conn_id}",
            )
        if endpoint and self.brings_its_ckan():  # nobody here vouches for it
            return Ckan(endpoint, key, settings, self.guard())
        connection = self.connection(self.conf.ckan_conn_id)
        token = key or connections.ckan_token(connection)
        ckan = Ckan(connections.ckan_url(connection), token, settings)
        if endpoint and not ckan.owns(endpoint):
            raise UsageError(
                f"the conf's ckan_api_endpoint is not at {ckan.url}, which the Airflow connection"
                f" {self.conf.ckan_conn_id} names",
                hint="name the connection of that CKAN: ckan_conn_id",
            )
        return ckan

    def brings_its_ckan(self) -> bool:
        """Tell whether the conf names a CKAN that no connection of ours is.

        Such a load uses nothing that is the operator's: no database, no token, no setting of the
        worker's environment, no Google account, nor CKAN's own address.
        """
        endpoint = self.conf.ckan_api_endpoint
        if not (endpoint and self.conf.ckan_api_key):
            return False
        try:
            ours = connections.ckan_url(self.connection(self.conf.ckan_conn_id))
        except connections.NoConnection:
            return True
        with Ckan(ours) as ckan:
            return not ckan.owns(endpoint)

    def guard(self) -> Guard:
        """Return from where files may come: public hosts, and those allowed.

        The upload of the resource is allowed too, by ``Ckan.fetching``.
        """
        guard = Guard.read(self.settings.allowed_hosts, self.artifacts.uri)
        return replace(guard, schemes=WEB) if self.brings_its_ckan() else guard

    def datastore_url(self) -> str | None:
        """Return the URL of the DataStore's database, if a connection names it.

        Raises:
            UsageError: The conf brings its own CKAN, and asks for a database of ours; or it asks
                for COPY, and there is no database.
        """
        conn_id, copies = self.conf.datastore_conn_id, self.conf.options.get("via") == "copy"
        if self.brings_its_ckan():
            # The default's name is in every conf that Airflow has completed.
            if copies or conn_id not in (None, "", DATASTORE_CONN_ID):
                asked = "options.via is copy" if copies else f"datastore_conn_id is {conn_id}"
                raise UsageError(
                    f"{asked}, and the conf brings a CKAN of its own, which gets no database",
                    hint="leave it out: its rows go through CKAN's API",
                )
            return None
        url = None
        if conn_id:
            with suppress(connections.NoConnection):
                url = connections.datastore_url(self.connection(conn_id))
        if copies and url is None:
            raise UsageError(
                "options.via is copy, and no connection names the DataStore's database",
                hint=f"make the Airflow connection {conn_id or DATASTORE_CONN_ID}, and name it;"
                " or leave via out",
            )
        return url

    def job(self) -> Job:
        """Return the job, to tell CKAN of it; the caller closes it."""
        facts = {
            "job_id": self.conf.job_id,
            "job_type": "VALIDATE" if self.dag_id == "aircan_validate" else "LOAD",
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "resource_id": self.conf.resource_id,
        }
        report, run = self.place("report"), self
        if self.settings.refuses_keys:  # CKAN is told of the refusal with another key
            run = replace(self, conf=replace(self.conf, ckan_api_key=None))
        ckan = run.ckan(_STATUS_CALLS)
        brought = ckan.guard is not None  # nobody here vouches for it
        return Job(ckan, facts, lambda: report.exists(REPORT), is_brought=brought)
