"""What may be deleted again, and what failed last: on a local folder and on a bucket."""

import os
import shutil
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import test_artifacts
from google.cloud import storage
from test_artifacts import leave, left, strange

from loader.errors import ArtifactsError, CkanUnreachable
from loader.factory.artifacts import Artifacts
from loader.factory.failed import begun, last_failed
from loader.factory.retention import Kept, sweep

proxy, bucket = test_artifacts.proxy, test_artifacts.bucket
base, artifacts = test_artifacts.base, test_artifacts.artifacts
others_folder = test_artifacts.others_folder

DAY = timedelta(days=1)
DAGS = ("aircan_load", "aircan_reload")


def ended(dag_id, run_id):
    return False


def sweep_in(days, artifacts, is_going=ended, *, dry_run=False, dag_ids=DAGS):
    now = datetime.now(timezone.utc) + days * DAY
    return sweep(artifacts, 30 * DAY, is_going, dag_ids=dag_ids, dry_run=dry_run, now=now)


# Retention.


def test_old_runs_are_deleted_and_what_they_took_is_counted(artifacts):
    leave(artifacts, "aircan_load", "a", "prepare", "resource.json", size=10)
    leave(artifacts, "aircan_load", "a", "convert", "rows.ndjson", size=1000)
    leave(artifacts, "aircan_reload", "b", "resource.prepare", "0", "resource.json", size=5)
    swept = sweep_in(31, artifacts)
    assert left(artifacts) == []
    assert (swept.runs, swept.files, swept.bytes) == (2, 3, 1015)
    assert swept.to_dict() == {
        "dry_run": False,
        "runs": 2,
        "files": 3,
        "bytes": 1015,
        "freed": [
            {
                "dag_id": run.dag_id,
                "run_id": run.run_id,
                "newest": run.newest.isoformat(),
                "files": run.files,
                "bytes": run.bytes,
            }
            for run in swept.freed
        ],
        "kept": [],
    }
    assert [(run.run_id, run.bytes) for run in swept.freed] == [("a", 1010), ("b", 5)]


def test_what_is_not_older_than_the_retention_stays(artifacts):
    leave(artifacts, "aircan_load", "a", "prepare", "resource.json")
    swept = sweep_in(29.9, artifacts)
    assert swept.runs == 0
    assert left(artifacts) == ["aircan_load/a/prepare/resource.json"]


def test_the_newest_file_is_a_runs_age(tmp_path):
    artifacts = Artifacts(str(tmp_path))
    for run_id in ("a", "b"):
        leave(artifacts, "aircan_load", run_id, "prepare", "resource.json")
        leave(artifacts, "aircan_load", run_id, "report", "report.json")
        aged(tmp_path / "aircan_load" / run_id / "prepare/resource.json", 40 * DAY)
    aged(tmp_path / "aircan_load/b/report/report.json", 31 * DAY)
    swept = sweep_in(0, artifacts)
    assert [run.run_id for run in swept.freed] == ["b"]
    assert len(left(artifacts)) == 2


def aged(path, age):
    then = time.time() - age.total_seconds()
    os.utime(path, (then, then))


def test_a_dry_run_only_lists(artifacts):
    leave(artifacts, "aircan_load", "a", "prepare", "resource.json", size=10)
    leave(artifacts, "aircan_load", "going", "prepare", "resource.json", size=10)
    swept = sweep_in(31, artifacts, lambda dag_id, run_id: run_id == "going", dry_run=True)
    assert (swept.dry_run, swept.runs, swept.bytes) == (True, 1, 10)
    assert len(left(artifacts)) == 2


def test_a_run_that_still_goes_stays(artifacts):
    asked = []

    def is_going(dag_id, run_id):
        asked.append((dag_id, run_id))
        return run_id == "a b/c"

    leave(artifacts, "aircan_load", "a b/c", "prepare", "resource.json")
    leave(artifacts, "aircan_load", "d", "prepare", "resource.json")
    assert sweep_in(31, artifacts, is_going).runs == 1
    assert left(artifacts) == ["aircan_load/a b/c/prepare/resource.json"]
    assert sorted(asked) == [("aircan_load", "a b/c"), ("aircan_load", "d")]


