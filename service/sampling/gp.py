"""Optuna's Gaussian process sampler, for parameters of which it can list the values."""

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import GPSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from service.schemas.study.search_space import Choices, Distribution

MAX_VALUES = 1_000_000
"""It holds every value of a discrete parameter in memory at a time: 2**32 of them need 32 GiB."""


class BoundedGpSampler(GPSampler):
    """A GPSampler that leaves parameters with more than MAX_VALUES discrete values to random sampling."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that the Gaussian process models."""
        space = super().infer_relative_search_space(study, trial)
        return {name: kind for name, kind in space.items() if _n_values(kind) <= MAX_VALUES}


def is_too_fine(parameter: Distribution) -> bool:
    """Whether a parameter has more discrete values than the Gaussian process can take."""
    return not isinstance(parameter, Choices) and (parameter.size() or 0) > MAX_VALUES


def _n_values(kind: BaseDistribution) -> float:
    if isinstance(kind, IntDistribution | FloatDistribution) and kind.step is not None:
        return (kind.high - kind.low) / kind.step + 1
    return 0
