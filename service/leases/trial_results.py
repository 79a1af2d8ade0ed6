"""The results that trials end with, by what they reported and what their studies ask for."""

import math
from collections.abc import Mapping, Sequence

from optuna.trial import TrialState

from service.errors import InvalidError
from service.finals.trials import confirmed_values, reads_test_split
from service.sampling import constraints
from service.study.live_study import LiveStudy
from storage import LeaseRecord, ResultRecord

Metrics = dict[str, float]

MAX_NAMES = 10
"""Metrics that a message names."""


def completed_result(
    live: LiveStudy, lease: LeaseRecord, metrics: Metrics, values: Sequence[float] | None, last: Metrics
) -> ResultRecord:
    """Result of a trial that has trained to its end: FAIL if an objective or a constrained metric is unknown.

    `last` are the metrics of its last report. Raises InvalidError if objective values are missing.
    """
    values = confirmed_values(live, lease) or (
        list(values) if values is not None else _values_from(live, lease, {**last, **metrics})
    )
    objectives = live.definition.objectives
    if len(values) != len(objectives):
        raise InvalidError([("values", f"values must have one number for each objective: {len(values)} given")])
    unknown = next(
        (objective.metric for objective, value in zip(objectives, values, strict=True) if math.isnan(value)), None
    )
    reason = None if unknown is None else f"{unknown} is nan"
    if reason is None and live.definition.constraints and not reads_test_split(live, lease):
        known = _final_metrics(live, last, values, metrics)
        reason = constraints.why_unknown(live.definition.constraints, known)
    if reason is not None:
        return ResultRecord(lease.trial_id, lease.study_id, "FAIL", metrics=metrics, reason=reason)
    return ResultRecord(lease.trial_id, lease.study_id, "COMPLETE", values, metrics)


def failed_result(lease: LeaseRecord, reason: str) -> ResultRecord:
    """Result of a trial that ends without objective values, for this reason."""
    return ResultRecord(lease.trial_id, lease.study_id, "FAIL", reason=reason)


def pruned_result(lease: LeaseRecord) -> ResultRecord:
    """Result of a trial that is given up at its last intermediate value."""
    return ResultRecord(lease.trial_id, lease.study_id, "PRUNED")


def interrupted_result(live: LiveStudy, lease: LeaseRecord, reason: str) -> ResultRecord:
    """Result of a trial that ends because its study has: PRUNED if it had been told to pause, FAIL otherwise."""
    if live.leases.pause_step(lease.lease_id) is None:
        return failed_result(lease, reason)
    return pruned_result(lease)


def save_constraints(live: LiveStudy, lease: LeaseRecord, result: ResultRecord) -> None:
    """Write the constraint values of a trial that ends, as far as its metrics tell them; none for a failed trial."""
    if not live.definition.constraints or result.state == TrialState.FAIL.name:
        return
    metrics = _final_metrics(live, last_metrics(live, lease), result.values or (), result.metrics)
    values = constraints.constraint_values(live.definition.constraints, metrics)
    constraints.save_values(live.store.optuna, lease.trial_id, values)


def same_metrics(left: Mapping[str, float], right: Mapping[str, float]) -> bool:
    """Equality of metrics in which nan equals nan."""
    return left.keys() == right.keys() and all(
        left[name] == right[name] or (math.isnan(left[name]) and math.isnan(right[name])) for name in left
    )


def _values_from(live: LiveStudy, lease: LeaseRecord, known: Metrics) -> list[float]:
    missing = [objective.metric for objective in live.definition.objectives if objective.metric not in known]
    if missing:
        last = live.leases.last_epoch(lease)
        at = "nothing was reported" if last is None else f"the last report was at step {last.step}"
        given = f"{', '.join(sorted(known)[:MAX_NAMES]) or 'no metrics'} given, {at}"
        rule = "which is an objective, must be in metrics or in the last report"
        raise InvalidError([(f"metrics.{metric}", f"{metric}, {rule}: {given}") for metric in missing])
    return [known[objective.metric] for objective in live.definition.objectives]


def _final_metrics(live: LiveStudy, last: Metrics, values: Sequence[float], metrics: Metrics) -> Metrics:
    """All metrics that a trial ends with. Final metrics override objective values, and these the last report."""
    names = [objective.metric for objective in live.definition.objectives]
    return {**last, **dict(zip(names, values, strict=False)), **metrics}


def last_metrics(live: LiveStudy, lease: LeaseRecord) -> Metrics:
    """The metrics of the last report of a trial that has not ended, under this lease or an earlier one."""
    last = live.leases.last_epoch(lease)
    return {} if last is None else last.metrics
