"""Which narrows and which PyTorch a worker runs."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what this version adds."""
    op.add_column("narrows_workers", sa.Column("narrows_version", sa.String(100)))
    op.add_column("narrows_workers", sa.Column("torch_version", sa.String(100)))


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_column("narrows_workers", "torch_version")
    op.drop_column("narrows_workers", "narrows_version")
