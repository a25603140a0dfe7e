"""Processes that tests start and end."""

import psutil


def is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits for init to take notice of its end does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