def test_only_old_runs_are_asked_for(artifacts):
    leave(artifacts, "aircan_load", "a", "prepare", "resource.json")
    sweep_in(1, artifacts, lambda dag_id, run_id: pytest.fail("asked"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CkanUnreachable("no answer"), "no answer"),
        (OSError("https://user:secret@airflow/ refused"), "OSError"),
        (KeyError("a"), "KeyError"),
    ],
)
def test_a_run_that_airflow_does_not_tell_of_stays_and_the_others_go(artifacts, error, reason):
    def is_going(dag_id, run_id):
        if run_id == "a":
            raise error
        return False

    for run_id in ("a", "b"):
        leave(artifacts, "aircan_load", run_id, "prepare", "resource.json")
    swept = sweep_in(31, artifacts, is_going)
    assert left(artifacts) == ["aircan_load/a/prepare/resource.json"]
    assert [run.run_id for run in swept.freed] == ["b"]
    assert swept.kept == (Kept("aircan_load", "a", reason),)
    assert swept.to_dict()["kept"] == [{"dag_id": "aircan_load", "run_id": "a", "reason": reason}]


def test_the_error_that_stops_python_stops_it(artifacts):
    def is_going(dag_id, run_id):
        raise KeyboardInterrupt

    leave(artifacts, "aircan_load", "a", "prepare", "resource.json")
    with pytest.raises(KeyboardInterrupt):
        sweep_in(31, artifacts, is_going)


def test_a_run_that_cannot_be_deleted_is_told_and_the_others_go(others_folder):
    artifacts = Artifacts(str(others_folder))
    for run_id in ("a", "b"):
        leave(artifacts, "aircan_load", run_id, "prepare", "resource.json")
    for path in (others_folder, *others_folder.rglob("*")):
        os.chown(path, 12345, -1)
    os.chown(others_folder / "aircan_load/a/prepare", 0, -1)
    os.seteuid(12345)
    try:
        swept = sweep_in(31, artifacts)
    finally:
        os.seteuid(0)
    assert [run.run_id for run in swept.freed] == ["b"]
    assert [(run.run_id, "permission denied" in run.reason) for run in swept.kept] == [("a", True)]
    assert left(artifacts) == ["aircan_load/a/prepare/resource.json"]


@pytest.mark.parametrize(
    "key",
    [
        "file",
        "aircan_load/file",
        "aircan_load2/run/task/file",
        "aircan/run/task/file",
        "backup/aircan_load/run/task/file",
        "aircan_load/not a run id/task/file",
    ],
)
def test_what_else_lies_there_is_never_touched(base, artifacts, key):
    strange(base, key)
    leave(artifacts, "aircan_load", "a", "prepare", "resource.json")
    assert sweep_in(31, artifacts).runs == 1
    assert everything(base) == [key]


def everything(base):
    """Return all that lies below BASE, past the code that is tested."""
    if not base.startswith("gs://"):
        files = (path for path in Path(base).rglob("*") if path.is_file())
        return sorted(str(path.relative_to(base)) for path in files)
    prefix = base.removeprefix("gs://bucket/") + "/"
    client = storage.Client.create_anonymous_client()
    return [blob.name.removeprefix(prefix) for blob in client.list_blobs("bucket", prefix=prefix)]


def test_nothing_is_touched_for_no_dag(artifacts):
    leave(artifacts, "aircan_load", "a", "prepare", "resource.json")
    assert sweep_in(31, artifacts, dag_ids=()).runs == 0
    assert len(left(artifacts)) == 1


def test_what_somebody_else_deletes_meanwhile_is_no_error(base, artifacts):
    def is_going(dag_id, run_id):
        Artifacts(base).place("aircan_load", "a", "prepare").clear()
        return False

    leave(artifacts, "aircan_load", "a", "prepare", "resource.json")
    leave(artifacts, "aircan_load", "a", "report", "report.json")
    swept = sweep_in(31, artifacts, is_going)
    assert (swept.runs, swept.kept) == (1, ())
    assert left(artifacts) == []


