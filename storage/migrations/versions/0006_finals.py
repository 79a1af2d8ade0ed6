"""Final evaluations: one row for each, and the study that holds its trials."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what this version adds."""
    op.create_table(
        "narrows_finals",
        sa.Column("study_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("linked_study_id", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("requested_by", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("ranking", sa.Text),
        sa.Column("test", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_narrows_finals"),
        sa.UniqueConstraint("linked_study_id", name="uq_narrows_finals_linked_study_id"),
    )


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_table("narrows_finals")
