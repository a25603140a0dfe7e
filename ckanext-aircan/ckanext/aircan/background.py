"""Work for later -> CKAN's background jobs.

In: what is to be done. Out: nothing; without Redis it is logged, and whoever asked goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from ckan.lib.redis import connect_to_redis
from ckan.plugins import toolkit
from ckanext.aircan import config
from redis import RedisError

_log = logging.getLogger(__name__)


def enqueue(work: Callable[..., Any], *args: str, title: str) -> None:
    """Have something done in the background.

    Args:
        work: A function that can be imported.
        *args: What it is called with.
        title: What operators read in the list of jobs.
    """
    try:
        toolkit.enqueue_job(
            work, list(args), title=f"AirCan: {title}", queue=config.option("queue")
        )
    except RedisError:
        _log.exception("%s could not be put into the background", title)


def logged(work: Callable[..., None]) -> Callable[..., None]:
    """Have what goes wrong in the background logged: CKAN's worker keeps it to itself."""

    @wraps(work)
    def run(*args: str) -> None:
        try:
            work(*args)
        except Exception:
            _log.exception("%s%s failed", work.__name__, args)
            raise

    return run


def claim(name: str, seconds: int) -> bool:
    """Tell whether nobody has claimed a name, here or in another process, for so long."""
    try:
        return bool(connect_to_redis().set(_key(name), 1, nx=True, ex=seconds))
    except RedisError:
        _log.exception("%s could not be claimed", name)
        return False


def hold(name: str, seconds: int) -> None:
    """Let nobody claim a name for so long, and the next one then."""
    try:
        connect_to_redis().set(_key(name), 1, ex=seconds)
    except RedisError:
        _log.exception("%s could not be held", name)


def release(name: str) -> None:
    """Let the next one claim a name."""
    try:
        connect_to_redis().delete(_key(name))
    except RedisError:
        _log.exception("%s could not be released", name)


def _key(name: str) -> str:
    return f"ckanext.aircan:{toolkit.config['ckan.site_id']}:{name}"
