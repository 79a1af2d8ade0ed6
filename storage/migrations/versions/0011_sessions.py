"""Sessions of browsers, by the SHA-256 of their id."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what this version adds."""
    op.create_table(
        "narrows_sessions",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("token_name", sa.String(128), nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_narrows_sessions"),
    )


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_table("narrows_sessions")
