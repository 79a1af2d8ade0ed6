"""Migrations of our own tables, with a version table of their own.

Optuna's tables are not migrated here: those of an older Optuna need `optuna storage upgrade` first.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

VERSION_TABLE = "narrows_alembic_version"  # Optuna's is called alembic_version
MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the missing migrations up to `revision`. The caller commits."""
    command.upgrade(configuration(connection), revision)


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for our migrations on a connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