def test_two_that_sweep_at_once_do_not_disturb_each_other(base, artifacts):
    for number in range(20):
        leave(artifacts, "aircan_load", f"r{number}", "prepare", "resource.json")
    others = []

    def is_going(dag_id, run_id):
        if not others:
            others.append(sweep_in(31, Artifacts(base)))
        return False

    assert sweep_in(31, artifacts, is_going).kept == ()
    assert others[0].kept == ()
    assert left(artifacts) == []


def test_a_base_that_cannot_be_listed_is_an_error(proxy):
    with pytest.raises(ArtifactsError, match="HTTP 404"):
        sweep_in(31, Artifacts("gs://no-such-bucket"))


def test_it_says_in_a_line_what_it_did(artifacts, caplog):
    leave(artifacts, "aircan_load", "a", "prepare", "resource.json", size=10)
    caplog.set_level("INFO", "loader.factory.retention")
    sweep_in(31, artifacts, dry_run=True)
    sweep_in(31, artifacts)
    said = [record.message for record in caplog.records if record.name.startswith("loader")]
    assert said == [
        "artifacts of 1 runs to be deleted: 10 bytes",
        "artifacts of 1 runs deleted: 10 bytes",
    ]


# What failed last.


def load(artifacts, run_id, resource_id, error=None, *, index=None, reports=True):
    """Leave what a load leaves; `error` is what its report says."""
    group, *mapped = ("",) if index is None else ("resource.", str(index))
    dag_id = "aircan_load" if index is None else "aircan_reload"
    prepare = artifacts.place(dag_id, run_id, f"{group}prepare", *mapped)
    prepare.write("resource.json", {"resource_id": resource_id})
    if reports:
        report = artifacts.place(dag_id, run_id, f"{group}report", *mapped)
        report.write("report.json", {"error": error})


ERROR = {"type": "ValueDoesNotFit", "message": "no"}


def test_the_resources_whose_newest_load_failed_the_newest_first(artifacts):
    load(artifacts, "1", "well")
    load(artifacts, "2", "failed", ERROR)
    load(artifacts, "3", "mended", ERROR)
    load(artifacts, "4", "mended")
    load(artifacts, "5", "broken")
    load(artifacts, "6", "broken", ERROR)
    assert last_failed(artifacts, DAGS) == ["broken", "failed"]


def test_mapped_loads_are_told_apart(artifacts):
    for index, error in enumerate([None, ERROR, None, ERROR]):
        load(artifacts, "many", f"r{index}", error, index=index)
    load(artifacts, "1", "r3")
    load(artifacts, "2", "r0", ERROR)
    assert sorted(last_failed(artifacts, DAGS)) == ["r0", "r1"]


def test_a_long_run_does_not_make_its_first_loads_newer(artifacts):
    load(artifacts, "many", "a", ERROR, index=0)
    load(artifacts, "1", "a")
    load(artifacts, "many", "b", index=1)
    assert last_failed(artifacts, DAGS) == []


def test_a_load_without_a_report_failed_unless_it_still_goes(artifacts):
    load(artifacts, "1", "a")
    load(artifacts, "2", "a", reports=False)
    load(artifacts, "3", "b", ERROR)
    assert last_failed(artifacts, DAGS) == ["b", "a"]
    assert last_failed(artifacts, DAGS, lambda dag_id, run_id: run_id == "2") == ["b"]
    assert last_failed(artifacts, DAGS, ended) == ["b", "a"]


def test_the_newer_of_what_two_tries_left_counts(artifacts):
    """Where the first could not be deleted."""
    load(artifacts, "first", "a", index=None)
    assert last_failed(artifacts, DAGS[:1]) == []
    place = artifacts.place("aircan_load", "first", "prepare")
    place.write("error.json", {"message": "x", "resource_id": "a"})
    assert last_failed(artifacts, DAGS[:1]) == ["a"]


