"""What each task of a DagRun does. Each reads what the one before left, and leaves what it found.

    prepare    the conf, CKAN             -> resource.json, dataset.json
    convert    the source, for CKAN's API -> rows.ndjson.gz, table.json, report.json, rejects.csv
    load       the source, or those rows  -> report.json, rejects.csv
    register   the load's report          -> report.json; CKAN shows the table
    report     what they left             -> report.json; CKAN knows how the job ended
    validate   the source                 -> report.json

Any of them may be done again; one that fails leaves error.json. In: a Run. Out: artifacts, and the
job's status in CKAN. Holds what a load holds.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from loader import describe, pipeline, resources
from loader.ckan.client import Ckan, CkanSettings, Table
from loader.errors import (
    AircanError,
    ArtifactsError,
    ArtifactsUnreachable,
    RejectsNotWritten,
    RowsInDoubt,
    SchemaDiffers,
    StepFailed,
    TableChanged,
    Unexpected,
    UsageError,
)
from loader.factory import connections, descriptors, shapes
from loader.factory.artifacts import Artifacts, Place
from loader.factory.conf import DATASTORE_CONN_ID, STEPS, Conf
from loader.factory.connections import Connection
from loader.factory.once import Once
from loader.factory.shapes import Shape
from loader.factory.status import Job, Telling, ask
from loader.net.guard import WEB
from loader.options import Options
from loader.report import Report
from loader.source import Guard, Limits, SourceSettings, fingerprint, mask_uri
from loader.steps import BeforeColumnsChange
from loader.table_state import TableState, table_state

_log = logging.getLogger(__name__)

RESOURCE, DATASET, REPORT = "resource.json", "dataset.json", "report.json"
TABLE = "table.json"
ROWS, REJECTS, ERROR = "rows.ndjson.gz", "rejects.csv", "error.json"
CHANGING = "changing.json"  # a try of ``load`` has begun to change the table
# What each step leaves last: without it, it was killed.
_LEFT = {
    "prepare": RESOURCE,
    "convert": RESOURCE,
    "load": REPORT,
    "register": REPORT,
    "validate": REPORT,
}
_IN_DOUBT: dict[str, TableState] = {"table": "unknown"}
_CALLS = CkanSettings()
# The end of a job is often the first that a process tells CKAN, which may just be restarting.
_STATUS_CALLS = CkanSettings(connect_timeout_s=5, read_timeout_s=15, opening_retries=6)
_LIMITS = ("max_bytes", "max_ratio", "min_rate")  # of a conf's options, as Limits.read takes them
_LATE_S = 60.0  # CKAN goes on with the last call of a try that was killed
_OF_LOAD_KEY = "is_of_load"  # of an error that is left: whether it came up in the load itself
_ERRORS_TOLD = 100  # of a validation; its report has more


@dataclass(frozen=True)
class Settings:
    """What the operators of the factory decide, not those who ask it for a load.

    Attributes:
        allowed_hosts: Hosts and networks that files may come from though they are not public.
        refuses_keys: Whether a token in a conf, which Airflow shows, is refused.
        max_loads: How many loads a database takes at a time; None for any number.
        huge_bytes: Files from this size on leave one of those to smaller ones.
        limits: What every file has to keep to; a conf may make them tighter.
        fault: What is wrong with the operators' settings; None if nothing is.
    """

    allowed_hosts: str = ""
    refuses_keys: bool = False
    max_loads: int | None = None
    huge_bytes: int = 1 << 30
    limits: Limits = field(default_factory=Limits)
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
        return not Ckan(ours).owns(endpoint)

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
        """Return the job, to tell CKAN of it."""
        facts = {
            "job_id": self.conf.job_id,
            "job_type": "VALIDATE" if self.dag_id == "aircan_validate" else "LOAD",
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "resource_id": self.conf.resource_id,
        }
        report, run = self.place("report"), self
        if self.settings.refuses_keys:  # that it is refused, CKAN is told with another
            run = replace(self, conf=replace(self.conf, ckan_api_key=None))
        ckan = run.ckan(_STATUS_CALLS)
        brought = ckan.guard is not None  # nobody here vouches for it
        return Job(ckan, facts, lambda: report.exists(REPORT), is_brought=brought)


def prepare(run: Run) -> None:
    """Look the resource up, and find the way into the DataStore."""
    with _step(run, "prepare") as step:
        ckan, described = _look_up(run, step)
        via, reason = pipeline.find_way(_load_options(run, ckan, described))
        way = {"via": via, "reason": reason}
        step.place.write(RESOURCE, described | {"aircan": described["aircan"] | way})


def look_up(run: Run) -> None:
    """Look the resource up, which is all that a validation needs."""
    with _step(run, "prepare") as step:
        step.place.write(RESOURCE, _look_up(run, step)[1])


def _look_up(run: Run, step: _Step) -> tuple[Ckan, dict[str, Any]]:
    step.tell("looking the resource up in CKAN")
    ckan = run.ckan()
    shown = ckan.resource(run.conf.resource_id)
    uri = _uri(run, ckan)
    described = descriptors.of_resource(shown, run.conf.resource, uri)
    # The path is masked: two of them may look the same.
    described["aircan"] = {"file": _file(run, uri), "dataset": shown["package_id"]}
    dataset = ckan.dataset(shown["package_id"])
    step.place.write(DATASET, descriptors.of_dataset(dataset, described))
    return ckan, described


def convert(run: Run) -> bool:
    """Verify the rows and write them down, where they have to go through CKAN's API.

    Returns:
        Whether that was needed.
    """
    with _step(run, "convert") as step:
        place, described = step.place, _prepared(run)
        if described["aircan"]["via"] == "copy":
            place.write(RESOURCE, described)
            return False
        step.tell("reading the file")
        ckan = run.ckan()
        uri = _fetched(run, ckan, described)
        with _left(place) as left, Telling(step.job, "convert", step.table) as progress:
            options = replace(_load_options(run, ckan, described), rejects=left.rejects)
            with place.opened(ROWS, "wb") as rows:
                converted = pipeline.convert(uri, rows, options, progress)
            left.report = converted.report
            table = converted.table
            place.write(TABLE, {"before": table.to_dict() if table else None})
            reason = described["aircan"]["reason"]
            if reason and not run.brings_its_ckan():  # it names a database of ours
                left.report.warnings.append(f"loaded through CKAN's API, since {reason}")
        place.write(RESOURCE, described | {"path": ROWS, "format": "ndjson"})
    return True


def load(run: Run) -> None:
    """Bring the rows into the DataStore, where readers see them."""
    with _step(run, "load") as step:
        place, ckan = step.place, run.ckan()
        once = Once(run.place("added"), ckan, run.conf)
        with step.in_doubt():
            done = once.done()
        if done:
            _log.info("the rows were added before, by an earlier try of this run")
            place.write(REPORT, done)
            return
        step.tell("loading the rows")
        described = _prepared(run)
        with step.in_doubt():
            once.begin(_LATE_S if described["aircan"]["via"] == "api" else 0)
        options = _load_options(run, ckan, described)
        asks, changes = _asks(run, ckan), partial(place.write, CHANGING, _IN_DOUBT)
        with _left(place, step.note) as left, Telling(step.job, "load") as progress:
            if described["aircan"]["via"] == "copy":
                uri = _fetched(run, ckan, described)
                options = replace(options, via="copy", rejects=left.rejects)
                left.report = pipeline.load(
                    uri,
                    options,
                    progress,
                    registers=False,
                    before_columns_change=asks,
                    before_change=changes,
                )
            else:
                left.report = _send(
                    run.place("convert"), described, options, progress, asks, changes
                )
        once.end(left.report.to_dict())


def _asks(run: Run, ckan: Ckan) -> BeforeColumnsChange:
    names = {"resource_id": run.conf.resource_id, "job_id": run.conf.job_id, "run_id": run.run_id}
    return partial(ask, ckan, names)


def _send(  # noqa: PLR0913, PLR0917  (as ``pipeline.send``, and where the rows are)
    converted: Place,
    described: Mapping[str, Any],
    options: Options,
    progress: Telling,
    asks: BeforeColumnsChange,
    changes: Callable[[], None],
) -> Report:
    report = Report.from_dict(converted.read_as(REPORT, shapes.LOAD))
    written = converted.read_as(RESOURCE, shapes.PREPARED)["aircan"]["file"]
    if written != described["aircan"]["file"]:  # prepare was done again, and convert was not
        raise ArtifactsError(
            f"the rows written down are of {report.source}, not of {described['path']}",
            hint="clear the task convert and those after it",
        )
    found = _converted(converted, report)
    with converted.opened(ROWS, "rb") as rows:
        names = [str(column["id"]) for column in report.columns]
        try:
            return pipeline.send(
                shapes.rows(rows, names, report.rows),
                found,
                replace(options, via="api"),
                progress,
                before_columns_change=asks,
                before_change=changes,
                on_replacing=lambda: converted.write(TABLE, {"is_replacing": True}),
            )
        except shapes.Misshapen as error:
            damaged = converted.damaged(ROWS, str(error))
            damaged.report, report.error = report, damaged  # some rows may be in by now
            raise damaged from None
        except (SchemaDiffers, TableChanged) as error:
            again = "to load all the same, clear the task convert and those after it"
            error.hint = f"{error.hint}; {again}"
            raise


def _converted(place: Place, report: Report) -> pipeline.Converted:
    """Return what ``convert`` has found; not the table, if an earlier try has changed that."""
    told = place.read_as(TABLE, shapes.TABLE)
    if told.get("is_replacing"):
        return pipeline.Converted(report, None, is_replacing=True)
    before = told["before"]
    return pipeline.Converted(report, Table.from_dict(before) if before else None)


def register(run: Run) -> None:
    """Let CKAN show the table, and know its file."""
    with _step(run, "register") as step:
        step.tell("telling CKAN")
        report = Report.from_dict(_report_of(run, "load", shapes.LOAD))
        with step.noted(report), report.timing("register"):
            pipeline.register(report, _of_ckan(run))
        step.place.write(REPORT, report.to_dict())


def _report_of(run: Run, step: str, shape: Shape) -> dict[str, Any]:
    """Return the report that a step of a load left.

    Raises:
        ArtifactsError: It is damaged, or of another resource: the list of many was made anew.
    """
    place = run.place(step)
    told: dict[str, Any] = place.read_as(REPORT, shape)
    if told["resource_id"] != run.conf.resource_id:
        raise ArtifactsError(
            f"what the task {step} left is of the resource {told['resource_id']}, not of"
            f" {run.conf.resource_id}",
            hint="clear the task prepare and those after it",
        )
    return told


def validate(run: Run) -> None:
    """Check every row of the source against its schema."""
    with _step(run, "validate") as step:
        step.tell("checking every row")
        ckan = run.ckan()
        described = _prepared(run, shapes.FILE)
        uri = _fetched(run, ckan, described)
        options = _options(run, ckan, described)
        source = ckan.fetching(uri, run.conf.resource_id, options.source)
        options = replace(options, source=source)
        step.place.write(REPORT, describe.validate(uri, options))


def report(run: Run) -> None:
    """Tell CKAN how the job ended; the last step before leaves the report of all.

    Raises:
        StepFailed: One of them failed, which this is not to hide.
        UsageError: The operators' settings cannot be any more; what was done is told.
        ArtifactsError: Nobody knows; that is told too.
    """
    if error := tell_end(run, in_order=True):
        raise error
    run.settings.require_valid()  # all was done before they were changed


def tell_end(run: Run, reason: str = "", *, in_order: bool = False) -> AircanError | None:
    """Tell CKAN how the job ended.

    Args:
        run: The run.
        reason: Why it failed, where no step left an error.
        in_order: Whether each step has to follow those before it. One that was cleared by itself
            may be done again alone; but where the last step is done again too, all between are.

    Returns:
        What was told: StepFailed if a step failed, ArtifactsError if nobody knows; None of an end
        without an error.

    Raises:
        AircanError: CKAN could not be told.
    """
    try:
        _report(run, STEPS[run.dag_id], reason, in_order=in_order)
    except StepFailed as error:
        return error
    except ArtifactsError as error:  # CKAN would wait for ever
        run.job().tell("FAILED", "report", str(error), error=error.to_dict())
        return error
    return None


def _report(run: Run, steps: Sequence[str], reason: str, *, in_order: bool) -> None:
    place = run.place("report")
    place.clear()
    for step in steps:
        error = _error_of(run, step, reason)
        if error is None and in_order:
            error = _left_behind(run, steps, step)
        if error:
            _tell_failed(run, step, error)
            message, option = f"{step}: {error['message']}", error.get("option")
            failed = StepFailed(message, hint=error["hint"], option=option)
            failed.table = table_state(error.get("table"))
            raise failed
    if reason:  # all steps are done, and somebody has marked the run failed
        _tell_failed(run, "report", _killed(run, "report", reason))
        raise StepFailed(reason)
    if steps[-1] == "validate":
        told = run.place("validate").read_as(REPORT, shapes.VALIDATION)
        message, info = _validated(told)
    else:
        told = _report_of(run, steps[-1], shapes.LOADED)
        message, info = _loaded(told)
    place.write(REPORT, {"error": None} | told)
    run.job().tell("DONE", "report", message, **info, artifacts=_artifacts(run, steps))


def _error_of(run: Run, step: str, reason: str) -> dict[str, Any] | None:
    """Return why the last try of a step failed, or None if it did not.

    What an earlier try left may still lie beside that: somebody has put it back, or it could not be
    deleted. Each try leaves its error, or what says that it is done, last of all: the newer counts.
    """
    place = run.place(step)
    failed, done = place.written(ERROR), place.written(_LEFT[step])
    if failed is not None and (done is None or failed > done):
        return _told_error(place.read_as(ERROR, shapes.ERROR))
    # A load that fails leaves its report too, and may be kept from leaving its error.
    reported = (_LEFT[step] == REPORT or done is None) and place.exists(REPORT)
    if reported and (error := place.read_as(REPORT, shapes.OUTCOME).get("error")):
        return _told_error({"hint": None, **error})
    return None if done is not None else _killed(run, step, reason or _no_word(step))


def _left_behind(run: Run, steps: Sequence[str], step: str) -> dict[str, Any] | None:
    """Return an error if a step before this one was done again, and this one did not follow.

    What it has left is of before then: its new try was killed before it could clear that.
    """
    done = run.place(step).written(_LEFT[step])
    for earlier in steps[: steps.index(step)]:
        before = run.place(earlier).written(_LEFT[earlier])
        if done is not None and before is not None and done < before:
            message = f"{earlier} was done again, and {step} left no word since"
            return _killed(run, step, message)
    return None


def _no_word(step: str) -> str:
    return f"the task {step} left no word"


def _told_error(error: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in error.items() if name != "resource_id"}


def _killed(run: Run, step: str, message: str) -> dict[str, Any]:
    error = Unexpected(message, hint="it was killed, or could not begin: see its log in Airflow")
    # How far a load had come that was killed, nobody can know; the other steps change no rows.
    error.table = "unknown" if step == "load" else _table_left(run)
    return error.to_dict() | {_OF_LOAD_KEY: True}


def _table_left(run: Run) -> TableState:
    """Return what this run has made of the table so far, as its steps have left word of it.

    Raises:
        ArtifactsUnreachable: Nobody can look.
    """
    places = run.place("load"), run.place("register")
    words = [
        (written, place, name)
        for place in places
        for name in (REPORT, ERROR, CHANGING)  # the last only counts if its try was killed
        if (written := place.written(name)) is not None
    ]
    if not words:
        return "untouched"
    _, place, name = max(words, key=lambda word: word[0])
    try:
        return table_state(place.read_as(name, shapes.STATE).get("table"))
    except ArtifactsUnreachable:
        raise
    except ArtifactsError:  # it is damaged, or gone meanwhile
        return "unknown"


def _tell_failed(run: Run, step: str, error: Mapping[str, Any]) -> None:
    told = {name: value for name, value in error.items() if name != _OF_LOAD_KEY}
    run.place("report").write(REPORT, {"step": step, "error": told})
    artifacts = _artifacts(run, STEPS[run.dag_id])
    is_of_load = error.get(_OF_LOAD_KEY) is True
    message, table = str(error["message"]), table_state(error.get("table"))
    run.job().tell(
        "FAILED",
        step,
        message,
        table=table,
        is_of_load=is_of_load,
        error=told,
        artifacts=artifacts,
    )


def _artifacts(run: Run, steps: Sequence[str]) -> dict[str, str]:
    """Return where the files are that people may ask for."""
    found: dict[str, str] = {}
    for step in steps:
        place = run.place(step)
        found |= {
            name: f"{place.uri}/{name}"
            for name in (RESOURCE, DATASET, ROWS, REJECTS, REPORT)
            if place.exists(name)
        }
    return found


def _loaded(told: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    rejected = told["bad_rows"]["rejected"]
    aside = f", {rejected:,} set aside" if rejected else ""
    info = {"rows": told["rows"], "progress": 1, "warnings": told["warnings"], "report": told}
    info["table"] = table_state(told.get("table"))
    return f"{told['rows']:,} rows in the DataStore{aside}", info


def _validated(told: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    errors = [error for task in told["tasks"] for error in task["errors"]] + told["errors"]
    count = told["stats"]["errors"]
    least = "at least " if told["stats"]["warnings"] else ""  # its limit was reached
    message = "every row is valid" if told["valid"] else f"not valid: {least}{count:,} errors"
    first = [
        {
            "row": error.get("rowNumber"),
            "column": error.get("fieldName"),
            "type": error["type"],
            "message": error["message"],
        }
        for error in errors[:_ERRORS_TOLD]
    ]
    info = {"valid": told["valid"], "errors": count, "first": first}
    return message, info | {"table": "untouched"}


def _require_going(run: Run) -> None:
    if not run.is_going():
        raise StepFailed("the run has ended", hint="clear it in Airflow, or trigger a new one")


@dataclass
class _Step:
    """One try of one step.

    Attributes:
        name: The step.
        place: What it leaves.
        earlier: What earlier steps, and earlier tries of this one, have made of the table.
        table: What has become of it by now.
    """

    name: str
    place: Place
    earlier: TableState = "unknown"
    table: TableState = "unknown"
    _job: Job | None = None

    @property
    def job(self) -> Job:
        """The job, which ``_step`` sets before it yields."""
        assert self._job is not None  # noqa: S101
        return self._job

    def begin(self, job: Job) -> None:
        """Take the job that the step is of."""
        self._job = job

    def tell(self, message: str) -> None:
        """Tell CKAN what the step does now."""
        self.job.tell("RUNNING", self.name, message, table=self.table)

    def note(self, report: Report) -> None:
        """Take from a load's report what has become of the table."""
        self.table = self.earlier if report.table == "untouched" else report.table
        report.table = self.table
        if report.error is not None:
            report.error.table = self.table

    @contextmanager
    def in_doubt(self) -> Iterator[None]:
        """Note of an error in the block that an earlier try may have added the rows."""
        try:
            yield
        except (RowsInDoubt, ArtifactsError):
            self.table = "unknown"
            raise

    @contextmanager
    def noted(self, report: Report) -> Iterator[None]:
        """Note what a report says in the end, also when the block fails."""
        try:
            yield
        finally:
            self.note(report)


