"""What must be true of a study that went through turmoil: its trials, and every report that was answered."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from service.client import Client
from service.schemas.results import Trial
from storage import LeaseRecord, open_engine
from storage.tables.lease_index import MAX_OF_TRIAL as MAX_SHOWN
from storage.tables.schema import leases, studies
from tests.acceptance.chaos.harness import EPOCHS
from tests.acceptance.chaos.proxy import Seen

METRIC = "validation_accuracy"
Reports = Sequence[tuple[Mapping[str, Any], str]]
Sent = Mapping[tuple[str, int], set[float]]


@dataclass
class Accounts:
    """Figures of one or several studies."""

    trials: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    n_reports: int = 0
    lost: list[str] = field(default_factory=list)
    """What was acknowledged and is not there."""
    doubled: list[str] = field(default_factory=list)
    """What counts more than once."""

    def add(self, client: Client, database: str, name: str, n_trials: int, seen: Seen) -> None:
        """Look at a finished study, with the reports that went to the service meanwhile.

        Leases are read from the database: an answer with a trial has only some of many.
        """
        trials, known = list(client.trials(name)), leases_by_trial(database, name)
        numbers = [trial.number for trial in trials]
        self.lost += [f"{name} #{number}" for number in set(range(n_trials)) - set(numbers)]
        self.doubled += [f"{name}: {len(numbers)} trials of {n_trials}"] * (len(numbers) > n_trials)
        acknowledged, sent = self._by_lease(seen.reports), _values_sent(seen)
        for trial in trials:
            self.trials[trial.state] += 1
            attempts = known[trial.number]
            self.attempts.update(attempt.outcome or "open" for attempt in attempts)
            self._check_attempts(trial, attempts)
            self._check_curve(client, trial, attempts, self._of_trial(attempts, acknowledged), sent)

    def _by_lease(self, reports: Reports) -> defaultdict[str, dict[int, float]]:
        """Value of each acknowledged step, by lease; what comes after a step that was pruned is not kept."""
        answers: dict[tuple[str, int], str] = {}
        kept: defaultdict[str, dict[int, float]] = defaultdict(dict)
        for report, decision in reports:
            if decision == "lost":
                continue
            key = (report["lease_id"], report["step"])
            if answers.setdefault(key, decision) != decision:
                self.doubled.append(f"{key} was answered with {answers[key]} and with {decision}")
            kept[report["lease_id"]][report["step"]] = report["metrics"][METRIC]
        pruned = sorted(key for key, decision in answers.items() if decision == "prune")
        for (lease_id, _), (same_id, later) in itertools.pairwise(pruned):
            if lease_id == same_id:
                del kept[lease_id][later]
        return kept

    def _of_trial(
        self, attempts: Sequence[LeaseRecord], acknowledged: Mapping[str, Mapping[int, float]]
    ) -> dict[int, float]:
        """Value of each acknowledged step that counts: those of the last attempt, and before them of those before.

        An attempt that goes on from a checkpoint begins after it; one that begins anew begins with step 0.
        """
        values: dict[int, float] = {}
        for attempt in reversed(attempts):
            first = min(values, default=None)
            earlier = acknowledged.get(attempt.lease_id, {})
            values |= {step: value for step, value in earlier.items() if first is None or step < first}
        return values

    def _check_attempts(self, trial: Trial, attempts: Sequence[LeaseRecord]) -> None:
        where = f"{trial.study} #{trial.number}"
        ends = [attempt for attempt in attempts if attempt.outcome in ("complete", "prune")]
        if trial.state in ("COMPLETE", "PRUNED") and ends != attempts[-1:]:
            self.doubled.append(f"{where} has ended {len(ends)} times")
        ids, shown = [attempt.lease_id for attempt in attempts], [attempt.lease_id for attempt in trial.attempts]
        if trial.n_attempts != len(ids) or shown != (ids[:1] + ids[1:][1 - MAX_SHOWN :] if ids else []):
            self.lost.append(
                f"{where} is shown with {trial.n_attempts} leases, of which {len(shown)}: it has {len(ids)}"
            )
        for earlier, later in itertools.pairwise(attempts):
            if earlier.ended_at is None or earlier.ended_at > later.granted_at:
                self.doubled.append(f"{where} was under two leases at a time")

    def _check_curve(
        self,
        client: Client,
        trial: Trial,
        attempts: Sequence[LeaseRecord],
        acknowledged: Mapping[int, float],
        sent: Sent,
    ) -> None:
        where = f"{trial.study} #{trial.number}"
        curves = client.curves(trial.study, trial.number)
        kept = dict(zip(curves.steps, curves.metrics.get(METRIC, []), strict=True))
        self.n_reports += len(kept)
        if len(kept) != len(curves.steps):
            self.doubled.append(f"{where} has a step twice: {curves.steps}")
        self.lost += [f"{where} step {step}" for step in acknowledged if kept.get(step) != acknowledged[step]]
        expected = EPOCHS if trial.state == "COMPLETE" else len(kept)
        self.lost += [f"{where} step {step}" for step in set(range(expected)) - set(kept)]
        ids = [attempt.lease_id for attempt in attempts]
        for step, value in kept.items():  # an answer may never have come, to a worker that was killed meanwhile
            if not any(value in sent.get((lease_id, step), ()) for lease_id in ids):
                self.doubled.append(f"{where} step {step} was never sent with {value}")
        last = [step for lease_id, step in sent if lease_id in ids[-1:]]
        self.doubled += [f"{where} step {step} is an earlier attempt's" for step in kept if last and step > max(last)]


def leases_by_trial(database: str, name: str) -> defaultdict[int, list[LeaseRecord]]:
    """All leases of a study by the number of their trial, oldest first."""
    found: defaultdict[int, list[LeaseRecord]] = defaultdict(list)
    engine = open_engine(database)
    statement = (
        select(leases)
        .join(studies, studies.c.study_id == leases.c.study_id)
        .where(studies.c.name == name)
        .order_by(leases.c.granted_at, leases.c.attempt)
    )
    with engine.connect() as connection:
        for row in connection.execute(statement):
            found[row.trial_number].append(LeaseRecord(**row._mapping))
    engine.dispose()
    return found


def _values_sent(seen: Seen) -> Sent:
    values: defaultdict[tuple[str, int], set[float]] = defaultdict(set)
    for report in seen.sent:
        values[report["lease_id"], report["step"]].add(report["metrics"][METRIC])
    return values