def test_what_a_run_has_begun_with(artifacts):
    for number, name in ((10, "resource.json"), (2, "error.json"), (0, "rows.csv")):
        place = artifacts.place("aircan_reload", "first", "resource.prepare", str(number))
        place.write(name, {"resource_id": f"r{number}"})
    artifacts.place("aircan_reload", "first", "resource.prepare", "3").write("error.json", "x")
    artifacts.place("aircan_reload", "first", "find").write("resources.json", "{")
    artifacts.place("aircan_reload", "other", "resource.prepare", "1").write("resource.json", {})
    assert begun(artifacts, "aircan_reload", "first") == [(2, "r2"), (10, "r10")]


def test_a_load_that_is_begun_again_has_no_report_yet(artifacts):
    load(artifacts, "1", "a")
    time.sleep(0.01)
    load(artifacts, "1", "a", reports=False)
    assert last_failed(artifacts, DAGS) == ["a"]


def test_a_resource_that_is_loaded_again_just_now_is_no_failure(artifacts):
    load(artifacts, "1", "a", ERROR)
    load(artifacts, "2", "a", reports=False)
    assert last_failed(artifacts, DAGS, lambda dag_id, run_id: run_id == "2") == []


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"error": "no"}', b"{}"])
def test_a_report_that_does_not_say_it_went_well_is_a_failure(artifacts, content):
    load(artifacts, "1", "a")
    with artifacts.place("aircan_load", "1", "report").opened("report.json", "wb") as stream:
        stream.write(content)
    assert last_failed(artifacts, DAGS) == ["a"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"resource_id": 1}'])
def test_a_damaged_descriptor_stops_nothing(artifacts, content):
    load(artifacts, "1", "a", ERROR)
    with artifacts.place("aircan_load", "2", "prepare").opened("resource.json", "wb") as stream:
        stream.write(content)
    assert last_failed(artifacts, DAGS) == ["a"]


@pytest.mark.parametrize(
    "key",
    [
        "aircan_load/r/resource.json",
        "aircan_load/r/convert/resource.json",
        "aircan_load/r/prepare/report.json",
        "other/r/prepare/resource.json",
    ],
)
def test_other_files_are_no_loads(base, artifacts, key):
    strange(base, key)
    assert last_failed(artifacts, DAGS) == []


def test_where_nothing_was_loaded_nothing_failed(artifacts):
    assert last_failed(artifacts, DAGS) == []
    assert last_failed(artifacts, ()) == []


# What cannot be looked into.


def no_rights(folder):
    (folder / "prepare").chmod(0)


def no_rights_to_enter(folder):
    (folder / "prepare").chmod(0o400)  # its names can be read, and no more


def no_rights_at_all(folder):
    folder.chmod(0)


def a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("x")


def a_dangling_link(folder):
    shutil.rmtree(folder)
    folder.symlink_to(folder.with_name("nowhere"))


def a_circle(folder):
    shutil.rmtree(folder)
    folder.symlink_to(folder)


def a_link(folder):
    folder.rename(folder.parent.parent / "elsewhere")
    folder.symlink_to(folder.parent.parent / "elsewhere")


def a_pipe(folder):
    shutil.rmtree(folder)
    os.mkfifo(folder)


def no_utf8(folder):
    folder.rename(folder.with_name(os.fsdecode(b"\xff\xfebad")))


# name: what is done to the folder of the run `bad`, as it is named in a warning
UNREADABLE = {
    "no rights to a step": (no_rights, "aircan_load/bad/prepare"),
    "no rights to enter a step": (no_rights_to_enter, "aircan_load/bad/prepare/resource.json"),
    "no rights": (no_rights_at_all, "aircan_load/bad"),
    "a file": (a_file, "aircan_load/bad"),
    "a dangling link": (a_dangling_link, "aircan_load/bad"),
    "a circle": (a_circle, "aircan_load/bad"),
    "a link": (a_link, "aircan_load/bad"),
    "a pipe": (a_pipe, "aircan_load/bad"),
    "no UTF-8": (no_utf8, "aircan_load/\ufffd\ufffdbad"),
}