@contextmanager
def _step(run: Run, name: str) -> Iterator[_Step]:
    """Begin with an empty place; leave the error there, if there is one."""
    step = _Step(name, run.place(name))
    _require_going(run)
    with _leaving_error(run, step):  # else what an earlier try left would be told
        step.earlier = step.table = _table_left(run)
        step.place.clear()
        run.place("report").clear()  # what it says of an earlier try is true no more
    _require_going(run)  # whoever ended it meanwhile has told the last that CKAN is to hear
    with _leaving_error(run, step):
        run.settings.require_valid()
    with _leaving_error(run, step, is_of_load=True):
        step.begin(run.job())
        yield step


@contextmanager
def _leaving_error(run: Run, step: _Step, *, is_of_load: bool = False) -> Iterator[None]:
    place = step.place
    try:
        yield
    except AircanError as error:
        error.table = step.table
        try:
            told = error.to_dict() | {"message": str(error)}
            told[_OF_LOAD_KEY] = is_of_load and not error.of_machine
            place.write(ERROR, told | {"resource_id": run.conf.resource_id})
        except ArtifactsError as second:  # the first is the one to tell
            _log.warning("%s", second)
        raise


@dataclass
class _Left:
    """What a load leaves.

    Attributes:
        rejects: Where its rejected rows go first.
        report: Set when it ends.
    """

    rejects: Path
    report: Report = field(default_factory=lambda: Report("", ""))


