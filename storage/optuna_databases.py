"""Read and write studies in databases of Optuna: all those that its own RDBStorage opens."""

import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import URL, create_engine, inspect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from storage.batch import Batch, Upserts
from storage.database.opening import as_storage_errors, check_folder, parse_address
from storage.errors import DuplicateStudyError, InvalidDatabaseUrlError, MissingStudyError
from storage.optuna_seam.objects import METRIC_NAMES_ATTR, set_trial_id, study_id_of
from storage.optuna_seam.tables import OPTUNA_TABLES, StudyDirectionModel, StudyModel, TrialModel
from storage.tables.schema import owners
from storage.trials import rows
from storage.writing.upserts import UPSERTS

CHUNK = 1000


@dataclass(frozen=True)
class OptunaStudy:
    """A study of Optuna with its trials. `metric_names` are those of the objectives; None if they have none."""

    name: str
    directions: Sequence[StudyDirection]
    metric_names: Sequence[str] | None
    user_attrs: Mapping[str, Any]
    trials: Iterable[FrozenTrial]


def write_study(text: str, study: OptunaStudy) -> int:
    """Write a new study into a database in one transaction, and return its number of trials.

    Missing tables are created. Raises DuplicateStudyError, InvalidDatabaseUrlError and DatabaseUnavailableError.
    """
    with _opened(text, new=True) as (url, storage):
        if inspect(storage.engine).has_table(owners.name):
            shown = url.render_as_string(hide_password=True)
            raise InvalidDatabaseUrlError(f"database must not be one of Narrows, which knows its studies: {shown}")
        with Session(storage.engine) as session, session.begin():
            study_id = _add_study(session, study)
            trials = iter(study.trials)
            n_trials = 0
            while chunk := list(itertools.islice(trials, CHUNK)):
                _add_trials(session, study_id, n_trials, chunk)
                n_trials += len(chunk)
    return n_trials


def _add_study(session: Session, study: OptunaStudy) -> int:
    directions = [
        StudyDirectionModel(objective=objective, direction=direction)
        for objective, direction in enumerate(study.directions)
    ]
    row = StudyModel(study_name=study.name, directions=directions)
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise DuplicateStudyError(f"a study of this name is in that database already: {study.name}") from error
    study_id = int(row.study_id)
    batch = Batch()
    system_attrs = {} if study.metric_names is None else {METRIC_NAMES_ATTR: list(study.metric_names)}
    rows.put_attributes(batch, "study_user_attributes", study_id, study.user_attrs)
    rows.put_attributes(batch, "study_system_attributes", study_id, system_attrs)
    _insert(session, batch)
    return study_id


def _add_trials(session: Session, study_id: int, first: int, trials: Sequence[FrozenTrial]) -> None:
    """Insert trials. The database assigns their ids; all other columns are written as in our own databases."""
    made = [
        TrialModel(
            study_id=study_id,
            number=number,
            state=trial.state,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
        )
        for number, trial in enumerate(trials, first)
    ]
    session.add_all(made)
    session.flush()
    batch, distributions = Batch(), rows.DistributionCache()
    for row, trial in zip(made, trials, strict=True):
        written = copy.copy(trial)
        set_trial_id(written, int(row.trial_id))
        rows.put_trial(batch, written, study_id, distributions)
    _insert(session, batch, skip="trials")
    session.expunge_all()


def _insert(session: Session, batch: Batch, skip: str = "") -> None:
    for step in batch.steps:
        assert isinstance(step, Upserts), "a new study removes nothing"
        for name, found in step.tables.items():
            if name != skip:
                columns = UPSERTS[name].columns
                session.execute(
                    OPTUNA_TABLES[name].table.insert(), [dict(zip(columns, row, strict=True)) for row in found.values()]
                )


def read_study(text: str, name: str | None) -> OptunaStudy:
    """Read a study of a database; without a name, its only study.

    Raises MissingStudyError, InvalidDatabaseUrlError and DatabaseUnavailableError.
    """
    with _opened(text, new=False) as (url, storage):
        return _study_of(storage, url.render_as_string(hide_password=True), name)


def read_journal(file: str, name: str | None) -> OptunaStudy:
    """Read a study of a journal file of Optuna; without a name, its only study.

    Raises MissingStudyError, and InvalidDatabaseUrlError for a file that Optuna cannot read.
    """
    try:
        storage = JournalStorage(JournalFileBackend(file))
    except Exception as error:  # Optuna does what the lines say and checks none of them
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise InvalidDatabaseUrlError(f"Optuna cannot read the journal {file}: {reason}") from error
    return _study_of(storage, file, name)


def _study_of(storage: BaseStorage, shown: str, name: str | None) -> OptunaStudy:
    known = {study.study_name: study for study in storage.get_all_studies()}
    if name is None and len(known) != 1:
        raise MissingStudyError(f"{shown} has {len(known)} studies, one must be named: {', '.join(known)}")
    study = next(iter(known.values())) if name is None else known.get(name)
    if study is None:
        raise MissingStudyError(f"{shown} has no study {name!r}, it has: {', '.join(known) or 'none'}")
    trials = storage.get_all_trials(study_id_of(study))
    return OptunaStudy(
        study.study_name, study.directions, study.system_attrs.get(METRIC_NAMES_ATTR), study.user_attrs, trials
    )


@contextmanager
def _opened(text: str, *, new: bool) -> Iterator[tuple[URL, RDBStorage]]:
    """Raises InvalidDatabaseUrlError and DatabaseUnavailableError."""
    url = _url(text)
    if not new:
        _check_there(url)
    with as_storage_errors(url):
        try:
            storage = RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs={"poolclass": NullPool},  # no connection stays open if Optuna refuses the database
                skip_table_creation=not new,
            )
        except RuntimeError as error:
            shown = url.render_as_string(hide_password=True)
            raise InvalidDatabaseUrlError(f"Optuna refuses the database {shown}: {error}") from error
        try:
            yield url, storage
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _url(text: str) -> URL:
    """The address with its driver. Raises InvalidDatabaseUrlError."""
    url = parse_address(text, "sqlite:///optuna.db")
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise InvalidDatabaseUrlError(f"database must be a file: {text!r}")
        check_folder(url)
    return url


def _check_there(url: URL) -> None:
    """Raises InvalidDatabaseUrlError if the database has no studies. Creates neither a file nor tables."""
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise InvalidDatabaseUrlError(f"there is no such file: {url.database}")
    with as_storage_errors(url):
        engine = create_engine(url)
        try:
            is_optunas = inspect(engine).has_table(StudyModel.__tablename__)
        finally:
            engine.dispose()
    if not is_optunas:
        raise InvalidDatabaseUrlError(f"{shown} holds no studies of Optuna")
