"""Calls from the code of a running trial: suggest a parameter, set user attributes, set constraint values."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import check_distribution_compatibility
from optuna.trial import FrozenTrial

from service.errors import DistributionError, InvalidError, StateConflictError
from service.leases.lookup import Committed, get_lease, hold_lease, renew_open_lease
from service.registry.registry import Registry
from service.sampling import constraints as trial_constraints
from service.schemas.code_calls import Suggest
from service.schemas.fields import Scalar
from service.schemas.optuna import distribution
from service.schemas.study.search_space import IntRange
from service.study.live_study import LiveStudy
from storage import FIXED_PARAMS_ATTR, LeaseRecord

MAX_USER_ATTRS = 100
MAX_USER_ATTRS_BYTES = 64 * 1024
"""Limit of a trial's user attributes as JSON: they are in memory, and in every answer that shows the trial."""
MAX_PARAMETERS = 1000
MAX_CONSTRAINTS = 100


def suggest_param(registry: Registry, lease_id: str, body: Suggest) -> tuple[Scalar, Committed]:
    """Return the value of a parameter of a running trial; sample it if the trial has none yet.

    The study is not locked while its sampler works. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError,
    StateConflictError, InvalidError and DistributionError.
    """
    live, lease = get_lease(registry, lease_id)
    if not live.definition.asks_for_params:
        raise StateConflictError(f"study {live.record.name} has no entrypoint: its parameters are in the lease")
    with live.deferred_change() as committed:
        renew_open_lease(registry, live, lease)
        running = live.store.optuna.get_trial(lease.trial_id)
        if body.name in running.params:
            return _known_value(running, body), [committed]
        if len(running.params) >= MAX_PARAMETERS:
            raise InvalidError([("name", f"a trial must have at most {MAX_PARAMETERS} parameters: {body.name!r}")])
    _check_compatible(live.study.get_trials(deepcopy=False), body)
    sampled = _sample(live, lease, running, body)
    with live.deferred_change() as committed:
        renew_open_lease(registry, live, lease)
        return _save_param(live, lease, sampled, body), [committed]


def _check_compatible(trials: Sequence[FrozenTrial], body: Suggest) -> None:
    """Raises DistributionError if the study's trials have the parameter with an incompatible distribution."""
    last = next((trial for trial in reversed(trials) if body.name in trial.distributions), None)
    if last is not None:
        _check_same(last, body)


def _check_same(trial: FrozenTrial, body: Suggest) -> None:
    try:
        check_distribution_compatibility(trial.distributions[body.name], distribution(body.distribution))
    except ValueError as error:
        raise DistributionError(f"{body.name}: {error}") from error


def _sample(live: LiveStudy, lease: LeaseRecord, running: FrozenTrial, body: Suggest) -> FrozenTrial:
    """Sample a parameter of a running trial. Raises DistributionError."""
    enqueued = running.system_attrs.get(FIXED_PARAMS_ATTR, {}).get(body.name)
    if isinstance(body.distribution, IntRange) and isinstance(enqueued, float) and not enqueued.is_integer():
        raise DistributionError(f"{body.name} must be a whole number: it was enqueued as {enqueued:g}")
    trial = live.define_by_run_trials.get(lease.lease_id)
    if trial is None:
        trial = live.queue.suggestions.ask(running)
        with live.lock:
            open_ones = {
                lease_id: other
                for lease_id, other in live.define_by_run_trials.items()
                if live.leases.get(lease_id) is not None
            }
            live.define_by_run_trials = {**open_ones, lease.lease_id: trial}
    try:
        return live.queue.suggestions.sample_more(trial, body.name, body.distribution)
    except ValueError as error:
        live.define_by_run_trials.pop(lease.lease_id, None)
        raise DistributionError(f"{body.name}: {error}") from error


def _save_param(live: LiveStudy, lease: LeaseRecord, sampled: FrozenTrial, body: Suggest) -> Scalar:
    """Write a sampled parameter, unless a repetition of the call has written it. Raises DistributionError."""
    storage = live.store.optuna
    trial = storage.get_trial(lease.trial_id)
    if body.name not in trial.params:
        kind = sampled.distributions[body.name]
        try:
            internal = kind.to_internal_repr(sampled.params[body.name])
            storage.set_trial_param(lease.trial_id, body.name, internal, kind)
        except ValueError as error:  # another trial of the study has it with an incompatible distribution
            raise DistributionError(f"{body.name}: {error}") from error
        for key, value in sampled.system_attrs.items():
            if trial.system_attrs.get(key) != value:
                storage.set_trial_system_attr(lease.trial_id, key, value)
    return _known_value(storage.get_trial(lease.trial_id), body)


def _known_value(trial: FrozenTrial, body: Suggest) -> Scalar:
    _check_same(trial, body)
    value: Scalar = trial.params[body.name]
    return value


def save_constraint_values(
    registry: Registry, lease_id: str, constraints: Mapping[str, float]
) -> tuple[dict[str, float], Committed]:
    """Write constraint values to a running trial and return all that it has. Above 0 a constraint is violated.

    Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError and InvalidError.
    """
    with hold_lease(registry, lease_id) as (live, lease, committed):
        storage = live.store.optuna
        n_constraints = len({**storage.get_trial(lease.trial_id).constraints, **constraints})
        if n_constraints > MAX_CONSTRAINTS:
            problem = f"a trial must have at most {MAX_CONSTRAINTS} constraints: {n_constraints}"
            raise InvalidError([("constraints", problem)])
        trial_constraints.save_values(storage, lease.trial_id, constraints)
        return storage.get_trial(lease.trial_id).constraints, [committed]


def save_user_attrs(
    registry: Registry, lease_id: str, user_attrs: Mapping[str, Any]
) -> tuple[dict[str, Any], Committed]:
    """Write user attributes to a running trial and return all that it has.

    Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError and InvalidError.
    """
    with hold_lease(registry, lease_id) as (live, lease, committed):
        storage = live.store.optuna
        merged = {**storage.get_trial(lease.trial_id).user_attrs, **user_attrs}
        if len(merged) > MAX_USER_ATTRS:
            problem = f"a trial must have at most {MAX_USER_ATTRS} user_attrs: {len(merged)}"
            raise InvalidError([("user_attrs", problem)])
        n_bytes = len(json.dumps(merged))
        if n_bytes > MAX_USER_ATTRS_BYTES:
            problem = f"user_attrs of a trial must have at most {MAX_USER_ATTRS_BYTES} bytes as JSON: {n_bytes}"
            raise InvalidError([("user_attrs", problem)])
        for name, value in user_attrs.items():
            storage.set_trial_user_attr(lease.trial_id, name, value)
        live.note_user_attrs(user_attrs)
        return dict(storage.get_trial(lease.trial_id).user_attrs), [committed]
