"""The URL of a CKAN and a token -> what CKAN knows of a resource, and what a load tells it.

In: a URL, an API token. Out: datasets and resources as CKAN's own dictionaries, the DataStore's
tables; errors of ckanapi, of requests and of HTTP as ours, never with the token or a web page in
them. Holds one answer of CKAN at a time.

ckanapi is spoken to here only. It sends the token in two headers with every call: no call follows
a redirect, and ``owns`` tells which other URLs may see it.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

import ckanapi  # type: ignore[import-untyped]
import requests
import urllib3
from ckanapi.errors import (  # type: ignore[import-untyped]
    CKANAPIError,
    SearchError,
    SearchIndexError,
    SearchQueryError,
    ServerIncompatibleError,
)

from loader.ckan import answers
from loader.errors import (
    AircanError,
    CkanError,
    CkanForbidden,
    CkanNotFound,
    CkanRefused,
    CkanUnreachable,
    NotACkan,
    UsageError,
)
from loader.net.session import new_session
from loader.source import Guard, SourceSettings, has_one_reading
from loader.source.transport import Target
from loader.types import datatypes

T = TypeVar("T")

_log = logging.getLogger(__name__)

_PASSING_STATUSES = {408, 425, 429} | set(range(500, 600)) - {501, 505}
# Of a proxy that gave up on a CKAN which may go on working.
_STATUSES_IN_DOUBT = {408, 502, 504}
_PAGE = 100  # datasets in an answer
_TABLES_COMPARED = 100
_TABLES_LISTED = 1000
_SAID_SHOWN = 300  # characters of what CKAN says that a one-line error shows
# What people copy instead of the start page's URL.
_API_PATH = re.compile(r"/api(/\d+)?(/action)?/?$")
# Names and descriptions are objects where an extension has them in several languages.
_TEXTS_OF_RESOURCE = ("url", "url_type", "format")
_COMPLETE = "datastore_contains_all_records_of_source_file"
# Of AirCan's extension: CKAN 2.12 has no action for the table of a resource that is gone.
_DROP_TABLE = "aircan_table_drop"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class CkanSettings:
    """How patient to be with CKAN.

    Attributes:
        read_timeout_s: Longer than the 60 s after which the DataStore ends its statements, so that
            its answer comes first.
        retries: Of a call that failed for a passing reason.
        opening_retries: As long as CKAN never answered: a wrong address is to be told soon.
        backoff_s: Before the first retry; doubled for every other.
        max_backoff_s: Also the longest ``Retry-After`` that is heeded.
        longest_s: How long a call may take, retries apart, to a CKAN that is called with a guard:
            whoever named it could otherwise hold a worker with a byte a minute.
    """

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 100.0
    retries: int = 6
    opening_retries: int = 2
    backoff_s: float = 1.0
    max_backoff_s: float = 30.0
    longest_s: float = 300.0


@dataclass(frozen=True)
class Field:
    """A column of a DataStore table.

    Attributes:
        id: The column's name.
        type: Its Postgres type, as it is written in SQL.
        info: Its entry in the Data Dictionary: label, notes, type_override.
    """

    id: str
    type: str
    info: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A DataStore table as CKAN's API shows it.

    Attributes:
        fields: Its columns in their order, without ``_id`` and ``_full_text``.
        aliases: The views over it.
        rows: How many there are, counted.
    """

    fields: tuple[Field, ...]
    aliases: tuple[str, ...]
    rows: int

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Table:
        """Return the table that ``to_dict`` told of."""
        fields = tuple(Field(one["id"], one["type"], one["info"]) for one in told["fields"])
        return cls(fields, tuple(told["aliases"]), told["rows"])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


