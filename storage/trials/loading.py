"""Load a whole database into memory, whether stock Optuna or this storage wrote it.

The tables are read side by side, sorted by trial id. So every trial is built once and nothing but the result is held:
100,000 trials load in seconds instead of minutes, and loading needs no more memory than the result.
"""

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from sys import intern
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine

from storage.json_text import load_json
from storage.optuna_seam import tables
from storage.trials.memory import Memory, StudyMemory
from storage.trials.rows import DistributionCache, from_utc

CHUNK_ROWS = 5_000
STATES = {state.name: state for state in TrialState}


def load(engine: Engine, distributions: DistributionCache) -> Memory:
    """Load all studies and trials of a database."""
    memory = Memory()
    with engine.connect() as connection, _garbage_collection_off():
        _load_studies(connection, memory)
        _load_trials(connection, memory, distributions)
        for kind, next_id in connection.exec_driver_sql("SELECT kind, next_id FROM narrows_ids"):
            if kind == "study":
                memory.next_study_id = max(memory.next_study_id, next_id)
            else:
                memory.next_trial_id = max(memory.next_trial_id, next_id)
    return memory


@contextmanager
def _garbage_collection_off() -> Iterator[None]:
    """Turn the garbage collector off: it would scan millions of new objects repeatedly and find no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def _load_studies(connection: Connection, memory: Memory) -> None:
    for study_id, name in connection.exec_driver_sql(tables.SELECT_STUDIES):
        memory.load_study(StudyMemory(study_id, name, []))
    for study_id, direction in connection.exec_driver_sql(tables.SELECT_DIRECTIONS):
        memory.studies[study_id].directions.append(StudyDirection[direction])
    for study_id, key, text in connection.exec_driver_sql(tables.SELECT_STUDY_USER_ATTRS):
        memory.studies[study_id].user_attrs[key] = load_json(text)
    for study_id, key, text in connection.exec_driver_sql(tables.SELECT_STUDY_SYSTEM_ATTRS):
        memory.studies[study_id].system_attrs[key] = load_json(text)


def _load_trials(connection: Connection, memory: Memory, distributions: DistributionCache) -> None:
    params = _TrialRows(connection, tables.SELECT_PARAMS)
    values = _TrialRows(connection, tables.SELECT_VALUES)
    steps = _TrialRows(connection, tables.SELECT_INTERMEDIATE_VALUES)
    user_attrs = _TrialRows(connection, tables.SELECT_TRIAL_USER_ATTRS)
    system_attrs = _TrialRows(connection, tables.SELECT_TRIAL_SYSTEM_ATTRS)
    for trial_id, study_id, state, started, completed in _rows(connection, tables.SELECT_TRIALS):
        study = memory.studies[study_id]
        own_params, own_distributions = _params(params.of(trial_id), distributions)
        numbers = [tables.decode_value(value, kind) for _, value, kind in values.of(trial_id)]
        trial = FrozenTrial(
            # Optuna numbers the trials of a study in order of their ids.
            number=len(study.trials),
            state=STATES[state],
            value=None,
            values=numbers or None,
            datetime_start=from_utc(_time(started)),
            datetime_complete=from_utc(_time(completed)),
            params=own_params,
            distributions=own_distributions,
            user_attrs={intern(key): load_json(text) for _, key, text in user_attrs.of(trial_id)},
            system_attrs={intern(key): load_json(text) for _, key, text in system_attrs.of(trial_id)},
            intermediate_values={
                step: tables.decode_intermediate_value(value, kind) for _, step, value, kind in steps.of(trial_id)
            },
            trial_id=trial_id,
        )
        memory.load_trials(study, [trial])


class _TrialRows:
    """Reads a table of rows that belong to trials, sorted by trial id, trial by trial."""

    def __init__(self, connection: Connection, statement: str) -> None:
        self._next: Callable[[], Any] = _rows(connection, statement).__next__
        self._row: Any = None
        self._advance()

    def _advance(self) -> None:
        try:
            self._row = self._next()
        except StopIteration:
            self._row = None

    def of(self, trial_id: int) -> list[Any]:
        """The rows of the next trial. Trial ids must be asked for in ascending order."""
        while self._row is not None and self._row[0] < trial_id:  # rows of a trial that no longer exists
            self._advance()
        rows = []
        while self._row is not None and self._row[0] == trial_id:
            rows.append(self._row)
            self._advance()
        return rows


def _rows(connection: Connection, statement: str) -> Iterator[Any]:
    """Fetch rows from the driver in chunks. On PostgreSQL a named cursor leaves the remaining rows on the server."""
    names = (f"narrows_{abs(hash(statement))}",) if connection.dialect.name == "postgresql" else ()
    with closing(connection.connection.cursor(*names)) as cursor:
        cursor.execute(statement)
        while rows := cursor.fetchmany(CHUNK_ROWS):
            yield from rows


def _params(rows: list[Any], distributions: DistributionCache) -> tuple[dict[str, Any], dict[str, Any]]:
    params = {}
    known = {}
    for _, name, value, text in rows:
        name = intern(name)  # the driver makes a string for every row
        distribution = distributions.parse(text)
        params[name] = distribution.to_external_repr(math.nan if value is None else value)  # SQLite has no nan
        known[name] = distribution
    return params, known


def _time(value: datetime | str | None) -> datetime | None:
    """A time from the driver: SQLite stores times as text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
