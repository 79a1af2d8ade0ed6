"""Bring our own tables to the newest version. Optuna keeps its own, under its own version table."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

VERSION_TABLE = "narrows_alembic_version"  # Optuna's is called alembic_version
MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the missing migrations on a connection. The caller commits."""
    command.upgrade(configuration(connection), revision)


def configuration(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