class Ckan:
    """One CKAN.

    Args:
        url: Of its start page; that of its API is understood too.
        token: An API token; None for what everybody may see.
        settings: Timeouts and retries.
        guard: Which addresses may be called, where the URL is not the operator's own; None where
            it is.

    Raises:
        UsageError: The URL or the token cannot be one.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        settings: CkanSettings = CkanSettings(),
        guard: Guard | None = None,
    ) -> None:
        self.url = _checked_url(url)
        self.token = _checked_token(token)
        self.settings = settings
        self.guard = guard
        self._answered = False
        self._homes: dict[str, str] = {}  # the dataset that each resource was seen in
        self._status = int(requests.codes.ok)  # of the last answer
        self._answers = answers.Answers(
            self.url,
            settings.longest_s if guard else None,
            answers.MAX_OTHERS_BYTES if guard else answers.MAX_BYTES,
        )
        target = Target(self.url, self.url, (0, 0), guard=guard, pace=self._answers)
        session = new_session(target)
        session.headers["Accept-Encoding"] = ", ".join(answers.ENCODINGS)
        # A password in ~/.netrc must not take the token's place.
        session.auth = _unchanged
        session.hooks["response"].append(self._check)
        self._api = ckanapi.RemoteCKAN(
            self.url, apikey=self.token, user_agent="aircan", session=session
        )

    def __repr__(self) -> str:
        """Return the URL, without the token."""
        return f"Ckan({self.url!r})"

    def call(self, action: str, data: Mapping[str, Any], *, repeat: bool = True) -> Any:  # noqa: ANN401
        """Call an action of CKAN's API.

        Args:
            action: Its name.
            data: What it is given.
            repeat: Whether it may be done twice, so that a call that failed for a passing reason
                is made again.

        Returns:
            Its result.

        Raises:
            CkanError: What went wrong, retries included.
        """
        failures = 0
        while True:
            try:
                with self._ours(action):
                    self._answers.begin()
                    return self._api.call_action(action, dict(data), requests_kwargs=self._kwargs())
            except CkanUnreachable as error:
                failures += 1
                if not repeat or failures > self._retries():
                    raise
                self.pause(error, failures)

    def ask(
        self,
        action: str,
        data: Mapping[str, Any],
        read: Callable[[Any], T],
        *,
        repeat: bool = True,
    ) -> T:
        """Call an action, and read its result.

        Args:
            action: Its name.
            data: What it is given.
            read: Is given the result. What it stumbles over is no result of CKAN's.
            repeat: As for ``call``.

        Raises:
            NotACkan: The result has another form.
            CkanError: What else went wrong.
        """
        result = self.call(action, data, repeat=repeat)
        try:
            return read(result)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
            raise NotACkan(
                f"no CKAN at {self.url}: what {action} gives has another form",
                hint="name the URL of CKAN's start page",
            ) from None

    def pause(self, error: CkanUnreachable, failures: int) -> None:
        """Wait as long as CKAN asks for, and longer after every failure."""
        settings = self.settings
        wait_s = min(settings.backoff_s * 2.0 ** (failures - 1), settings.max_backoff_s)
        wait_s *= random.uniform(0.5, 1.0)  # noqa: S311  (spreads many loads of one CKAN)
        wait_s = max(wait_s, min(error.wait_s, settings.max_backoff_s))
        _log.warning("%s; again in %.1f s", error, wait_s)
        time.sleep(wait_s)

    def resource(self, resource_id: str, *, repeat: bool = True) -> dict[str, Any]:
        """Return a resource.

        CKAN gives the id of a deleted resource to whoever asks for it, in any dataset: that is not
        the resource that was seen before.

        Args:
            resource_id: The resource.
            repeat: Whether a call that failed for a passing reason is repeated.

        Raises:
            CkanNotFound: There is none, or it was deleted.
            CkanForbidden: The token may not see it.
        """
        shown = self.ask("resource_show", {"id": resource_id}, _resource, repeat=repeat)
        home = self._homes.setdefault(resource_id, shown["package_id"])
        if shown["package_id"] != home:
            raise CkanNotFound(
                f"the resource {resource_id} was deleted, and one of another dataset has its id",
                hint="load that one anew if its rows are wanted",
            )
        return shown

    def home(self, resource_id: str) -> str | None:
        """Return the dataset that a resource was in when it was seen first, or was said to be."""
        return self._homes.get(resource_id)

    def expect(self, resource_id: str, dataset_id: str) -> None:
        """Say which dataset a resource was in before: the one of its id in another is not it."""
        self._homes[resource_id] = dataset_id

    def dataset(self, name_or_id: str) -> dict[str, Any]:
        """Return a dataset with its resources.

        One that was deleted is still returned to those who may restore it.

        Raises:
            CkanNotFound: There is none.
            CkanForbidden: The token may not see it.
        """
        return self.ask("package_show", {"id": name_or_id}, _dataset)

    def datasets(self) -> Iterator[dict[str, Any]]:
        """Yield every dataset that the token may see, private ones included."""
        start = 0
        while True:
            found, count = self.ask(
                "package_search",
                {"include_private": True, "rows": _PAGE, "start": start, "sort": "id asc"},
                lambda found: ([_dataset(one) for one in found["results"]], int(found["count"])),
            )
            yield from found
            start += len(found)
            if not found or start >= count:
                return

    def owns(self, url: str) -> bool:
        """Tell whether a URL has this CKAN's scheme, host and port: the token goes nowhere else.

        Not one whose host another program, such as the one that connects, may take for another.
        """
        if not has_one_reading(url):
            return False
        try:
            return _origin(urlsplit(url)) == _origin(urlsplit(self.url))
        except ValueError:
            return False

    def location(self, resource: Mapping[str, Any]) -> str:
        """Return the URL of a resource's file.

        An uploaded file is asked for at the URL that this CKAN was named by: its own idea of its
        URL may be another one, where the token must not go.
        """
        url = str(resource.get("url") or "")
        if resource.get("url_type") == "upload":
            name = quote(url.rsplit("/", 1)[-1], safe="%")
            url = (
                f"{self.url}/dataset/{resource['package_id']}/resource/{resource['id']}"
                f"/download/{name}"
            )
        return url

    def headers_of(self, url: str, resource_id: str) -> dict[str, str]:
        """Return the HTTP headers for the URL of a resource's file.

        The token goes to the upload of that resource only: at other URLs of this CKAN are rows
        that the token may see, and the publisher who wrote the URL may not.
        """
        if not (self.token and self._is_upload(url, resource_id)):
            return {}
        return {"Authorization": self.token}

    def fetching(self, url: str, resource_id: str, settings: SourceSettings) -> SourceSettings:
        """Return how the file of a resource is fetched.

        What only the upload of that resource gets: the token, and, with a guard, this CKAN's own
        host and port whatever their address, unless this CKAN is itself called with a guard.

        Args:
            url: Where the file is.
            resource_id: The resource.
            settings: How any other file would be fetched.
        """
        headers = {**settings.headers, **self.headers_of(url, resource_id)}
        settings = replace(settings, headers=headers)
        if not self._is_upload(url, resource_id):
            return settings
        guard = settings.guard
        if guard is not None and self.guard is None:
            guard = replace(guard, own=url)
        # CKAN may redirect to whatever URL of its own the publisher has written.
        return replace(settings, guard=guard, token_stays=True)

    def _is_upload(self, url: str, resource_id: str) -> bool:
        uploads = rf"{re.escape(urlsplit(self.url).path)}/dataset/[A-Za-z0-9_-]+/resource"
        name = r"(?!.*%2[fF])(?!(?:\.|%2[eE])+$)[^/\\]+"  # dots lead to CKAN's other pages
        upload = rf"{uploads}/{re.escape(resource_id)}/download/{name}"
        # Letter by letter: `R1` and `r1` are two resources.
        return self.owns(url) and bool(re.fullmatch(upload, urlsplit(url).path))

    def table(self, resource_id: str) -> Table | None:
        """Return a resource's table in the DataStore, or None where there is none."""
        try:
            return self.ask("datastore_info", {"id": resource_id}, _table)
        except CkanNotFound:
            return None

    def register(self, resource_id: str, file_hash: str | None, *, complete: bool = True) -> None:
        """Tell CKAN that a resource's table holds all of its file.

        The first time, the views are created that CKAN shows such a resource with.

        Args:
            resource_id: The resource; its ``url`` and ``last_modified`` stay as they are, since
                a change of them asks for another load.
            file_hash: Of the file that the table now holds; None where it holds more than that.
            complete: Whether all rows of that file are in the table.

        Raises:
            CkanError: CKAN does not know of the table, or not all about it.
        """
        # Of another database than the one that was loaded, CKAN would tell its users wrongly.
        self.call(
            "datastore_search", {"resource_id": resource_id, "limit": 0, "include_total": False}
        )
        known: dict[str, Any] = {"datastore_active": True}
        if file_hash is not None:
            known |= {"hash": file_hash, _COMPLETE: complete}
        before = self.resource(resource_id)
        if not before.get("datastore_active") and _COMPLETE not in before:
            self.call(
                "resource_create_default_resource_views",
                {"resource": before | known, "create_datastore_views": True},
            )
        # Last, since it says that all is done. datastore_create would set the first of these too,
        # and may build indexes on all the text there is within the 60 s that it gives itself.
        self.call("resource_patch", {"id": resource_id, **known})

    def withdraw(self, resource_id: str) -> None:
        """Tell CKAN that a resource's table is not to be shown.

        Its hash goes too: it would tell the next load that there is nothing to do.
        """
        unknown: dict[str, Any] = {"datastore_active": False, "hash": ""}
        if _COMPLETE in self.resource(resource_id):  # else its views are still to be created
            unknown[_COMPLETE] = False
        self.call("resource_patch", {"id": resource_id, **unknown})

    def check_editable(self, resource_id: str) -> None:
        """See whether the resource is there and the token may edit it, before hours of work.

        Raises:
            CkanNotFound: There is none, or it was deleted.
            CkanForbidden: The token may not see it, or not edit it.
        """
        self.resource(resource_id)
        self._check_right(resource_id)

    def check_still_there(self, resource_id: str) -> None:
        """Ask once more, before readers get what hours of work have made.

        Raises:
            CkanNotFound: The resource or its dataset was deleted meanwhile.
            CkanForbidden: The token may no longer see or edit it.
        """
        try:
            dataset = self.dataset(self.resource(resource_id)["package_id"])
        except CkanNotFound as error:
            raise CkanNotFound(
                f"the resource {resource_id} was deleted while it was loaded",
                hint="nothing is left to do, unless it was deleted by mistake",
            ) from error
        if dataset.get("state") == "deleted":  # CKAN still shows it to those who may restore it
            raise CkanNotFound(
                f"the dataset of {resource_id} was deleted while it was loaded",
                hint="load again if it is restored",
            )
        self._check_right(resource_id)

    def is_gone(self, resource_id: str, dataset_id: str | None = None) -> bool:
        """Tell whether CKAN says that it has no such resource: it was deleted, or purged.

        One of that id in another dataset is not the one that was seen before. Where only the
        dataset of its rows is known, it counts as gone unless everybody sees that one: a resource
        may have been moved.

        CKAN 2.11 and 2.12 answer 404 then, and 403 where the resource is hidden from this token. No
        other answer says that it is gone: not a web page with a 404, nor a CKAN that fails. Nor is
        a resource gone whose dataset was deleted: who restores the dataset gets it back, and until
        then CKAN shows its rows to nobody else.

        CKAN is asked once: whoever cannot be told may ask another time.

        Args:
            resource_id: The resource. CKAN tells one that was purged from one that it never had
                no more than anybody can: that it was there, the caller has to know.
            dataset_id: The dataset that it was in, if no earlier call has told.

        Raises:
            CkanUnreachable: CKAN cannot be asked now.
        """
        try:
            shown = self.resource(resource_id, repeat=False)
            if dataset_id not in (None, shown["package_id"]):
                return not self._is_public(dataset_id)
        except CkanNotFound:
            return True
        except CkanUnreachable:
            raise
        except CkanError as error:
            _log.info("whether %s is gone is unknown: %s", resource_id, error)
        return False

    def _is_public(self, dataset_id: str) -> bool:
        try:
            dataset = self.dataset(dataset_id)
        except (CkanNotFound, CkanForbidden):
            return False
        return dataset.get("state") == "active" and not dataset.get("private")

    def table_oids(self, resource_ids: Sequence[str]) -> dict[str, int]:
        """Return the oids of resources' tables in CKAN's DataStore, by resource.

        CKAN is asked once.

        Args:
            resource_ids: A hundred or so; those whose table CKAN does not list are left out.

        Raises:
            CkanUnreachable: CKAN cannot be asked now.
        """
        asked: dict[str, Any] = {
            "resource_id": "_table_metadata",
            "filters": {"name": list(resource_ids)},
            "fields": ["name", "oid"],
            "limit": _TABLES_LISTED,
            "include_total": False,
        }
        try:
            records = self.ask("datastore_search", asked, _oids, repeat=False)
        except (CkanNotFound, CkanForbidden, CkanRefused) as error:
            _log.info("which tables CKAN has is unknown: %s", error)
            return {}
        meant = set(resource_ids)
        return {name: oid for name, oid in records.items() if name in meant}

    def site(self) -> str | None:
        """Return CKAN's own URL, ``ckan.site_url``, in one spelling; None if it does not tell.

        It is the same from every machine, whatever URL CKAN is reached at from there.

        Raises:
            CkanUnreachable: CKAN cannot be asked now.
        """
        try:
            said = self.ask("status_show", {}, lambda status: str(status.get("site_url") or ""))
            parts = urlsplit(_checked_url(said))
        except CkanUnreachable:
            raise
        except (CkanError, UsageError) as error:
            _log.info("which CKAN it is, is unknown: %s", error)
            return None
        scheme, host, port = _origin(parts)
        shown = f"[{host}]" if ":" in (host or "") else host
        shown = shown if port == _DEFAULT_PORTS[scheme] else f"{shown}:{port}"
        return f"{scheme}://{shown}{parts.path}"

    def drop_table(self, resource_id: str) -> bool:
        """Have CKAN drop the table of a resource that is gone.

        Returns:
            Whether it is dropped, or CKAN lists none. That the token may not search it says
            nothing: of a purged resource CKAN tells only sysadmins whether it has a table.
        """
        for action in ("datastore_delete", _DROP_TABLE):
            with suppress(CkanNotFound, CkanForbidden, CkanRefused):
                self.call(action, {"resource_id": resource_id, "force": True})
                return True
        with suppress(CkanError):
            return not self.table_oids([resource_id])
        return False

    def _check_right(self, resource_id: str) -> None:
        """See whether the token may edit the resource.

        Raises:
            CkanForbidden: It may not.
        """
        # Adding no rows changes nothing, and takes the right to.
        nothing = {"method": "insert", "records": [], "dry_run": True}
        with suppress(CkanNotFound):  # no table yet
            self.call(
                "datastore_upsert",
                {"resource_id": resource_id, "force": True, "calculate_record_count": False}
                | nothing,
            )

    def shares_datastore(self, tables: Mapping[str, int] | None) -> bool | None:
        """Tell whether a database is the DataStore of this CKAN.

        Args:
            tables: The database's tables, and the oid of each; None if CKAN has not prepared it.

        Returns:
            Whether a table that CKAN knows has its name and oid there, or neither has any yet; None
            when CKAN names none, and the database is another or has some.
        """
        try:
            known = self.ask(
                "datastore_search",
                {
                    "resource_id": "_table_metadata",
                    "fields": ["name", "oid"],
                    "limit": _TABLES_COMPARED,
                    "include_total": False,
                },
                _oids,
            )
        except (CkanNotFound, CkanForbidden, CkanRefused) as error:
            _log.info("which tables CKAN has cannot be compared: %s", error)
            return None
        if not known:
            return True if tables == {} else None
        return any((tables or {}).get(name) == oid for name, oid in known.items())

    def has(self, action: str) -> bool:
        """Tell whether there is an action of this name: one of an extension may be missing."""
        try:
            self.call("help_show", {"name": action})
        except CkanNotFound:
            return False
        return True

    def version(self) -> tuple[int, ...] | None:
        """Return CKAN's version, such as (2, 12), or None where it hides it."""
        told = self.ask("status_show", {}, lambda status: str(status.get("ckan_version") or ""))
        numbers = re.match(r"(\d+)\.(\d+)", told)
        return tuple(map(int, numbers.groups())) if numbers else None

    def _kwargs(self) -> dict[str, Any]:
        timeout = (self.settings.connect_timeout_s, self.settings.read_timeout_s)
        return {"timeout": timeout, "stream": True}

    def _retries(self) -> int:
        settings = self.settings
        return settings.retries if self._answered else settings.opening_retries

    def _check(self, response: requests.Response, **_: object) -> None:
        """Refuse an answer that is none of CKAN's API, before ckanapi reads it."""
        try:
            self._take(response)
        except Exception:
            response.close()  # what else comes of it is not waited for
            raise

    def _take(self, response: requests.Response) -> None:
        self._status = status = response.status_code
        if status in _PASSING_STATUSES:
            raise _passing(f"CKAN at {self.url} answers HTTP {status}", response)
        if response.is_redirect:
            raise NotACkan(
                f"no CKAN at {self.url}: it redirects to another URL",
                hint="name the URL that it leads to, such as https:// instead of http://",
            )
        if "json" not in response.headers.get("Content-Type", ""):
            raise _foreign(status, self.url)
        self._answers.read(response)
        if status == requests.codes.bad_request:
            raise CkanRefused(
                f"CKAN at {self.url} answers HTTP 400: {self._quote(response.text)}",
                hint="is its DataStore extension enabled?",
            )
        self._answered = True

    @contextmanager
    def _ours(self, action: str) -> Iterator[None]:
        """Turn the exceptions of ckanapi and of requests into ours."""
        try:
            yield
        # Those of requests are OSErrors, and so is a CA bundle that is not there.
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise _not_connected(error, self.url, self.settings) from None
        except ckanapi.NotAuthorized as error:
            raise self._forbidden(action, error.args) from None
        except ckanapi.NotFound as error:
            raise CkanNotFound(
                f"{action}: {self._quote(*error.args) or 'not found'}",
                hint="check the id: is it of this CKAN, and was it deleted?",
            ) from None
        except ckanapi.ValidationError as error:
            raise self._refused(action, error.error_dict) from None
        except (SearchError, SearchQueryError, SearchIndexError) as error:
            raise CkanError(
                f"{action}: {self._quote(*error.args)}",
                hint="look at the logs of CKAN and of its Solr",
            ) from None
        # A dictionary with "success" and no "result" is a KeyError; JSON may be nested without end.
        except (CKANAPIError, ServerIncompatibleError, KeyError, RecursionError):
            raise _foreign(self._status, self.url) from None

    def _forbidden(self, action: str, details: Sequence[Mapping[str, Any]]) -> CkanForbidden:
        said = details[0].get("message")
        return CkanForbidden(
            f"{action}: {self._quote(said) or 'access denied'}",
            hint="the token may be wrong, or its user may not edit this resource"
            if self.token
            else "give a token",
            option="ckan_token",
        )

    def _refused(self, action: str, found: Mapping[str, Any]) -> CkanRefused:
        # What lies below "info" is the statement and its parameters: a batch of rows.
        faults = {k: v for k, v in found.items() if k not in ("__type", "message", "info")}
        said = "; ".join(f"{name}: {_flat(fault)}" for name, fault in faults.items())
        reason = self._quote(said or _flat(found.get("message") or ""))
        error = CkanRefused(
            f"{action}: CKAN refuses {reason or 'it'}",
            hint="mend what it names: in the dataset's metadata, or in the file",
        )
        error.fields = tuple(faults)
        error.reason = reason
        return error

    def _quote(self, said: object) -> str:
        """Return what CKAN says, short and without the token."""
        text = " ".join(str(said or "").split())
        if self.token:
            text = text.replace(self.token, "***")
        return text if len(text) <= _SAID_SHOWN else f"{text[:_SAID_SHOWN]}..."


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _flat(fault: object) -> str:
    """Return a text for the lists and dictionaries that CKAN says what is wrong with."""
    if isinstance(fault, Mapping):
        return ", ".join(f"{name}: {_flat(value)}" for name, value in fault.items())
    if isinstance(fault, list):
        return ", ".join(_flat(value) for value in fault if value)
    return str(fault)


