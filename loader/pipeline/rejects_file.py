"""Where a load's bad rows go: the file that is named for them, one in a folder, or none.

In: options, and a resource's id. Out: a ``Rejects`` that collects into that file. Holds nothing.
"""

from __future__ import annotations

from pathlib import Path

from loader.errors import UsageError
from loader.options import Options
from loader.report import Report
from loader.scan import rejects
from loader.scan.rejects import Rejects
from loader.source.local import local_path


def collector(uri: str, options: Options, resource_id: str) -> Rejects:
    """Return what collects the bad rows of a source.

    Args:
        uri: Of the source, which the file must not replace.
        options: Name the file or its folder, and how many rows may go there.
        resource_id: Names the file in a folder.

    Raises:
        UsageError: No file can lie there.
    """
    path = _path(options, resource_id)
    if path is not None:
        if _is_the_file(uri, path):
            raise UsageError(
                f"the rejects file would replace the source: {path}",
                hint="name another place",
                option="rejects",
            )
        if options.rejects is None:
            rejects.remove_leftovers(path)
        else:
            rejects.check_place(path)
    return Rejects(path, options.max_bad_rows, options.max_bad_share)


def remove_stale(options: Options, report: Report) -> None:
    """Remove the file of an earlier load from the folder, if this load has set no row aside."""
    path = _path(options, report.resource_id)
    if path is not None and options.rejects is None and not report.bad_rows.rejected:
        rejects.remove_stale(path)


def _path(options: Options, resource_id: str) -> Path | None:
    if options.rejects is not None:
        return Path(options.rejects)
    if options.rejects_folder is not None:
        return Path(options.rejects_folder, f"{resource_id.replace('/', '_')}.rejects.csv")
    return None


def _is_the_file(uri: str, path: Path) -> bool:
    """Tell whether a source is a local file at this path, whatever names both have."""
    source = local_path(uri)
    try:
        return source is not None and Path(source).samefile(path)
    except (OSError, ValueError):  # one of them is not there
        return False
