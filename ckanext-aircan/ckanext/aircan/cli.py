"""`ckan aircan`: what operators do from a shell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
from ckan import model as ckan_model
from ckan.plugins import toolkit
from ckanext.aircan import config, jobs, model
from ckanext.aircan.printable import one_line
from sqlalchemy import select

__all__ = ["aircan"]

_CONTEXT = {"ignore_auth": True, "user": ""}


@click.group(short_help="Load resources by AirCan, and see what became of it.")
def aircan() -> None:
    """Load resources by AirCan, and see what became of it."""


@aircan.command()
@click.argument("what")
@click.option("--force", is_flag=True, help="Load also files that are loaded already.")
@click.option("--dry-run", is_flag=True, help="Only list.")
def submit(what: str, force: bool, dry_run: bool) -> None:
    """Have resources loaded: WHAT is a resource, a dataset, or `all`."""
    count = failed = 0
    for resource in _resources(what):
        if not force and _is_taken_care_of(resource):
            continue
        said = _try(resource, dry_run=dry_run)
        if said is None and what == resource["id"]:
            raise _fault("a plugin does not let this resource be loaded")
        if said is None:
            continue
        count += 1
        failed += said.is_problem
        _say(resource["id"], resource.get("name") or "", said.text, is_problem=said.is_problem)
    done = "would be submitted" if dry_run else "submitted"
    click.echo(f"{count} resources {done}, {failed} with problems")
    if failed:
        raise click.exceptions.Exit(1)


def _say(*parts: object, is_problem: bool) -> None:
    """Print a line of parts, some of which an editor, a file or a plugin has chosen."""
    click.echo("  ".join(map(one_line, parts)).rstrip(), err=is_problem)


def _fault(message: str) -> click.ClickException:
    return click.ClickException(one_line(message))


@dataclass(frozen=True)
class _Said:
    text: str
    is_problem: bool = False


def _try(resource: dict[str, Any], *, dry_run: bool) -> _Said | None:
    """Submit a resource; None if a plugin does not let it be loaded."""
    try:
        if not jobs.is_wanted(resource):
            return None
    except Exception as error:  # noqa: BLE001  (whatever a plugin does, the others go on)
        return _Said(f"a plugin fails: {type(error).__name__}: {error}", is_problem=True)
    if dry_run:
        return _Said("")
    job = _submit(resource)
    problem = job.info.get("problem") or ("" if job.is_going else job.info["message"])
    return _Said(f"{job.status}{': ' + problem if problem else ''}", bool(problem))


def _submit(resource: dict[str, Any]) -> model.Job:
    with model.session() as session:
        job = jobs.ask_for(session, resource, jobs.Wish("command"))
    return jobs.submit(job.id) or job


def _resources(what: str) -> Iterator[dict[str, Any]]:
    """Yield the resources that are meant; one that is named may have any format."""
    if what == "all":
        for dataset in _datasets():
            yield from filter(_is_loadable, dataset["resources"])
    elif resource := _shown("resource_show", what):
        yield resource
    elif dataset := _shown("package_show", what):
        yield from filter(_is_loadable, dataset["resources"])
    else:
        raise _fault(f"there is no resource or dataset {what}; or say all")


def _shown(action: str, what: str) -> dict[str, Any] | None:
    try:
        return toolkit.get_action(action)(dict(_CONTEXT), {"id": what})
    except toolkit.ObjectNotFound:
        return None


def _datasets() -> Iterator[dict[str, Any]]:
    """Yield every dataset, private ones too, which CKAN's own lists leave out."""
    package = ckan_model.Package
    active = select(package.id).where(package.state == "active").order_by(package.name)
    for dataset_id in ckan_model.Session.scalars(active).all():
        yield toolkit.get_action("package_show")(dict(_CONTEXT), {"id": dataset_id})


def _is_loadable(resource: dict[str, Any]) -> bool:
    return config.is_loadable(*map(resource.get, ("format", "url", "url_type")))


def _is_taken_care_of(resource: dict[str, Any]) -> bool:
    with model.session() as session:
        job = model.newest_load(session, [resource["id"]]).get(resource["id"])
    return jobs.is_taken_care_of(job, resource)


@aircan.command()
@click.argument("resource", required=False)
def status(resource: str | None) -> None:
    """Show the newest job of RESOURCE, or the newest of all."""
    with model.session() as session:
        _, found = model.listed(session, model.Filter(resource=resource), 1 if resource else 20, 0)
    if not found:
        raise _fault("there are no jobs" + (f" of {resource}" if resource else ""))
    for job in found:
        message = job.info.get("problem") or job.info.get("message") or ""
        what = f"{job.created:%Y-%m-%d %H:%M}  {job.status:9}  {job.job_type:8}"
        click.echo(f"{what}  {one_line(job.resource)}  {one_line(message)}".rstrip())


@aircan.command()
def reconcile() -> None:
    """Submit what waits, ask Airflow after what it has, drop the tables of deleted resources.

    For cron, every five minutes.
    """
    jobs.reconcile()


@aircan.command()
@click.option(
    "--days", type=click.FloatRange(0, 36500), help="By default ckanext.aircan.retention_days."
)
def cleanup(days: float | None) -> None:
    """Delete old jobs; the newest of each resource stays."""
    with model.session() as session:
        days_kept = config.option("retention_days") if days is None else days
        click.echo(f"{model.delete_old(session, days_kept)} jobs deleted")
