"""Compare a database with what clients had acknowledged, and with what the service answered last."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, create_engine, text

from service.client import Client
from service.schemas.results import Trial
from storage.database.opening import parse_url
from tests.acceptance.service_load import METRIC, LeaseNote, ServiceLoad, Snapshot


def stock_url(url: str) -> str:
    """The database URL in the form that Optuna takes."""
    return parse_url(url).render_as_string(hide_password=False)


@contextmanager
def stock_storage(url: str) -> Iterator[RDBStorage]:
    """Optuna's own storage of the database."""
    storage = RDBStorage(stock_url(url))
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection to the database."""
    engine = create_engine(stock_url(url))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


class Seen(NamedTuple):
    """One trial, as Optuna or a client reads it. Only a complete trial has values."""

    number: int
    state: str
    params: dict[str, Any]
    values: list[float] | None
    reports: Mapping[int, float | None]


def seen(trial: FrozenTrial) -> Seen:
    """An Optuna trial in the form that is compared."""
    values = trial.values if trial.state == TrialState.COMPLETE else None
    return Seen(trial.number, trial.state.name, trial.params, values, trial.intermediate_values)


def read_from(url: str) -> dict[str, list[Seen]]:
    """All trials by study, as Optuna reads them from the database."""
    with stock_storage(url) as storage:
        studies = storage.get_all_studies()
        return {study.study_name: list(map(seen, storage.get_all_trials(study._study_id))) for study in studies}


def read_by(client: Client) -> dict[str, list[Seen]]:
    """All trials by study, as the service returns them."""
    return {study.name: [_seen_by(client, trial) for trial in client.trials(study.name)] for study in client.studies()}


def _seen_by(client: Client, trial: Trial) -> Seen:
    curves = client.curves(trial.study, trial.number)
    reports = dict(zip(curves.steps, curves.metrics.get(METRIC, []), strict=True))
    return Seen(trial.number, trial.state, dict(trial.params), trial.values, reports)


class Ids:
    """Remembers which study and trial has had which id."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, int], object] = {}

    def learn(self, url: str) -> None:
        """Remember all ids in a database. Fails if an id was another study's or trial's before."""
        with connected(url) as connection:
            studies = connection.execute(text("SELECT study_id, study_name FROM studies")).all()
            trials = connection.execute(text("SELECT trial_id, study_id FROM trials")).all()
        for kind, rows in (("study", studies), ("trial", trials)):
            for row_id, owner in rows:
                known = self._owners.setdefault((kind, row_id), owner)
                assert known == owner, f"{kind} id {row_id} belonged to {known} and belongs to {owner} now"


def check_kept(url: str, load: ServiceLoad) -> None:
    """Check that all acknowledged writes are in the database, once. The service must not be running."""
    load.check()
    known = load.ledger.snapshot()
    check_seen(read_from(url), known)
    with connected(url) as connection:
        outcomes = {row[0]: row[1] for row in connection.execute(text("SELECT lease_id, outcome FROM narrows_leases"))}
        twice = "SELECT trial_id FROM narrows_leases WHERE ended_at IS NULL GROUP BY trial_id HAVING count(*) > 1"
        assert connection.execute(text(twice)).all() == [], "a trial has two open leases"
    for lease_id, note in known.leases.items():
        assert lease_id in outcomes, "an acknowledged lease is lost"
        assert note.state is None or outcomes[lease_id] is not None, "an acknowledged end is lost"


def check_seen(trials: Mapping[str, Sequence[Seen]], known: Snapshot) -> None:
    """Check that all acknowledged writes are in these trials, and that no study has more trials than its budget."""
    assert known.studies.keys() <= trials.keys(), "an acknowledged study is lost"
    for name, n_trials in known.studies.items():
        assert [trial.number for trial in trials[name]] == list(range(len(trials[name])))
        assert len(trials[name]) <= n_trials, "more trials than the budget"
    for note in known.leases.values():
        assert note.number < len(trials[note.study]), f"an acknowledged trial is lost: {note}"
        _check_trial(trials[note.study][note.number], note)


def _check_trial(trial: Seen, note: LeaseNote) -> None:
    assert trial.params == note.params
    if not note.given_back:
        assert note.reports.items() <= trial.reports.items(), f"an acknowledged report is lost: {note}"
    if note.state not in (None, "WAITING"):
        assert trial.state == note.state, f"an acknowledged end is lost: {note}"
    if note.value is not None:
        assert trial.values == [note.value]


def check_spent(url: str, load: ServiceLoad) -> None:
    """Check that every study has exactly its budget of trials, and that all of them have ended."""
    studies = load.ledger.snapshot().studies
    trials = read_from(url)
    assert trials.keys() == studies.keys(), "a deleted study is back, or there is one that was never created"
    for name, n_trials in studies.items():
        assert len(trials[name]) == n_trials, name
        assert all(TrialState[trial.state].is_finished() for trial in trials[name])
