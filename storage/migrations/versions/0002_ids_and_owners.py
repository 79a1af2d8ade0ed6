"""The next ids of studies and trials, and the service that owns the database."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what this version adds."""
    op.create_table(
        "narrows_ids",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("next_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kind", name="pk_narrows_ids"),
    )
    op.create_table(
        "narrows_owners",
        sa.Column("owner", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_narrows_owners"),
    )


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_table("narrows_owners")
    op.drop_table("narrows_ids")
