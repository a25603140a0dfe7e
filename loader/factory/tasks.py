"""The tasks of a DagRun. Each reads the artifacts of the one before, and leaves its own.

    prepare    the conf, CKAN             -> resource.json, dataset.json
    convert    the source, for CKAN's API -> rows.ndjson.gz, table.json, report.json, rejects.csv
    load       the source, or those rows  -> report.json, rejects.csv
    register   the load's report          -> report.json; CKAN shows the table
    report     all of these               -> report.json; CKAN knows how the job ended
    validate   the source                 -> report.json

Each may be run again. One that fails leaves error.json. In: a Run. Out: artifacts, and the job's
status in CKAN. Holds what a load holds.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from loader import describe
from loader.ckan.actions import Table
from loader.ckan.client import Ckan
from loader.ckan.resource import location
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
from loader.factory import artifact_schemas, descriptors
from loader.factory.artifact_schemas import Schema
from loader.factory.artifacts import Place
from loader.factory.conf import STEPS
from loader.factory.idempotency import IdempotentAppend
from loader.factory.run import (
    CHANGING,
    DATASET,
    ERROR,
    REJECTS,
    REPORT,
    RESOURCE,
    ROWS,
    TABLE,
    Run,
    Settings,
)
from loader.factory.status import Job, Telling, ask
from loader.net.limits import Limits
from loader.net.settings import SourceSettings
from loader.net.uri import fingerprint, mask_uri
from loader.options import Options
from loader.pipeline import separate
from loader.pipeline.load import choose_via
from loader.pipeline.load import load as load_source
from loader.report import Report, TableState, table_state
from loader.types.column import Column

_log = logging.getLogger(__name__)

# The artifact that each step leaves last: a step without it, and without an error, was killed.
_LEFT = {
    "prepare": RESOURCE,
    "convert": RESOURCE,
    "load": REPORT,
    "register": REPORT,
    "validate": REPORT,
}
_IN_DOUBT: dict[str, TableState] = {"table": "unknown"}
_LIMITS = ("max_bytes", "max_ratio", "min_rate")  # of a conf's options, as Limits.read takes them
_Asks = Callable[[Sequence[Column], Sequence[Column]], None]  # of a table: before, after
_LATE_S = 60.0  # how long CKAN may go on with the last call of a try that was killed
_OF_LOAD_KEY = "is_of_load"  # in error.json: whether the load failed, not the operator's settings
_ERRORS_SHOWN = 100  # of a validation, in CKAN; its report has more


def prepare(run: Run) -> None:
    """Look the resource up, and choose how its rows get into the DataStore."""
    with _step(run, "prepare") as step, run.ckan() as ckan:
        described = _look_up(run, step, ckan)
        via, reason = choose_via(_load_options(run, ckan, described))
        aircan = described["aircan"] | {"via": via, "reason": reason}
        step.place.write(RESOURCE, described | {"aircan": aircan})


def look_up(run: Run) -> None:
    """Look the resource up, which is all that a validation needs."""
    with _step(run, "prepare") as step, run.ckan() as ckan:
        step.place.write(RESOURCE, _look_up(run, step, ckan))


def _look_up(run: Run, step: _Step, ckan: Ckan) -> dict[str, Any]:
    step.tell("looking the resource up in CKAN")
    shown = ckan.resource(run.conf.resource_id)
    uri = _uri(run, ckan)
    described = descriptors.of_resource(shown, run.conf.resource, uri)
    # The fingerprint tells two files apart whose masked paths are the same.
    described["aircan"] = {"file": _file(run, uri), "dataset": shown["package_id"]}
    dataset = ckan.dataset(shown["package_id"])
    step.place.write(DATASET, descriptors.of_dataset(dataset, described))
    return described


def convert(run: Run) -> bool:
    """Verify the rows and write them to an artifact, if they have to go through CKAN's API.

    Returns:
        Whether they have to.
    """
    with _step(run, "convert") as step:
        place, described = step.place, _prepared(run)
        if described["aircan"]["via"] == "copy":
            place.write(RESOURCE, described)
            return False
        step.tell("reading the file")
        with run.ckan() as ckan:
            uri = _fetched(run, ckan, described)
            options = _load_options(run, ckan, described)
        with _left(place) as left, Telling(step.job, "convert", step.table) as progress:
            options = replace(options, rejects=left.rejects)
            with place.opened(ROWS, "wb") as rows:
                converted = separate.convert(uri, rows, options, progress)
            left.report = converted.report
            table = converted.table
            place.write(TABLE, {"before": table.to_dict() if table else None})
            reason = described["aircan"]["reason"]
            # The reason names the operator's database, which a CKAN from the conf must not learn.
            if reason and not run.brings_its_ckan():
                left.report.warnings.append(f"loaded through CKAN's API, since {reason}")
        place.write(RESOURCE, described | {"path": ROWS, "format": "ndjson"})
    return True


def load(run: Run) -> None:
    """Put the rows into the live table."""
    with _step(run, "load") as step, run.ckan() as ckan:
        place = step.place
        append = IdempotentAppend(run.place("added"), ckan, run.conf)
        with step.in_doubt():
            done = append.done()
        if done:
            _log.info("the rows were added before, by an earlier try of this run")
            place.write(REPORT, done)
            return
        step.tell("loading the rows")
        described = _prepared(run)
        with step.in_doubt():
            append.begin(_LATE_S if described["aircan"]["via"] == "api" else 0)
        options = _load_options(run, ckan, described)
        asks, changes = _asks(run, ckan), partial(place.write, CHANGING, _IN_DOUBT)
        with _left(place, step.note) as left, Telling(step.job, "load") as progress:
            if described["aircan"]["via"] == "copy":
                uri = _fetched(run, ckan, described)
                options = replace(options, via="copy", rejects=left.rejects)
                left.report = load_source(
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
        append.end(left.report.to_dict())


def _asks(run: Run, ckan: Ckan) -> _Asks:
    names = {"resource_id": run.conf.resource_id, "job_id": run.conf.job_id, "run_id": run.run_id}
    return partial(ask, ckan, names)


def _send(  # noqa: PLR0913, PLR0917  (as ``separate.send``, and where the rows are)
    converted: Place,
    described: Mapping[str, Any],
    options: Options,
    progress: Telling,
    asks: _Asks,
    changes: Callable[[], None],
) -> Report:
    report = Report.from_dict(converted.read_as(REPORT, artifact_schemas.LOAD))
    written = converted.read_as(RESOURCE, artifact_schemas.PREPARED)["aircan"]["file"]
    if written != described["aircan"]["file"]:  # prepare was run again, and convert was not
        raise ArtifactsError(
            f"the rows written down are of {report.source}, not of {described['path']}",
            hint="clear the task convert and those after it",
        )
    found = _converted(converted, report)
    with converted.opened(ROWS, "rb") as rows:
        names = [str(column["id"]) for column in report.columns]
        try:
            return separate.send(
                artifact_schemas.rows(rows, names, report.rows),
                found,
                replace(options, via="api"),
                progress,
                before_columns_change=asks,
                before_change=changes,
                on_replacing=lambda: converted.write(TABLE, {"is_replacing": True}),
            )
        except artifact_schemas.SchemaViolation as error:
            damaged = converted.damaged(ROWS, str(error))
            damaged.report, report.error = report, damaged  # some rows may be in the table by now
            raise damaged from None
        except (SchemaDiffers, TableChanged) as error:
            again = "to load all the same, clear the task convert and those after it"
            error.hint = f"{error.hint}; {again}"
            raise


def _converted(place: Place, report: Report) -> separate.Converted:
    """Return what ``convert`` has found, without the table if an earlier try has changed it."""
    found = place.read_as(TABLE, artifact_schemas.TABLE)
    if found.get("is_replacing"):
        return separate.Converted(report, None, is_replacing=True)
    before = found["before"]
    return separate.Converted(report, Table.from_dict(before) if before else None)


def register(run: Run) -> None:
    """Let CKAN show the table, and know its file."""
    with _step(run, "register") as step:
        step.tell("telling CKAN")
        report = Report.from_dict(_report_of(run, "load", artifact_schemas.LOAD))
        with step.noted(report), report.timing("register"):
            separate.register(report, _of_ckan(run))
        step.place.write(REPORT, report.to_dict())


def _report_of(run: Run, step: str, schema: Schema) -> dict[str, Any]:
    """Return the report that a step of a load left.

    Raises:
        ArtifactsError: It is damaged, or of another resource: in a run for several resources,
            their list was made again since.
    """
    place = run.place(step)
    left: dict[str, Any] = place.read_as(REPORT, schema)
    if left["resource_id"] != run.conf.resource_id:
        raise ArtifactsError(
            f"what the task {step} left is of the resource {left['resource_id']}, not of"
            f" {run.conf.resource_id}",
            hint="clear the task prepare and those after it",
        )
    return left


def validate(run: Run) -> None:
    """Check every row of the source against its schema."""
    with _step(run, "validate") as step:
        step.tell("checking every row")
        with run.ckan() as ckan:
            described = _prepared(run, artifact_schemas.FILE)
            uri = _fetched(run, ckan, described)
            options = _options(run, ckan, described)
            source = ckan.fetching(uri, run.conf.resource_id, options.source)
        options = replace(options, source=source)
        step.place.write(REPORT, describe.validate(uri, options))


def report(run: Run) -> None:
    """Tell CKAN how the job ended, by the report of the last step.

    Raises:
        StepFailed: A step failed; this task fails too, so that Airflow shows the run as failed.
        UsageError: The operator's settings have become invalid; CKAN was told of the end before.
        ArtifactsError: How the job ended cannot be read; CKAN was told that.
    """
    if error := tell_end(run, in_order=True):
        raise error
    run.settings.require_valid()  # only now: the steps were run with the settings of before


def tell_end(run: Run, reason: str = "", *, in_order: bool = False) -> AircanError | None:
    """Tell CKAN how the job ended.

    Args:
        run: The run.
        reason: Why it failed, if no step left an error.
        in_order: Whether each step has to be newer than those before it. If a step was cleared
            together with ``report``, Airflow runs all between them again. A step that was cleared
            alone may be newer than those after it.

    Returns:
        The error that CKAN was told: StepFailed if a step failed, ArtifactsError if how the job
        ended cannot be read; None if there was none.

    Raises:
        AircanError: CKAN could not be told.
    """
    try:
        _report(run, STEPS[run.dag_id], reason, in_order=in_order)
    except StepFailed as error:
        return error
    except ArtifactsError as error:  # untold, CKAN would wait for ever
        with run.job() as job:
            job.tell("FAILED", "report", str(error), error=error.to_dict())
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
    if reason:  # every step succeeded, but somebody has marked the run failed
        _tell_failed(run, "report", _killed(run, "report", reason))
        raise StepFailed(reason)
    if steps[-1] == "validate":
        last = run.place("validate").read_as(REPORT, artifact_schemas.VALIDATION)
        message, info = _validated(last)
    else:
        last = _report_of(run, steps[-1], artifact_schemas.LOADED)
        message, info = _loaded(last)
    place.write(REPORT, {"error": None} | last)
    with run.job() as job:
        job.tell("DONE", "report", message, **info, artifacts=_artifacts(run, steps))


def _error_of(run: Run, step: str, reason: str) -> dict[str, Any] | None:
    """Return why the last try of a step failed, or None if it did not.

    The place may also have artifacts of an earlier try, which could not be deleted or were put
    back. The last artifact of a try is either its error or the one in ``_LEFT``, so the newer of
    the two tells how the last try ended.
    """
    place = run.place(step)
    failed, done = place.written(ERROR), place.written(_LEFT[step])
    if failed is not None and (done is None or failed > done):
        return _without_resource(place.read_as(ERROR, artifact_schemas.ERROR))
    # A load that fails leaves its report first, and may be killed before it leaves its error.
    reported = (_LEFT[step] == REPORT or done is None) and place.exists(REPORT)
    if reported and (error := place.read_as(REPORT, artifact_schemas.OUTCOME).get("error")):
        return _without_resource({"hint": None, **error})
    if done is not None:
        return None
    return _killed(run, step, reason or f"the task {step} left no word")


def _left_behind(run: Run, steps: Sequence[str], step: str) -> dict[str, Any] | None:
    """Return an error if an earlier step was run again, and this one left nothing since.

    Its artifacts are older: its new try was killed before it could delete them.
    """
    done = run.place(step).written(_LEFT[step])
    for earlier in steps[: steps.index(step)]:
        before = run.place(earlier).written(_LEFT[earlier])
        if done is not None and before is not None and done < before:
            message = f"{earlier} was done again, and {step} left no word since"
            return _killed(run, step, message)
    return None


def _without_resource(error: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in error.items() if name != "resource_id"}


def _killed(run: Run, step: str, message: str) -> dict[str, Any]:
    error = Unexpected(message, hint="it was killed, or could not begin: see its log in Airflow")
    # How far a killed load had come is unknown. The other steps change no rows.
    error.table = "unknown" if step == "load" else _table_left(run)
    return error.to_dict() | {_OF_LOAD_KEY: True}


def _table_left(run: Run) -> TableState:
    """Return what this run has made of the table so far, by the newest artifact that says it.

    Raises:
        ArtifactsUnreachable: The artifacts cannot be read at present.
    """
    places = run.place("load"), run.place("register")
    artifacts = [
        (written, place, name)
        for place in places
        for name in (REPORT, ERROR, CHANGING)  # CHANGING is the newest only if a try was killed
        if (written := place.written(name)) is not None
    ]
    if not artifacts:
        return "untouched"
    _, place, name = max(artifacts, key=lambda artifact: artifact[0])
    try:
        return table_state(place.read_as(name, artifact_schemas.STATE).get("table"))
    except ArtifactsUnreachable:
        raise
    except ArtifactsError:  # damaged, or deleted meanwhile
        return "unknown"


def _tell_failed(run: Run, step: str, error: Mapping[str, Any]) -> None:
    shown = {name: value for name, value in error.items() if name != _OF_LOAD_KEY}
    run.place("report").write(REPORT, {"step": step, "error": shown})
    artifacts = _artifacts(run, STEPS[run.dag_id])
    is_of_load = error.get(_OF_LOAD_KEY) is True
    message, table = str(error["message"]), table_state(error.get("table"))
    with run.job() as job:
        job.tell(
            "FAILED",
            step,
            message,
            table=table,
            is_of_load=is_of_load,
            error=shown,
            artifacts=artifacts,
        )


def _artifacts(run: Run, steps: Sequence[str]) -> dict[str, str]:
    """Return the URIs of the artifacts that are of use to people, by name."""
    found: dict[str, str] = {}
    for step in steps:
        place = run.place(step)
        found |= {
            name: f"{place.uri}/{name}"
            for name in (RESOURCE, DATASET, ROWS, REJECTS, REPORT)
            if place.exists(name)
        }
    return found


def _loaded(report: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the message and the info with which CKAN is told of a load's end."""
    rows, rejected = report["rows"], report["bad_rows"]["rejected"]
    aside = f", {rejected:,} set aside" if rejected else ""
    info = {"rows": rows, "progress": 1, "warnings": report["warnings"], "report": report}
    info["table"] = table_state(report.get("table"))
    return f"{rows:,} rows in the DataStore{aside}", info


