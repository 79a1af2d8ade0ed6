from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from service.schemas.study.search_space import Choices, Distribution, FloatRange


def distribution(parameter: Distribution) -> BaseDistribution:
    """A parameter of a definition as Optuna has it."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, FloatRange):
        return FloatDistribution(parameter.low, parameter.last, log=parameter.log, step=parameter.step)
    return IntDistribution(parameter.low, parameter.last, log=parameter.log, step=parameter.step or 1)
