"""Loads that failed -> mails to who cares for their datasets, where the portal wants that.

In: jobs. Out: mails by CKAN's mailer, from one background job that goes through all that are due:
mails wait in no queue of their own before what is to be submitted. One mail tells of all loads of
a dataset that have failed since the last one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import click
from ckan.lib.mailer import MailerException
from ckan.plugins import toolkit
from ckanext.aircan import background, config, model
from ckanext.aircan.helpers import aircan_org
from ckanext.aircan.model import Job

_log = logging.getLogger(__name__)

_SENDING, _SENDING_S = "mails", 60
_PASS_S = 20  # for all mails of one pass: submissions wait behind it
_PAUSE_S = 600  # between two mails of a dataset
_NAMED = 20  # of a dataset's failures, those that a mail names


def tell_soon(job: Job) -> None:
    """Have a mail of a failed load sent, if the portal sends any and there is somebody to tell."""
    if job.job_type != "LOAD" or not config.option("mail_on_failure"):
        return
    try:
        dataset = _dataset(job.dataset)
    except Exception:  # noqa: BLE001  (a plugin's: the job has failed, and that is what counts)
        _log.exception("nobody is told of job %s", job.id)
        return
    if dataset is None or _addressee(dataset) is None:
        _log.info("dataset %s names nobody to tell of job %s", job.dataset, job.id)
        return
    with model.session() as session:
        failed = model.get(session, job.id)
        if failed is not None:
            failed.info = {**failed.info, "to_mail": True}
    send_soon()


def send_soon() -> None:
    """Have the mails that are due sent, in the background, if there are any."""
    if not config.option("mail_on_failure"):
        return
    with model.session() as session:
        is_due = bool(model.to_mail(session))
    if is_due and background.claim(_SENDING, _SENDING_S):
        background.enqueue(send, title="mails of failures")


@background.logged
def send() -> None:
    """Send the mails that are due: not of datasets of which one was sent a moment ago."""
    background.release(_SENDING)  # what fails from now on may be missed below
    end = time.monotonic() + _PASS_S
    with model.session() as session:
        datasets = model.to_mail(session)
    for dataset_id in datasets:
        if not background.claim(f"{_SENDING}:{dataset_id}", _PAUSE_S):
            continue
        with model.session() as session:
            count, failed = model.take_mails(session, dataset_id, _NAMED)
        if failed:
            _send(dataset_id, failed, count - len(failed))
        if time.monotonic() > end:
            send_soon()
            return


def _send(dataset_id: str, failed: list[Job], more: int) -> None:
    """Send one mail of failed jobs, and how many more there are, to who is told of a dataset's."""
    dataset = _dataset(dataset_id)
    addressee = dataset and _addressee(dataset)
    if dataset is None or addressee is None:
        return
    # A worker has no request, which CKAN's templates and URLs need.
    with click.get_current_context().meta["flask_app"].test_request_context():
        first, *others = [_variables(job, dataset) for job in failed]
        values = {
            **first,
            "dataset": dataset,
            "site_title": toolkit.config.get("ckan.site_title"),
            "others": others,
            "more": more,
            "url_of_all": _url("runs", dataset),
        }
        subject = " ".join(toolkit.render("aircan/mail/failed_subject.txt", values).split())
        text = toolkit.render("aircan/mail/failed.txt", values)
    try:
        toolkit.mail_recipient(*addressee, subject, text)
    except MailerException as error:
        _log.error("no mail of job %s: %s", failed[0].id, error)


def _dataset(dataset_id: str) -> dict[str, Any] | None:
    context = {"ignore_auth": True, "user": ""}
    try:
        dataset: dict[str, Any] = toolkit.get_action("package_show")(context, {"id": dataset_id})
    except toolkit.ObjectNotFound:
        return None
    return dataset


def _addressee(dataset: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the name and the address of the maintainer, or else of the author, if there is one."""
    for role in ("maintainer", "author"):
        if address := dataset.get(f"{role}_email"):
            return dataset.get(role) or address, address
    return None


def _variables(job: Job, dataset: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job": job.to_dict(),
        "resource": next((r for r in dataset["resources"] if r["id"] == job.resource), {}),
        "url": _url("run", dataset, id=job.id),
    }


def _url(page: str, dataset: Mapping[str, Any], **values: str) -> str:
    where = {"org": aircan_org(dataset), "dataset": dataset["name"], **values}
    return toolkit.url_for(f"aircan.{page}", **where, qualified=True)
