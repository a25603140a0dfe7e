"""gs://, through smart_open and Google's client.

One generation of an object is read from beginning to end, however often the connection breaks.
Holds about three chunks of 4 MiB.
"""

from __future__ import annotations

import logging
import os
import re
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

from loader.errors import SourceError, SourceNotFound, UsageError
from loader.net.failures import Passing, changed, network_errors, ours
from loader.net.target import Target
from loader.source.identity import Identity
from loader.source.transport import Connection

if TYPE_CHECKING:
    from google.cloud import storage

_log = logging.getLogger(__name__)

SCHEMES: tuple[str, ...] = ("gs",)

BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_CHUNK_BYTES = 4 * 1024 * 1024  # of one request; the client holds about three of them


def connect(target: Target, offset: int, known: Identity | None) -> Connection:
    """Open the known generation of an object, or the newest."""
    bucket, _, key = target.uri.partition("://")[2].partition("/")
    # Google's client puts the bucket's name into its URLs as it is.
    if not BUCKET.fullmatch(bucket) or not key:
        raise UsageError(
            f"{target.shown} does not name an object", hint="give gs://BUCKET/PATH/TO/FILE.csv"
        )
    client = _client(target.shown)
    try:
        return _GcsObject(client, target, offset, known)
    except (SourceError, UsageError):
        client.close()
        raise


def _client(shown: str) -> storage.Client:
    try:
        import google.auth.exceptions  # noqa: PLC0415  (an extra, only gs:// needs it)
        from google.cloud import storage  # noqa: PLC0415  (as above)
    except ImportError:
        raise UsageError(
            f"loading {shown} needs Google's client", hint="pip install 'aircan[gcs]'"
        ) from None
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return storage.Client.create_anonymous_client()
    with ours(shown, foreign_errors()):
        try:
            # Reading needs no project, but the client will not start without one.
            return storage.Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "none"))
        except google.auth.exceptions.DefaultCredentialsError:
            _log.info("no Google credentials found: reading %s anonymously", shown)
            return storage.Client.create_anonymous_client()


class _GcsObject:
    """One generation of an object, fetched in chunks."""

    end_is_certain = True
    tells_pace = False

    def __init__(
        self, client: storage.Client, target: Target, offset: int, known: Identity | None
    ) -> None:
        self._client: Any = client
        self._shown = target.shown
        self._uri = target.uri
        # Retries are ours to count, and Google's own would go on for two minutes.
        self._call_options = {"timeout": target.timeout, "retry": None}
        self._foreign = foreign_errors()
        blob = self._blob()
        if blob is None:
            raise SourceNotFound(f"{self._shown}: no such object")
        self.size = int(blob.size)
        self.identity = Identity(generation=int(blob.generation), size=self.size)
        if known is not None and not known.matches(self.identity):
            raise changed(self._shown)
        self._reader = self._open()
        self._left = self.size - self._reader.seek(offset)

    def _open(self) -> BinaryIO:
        import smart_open  # noqa: PLC0415  (as above)

        generation = self.identity.generation
        fixed = {"if_generation_match": generation, "chunk_size": _CHUNK_BYTES}
        with ours(self._shown, self._foreign):
            opened: BinaryIO = smart_open.open(
                self._uri,
                "rb",
                compression="disable",
                transport_params={
                    "client": self._client,
                    "get_blob_kwargs": {"generation": generation, **self._call_options},
                    "blob_open_kwargs": {"raw_download": True, **fixed, **self._call_options},
                },
            )
        return opened

    def _blob(self) -> storage.Blob | None:
        bucket, _, key = self._uri.partition("://")[2].partition("/")
        with ours(self._shown, self._foreign):
            return self._client.bucket(bucket).get_blob(key, **self._call_options)

    def readinto(self, view: memoryview) -> int:
        if not self._left:
            return 0
        try:
            with ours(self._shown, self._foreign):
                data: bytes = self._reader.read(min(len(view), self._left))
        except SourceNotFound:  # the generation that was opened is gone
            raise changed(self._shown) from None
        if not data:
            raise Passing(f"{self._shown}: the object ended early")
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def check_unchanged(self) -> None:
        """Compare the generation: not every server of this API obeys the one asked for."""
        blob = self._blob()
        if blob is None or int(blob.generation) != self.identity.generation:
            raise changed(self._shown)

    def close(self) -> None:
        self._client.close()


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return all that Google's client raises, which talks through requests."""
    import google.api_core.exceptions  # noqa: PLC0415  (as above)
    import google.auth.exceptions  # noqa: PLC0415  (an extra, only gs:// needs it)
    from google.cloud.storage import exceptions  # noqa: PLC0415  (as above)

    # Releases differ in how many there are.
    own = [kind for kind in vars(exceptions).values() if _is_defined_in(exceptions, kind)]
    return (
        *network_errors(),
        google.api_core.exceptions.GoogleAPIError,
        NotImplementedError,  # of a transport that lacks an option
        google.auth.exceptions.GoogleAuthError,
        *own,
    )


def _is_defined_in(module: ModuleType, thing: object) -> bool:
    return isinstance(thing, type) and thing.__module__ == module.__name__