def _resource(shown: Any) -> dict[str, Any]:  # noqa: ANN401
    return _with_texts(shown, ("id", "package_id"), _TEXTS_OF_RESOURCE)


def _dataset(shown: Any) -> dict[str, Any]:  # noqa: ANN401
    found = _with_texts(shown, ("id", "name"), ("state",))
    resources = found["resources"]
    found["resources"] = [_with_texts(one, ("id",), _TEXTS_OF_RESOURCE) for one in resources]
    return found


def _with_texts(shown: Any, required: Iterable[str], others: Iterable[str]) -> dict[str, Any]:  # noqa: ANN401
    """Return an object that has these texts, as far as they are required."""
    found = dict(shown)
    texts = [found[name] for name in required]
    texts += [found[name] for name in others if found.get(name) is not None]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
    return found


def _table(info: Any) -> Table:  # noqa: ANN401
    return Table(
        fields=tuple(_field(field) for field in info["fields"]),
        aliases=tuple(map(str, info["meta"]["aliases"])),
        rows=int(info["meta"]["count"]),
    )


def _oids(found: Any) -> dict[str, int]:  # noqa: ANN401
    return {record["name"]: int(record["oid"]) for record in found["records"]}


def _field(field: Mapping[str, Any]) -> Field:
    schema = field.get("schema") or {}
    kind = schema.get("native_type") or field["type"]
    return Field(
        id=field["id"],
        type=datatypes.name(kind),
        info=field.get("info") or {},
    )


