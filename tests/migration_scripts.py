"""Alembic's scripts are read once for all databases that a process opens, and before a process that forks does so.

Reading Optuna's and ours takes half of the computing that opening a database takes.
"""

import functools

from alembic.config import Config
from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage
from sqlalchemy import create_engine

from storage.migrate import upgrade

_read = ScriptDirectory.from_config


@functools.cache
def _read_once(folder: str) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return _read(config)


def _from_config(config: Config) -> ScriptDirectory:
    folder = config.get_main_option("script_location")
    return _read(config) if folder is None else _read_once(folder)


def keep() -> None:
    """Let every `ScriptDirectory` of one folder be the same in this process."""
    ScriptDirectory.from_config = _from_config  # type: ignore[method-assign]


def read() -> None:
    """Read the scripts of Optuna and of Narrows, and keep them."""
    keep()
    RDBStorage("sqlite://").engine.dispose()
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade(connection)
    engine.dispose()
