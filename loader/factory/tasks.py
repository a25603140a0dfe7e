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

# What each step leaves last: without it, it was killed.
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
_LATE_S = 60.0  # CKAN goes on with the last call of a try that was killed
_OF_LOAD_KEY = "is_of_load"  # of an error that is left: whether it came up in the load itself
_ERRORS_TOLD = 100  # of a validation; its report has more


def prepare(run: Run) -> None:
    """Look the resource up, and find the way into the DataStore."""
    with _step(run, "prepare") as step, run.ckan() as ckan:
        described = _look_up(run, step, ckan)
        via, reason = choose_via(_load_options(run, ckan, described))
        way = {"via": via, "reason": reason}
        step.place.write(RESOURCE, described | {"aircan": described["aircan"] | way})


def look_up(run: Run) -> None:
    """Look the resource up, which is all that a validation needs."""
    with _step(run, "prepare") as step, run.ckan() as ckan:
        step.place.write(RESOURCE, _look_up(run, step, ckan))


def _look_up(run: Run, step: _Step, ckan: Ckan) -> dict[str, Any]:
    step.tell("looking the resource up in CKAN")
    shown = ckan.resource(run.conf.resource_id)
    uri = _uri(run, ckan)
    described = descriptors.of_resource(shown, run.conf.resource, uri)
    # The path is masked: two of them may look the same.
    described["aircan"] = {"file": _file(run, uri), "dataset": shown["package_id"]}
    dataset = ckan.dataset(shown["package_id"])
    step.place.write(DATASET, descriptors.of_dataset(dataset, described))
    return described


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
            if reason and not run.brings_its_ckan():  # it names a database of ours
                left.report.warnings.append(f"loaded through CKAN's API, since {reason}")
        place.write(RESOURCE, described | {"path": ROWS, "format": "ndjson"})
    return True


def load(run: Run) -> None:
    """Bring the rows into the DataStore, where readers see them."""
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
    if written != described["aircan"]["file"]:  # prepare was done again, and convert was not
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
            damaged.report, report.error = report, damaged  # some rows may be in by now
            raise damaged from None
        except (SchemaDiffers, TableChanged) as error:
            again = "to load all the same, clear the task convert and those after it"
            error.hint = f"{error.hint}; {again}"
            raise


def _converted(place: Place, report: Report) -> separate.Converted:
    """Return what ``convert`` has found; not the table, if an earlier try has changed that."""
    told = place.read_as(TABLE, artifact_schemas.TABLE)
    if told.get("is_replacing"):
        return separate.Converted(report, None, is_replacing=True)
    before = told["before"]
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
        ArtifactsError: It is damaged, or of another resource: the list of many was made anew.
    """
    place = run.place(step)
    told: dict[str, Any] = place.read_as(REPORT, schema)
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
        with run.ckan() as ckan:
            described = _prepared(run, artifact_schemas.FILE)
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
    if reason:  # all steps are done, and somebody has marked the run failed
        _tell_failed(run, "report", _killed(run, "report", reason))
        raise StepFailed(reason)
    if steps[-1] == "validate":
        told = run.place("validate").read_as(REPORT, artifact_schemas.VALIDATION)
        message, info = _validated(told)
    else:
        told = _report_of(run, steps[-1], artifact_schemas.LOADED)
        message, info = _loaded(told)
    place.write(REPORT, {"error": None} | told)
    with run.job() as job:
        job.tell("DONE", "report", message, **info, artifacts=_artifacts(run, steps))


def _error_of(run: Run, step: str, reason: str) -> dict[str, Any] | None:
    """Return why the last try of a step failed, or None if it did not.

    What an earlier try left may still lie beside that: somebody has put it back, or it could not be
    deleted. Each try leaves its error, or what says that it is done, last of all: the newer counts.
    """
    place = run.place(step)
    failed, done = place.written(ERROR), place.written(_LEFT[step])
    if failed is not None and (done is None or failed > done):
        return _told_error(place.read_as(ERROR, artifact_schemas.ERROR))
    # A load that fails leaves its report too, and may be kept from leaving its error.
    reported = (_LEFT[step] == REPORT or done is None) and place.exists(REPORT)
    if reported and (error := place.read_as(REPORT, artifact_schemas.OUTCOME).get("error")):
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
        return table_state(place.read_as(name, artifact_schemas.STATE).get("table"))
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
    with run.job() as job:
        job.tell(
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


def _prepared(run: Run, schema: Schema = artifact_schemas.PREPARED) -> dict[str, Any]:
    """Return what ``prepare`` found.

    Raises:
        ArtifactsError: It found it for another resource: the list of many was made anew.
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
    """Return where the file is, secrets included."""
    if path := run.conf.resource.get("path"):
        return str(path)
    return location(ckan, ckan.resource(run.conf.resource_id))


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
