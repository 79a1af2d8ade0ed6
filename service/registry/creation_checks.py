"""What must be true before a study is created or replaced."""

from optuna.trial import TrialState

from service.errors import InvalidError, StateConflictError
from service.sampling.configurations import first_configurations
from service.sampling.custom.custom_samplers import CustomSamplers
from service.sampling.samplers import missing_package
from service.schemas.final import RESERVED
from service.schemas.study.custom_sampler import CustomSampler
from service.schemas.study.definition import Definition
from service.schemas.study.enqueue_checks import unused_errors
from service.study.live_study import LiveStudy


def check_new_definition(definition: Definition, custom_samplers: CustomSamplers) -> None:
    """Raises InvalidError for a valid definition of which no study can be created here, and OverloadedError.

    A custom sampler is made once in a process of its own, which may take seconds.
    """
    check_name(definition.name)
    package = missing_package(definition)
    if package is not None:
        raise InvalidError([("sampler", f"sampler {definition.sampler.name} needs {package} on the service's machine")])
    _check_enqueued(definition)
    first_configurations(definition)  # raises InvalidError if they cannot be completed
    if isinstance(definition.sampler, CustomSampler):
        custom_samplers.check(definition.sampler)


def check_name(name: str) -> None:
    """Raises InvalidError for a name that is reserved for the studies of final evaluations."""
    if RESERVED.search(name):
        raise InvalidError([("name", f"name must not end as those of final evaluations do: {name!r}")])


def _check_enqueued(definition: Definition) -> None:
    """Raises InvalidError for enqueued values without effect. Studies that were stored before this rule are loaded."""
    errors = [
        (f"enqueue.{index}.{name}", message)
        for index, params in enumerate(definition.enqueue)
        for name, message in unused_errors(definition, params)
    ]
    if errors:
        raise InvalidError(errors)


def check_replaceable(live: LiveStudy) -> None:
    """Raises StateConflictError for a study with a complete trial, and for one of a final evaluation."""
    name = live.record.name
    if live.final is not None:
        raise StateConflictError(f"study {name} is a final evaluation: it cannot be replaced")
    n_complete = live.store.optuna.get_n_trials(live.record.study_id, TrialState.COMPLETE)
    if n_complete > 0:
        raise StateConflictError(f"study {name} has complete trials ({n_complete}): it cannot be replaced")


def is_replaceable(live: LiveStudy) -> bool:
    """Whether another definition may replace a study."""
    try:
        check_replaceable(live)
    except StateConflictError:
        return False
    return True
