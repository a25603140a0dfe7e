"""The rejects.csv that a load has left -> its bytes, for who may see it.

In: the info of a job, and where the factory's files are. Out: chunks. Holds one chunk. The URI of
an artifact is what somebody has told us: only what is below the configured place is ever opened,
and only where its folder is this very run's, and the report beside it of this very resource.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote

from ckan.plugins.toolkit import _
from ckanext.aircan import config

NAME, _REPORT = "rejects.csv", "report.json"
_CHUNK_BYTES = 1 << 16
_REPORT_BYTES = 1 << 24
_TIMEOUT_S = 30


class NotThere(Exception):
    """The file cannot be had; says why."""


def place(info: Mapping[str, Any]) -> PurePosixPath | None:
    """Return where the file is below the configured place; None if it is not there."""
    base, uri = config.option("artifacts"), (info.get("artifacts") or {}).get(NAME)
    if not base or not isinstance(uri, str) or not uri.startswith(f"{base.rstrip('/')}/"):
        return None
    path = PurePosixPath(uri.removeprefix(f"{base.rstrip('/')}/"))
    return None if ".." in path.parts or path.name != NAME else path


def read(job: Mapping[str, Any]) -> Iterator[bytes]:
    """Return the file's bytes, in chunks.

    Args:
        job: As it is shown to who may edit it.

    Raises:
        NotThere: It is not there, or cannot be read, or is of another run or resource.
    """
    path = place(job["info"])
    if path is None:
        raise NotThere(_("This run has left no rejected rows that CKAN can read"))
    # The id of a resource may have been another's before; the run is of this one.
    if list(map(unquote, path.parts[:2])) != [job["info"].get("dag_id"), job["factory_id"]]:
        raise NotThere(_("The rejected rows are of another run"))
    base = config.option("artifacts").rstrip("/")
    opened = _in_bucket if base.startswith("gs://") else _in_folder
    with opened(base, path.with_name(_REPORT)) as stream:
        report = stream.read(_REPORT_BYTES)
    if not _is_of(report, job["resource"]):
        raise NotThere(_("The rejected rows are of another resource"))
    return _chunks(opened(base, path))


def _is_of(report: bytes, resource_id: str) -> bool:
    try:
        return json.loads(report)["resource_id"] == resource_id
    except (ValueError, KeyError, TypeError):
        return False


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _in_folder(base: str, path: PurePosixPath) -> IO[bytes]:
    file = (Path(base) / path).resolve()
    try:
        if file.is_relative_to(Path(base).resolve()):
            return file.open("rb")
    except OSError:  # gone, not ours to read, or no name of a file at all
        pass
    raise NotThere(_("The file of rejected rows is no longer there"))


def _in_bucket(base: str, path: PurePosixPath) -> IO[bytes]:
    try:
        from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415  (an extra)
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        from google.cloud import storage  # noqa: PLC0415
    except ImportError:
        raise NotThere(_("CKAN cannot read gs://: install ckanext-aircan[gcs]")) from None
    bucket, _slash, name = f"{base}/{path}".removeprefix("gs://").partition("/")
    try:
        blob = storage.Client().bucket(bucket).get_blob(name, timeout=_TIMEOUT_S, retry=None)
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        why = type(error).__name__
        raise NotThere(_("The bucket cannot be read: {why}").format(why=why)) from None
    if blob is None:
        raise NotThere(_("The file of rejected rows is no longer there"))
    return blob.open("rb", timeout=_TIMEOUT_S)
