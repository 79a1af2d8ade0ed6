"""Narrowing rounds: the ranges of every round after the first."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what this version adds."""
    op.create_table(
        "narrows_rounds",
        sa.Column("study_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("first_trial", sa.Integer, nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by", sa.String(200), nullable=False),
        sa.Column("keep_top", sa.Integer, nullable=False),
        sa.Column("margin", sa.Double, nullable=False),
        sa.Column("kept", sa.Text, nullable=False),
        sa.Column("ranges", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_narrows_rounds"),
    )


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_table("narrows_rounds")
