"""Artifacts of trials, and the blobs without an artifact."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what this version adds."""
    op.create_table(
        "narrows_artifacts",
        sa.Column("trial_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("lease_id", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("blob_id", sa.String(32), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "name", name="pk_narrows_artifacts"),
        sa.UniqueConstraint("blob_id", name="uq_narrows_artifacts_blob_id"),
    )
    op.create_index("ix_narrows_artifacts_study_id", "narrows_artifacts", ["study_id"])
    op.create_table(
        "narrows_loose_blobs",
        sa.Column("blob_id", sa.String(32), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.PrimaryKeyConstraint("blob_id", name="pk_narrows_loose_blobs"),
    )


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_table("narrows_loose_blobs")
    op.drop_table("narrows_artifacts")
