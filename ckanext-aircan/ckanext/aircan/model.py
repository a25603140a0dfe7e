"""The jobs of the data factory, and how each resource is to be loaded: tables of CKAN's database.

In: what a job is. Out: rows. A session of its own serves every use: what becomes of a job does not
hang on whether the request that it came with is committed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache, partial
from typing import Any

from ckan import model
from ckan.plugins import toolkit
from sqlalchemy import (
    Column,
    DateTime,
    UnicodeText,
    and_,
    cast,
    create_engine,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session, aliased

RUN = "aircan__"  # what the ids of our runs begin with
GOING = ("WAITING", "RUNNING")
ENDED = ("DONE", "FAILED", "CANCELLED")


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(timezone.utc)


class Job(toolkit.BaseModel):
    """Something that the factory does with a resource.

    Attributes:
        id: Of the job, which the factory is told.
        factory_id: Of the run in Airflow; None as long as it was not submitted.
        job_type: ``LOAD``, ``VALIDATE`` or ``HARVEST``.
        created: When it was asked for.
        updated: When it was heard of last.
        dataset: Its id.
        resource: Its id.
        user: The id of who asked for it, if somebody did.
        status: ``WAITING``, ``RUNNING``, ``DONE``, ``FAILED`` or ``CANCELLED``.
        info: All else, as JSON.
    """

    __tablename__ = "aircan_job"

    id = Column(UnicodeText, primary_key=True, default=lambda: str(uuid.uuid4()))
    factory_id = Column(UnicodeText)
    job_type = Column(UnicodeText, nullable=False)
    created = Column(DateTime(timezone=True), nullable=False, default=now)
    updated = Column(DateTime(timezone=True), nullable=False, default=now)
    dataset = Column(UnicodeText, nullable=False)
    resource = Column(UnicodeText, nullable=False)
    user = Column(UnicodeText)
    status = Column(UnicodeText, nullable=False, default="WAITING")
    info = Column(JSONB, nullable=False, default=dict)

    @property
    def run_id(self) -> str:
        """The id that its run is given; trying twice makes one run."""
        return f"{RUN}{self.id}"

    @property
    def is_submitted(self) -> bool:
        """Whether Airflow has it, or is being told of it."""
        return self.factory_id is not None

    @property
    def is_going(self) -> bool:
        """Whether it is still to end."""
        return self.status in GOING

    def put(self, **info: Any) -> None:  # noqa: ANN401
        """Add to the info; SQLAlchemy sees a new value only."""
        self.info = {**self.info, **info}
        self.updated = now()

    def to_dict(self) -> dict[str, Any]:
        """Return the job as JSON has it, times in UTC."""
        return {
            "id": self.id,
            "factory_id": self.factory_id,
            "job_type": self.job_type,
            "status": self.status,
            "created": self.created.astimezone(timezone.utc).isoformat(),
            "updated": self.updated.astimezone(timezone.utc).isoformat(),
            "dataset": self.dataset,
            "resource": self.resource,
            "user": self.user,
            "info": dict(self.info),
        }


class Settings(toolkit.BaseModel):
    """How a resource is to be loaded."""

    __tablename__ = "aircan_settings"

    resource = Column(UnicodeText, primary_key=True)
    updated = Column(DateTime(timezone=True), nullable=False, default=now)
    user = Column(UnicodeText)
    settings = Column(JSONB, nullable=False, default=dict)


@dataclass(frozen=True)
class Filter:
    """Which jobs; what is None does not matter."""

    datasets: Sequence[str] | None = None
    resource: str | None = None
    user: str | None = None
    status: str | None = None
    job_type: str | None = None


@dataclass
class Lost:
    """Resources and datasets of which something has changed: they may be gone, or private."""

    resources: set[str] = field(default_factory=set)
    datasets: set[str] = field(default_factory=set)


@contextmanager
def session() -> Iterator[Session]:
    """Give a session that is committed in the end, unless an error comes out."""
    with (
        Session(_engine(model.meta.engine.url), expire_on_commit=False) as session,
        session.begin(),
    ):
        yield session


@lru_cache(maxsize=1)
def _engine(url: URL) -> Engine:
    """Return connections of our own, as many as are needed.

    A request has one of CKAN's already: with a second one of the same few, requests would wait for
    each other.
    """
    engine = create_engine(url, pool_size=2, max_overflow=-1, pool_pre_ping=True)
    os.register_at_fork(after_in_child=partial(engine.dispose, close=False))
    return engine


def look(session: Session, job_id: str) -> Job | None:
    """Return a job as it is, and lock nothing."""
    return session.get(Job, job_id)


def get(session: Session, job_id: str) -> Job | None:
    """Return a job, its row locked until the session's end: ask nobody else meanwhile."""
    return session.scalars(select(Job).where(Job.id == job_id).with_for_update()).one_or_none()