def _checked_url(url: str) -> str:
    """Return the URL without a final slash, nor the API's path."""
    try:
        parts = urlsplit(url.strip())
        _origin(parts)
    except ValueError:
        raise _not_a_url() from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment:
        raise _not_a_url()
    if "@" in parts.netloc:
        raise UsageError("CKAN's URL holds a user", hint="a token says who you are: leave it out")
    return f"{parts.scheme}://{parts.netloc}{_API_PATH.sub('', parts.path).rstrip('/')}"


def _not_a_url() -> UsageError:
    return UsageError("CKAN's URL is not one", hint="https://HOST, as of its start page")


def _checked_token(token: str | None) -> str | None:
    """Return the token as a header can hold it; requests would quote it in its error."""
    token = token.strip() if token else None
    if token and not (token.isascii() and token.isprintable()):
        raise UsageError("CKAN's token has characters that no token has", hint="copy it anew")
    return token or None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _foreign(status: int, url: str) -> AircanError:
    """Return the error for an answer that is none of CKAN's API."""
    if status in (requests.codes.unauthorized, requests.codes.forbidden):
        return CkanForbidden(
            f"HTTP {status} at {url}, from something in front of CKAN",
            hint="ask for access from this machine",
        )
    if status == requests.codes.request_entity_too_large:
        return CkanRefused(f"HTTP 413 at {url}: the call is too large", hint="send smaller batches")
    return NotACkan(
        f"no CKAN at {url}: HTTP {status}, and not an answer of its API",
        hint="name the URL of CKAN's start page",
    )


