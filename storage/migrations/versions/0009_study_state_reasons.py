"""Why the service has paused a study, and when it was last resumed."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what this version adds."""
    op.add_column("narrows_studies", sa.Column("state_reason", sa.Text))
    op.add_column("narrows_studies", sa.Column("resumed_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Drop what this version adds."""
    op.drop_column("narrows_studies", "resumed_at")
    op.drop_column("narrows_studies", "state_reason")