def add(session: Session, **values: Any) -> Job:  # noqa: ANN401
    """Return a new job, or the one like it that waits, or has its run, already; the row locked."""
    new = insert(Job).values(**values).on_conflict_do_nothing().returning(Job.id)
    added = session.scalars(new).one_or_none()
    if added is not None:
        found = Job.id == added
    elif values.get("factory_id"):
        found = and_(Job.factory_id == values["factory_id"], Job.resource == values["resource"])
    else:
        found = and_(
            Job.resource == values["resource"],
            Job.job_type == values["job_type"],
            _same_wish(values["info"]),
            *_NOT_SUBMITTED,
        )
    job = session.scalars(select(Job).where(found).with_for_update()).one_or_none()
    return job or add(session, **values)  # submitted at this very moment


def newest_load(session: Session, resources: Sequence[str]) -> dict[str, Job]:
    """Return the newest load of each of the resources that have one."""
    found = (
        select(Job)
        .where(Job.resource.in_(resources), ~_of_a_former(), Job.job_type == "LOAD")
        .distinct(Job.resource)
        .order_by(Job.resource, Job.created.desc())
    )
    return {job.resource: job for job in session.scalars(found)}


def listed(session: Session, which: Filter, limit: int, offset: int) -> tuple[int, list[Job]]:
    """Return how many jobs there are, and a page of them, the newest first."""
    found = select(Job).where(*_criteria(which))
    count = session.scalar(select(func.count()).select_from(found.subquery()))
    page = found.order_by(Job.created.desc(), Job.id).limit(limit).offset(offset)
    return count or 0, list(session.scalars(page))


def lost(session: Session, which: Lost | None) -> list[tuple[Job, str]]:
    """Return jobs that go on though nobody may want them any more, and why; their rows locked.

    Args:
        session: Of the database.
        which: Where something has changed; None looks at all that go.
    """
    resource, package = model.Resource, model.Package
    found = (
        select(Job, resource.state, package.state, package.private)
        # CKAN gives the id of a deleted resource to whoever asks for it, in any dataset.
        .outerjoin(resource, and_(resource.id == Job.resource, resource.package_id == Job.dataset))
        .outerjoin(package, package.id == Job.dataset)
        .where(Job.status.in_(GOING))
    )
    if which is not None:
        found = found.where(or_(Job.resource.in_(which.resources), Job.dataset.in_(which.datasets)))
    rows = session.execute(found.order_by(Job.id).with_for_update(of=Job)).all()
    whys = ((job, _why(job, *states)) for job, *states in rows)
    return [(job, why) for job, why in whys if why]


def why_lost(session: Session, job: Job) -> str | None:
    """Return why nobody may want a job any more, as ``lost`` does; None if somebody may."""
    resource, package = model.Resource, model.Package
    state = session.scalar(
        select(resource.state).where(
            resource.id == job.resource, resource.package_id == job.dataset
        )
    )
    dataset = session.execute(
        select(package.state, package.private).where(package.id == job.dataset)
    ).one_or_none()
    return _why(job, state, *(dataset or (None, None)))


def _why(job: Job, resource: str | None, dataset: str | None, private: bool | None) -> str | None:
    if dataset in (None, "deleted"):
        return "dataset_deleted"
    if resource in (None, "deleted"):
        return "resource_deleted"
    # Who wants the load of a dataset that is private already shall have it.
    return "made_private" if private and job.info.get("private") is False else None