def _passing(message: str, response: requests.Response) -> CkanUnreachable:
    error = CkanUnreachable(message, hint="CKAN or its proxy is overloaded, or broken: see its log")
    wait = response.headers.get("Retry-After", "")
    error.wait_s = float(wait) if wait.isdecimal() else 0.0
    error.in_doubt = response.status_code in _STATUSES_IN_DOUBT
    return error


def _not_connected(error: Exception, url: str, settings: CkanSettings) -> CkanError:
    """Return our error for a call without an answer; those of requests repeat whole URLs."""
    if isinstance(error, ValueError):
        return NotACkan(f"no CKAN at {url}: it cannot be an address", hint="check the URL")
    if type(error) is OSError:
        return CkanError(
            f"{url} cannot be asked: the certificates to check it by cannot be read",
            hint="REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that is not there",
            of_machine=True,
        )
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.exceptions.SSLError):
        return CkanUnreachable(f"no TLS connection to {url}", hint="check its certificate")
    if isinstance(reason, urllib3.exceptions.NewConnectionError | requests.ConnectTimeout):
        return CkanUnreachable(
            f"no connection to {url}", hint="is the URL right, and CKAN running?"
        )
    if isinstance(error, requests.ConnectTimeout):
        return CkanUnreachable(
            f"no connection to {url} in {settings.connect_timeout_s:g} s",
            hint="is the URL right, and CKAN running?",
        )
    timed_out = isinstance(error, requests.Timeout | urllib3.exceptions.ReadTimeoutError)
    lost = CkanUnreachable(
        f"{url} did not answer in {settings.read_timeout_s:g} s"
        if timed_out
        else f"the connection to {url} broke",
        hint="is CKAN overloaded? see its log",
    )
    lost.in_doubt = True
    return lost