@contextmanager
def as_somebody(folder):
    """Be somebody whose folders these are, and who is not root, whom no right concerns."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 12345, -1, follow_symlinks=False)
    os.seteuid(12345)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("damage", "place"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_run_that_cannot_be_looked_into_stops_nothing(others_folder, caplog, damage, place):
    artifacts = Artifacts(str(others_folder))
    for run_id, resource_id in (("a", "ra"), ("bad", "rb"), ("z", "rz")):
        load(artifacts, run_id, resource_id, ERROR)
    with as_somebody(others_folder):
        damage(others_folder / "aircan_load" / "bad")
        assert last_failed(artifacts, DAGS)[-1] == "ra"
        assert last_failed(artifacts, DAGS)[0] == "rz"
        assert f"{others_folder}/{place}: " in caplog.text
        assert {run.run_id for run in artifacts.runs(DAGS)} == {"a", "z"}
        assert {"a", "z"} <= {file.parts[1] for file in artifacts.files()}
        caplog.clear()
        swept = sweep_in(31, artifacts)
    assert [run.run_id for run in swept.freed] == ["a", "z"]
    [kept] = swept.kept
    assert f"{kept.dag_id}/{kept.run_id}" == "/".join(place.split("/")[:2])
    assert f"{others_folder}/{place}: " in kept.reason
    assert kept.reason in caplog.text
    assert len(list((others_folder / "aircan_load").iterdir())) == 1  # nothing of it was deleted


# name: what is done to the folder of a DAG
DAMAGED_DAGS = {
    "no rights": lambda folder: folder.chmod(0),
    "a file": a_file,
    "a dangling link": a_dangling_link,
    "a circle": a_circle,
}


@pytest.mark.parametrize("damage", DAMAGED_DAGS.values(), ids=DAMAGED_DAGS)
def test_a_dag_that_cannot_be_looked_into_stops_no_other(others_folder, caplog, damage):
    artifacts = Artifacts(str(others_folder))
    load(artifacts, "a", "ra", ERROR)
    load(artifacts, "b", "rb", ERROR, index=0)
    with as_somebody(others_folder):
        damage(others_folder / "aircan_load")
        assert last_failed(artifacts, DAGS) == ["rb"]
        assert f"{others_folder}/aircan_load: " in caplog.text
        swept = sweep_in(31, artifacts)
    assert [(run.dag_id, run.run_id) for run in swept.freed] == [("aircan_reload", "b")]
    assert [(run.dag_id, run.run_id) for run in swept.kept] == [("aircan_load", "")]


@pytest.mark.parametrize("damage", [no_rights_at_all, a_file, a_circle])
def test_a_base_that_cannot_be_looked_into_is_an_error(others_folder, damage):
    base = others_folder / "base"
    artifacts = Artifacts(str(base))
    load(artifacts, "a", "ra", ERROR)
    with as_somebody(others_folder):
        damage(base)
        for list_it in (artifacts.files, artifacts.runs, lambda: artifacts.runs(DAGS)):
            with pytest.raises(ArtifactsError, match=str(base)):
                list(list_it())
        with pytest.raises(ArtifactsError):
            sweep_in(31, artifacts)


NAMES_OF_STEPS = [b"\xff.prepare", b"resource.\xfe", b"\xed\xa0\x80.prepare", b"a%2.prepare"]


@pytest.mark.parametrize("name", NAMES_OF_STEPS)
def test_a_step_whose_name_is_no_text_is_of_its_run_and_of_no_load(tmp_path, name):
    artifacts = Artifacts(str(tmp_path))
    load(artifacts, "a", "ra", ERROR)
    folder = tmp_path / "aircan_load" / "a" / os.fsdecode(name)
    folder.mkdir()
    (folder / "resource.json").write_text('{"resource_id": "x"}')
    assert last_failed(artifacts, DAGS) == ["ra"]
    assert begun(artifacts, "aircan_load", "a") == []
    [run] = artifacts.runs(DAGS)
    assert run.files == 3
    assert sweep_in(31, artifacts).kept == ()
    assert left(artifacts) == []
    assert not (tmp_path / "aircan_load" / "a").exists()