def is_private(session: Session, dataset: str) -> bool:
    """Return whether a dataset is private."""
    found = select(model.Package.private).where(model.Package.id == dataset)
    return bool(session.scalar(found))


def to_stop(session: Session, limit: int) -> list[str]:
    """Return the ids of cancelled jobs whose runs Airflow is still to end.

    The oldest first, but those last for which that was tried in vain.
    """
    found = select(Job.id).where(Job.status == "CANCELLED", Job.info["to_stop"].astext == "true")
    order = Job.info["stop_tried"].astext.nulls_first(), Job.updated
    return list(session.scalars(found.order_by(*order).limit(limit)))


_TO_MAIL = (Job.status == "FAILED", Job.info["to_mail"].astext == "true")


def to_mail(session: Session) -> list[str]:
    """Return the datasets of failed jobs that a mail is still to tell of, the oldest first."""
    found = select(Job.dataset).where(*_TO_MAIL).group_by(Job.dataset)
    return list(session.scalars(found.order_by(func.min(Job.updated))))


def take_mails(session: Session, dataset: str, limit: int) -> tuple[int, list[Job]]:
    """Return how many failed jobs of a dataset a mail is to tell of, and the first of them.

    They are given to nobody else then.
    """
    claimed = {Job.info: Job.info.op("||")(cast({"to_mail": False}, JSONB))}
    taken = update(Job).where(Job.dataset == dataset, *_TO_MAIL).values(claimed).returning(Job.id)
    ids = session.scalars(taken.execution_options(synchronize_session=False)).all()
    found = select(Job).where(Job.id.in_(ids)).order_by(Job.updated, Job.id)
    return len(ids), list(session.scalars(found.limit(limit)))


def gone(session: Session, which: Lost | None = None) -> list[str]:
    """Return the ids of resources that were loaded, or were to be, and are deleted or purged.

    Not those of a deleted dataset: who restores it gets them back.

    Args:
        session: Of the database.
        which: Where to look; None looks at all.
    """
    resource = model.Resource
    found = (
        select(Job.resource)
        .outerjoin(resource, resource.id == Job.resource)
        .where(
            Job.job_type == "LOAD",
            Job.factory_id.is_not(None),
            or_(resource.id.is_(None), resource.state == "deleted"),
        )
    )
    if which is not None:
        found = found.where(or_(Job.resource.in_(which.resources), Job.dataset.in_(which.datasets)))
    return list(session.scalars(found.distinct().order_by(Job.resource)))


def passed_on(session: Session, loaded_for: Mapping[str, str]) -> list[str]:
    """Return the ids of resources whose rows are another dataset's, which not everybody sees.

    CKAN gives the id of a deleted resource to whoever asks for it, in any dataset. A dataset that
    everybody sees may have had its resource moved: the rows stay.

    Args:
        session: Of the database.
        loaded_for: The dataset that the rows of each resource were loaded for.
    """
    resource, package = model.Resource, model.Package
    found = select(resource.id, resource.package_id).where(
        resource.id.in_(list(loaded_for)), resource.state == "active"
    )
    others = [id_ for id_, dataset in session.execute(found) if dataset != loaded_for[id_]]
    public = select(package.id).where(
        package.id.in_([loaded_for[id_] for id_ in others]),
        package.state == "active",
        package.private.is_(False),
    )
    seen = set(session.scalars(public))
    return sorted(id_ for id_ in others if loaded_for[id_] not in seen)


def is_of_a_former(session: Session, job: Job) -> bool:
    """Return whether a job is of a resource whose id another dataset's resource has by now."""
    return (
        session.scalars(select(Job.id).where(Job.id == job.id, _of_a_former())).first() is not None
    )


def _of_a_former() -> Any:  # noqa: ANN401
    """Whether a job is of a resource whose id is another dataset's resource's by now."""
    resource = model.Resource
    taken = select(resource.id).where(
        resource.id == Job.resource, resource.package_id != Job.dataset
    )
    return taken.exists()


