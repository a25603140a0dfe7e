"""A load that failed -> a mail to who cares for the dataset, where the portal wants that.

In: a job. Out: a mail, by CKAN's mailer, from a background job.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import click
from ckan.lib.mailer import MailerException
from ckan.plugins import toolkit
from ckanext.aircan import background, config, model
from ckanext.aircan.helpers import aircan_org
from ckanext.aircan.model import Job

_log = logging.getLogger(__name__)


def tell_soon(job: Job) -> None:
    """Send a mail of a failed load, in the background, if the portal sends any."""
    if job.job_type == "LOAD" and config.option("mail_on_failure"):
        background.enqueue(tell, job.id, title="mail of a failure")


@background.logged
def tell(job_id: str) -> None:
    """Send a mail of a failed job to the maintainer of its dataset, or else to the author."""
    with model.session() as one:
        job = model.look(one, job_id)
    if job is None:
        return
    try:
        dataset = toolkit.get_action("package_show")(
            {"ignore_auth": True, "user": ""}, {"id": job.dataset}
        )
    except toolkit.ObjectNotFound:
        return
    for role in ("maintainer", "author"):
        if address := dataset.get(f"{role}_email"):
            name = dataset.get(role) or address
            break
    else:
        _log.info("dataset %s names nobody to tell of job %s", job.dataset, job.id)
        return
    # A worker has no request, which CKAN's templates and URLs need.
    with click.get_current_context().meta["flask_app"].test_request_context():
        values = {
            "job": job.to_dict(),
            "dataset": dataset,
            "resource": next((r for r in dataset["resources"] if r["id"] == job.resource), {}),
            "site_title": toolkit.config.get("ckan.site_title"),
            "url": _url(job, dataset),
        }
        subject = " ".join(toolkit.render("aircan/mail/failed_subject.txt", values).split())
        text = toolkit.render("aircan/mail/failed.txt", values)
    try:
        toolkit.mail_recipient(name, address, subject, text)
    except MailerException as error:
        _log.error("no mail of job %s: %s", job.id, error)


def _url(job: Job, dataset: Mapping[str, Any]) -> str:
    where = {"org": aircan_org(dataset), "dataset": dataset["name"], "id": job.id}
    return toolkit.url_for("aircan.run", **where, qualified=True)
