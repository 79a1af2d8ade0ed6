"""The first tables: studies, leases, epochs, results, workers.

A migration spells its columns out: it must stay as it was when the table definitions change later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what this version adds."""
    op.create_table(
        "narrows_studies",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("study_id", sa.Integer),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("n_trials", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("finished_reason", sa.Text),
        sa.PrimaryKeyConstraint("name", name="pk_narrows_studies"),
        sa.UniqueConstraint("study_id", name="uq_narrows_studies_study_id"),
    )
    op.create_table(
        "narrows_leases",
        sa.Column("lease_id", sa.String(64), nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("trial_id", sa.Integer, nullable=False),
        sa.Column("trial_number", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("claim_id", sa.String(64), nullable=False),
        sa.Column("worker_id", sa.String(200), nullable=False),
        sa.Column("granted_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("outcome", sa.String(16)),
        sa.Column("reason", sa.Text),
        sa.Column("state", sa.String(16)),
        sa.PrimaryKeyConstraint("lease_id", name="pk_narrows_leases"),
    )
    for column in ("study_id", "trial_id", "claim_id"):
        op.create_index(f"ix_narrows_leases_{column}", "narrows_leases", [column])
    op.create_table(
        "narrows_epochs",
        sa.Column("trial_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("step", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("lease_id", sa.String(64), nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "step", name="pk_narrows_epochs"),
    )
    op.create_index("ix_narrows_epochs_study_id", "narrows_epochs", ["study_id"])
    op.create_table(
        "narrows_results",
        sa.Column("trial_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("values", sa.Text),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("trial_id", name="pk_narrows_results"),
    )
    op.create_index("ix_narrows_results_study_id", "narrows_results", ["study_id"])
    op.create_table(
        "narrows_workers",
        sa.Column("worker_id", sa.String(200), nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("device", sa.String(200), nullable=False),
        sa.Column("n_lanes", sa.Integer, nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name="pk_narrows_workers"),
    )
    op.create_index("ix_narrows_workers_last_seen_at", "narrows_workers", ["last_seen_at"])


def downgrade() -> None:
    """Drop what this version adds."""
    for table in ("workers", "results", "epochs", "leases", "studies"):
        op.drop_table(f"narrows_{table}")
