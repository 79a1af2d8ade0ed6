"""What entrypoints ask for as they run: parameters, sampled by the study's sampler, notes and constraint values."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from optuna.distributions import check_distribution_compatibility
from optuna.trial import FrozenTrial

from service.errors import DistributionError, InvalidError, StateConflictError
from service.leases.calls import check_open, known
from service.registry.registry import Registry
from service.sampling.constraints import keep
from service.schemas.code_calls import Suggest
from service.schemas.fields import Scalar
from service.schemas.optuna import distribution
from service.study.live_study import LiveStudy
from storage import LeaseRecord

MAX_USER_ATTRS = 100
MAX_USER_ATTRS_BYTES = 64 * 1024
"""Of a trial, as JSON: they are in memory, and in every answer that has the trial."""
MAX_PARAMETERS = 1000
MAX_CONSTRAINTS = 100

Committed = Sequence[Future[None]]


def suggest(registry: Registry, lease_id: str, body: Suggest) -> tuple[Scalar, Committed]:
    """The value of a parameter, sampled if it has none yet; it holds once the futures are done.

    The study is not held while its sampler works. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError,
    StateConflictError, InvalidError and DistributionError.
    """
    live, lease = known(registry, lease_id)
    if not live.definition.is_user_code:
        raise StateConflictError(f"study {live.record.name} has no entrypoint: its parameters are in the lease")
    with live.changing() as committed:
        check_open(registry, live, lease_id)
        running = live.store.optuna.get_trial(lease.trial_id)
        if body.name in running.params:
            return _known_value(running, body), [committed]
        if len(running.params) >= MAX_PARAMETERS:
            raise InvalidError([("name", f"a trial must have at most {MAX_PARAMETERS} parameters: {body.name!r}")])
    _check_compatible(live.study.get_trials(deepcopy=False), body)
    sampled = _sample(live, lease, running, body)
    with live.changing() as committed:
        check_open(registry, live, lease_id)
        return _keep(live, lease, sampled, body), [committed]


def _check_compatible(trials: Sequence[FrozenTrial], body: Suggest) -> None:
    """Raises DistributionError when the parameter has other values in the study's trials so far."""
    last = next((trial for trial in reversed(trials) if body.name in trial.distributions), None)
    if last is not None:
        _check_same(last, body)


def _check_same(trial: FrozenTrial, body: Suggest) -> None:
    try:
        check_distribution_compatibility(trial.distributions[body.name], distribution(body.distribution))
    except ValueError as error:
        raise DistributionError(f"{body.name}: {error}") from error


def _sample(live: LiveStudy, lease: LeaseRecord, running: FrozenTrial, body: Suggest) -> FrozenTrial:
    """Raises DistributionError."""
    asked = live.asked.get(lease.lease_id)
    if asked is None:
        asked = live.queue.suggestions.ask(running)
        with live.lock:
            still = {lease_id: one for lease_id, one in live.asked.items() if live.leases.get(lease_id) is not None}
            live.asked = {**still, lease.lease_id: asked}
    try:
        return live.queue.suggestions.sample_more(asked, body.name, body.distribution)
    except ValueError as error:
        live.asked.pop(lease.lease_id, None)
        raise DistributionError(f"{body.name}: {error}") from error


def _keep(live: LiveStudy, lease: LeaseRecord, sampled: FrozenTrial, body: Suggest) -> Scalar:
    """Write a sampled parameter, unless the same call came twice and the other one has. Raises DistributionError."""
    storage = live.store.optuna
    trial = storage.get_trial(lease.trial_id)
    if body.name not in trial.params:
        kind = sampled.distributions[body.name]
        try:
            internal = kind.to_internal_repr(sampled.params[body.name])
            storage.set_trial_param(lease.trial_id, body.name, internal, kind)
        except ValueError as error:  # another trial of the study has it with other values
            raise DistributionError(f"{body.name}: {error}") from error
        for key, value in sampled.system_attrs.items():
            if trial.system_attrs.get(key) != value:
                storage.set_trial_system_attr(lease.trial_id, key, value)
    return _known_value(storage.get_trial(lease.trial_id), body)


def _known_value(trial: FrozenTrial, body: Suggest) -> Scalar:
    _check_same(trial, body)
    value: Scalar = trial.params[body.name]
    return value


def set_constraints(
    registry: Registry, lease_id: str, constraints: Mapping[str, float]
) -> tuple[dict[str, float], Committed]:
    """Keep constraint values with a trial, and answer all that it has; above 0 a constraint is violated.

    Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError and InvalidError.
    """
    live, lease = known(registry, lease_id)
    with live.changing() as committed:
        check_open(registry, live, lease_id)
        storage = live.store.optuna
        n_constraints = len({**storage.get_trial(lease.trial_id).constraints, **constraints})
        if n_constraints > MAX_CONSTRAINTS:
            problem = f"a trial must have at most {MAX_CONSTRAINTS} constraints: {n_constraints}"
            raise InvalidError([("constraints", problem)])
        keep(storage, lease.trial_id, constraints)
        return storage.get_trial(lease.trial_id).constraints, [committed]


def set_user_attrs(
    registry: Registry, lease_id: str, user_attrs: Mapping[str, Any]
) -> tuple[dict[str, Any], Committed]:
    """Note values with a trial, and answer all that is noted.

    Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError and InvalidError.
    """
    live, lease = known(registry, lease_id)
    with live.changing() as committed:
        check_open(registry, live, lease_id)
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
        return dict(storage.get_trial(lease.trial_id).user_attrs), [committed]
