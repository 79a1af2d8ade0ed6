"""Trials from elsewhere that a study's sampler learns from."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what this version adds."""
    op.create_table(
        "narrows_imports",
        sa.Column("study_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by", sa.String(200), nullable=False),
        sa.Column("left_out", sa.Text, nullable=False),
        sa.Column("distributions", sa.Text, nullable=False),
        sa.Column("trials", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_narrows_imports"),
    )


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_table("narrows_imports")