def datasets(session: Session, which: Filter) -> list[str]:
    """Return the datasets that such jobs are of."""
    return list(session.scalars(select(Job.dataset).where(*_criteria(which)).distinct()))


def _criteria(which: Filter) -> list[Any]:
    pairs: Mapping[Any, str | None] = {
        Job.resource: which.resource,
        Job.user: which.user,
        Job.status: which.status,
        Job.job_type: which.job_type,
    }
    criteria = [column == value for column, value in pairs.items() if value is not None]
    if which.datasets is not None:
        criteria.append(Job.dataset.in_(which.datasets))
    if which.resource is not None:  # who may see this one, may not see what had its id before
        criteria.append(~_of_a_former())
    return criteria


_NOT_SUBMITTED = (Job.status == "WAITING", Job.factory_id.is_(None))


def _same_wish(info: Mapping[str, Any]) -> Any:  # noqa: ANN401
    none = cast({}, JSONB)
    return func.coalesce(Job.info["wish"], none) == cast(info.get("wish", {}), JSONB)


def _other_that_goes(resource: Any, job_type: Any) -> Any:  # noqa: ANN401
    other = aliased(Job)
    return select(other.id).where(
        other.resource == resource,
        other.job_type == job_type,
        other.factory_id.is_not(None),
        other.status.in_(GOING),
    )


def is_held(session: Session, job: Job) -> bool:
    """Return whether another job of the resource goes; until the session's end none begins to."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"aircan:{job.resource}"))))
    return session.scalars(_other_that_goes(job.resource, job.job_type)).first() is not None


def has_successor(session: Session, job: Job) -> bool:
    """Return whether one like it waits, asked for while this one was being submitted."""
    found = select(Job.id).where(
        Job.resource == job.resource,
        Job.job_type == job.job_type,
        Job.id != job.id,
        _same_wish(job.info),
        *_NOT_SUBMITTED,
    )
    return session.scalars(found).first() is not None


def due(session: Session, limit: int) -> list[str]:
    """Return the ids of jobs to submit, the oldest first: none whose resource has one that goes."""
    found = select(Job.id).where(
        *_NOT_SUBMITTED,
        or_(
            Job.info["next_attempt"].astext.is_(None),
            Job.info["next_attempt"].astext <= now().isoformat(),
        ),
        ~_other_that_goes(Job.resource, Job.job_type).exists(),
    )
    return list(session.scalars(found.order_by(Job.created).limit(limit)))


def submitted(session: Session, limit: int) -> list[str]:
    """Return the ids of jobs that Airflow has, the longest unheard of first."""
    found = select(Job.id).where(Job.status.in_(GOING), Job.factory_id.is_not(None))
    return list(session.scalars(found.order_by(Job.updated).limit(limit)))


def delete_old(session: Session, days: float) -> int:
    """Delete jobs that ended long ago, but for the newest of each resource; return how many.

    The settings of resources that are no longer there go with them.
    """
    newer = aliased(Job)
    found = select(Job).where(
        Job.status.in_(ENDED),
        Job.created < now() - timedelta(days=days),
        or_(
            select(newer.id)
            .where(
                newer.resource == Job.resource,
                newer.job_type == Job.job_type,
                newer.created > Job.created,
            )
            .exists(),
            ~select(model.Resource.id).where(model.Resource.id == Job.resource).exists(),
        ),
    )
    jobs = list(session.scalars(found))
    for job in jobs:
        session.delete(job)
    known = select(model.Resource.id).where(model.Resource.id == Settings.resource)
    session.execute(delete(Settings).where(~known.exists()))
    return len(jobs)


def settings_of(session: Session, resource: str) -> dict[str, Any]:
    """Return how a resource is to be loaded, as far as somebody has said so."""
    found = session.get(Settings, resource)
    return dict(found.settings) if found else {}


def put_settings(
    session: Session, resource: str, settings: Mapping[str, Any], user: str | None
) -> None:
    """Say how a resource is to be loaded."""
    values = {"settings": dict(settings), "user": user, "updated": now()}
    new = insert(Settings).values(resource=resource, **values)
    session.execute(new.on_conflict_do_update(index_elements=["resource"], set_=values))