def _note_nothing(_: Report) -> None:
    """Take a report of what changes no table."""


@contextmanager
def _left(place: Place, note: Callable[[Report], None] = _note_nothing) -> Iterator[_Left]:
    """Put the report and the rejected rows into the place, also of a load that failed.

    Args:
        place: Of the step.
        note: Is given the report before it is put there.
    """
    with _temporary_folder() as folder:
        left = _Left(Path(folder, REJECTS))
        try:
            yield left
        except AircanError as error:
            if error.report is not None:
                note(error.report)
                _leave(place, left.rejects, error.report)
            raise
        note(left.report)
        _leave(place, left.rejects, left.report)


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="aircan-", ignore_cleanup_errors=True)
    except OSError as error:
        raise RejectsNotWritten(
            f"there is no folder for rows that have to be set aside: {error.strerror}",
            hint="set TMPDIR to a folder that the worker may write to, and that has room",
            of_machine=True,
        ) from error


def _leave(place: Place, rejects: Path, report: Report) -> None:
    if rejects.exists():
        report.bad_rows.rejects = place.put(REJECTS, rejects)
    place.write(REPORT, report.to_dict())


def _prepared(run: Run, shape: Shape = shapes.PREPARED) -> dict[str, Any]:
    """Return what ``prepare`` found.

    Raises:
        ArtifactsError: It found it for another resource: the list of many was made anew.
    """
    described: dict[str, Any] = run.place("prepare").read_as(RESOURCE, shape)
    if described["resource_id"] != run.conf.resource_id:
        raise ArtifactsError(
            f"what was prepared is the resource {described['resource_id']}, not"
            f" {run.conf.resource_id}",
            hint="clear the task prepare and those after it",
        )
    return described


