"""Build Optuna's samplers from a definition."""

import importlib.util
import warnings
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, nsgaii
from optuna.samplers.nsgaii import BaseCrossover

from service.sampling.custom.custom_samplers import CustomSamplers
from service.sampling.custom.process_sampler import ProcessSampler
from service.sampling.gp import BoundedGpSampler
from service.schemas.study.checks import MAX_GRID
from service.schemas.study.counting import n_configurations
from service.schemas.study.custom_sampler import CustomSampler
from service.schemas.study.definition import Definition
from service.schemas.study.samplers import AnySampler, Auto, BruteForce, Genetic, Grid, Tpe
from storage import SafeCmaEsSampler

CLASSES: dict[str, type[BaseSampler]] = {
    "random": optuna.samplers.RandomSampler,
    "tpe": optuna.samplers.TPESampler,
    "gp": BoundedGpSampler,
    "cmaes": SafeCmaEsSampler,
    "qmc": optuna.samplers.QMCSampler,
    "grid": optuna.samplers.GridSampler,
    "nsgaii": optuna.samplers.NSGAIISampler,
    "nsgaiii": optuna.samplers.NSGAIIISampler,
    "brute_force": optuna.samplers.BruteForceSampler,
}
CROSSOVERS: dict[str, type[BaseCrossover]] = {
    "uniform": nsgaii.UniformCrossover,
    "blxalpha": nsgaii.BLXAlphaCrossover,
    "sbx": nsgaii.SBXCrossover,
    "vsbx": nsgaii.VSBXCrossover,
    "spx": nsgaii.SPXCrossover,
    "undx": nsgaii.UNDXCrossover,
}
SILENCED: dict[str, dict[str, Any]] = {
    "cmaes": {"warn_independent_sampling": False},
    "gp": {"warn_independent_sampling": False},
    "qmc": {"warn_independent_sampling": False, "warn_asynchronous_seeding": False},
}
"""Options that turn off warnings of Optuna about choices that the definition makes on purpose."""


def build_sampler(definition: Definition, n_existing: int, custom: CustomSamplers | None = None) -> BaseSampler:
    """The sampler of a study that has `n_existing` trials. `custom` starts the process of a custom one.

    A seeded sampler must not repeat its first suggestions after a restart, so the number of existing trials changes the
    seed. With 0 trials it is the definition's seed. A grid always keeps that seed, which orders its configurations.
    """
    chosen = chosen_sampler(definition)
    if isinstance(chosen, CustomSampler):
        return (custom or CustomSamplers()).sampler_of(chosen, has_trials=n_existing > 0)
    options = chosen.model_dump(exclude={"name"})
    seed = options["seed"]
    if seed is not None and n_existing > 0 and not isinstance(chosen, Grid):
        options["seed"] = (seed + 0x9E3779B1 * n_existing) % 2**32
    if isinstance(chosen, Tpe):
        options["group"] = chosen.group and chosen.multivariate
    if isinstance(chosen, Grid):
        options["search_space"] = {name: parameter.grid() for name, parameter in definition.search_space.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if isinstance(chosen, Genetic):
            options["crossover"] = _crossover(chosen)
            options["mutation"] = None if chosen.mutation is None else nsgaii.PolynomialMutation()
        warnings.simplefilter("ignore", FutureWarning)  # sigma0 of cmaes, which Optuna 6 will drop
        return CLASSES[chosen.name](**options, **SILENCED.get(chosen.name, {}))


def _crossover(chosen: Genetic) -> BaseCrossover:
    swaps = {"swapping_prob": chosen.swapping_prob} if chosen.crossover == "uniform" else {}
    return CROSSOVERS[chosen.crossover](**swaps)


def chosen_sampler(definition: Definition) -> AnySampler:
    """The definition's sampler, with `auto` decided."""
    sampler = definition.sampler
    if not isinstance(sampler, Auto):
        return sampler
    # Narrowing needs a sampler of ranges, even if they have few values, and user code may suggest more parameters.
    is_open = definition.narrowing is not None or definition.asks_for_params
    size = None if is_open else n_configurations(definition.search_space, MAX_GRID + 1)
    if size is not None and size <= min(definition.n_trials, MAX_GRID):
        return BruteForce(name="brute_force", seed=sampler.seed)
    return Tpe(name="tpe", seed=sampler.seed)


def rest_sampler(sampler: BaseSampler) -> None:
    """End the process of a custom sampler until it is asked again, because its study has ended."""
    if isinstance(sampler, ProcessSampler):
        sampler.rest()


def close_sampler(sampler: BaseSampler) -> None:
    """End the process of a custom sampler that is not used any more."""
    if isinstance(sampler, ProcessSampler):
        sampler.close()


def missing_package(definition: Definition) -> str | None:
    """The package that the sampler needs and that is not installed; None if nothing is missing."""
    package = definition.sampler.package
    return None if package is None or importlib.util.find_spec(package) is not None else package
