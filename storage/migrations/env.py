"""Alembic's entry point. It runs the migrations on the connection that `storage.migrate` passes."""

from alembic import context
from sqlalchemy import Table

from storage.migrate import VERSION_TABLE
from storage.tables.schema import metadata


def is_ours(item: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Whether Alembic compares this item: only our tables, not Optuna's."""
    if kind == "table" and isinstance(item, Table):
        return (name or "").startswith("narrows_") and name != VERSION_TABLE
    return True


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_object=is_ours,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
