"""The raised limits of a study on what its trials use."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what this version adds."""
    op.add_column("narrows_studies", sa.Column("max_total_epochs", sa.BigInteger))
    op.add_column("narrows_studies", sa.Column("max_device_hours", sa.Double))


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_column("narrows_studies", "max_device_hours")
    op.drop_column("narrows_studies", "max_total_epochs")
