"""Tokens, by the SHA-256 of their secret."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what this version adds."""
    op.create_table(
        "narrows_tokens",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.Column("last_used_at", TIME),
        sa.PrimaryKeyConstraint("name", name="pk_narrows_tokens"),
        sa.UniqueConstraint("digest", name="uq_narrows_tokens_digest"),
    )


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_table("narrows_tokens")
