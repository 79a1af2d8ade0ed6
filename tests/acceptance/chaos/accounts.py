"""What must be true of a study that went through turmoil: its trials, and every report that was answered."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.client import Client
from service.schemas.results import Trial
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

    def add(self, client: Client, name: str, n_trials: int, seen: Seen) -> None:
        """Look at a finished study, with the reports that went to the service meanwhile."""
        trials = list(client.trials(name))
        numbers = [trial.number for trial in trials]
        self.lost += [f"{name} #{number}" for number in set(range(n_trials)) - set(numbers)]
        self.doubled += [f"{name}: {len(numbers)} trials of {n_trials}"] * (len(numbers) > n_trials)
        acknowledged, sent = self._by_lease(seen.reports), _values_sent(seen)
        for trial in trials:
            self.trials[trial.state] += 1
            self.attempts.update(attempt.outcome or "open" for attempt in trial.attempts)
            self._check_attempts(trial)
            self._check_curve(client, trial, self._of_trial(trial, acknowledged), sent)

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

    def _of_trial(self, trial: Trial, acknowledged: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
        """Value of each acknowledged step that counts: those of the last attempt, and before them of those before.

        An attempt that goes on from a checkpoint begins after it; one that begins anew begins with step 0.
        """
        values: dict[int, float] = {}
        for attempt in reversed(trial.attempts):
            first = min(values, default=None)
            earlier = acknowledged.get(attempt.lease_id, {})
            values |= {step: value for step, value in earlier.items() if first is None or step < first}
        return values

    def _check_attempts(self, trial: Trial) -> None:
        where = f"{trial.study} #{trial.number}"
        ends = [attempt for attempt in trial.attempts if attempt.outcome in ("complete", "prune")]
        if trial.state in ("COMPLETE", "PRUNED") and ends != trial.attempts[-1:]:
            self.doubled.append(f"{where} has ended {len(ends)} times")
        for earlier, later in itertools.pairwise(trial.attempts):
            if earlier.ended_at is None or earlier.ended_at > later.started_at:
                self.doubled.append(f"{where} was under two leases at a time")

    def _check_curve(self, client: Client, trial: Trial, acknowledged: Mapping[int, float], sent: Sent) -> None:
        where = f"{trial.study} #{trial.number}"
        curves = client.curves(trial.study, trial.number)
        kept = dict(zip(curves.steps, curves.metrics.get(METRIC, []), strict=True))
        self.n_reports += len(kept)
        if len(kept) != len(curves.steps):
            self.doubled.append(f"{where} has a step twice: {curves.steps}")
        self.lost += [f"{where} step {step}" for step in acknowledged if kept.get(step) != acknowledged[step]]
        expected = EPOCHS if trial.state == "COMPLETE" else len(kept)
        self.lost += [f"{where} step {step}" for step in set(range(expected)) - set(kept)]
        leases = [attempt.lease_id for attempt in trial.attempts]
        for step, value in kept.items():  # an answer may never have come, to a worker that was killed meanwhile
            if not any(value in sent.get((lease_id, step), ()) for lease_id in leases):
                self.doubled.append(f"{where} step {step} was never sent with {value}")
        last = [step for lease_id, step in sent if lease_id in leases[-1:]]
        self.doubled += [f"{where} step {step} is an earlier attempt's" for step in kept if last and step > max(last)]


def _values_sent(seen: Seen) -> Sent:
    values: defaultdict[tuple[str, int], set[float]] = defaultdict(set)
    for report in seen.sent:
        values[report["lease_id"], report["step"]].add(report["metrics"][METRIC])
    return values