def _validated(report: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the same for a validation."""
    errors = [error for task in report["tasks"] for error in task["errors"]] + report["errors"]
    count = report["stats"]["errors"]
    least = "at least " if report["stats"]["warnings"] else ""  # its limit was reached
    message = "every row is valid" if report["valid"] else f"not valid: {least}{count:,} errors"
    first = [
        {
            "row": error.get("rowNumber"),
            "column": error.get("fieldName"),
            "type": error["type"],
            "message": error["message"],
        }
        for error in errors[:_ERRORS_SHOWN]
    ]
    info = {"valid": report["valid"], "errors": count, "first": first}
    return message, info | {"table": "untouched"}


def _require_going(run: Run) -> None:
    if not run.is_going():
        raise StepFailed("the run has ended", hint="clear it in Airflow, or trigger a new one")


@dataclass
class _Step:
    """One try of one step.

    Attributes:
        name: The step.
        place: Where its artifacts are.
        earlier: What earlier steps, and earlier tries of this one, have made of the table.
        table: What has become of the table by now.
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
        """Set the job that the step belongs to."""
        self._job = job

    def tell(self, message: str) -> None:
        """Tell CKAN what the step is doing."""
        self.job.tell("RUNNING", self.name, message, table=self.table)

    def note(self, report: Report) -> None:
        """Take what has become of the table from a load's report.

        The report knows of its own try only. If that changed nothing, what earlier tries have made
        of the table counts, and the report gets that.
        """
        self.table = self.earlier if report.table == "untouched" else report.table
        report.table = self.table
        if report.error is not None:
            report.error.table = self.table

    @contextmanager
    def in_doubt(self) -> Iterator[None]:
        """If the block fails, set the table to unknown: an earlier try may have added the rows."""
        try:
            yield
        except (RowsInDoubt, ArtifactsError):
            self.table = "unknown"
            raise

    @contextmanager
    def noted(self, report: Report) -> Iterator[None]:
        """Call ``note`` with the report at the end of the block, also if the block fails."""
        try:
            yield
        finally:
            self.note(report)


@contextmanager
def _step(run: Run, name: str) -> Iterator[_Step]:
    """Run one try of a step: empty its place first, and leave its error there if it fails."""
    step = _Step(name, run.place(name))
    _require_going(run)
    # Without an error of this try, the artifacts of an earlier one would be taken for its own.
    with _leaving_error(run, step):
        step.earlier = step.table = _table_left(run)
        step.place.clear()
        run.place("report").clear()  # its report is of an earlier try
    _require_going(run)  # if somebody ended the run meanwhile, CKAN has been told of its end
    with _leaving_error(run, step):
        run.settings.require_valid()
    with _leaving_error(run, step, is_of_load=True), run.job() as job:
        step.begin(job)
        yield step


@contextmanager
def _leaving_error(run: Run, step: _Step, *, is_of_load: bool = False) -> Iterator[None]:
    place = step.place
    try:
        yield
    except AircanError as error:
        error.table = step.table
        try:
            written = error.to_dict() | {"message": str(error)}
            written[_OF_LOAD_KEY] = is_of_load and not error.of_machine
            place.write(ERROR, written | {"resource_id": run.conf.resource_id})
        except ArtifactsError as second:  # must not hide the first
            _log.warning("%s", second)
        raise


@dataclass
class _Left:
    """What a load leaves in its place.

    Attributes:
        rejects: A local file for the rejected rows, uploaded at the end.
        report: Set by the caller when the load has ended.
    """

    rejects: Path
    report: Report = field(default_factory=lambda: Report("", ""))


def _note_nothing(_: Report) -> None:
    """Ignore the report of a step that changes no table."""


@contextmanager
def _left(place: Place, note: Callable[[Report], None] = _note_nothing) -> Iterator[_Left]:
    """Write the report and the rejected rows of a load to its place, also if it failed.

    Args:
        place: Where the step's artifacts are.
        note: Called with the report before it is written.
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


def _prepared(run: Run, schema: Schema = artifact_schemas.PREPARED) -> dict[str, Any]:
    """Return the resource as ``prepare`` has described it.

    Raises:
        ArtifactsError: It is damaged, or of another resource: in a run for several resources, their
            list was made again since.
    """
    described: dict[str, Any] = run.place("prepare").read_as(RESOURCE, schema)
    if described["resource_id"] != run.conf.resource_id:
        raise ArtifactsError(
            f"what was prepared is the resource {described['resource_id']}, not"
            f" {run.conf.resource_id}",
            hint="clear the task prepare and those after it",
        )
    return described


def _uri(run: Run, ckan: Ckan) -> str:
    """Return the URI of the resource's file, with its secrets."""
    if path := run.conf.resource.get("path"):
        return str(path)
    return location(ckan, ckan.resource(run.conf.resource_id))


def _fetched(run: Run, ckan: Ckan, described: Mapping[str, Any]) -> str:
    """Return the URI again in a later step; CKAN is asked, since artifacts hold no secrets.

    Raises:
        UsageError: The resource has another file by now.
    """
    uri = _uri(run, ckan)
    if _file(run, uri) != described["aircan"]["file"]:
        before, now = described["path"], mask_uri(uri)
        if now == before:
            now = "another URL, which looks the same masked"
        raise UsageError(
            f"the resource is at {now} now, no longer at {before}",
            hint="clear the task prepare, or trigger a new run",
        )
    return uri


def _file(run: Run, uri: str) -> str:
    """Return a fingerprint by which this run's later steps know the URI, without its secrets."""
    return fingerprint(uri, f"{run.dag_id}/{run.run_id}")


def _options(run: Run, ckan: Ckan, described: Mapping[str, Any]) -> Options:
    """Return how to read the file; the conf's options win over what the resource says."""
    # One CKAN's publishers do not write as another's.
    default = None if run.brings_its_ckan() else run.settings.default_encoding
    given = {
        "default_encoding": default,
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
        # A CKAN from the conf has its API only, so this is no reason for a warning.
        via="api" if run.brings_its_ckan() else options.via,
        mode=run.conf.mode,
        key=tuple(run.conf.unique_keys),
        max_loads=_max_loads(run.settings, described),
    )


def _max_loads(settings: Settings, described: Mapping[str, Any]) -> int | None:
    """Return how many loads may run; a huge file leaves one slot free for smaller ones."""
    if settings.max_loads is None or described.get("bytes", 0) < settings.huge_bytes:
        return settings.max_loads
    return max(1, settings.max_loads - 1)


def _of_ckan(run: Run) -> Options:
    datastore_url = run.datastore_url()
    with run.ckan() as ckan:
        return Options(
            resource_id=run.conf.resource_id,
            dataset_id=_prepared(run)["aircan"]["dataset"],
            ckan_url=ckan.url,
            ckan_token=ckan.token,
            ckan_guard=ckan.guard,
            datastore_url=datastore_url,
            via="auto" if datastore_url else "api",
        )
