"""The jobs of the data factory, and how each resource is to be loaded."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT, _TIME = sa.UnicodeText, sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "aircan_job",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("factory_id", _TEXT),
        sa.Column("job_type", _TEXT, nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("updated", _TIME, nullable=False),
        sa.Column("dataset", _TEXT, nullable=False),
        sa.Column("resource", _TEXT, nullable=False),
        sa.Column("user", _TEXT),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("info", JSONB, nullable=False),
    )
    op.create_index("aircan_job_dataset", "aircan_job", ["dataset", "created"])
    op.create_index("aircan_job_resource", "aircan_job", ["resource", "created"])
    op.create_index(
        "aircan_job_going",
        "aircan_job",
        ["status"],
        postgresql_where=sa.text("status IN ('WAITING', 'RUNNING')"),
    )
    op.create_index("aircan_job_run", "aircan_job", ["factory_id", "resource"], unique=True)
    # What is not submitted yet takes up whatever changes meanwhile: one of a kind is enough.
    op.create_index(
        "aircan_job_next",
        "aircan_job",
        ["resource", "job_type", sa.text("coalesce(info -> 'wish', '{}'::jsonb)")],
        unique=True,
        postgresql_where=sa.text("status = 'WAITING' AND factory_id IS NULL"),
    )
    op.create_table(
        "aircan_settings",
        sa.Column("resource", _TEXT, primary_key=True),
        sa.Column("updated", _TIME, nullable=False),
        sa.Column("user", _TEXT),
        sa.Column("settings", JSONB, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("aircan_settings")
    op.drop_table("aircan_job")
