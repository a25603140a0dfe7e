"""What CKAN knows of datasets and resources, and what a load tells it.

In: ids and names. Out: datasets and resources as CKAN's own dictionaries; a resource registered;
how the file of one is fetched. Holds one answer of CKAN at a time, and the dataset of each resource
that was seen.

``owns`` tells which URLs other than the API's may see the token.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

from loader.ckan.calls import checked_url, origin
from loader.ckan.settings import CkanSettings
from loader.ckan.tables import Tables
from loader.errors import CkanError, CkanForbidden, CkanNotFound, CkanUnreachable, UsageError
from loader.net.guard import DEFAULT_PORTS, Guard
from loader.net.settings import SourceSettings
from loader.net.uri import has_one_reading

_log = logging.getLogger(__name__)

DATASETS_AT_ONCE = 100  # datasets in an answer
# Names and descriptions are objects where an extension has them in several languages.
_TEXTS_OF_RESOURCE = ("url", "url_type", "format")
_COMPLETE = "datastore_contains_all_records_of_source_file"


class Ckan(Tables):
    """One CKAN: its resources and datasets, and the tables of its DataStore; see ``Calls``.

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
        super().__init__(url, token, settings, guard)
        self._homes: dict[str, str] = {}  # the dataset that each resource was seen in

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
                {
                    "include_private": True,
                    "rows": DATASETS_AT_ONCE,
                    "start": start,
                    "sort": "id asc",
                },
                lambda found: (
                    [_dataset(shown) for shown in found["results"]],
                    int(found["count"]),
                ),
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
            return origin(urlsplit(url)) == origin(urlsplit(self.url))
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
        self.check_right(resource_id)

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
        self.check_right(resource_id)

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

    def site(self) -> str | None:
        """Return CKAN's own URL, ``ckan.site_url``, in one spelling; None if it does not tell.

        It is the same from every machine, whatever URL CKAN is reached at from there.

        Raises:
            CkanUnreachable: CKAN cannot be asked now.
        """
        try:
            said = self.ask("status_show", {}, lambda status: str(status.get("site_url") or ""))
            parts = urlsplit(checked_url(said))
        except CkanUnreachable:
            raise
        except (CkanError, UsageError) as error:
            _log.info("which CKAN it is, is unknown: %s", error)
            return None
        scheme, host, port = origin(parts)
        shown = f"[{host}]" if ":" in (host or "") else host
        shown = shown if port == DEFAULT_PORTS[scheme] else f"{shown}:{port}"
        return f"{scheme}://{shown}{parts.path}"

    def has(self, action: str) -> bool:
        """Tell whether there is an action of this name: one of an extension may be missing."""
        try:
            self.call("help_show", {"name": action})
        except CkanNotFound:
            return False
        return True

    def version(self) -> tuple[int, ...] | None:
        """Return CKAN's version, such as (2, 12), or None where it hides it."""
        said = self.ask("status_show", {}, lambda status: str(status.get("ckan_version") or ""))
        numbers = re.match(r"(\d+)\.(\d+)", said)
        return tuple(map(int, numbers.groups())) if numbers else None


def _resource(shown: Any) -> dict[str, Any]:  # noqa: ANN401
    return _with_texts(shown, ("id", "package_id"), _TEXTS_OF_RESOURCE)


def _dataset(shown: Any) -> dict[str, Any]:  # noqa: ANN401
    found = _with_texts(shown, ("id", "name"), ("state",))
    resources = found["resources"]
    found["resources"] = [
        _with_texts(resource, ("id",), _TEXTS_OF_RESOURCE) for resource in resources
    ]
    return found


def _with_texts(shown: Any, required: Iterable[str], others: Iterable[str]) -> dict[str, Any]:  # noqa: ANN401
    """Return an object that has these texts, as far as they are required."""
    found = dict(shown)
    texts = [found[name] for name in required]
    texts += [found[name] for name in others if found.get(name) is not None]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
    return found