def _uri(run: Run, ckan: Ckan) -> str:
    """Return where the file is, secrets included."""
    if path := run.conf.resource.get("path"):
        return str(path)
    return resources.location(ckan, ckan.resource(run.conf.resource_id))


def _fetched(run: Run, ckan: Ckan, described: Mapping[str, Any]) -> str:
    """Return the same, at a later step: an artifact has no secrets.

    Raises:
        UsageError: The file is elsewhere by now.
    """
    uri = _uri(run, ckan)
    if _file(run, uri) != described["aircan"]["file"]:
        was = described["path"]
        where = (
            "another URL, which looks the same masked" if mask_uri(uri) == was else mask_uri(uri)
        )
        raise UsageError(
            f"the resource is at {where} now, no longer at {was}",
            hint="clear the task prepare, or trigger a new run",
        )
    return uri


def _file(run: Run, uri: str) -> str:
    """Return what tells within this run whether it is still the same URI, secrets apart."""
    return fingerprint(uri, f"{run.dag_id}/{run.run_id}")


def _options(run: Run, ckan: Ckan, described: Mapping[str, Any]) -> Options:
    """Return how to read the file; the conf's options win over what the resource says."""
    given = {
        "schema": described.get("schema"),
        "dialect": described.get("dialect"),
        "encoding": described.get("encoding"),
        **run.conf.options,
    }
    max_bytes, max_ratio, min_rate = (given.pop(name, None) for name in _LIMITS)
    limits = Limits.read(max_bytes, max_ratio, min_rate, run.settings.limits)
    return replace(
        Options(**given),
        resource_id=run.conf.resource_id,
        dataset_id=described["aircan"]["dataset"],
        ckan_url=ckan.url,
        ckan_token=ckan.token,
        ckan_guard=ckan.guard,
        source=SourceSettings(guard=run.guard(), limits=limits),
    )


def _load_options(run: Run, ckan: Ckan, described: Mapping[str, Any]) -> Options:
    """Return how to read the file, and how its rows get into the DataStore."""
    options, datastore_url = _options(run, ckan, described), run.datastore_url()
    return replace(
        options,
        datastore_url=datastore_url,
        # There is no other way to such a CKAN, so none is missed.
        via="api" if run.brings_its_ckan() else options.via,
        mode=run.conf.mode,
        key=tuple(run.conf.unique_keys),
        max_loads=_max_loads(run.settings, described),
    )


def _max_loads(settings: Settings, described: Mapping[str, Any]) -> int | None:
    if settings.max_loads is None or described.get("bytes", 0) < settings.huge_bytes:
        return settings.max_loads
    return max(1, settings.max_loads - 1)


def _of_ckan(run: Run) -> Options:
    ckan, datastore_url = run.ckan(), run.datastore_url()
    return Options(
        resource_id=run.conf.resource_id,
        dataset_id=_prepared(run)["aircan"]["dataset"],
        ckan_url=ckan.url,
        ckan_token=ckan.token,
        ckan_guard=ckan.guard,
        datastore_url=datastore_url,
        via="auto" if datastore_url else "api",
    )
