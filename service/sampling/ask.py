"""Ask Optuna's samplers for the parameters of a trial, conditional ones included, and tell them its result."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

from optuna import Study
from optuna.samplers import CmaEsSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from service.schemas.fields import Scalar
from service.schemas.study.search_space import Choices, Distribution, FloatRange, Parameter, is_active
from storage import DATABASE_ERRORS, FIXED_PARAMS_ATTR, storage_of, trial_id_of

log = logging.getLogger(__name__)

Failed = Callable[[Exception], None]
"""Is called with the error of a sampler that failed."""


class ServiceStudy(Study):
    """An Optuna study without an optimize loop.

    Exhaustive samplers call `stop` when all configurations are tried. Stock Optuna refuses that outside such a loop.
    """

    def stop(self) -> None:
        """Log that the sampler has nothing left to try."""
        log.info("the sampler of study %s has nothing left to try", self.study_name)


def with_random_sampler(study: Study) -> ServiceStudy:
    """The same study with a sampler that suggests at random."""
    return ServiceStudy(study.study_name, storage_of(study), RandomSampler(), study.pruner)


def suggest(
    study: Study, trial_id: int, space: Mapping[str, Parameter], failed: Failed = lambda _error: None
) -> dict[str, Scalar]:
    """Set every parameter of a trial and return them.

    If the sampler fails, for example because its model cannot be fitted, the failure is logged, `failed` is called, and
    the parameters that are still missing are random.
    """
    try:
        return _suggest_all(Trial(study, trial_id), space)
    except DATABASE_ERRORS:
        raise
    except Exception as error:
        failed(error)
        log.exception("the sampler of study %s failed: trial %d gets random parameters", study.study_name, trial_id)
        return _suggest_all(Trial(with_random_sampler(study), trial_id), space)


def suggest_param_or_random(trial: Trial, name: str, parameter: Distribution, failed: Failed) -> None:
    """Set one parameter of a trial. If the sampler fails, `failed` is called and the parameter is random.

    Raises ValueError when it was given a value that it cannot have.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an enqueued value that is out of range: it is taken
            suggest_param(trial, name, parameter)
    except DATABASE_ERRORS:
        raise
    except Exception as error:
        study = trial.study
        log.exception("the sampler of study %s failed: %s of trial %d is random", study.study_name, name, trial.number)
        suggest_param(Trial(with_random_sampler(study), trial_id_of(trial)), name, parameter)
        failed(error)


def known_params(trial: FrozenTrial) -> dict[str, Scalar]:
    """The parameters of a trial that are decided, with those it was enqueued with."""
    return {**trial.system_attrs.get(FIXED_PARAMS_ATTR, {}), **trial.params}


def has_all_params(trial: FrozenTrial, space: Mapping[str, Parameter]) -> bool:
    """Whether a trial has or was enqueued with every parameter, so that no sampler is needed."""
    params = known_params(trial)
    return all(name in params for name, parameter in space.items() if is_active(parameter, params))


def _suggest_all(trial: Trial, space: Mapping[str, Parameter]) -> dict[str, Scalar]:
    params: dict[str, Scalar] = {}
    for name, parameter in space.items():
        if is_active(parameter, params):
            params[name] = suggest_param(trial, name, parameter)
    return params


def suggest_param(trial: Trial, name: str, parameter: Distribution) -> Scalar:
    """Ask the sampler for one parameter. Raises its errors, and ValueError for another distribution than before."""
    if isinstance(parameter, Choices):
        return trial.suggest_categorical(name, parameter.choices)
    if isinstance(parameter, FloatRange):
        return trial.suggest_float(name, parameter.low, parameter.last, log=parameter.log, step=parameter.step)
    return trial.suggest_int(name, parameter.low, parameter.last, log=parameter.log, step=parameter.step or 1)


def tell(study: Study, number: int, state: TrialState, values: Sequence[float] | None) -> None:
    """End a trial and tell the sampler its result. Nothing happens if another tool has ended the trial."""
    with warnings.catch_warnings() if isinstance(study.sampler, CmaEsSampler) else nullcontext():
        if isinstance(study.sampler, CmaEsSampler):
            warnings.filterwarnings("ignore", "Constraints have been set", UserWarning)  # documented
        study.tell(number, values, state=state, skip_if_finished=True)
