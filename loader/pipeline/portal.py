"""The CKAN that a load's options name, opened and closed.

In: options. Out: a Ckan, and the options with which the resource's file is fetched. Holds what the
Ckan holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from loader.errors import UsageError
from loader.options import Options

if TYPE_CHECKING:
    from loader.ckan.client import Ckan


def required_ckan(options: Options) -> Ckan:
    """Return the CKAN that the options name; the caller closes it.

    Raises:
        UsageError: They name none.
    """
    if not options.ckan_url:
        raise UsageError("no CKAN is named", hint="name it, and a token of it", option="ckan_url")
    from loader.ckan.client import Ckan  # noqa: PLC0415  (0.4 s: only those who need it pay)

    ckan = Ckan(options.ckan_url, options.ckan_token, guard=options.ckan_guard)
    if options.resource_id and options.dataset_id:
        ckan.expect(options.resource_id, options.dataset_id)
    return ckan


@contextmanager
def opened(options: Options) -> Iterator[Ckan]:
    """Open the CKAN that a load is to go into, and see that it has the resource.

    Raises:
        UsageError: The options name no CKAN, or no resource.
        CkanError: The resource may not be edited, or CKAN cannot be asked.
    """
    if not options.ckan_url:
        hint = "name it"
        raise UsageError("there is no CKAN to load through", hint=hint, option="ckan_url")
    ckan = required_ckan(options)
    if options.resource_id is None:
        raise UsageError(
            "a resource's id is needed to load into CKAN",
            hint="name it, or no CKAN to load without one",
            option="resource_id",
        )
    with ckan:
        ckan.check_editable(options.resource_id)
        yield ckan


@contextmanager
def opened_if_named(options: Options) -> Iterator[Ckan | None]:
    """Do as ``opened`` does if the options name a CKAN or its API; else there is none."""
    if options.ckan_url or options.via == "api":
        with opened(options) as ckan:
            yield ckan
    else:
        yield None


def fetching(ckan: Ckan | None, uri: str, options: Options) -> Options:
    """Return the options with what the file of a CKAN's resource is fetched with.

    Args:
        ckan: Has the resource; None if the file is nobody's.
        uri: Of the file.
        options: Of the load.
    """
    if ckan is None or options.resource_id is None:
        return options
    return replace(options, source=ckan.fetching(uri, options.resource_id, options.source))
