"""Samplers of a definition, each with its options and with what the rest of the service has to know of it.

The options are those of Optuna's class of that name. A new sampler is a class here, a member of `AnySampler`, an entry
in `service/sampling/samplers.py` and a row in docs/searches.md.
"""

from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from service.schemas.study.custom_sampler import CustomSampler
from service.schemas.study.data import kind_of_part, named
from service.schemas.study.sampler_options import SamplerOptions

Seed = Annotated[
    int | None,
    Field(ge=0, lt=2**32, description="Seed of the sampler; null for a random one.", examples=[0]),
]
StartupTrials = Annotated[
    int, Field(ge=0, le=100_000, description="Number of first trials whose parameters are random.", examples=[10])
]


MAX_IMPORTED = 10_000
"""Limit on the imported trials of one study, because tpe looks at all of them for each suggestion."""


class Auto(SamplerOptions):
    """brute_force if n_trials is enough for the whole space of up to 10,000 configurations, else multivariate tpe."""

    exhaustive = False
    whole_configurations = False
    guided = True
    several_objectives = True
    most_imported = MAX_IMPORTED
    same_constraints = False
    package = None

    name: Literal["auto"] = Field(description="Name of the sampler.", examples=["auto"])
    seed: Seed = None


class Random(SamplerOptions):
    """Independent random values."""

    exhaustive = False
    whole_configurations = False
    guided = False
    several_objectives = True
    most_imported = 0
    same_constraints = False
    package = None

    name: Literal["random"] = Field(description="Name of the sampler.", examples=["random"])
    seed: Seed = None


class Tpe(SamplerOptions):
    """Tree-structured Parzen estimator (Bergstra et al., 2011)."""

    exhaustive = False
    whole_configurations = False
    guided = True
    several_objectives = True
    most_imported = MAX_IMPORTED
    same_constraints = False
    package = None

    name: Literal["tpe"] = Field(description="Name of the sampler.", examples=["tpe"])
    seed: Seed = None
    n_startup_trials: StartupTrials = 10
    n_ei_candidates: int = Field(
        24, ge=1, le=10_000, description="Number of candidates that are compared for each value.", examples=[24]
    )
    multivariate: bool = Field(True, description="Whether to model the parameters together.", examples=[True])
    group: bool = Field(
        True,
        description="Whether multivariate models each group of parameters that occur together.",
        examples=[True],
    )
    constant_liar: bool = Field(
        True,
        description="Whether to count running trials as bad, so that concurrent trials differ more.",
        examples=[True],
    )


class Gp(SamplerOptions):
    """Gaussian process; needs PyTorch on the service's machine."""

    exhaustive = False
    whole_configurations = False
    guided = True
    several_objectives = True
    # With 6 parameters on 2 cores a suggestion took 1.4 s after 200 trials, 2.4 s after 300 and 4.2 s after 500
    # (Optuna 5.0, median of 3).
    most_imported = 300
    same_constraints = True
    package = "torch"

    name: Literal["gp"] = Field(description="Name of the sampler.", examples=["gp"])
    seed: Seed = None
    n_startup_trials: StartupTrials = 10
    deterministic_objective: bool = Field(
        False, description="Whether the same parameters always give the same value.", examples=[False]
    )


class CmaEs(SamplerOptions):
    """CMA-ES over the numeric parameters; categorical ones are sampled at random."""

    exhaustive = False
    whole_configurations = False
    guided = True
    several_objectives = False
    most_imported = 0
    same_constraints = False
    package = None

    name: Literal["cmaes"] = Field(description="Name of the sampler.", examples=["cmaes"])
    seed: Seed = None
    n_startup_trials: StartupTrials = 1
    sigma0: float | None = Field(
        None, gt=0, description="Initial step size; null for a sixth of the range.", examples=[None]
    )
    popsize: int | None = Field(
        None, ge=4, le=10_000, description="Population size; null for CMA-ES's own rule.", examples=[None]
    )
    consider_pruned_trials: bool = Field(
        False, description="Whether to learn from pruned trials too.", examples=[False]
    )
    use_separable_cma: bool = Field(
        False, description="Whether to use a diagonal covariance matrix, for many parameters.", examples=[False]
    )
    with_margin: bool = Field(
        False,
        description="Whether to keep a margin that prevents discrete parameters from collapsing.",
        examples=[False],
    )
    lr_adapt: bool = Field(
        False, description="Whether to adapt the learning rate of CMA-ES, for noisy objectives.", examples=[False]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        chosen = [name for name in ("use_separable_cma", "with_margin", "lr_adapt") if getattr(self, name)]
        if len(chosen) > 1:
            raise ValueError(f"only one of use_separable_cma, with_margin and lr_adapt can be true: {chosen}")
        return self


class Qmc(SamplerOptions):
    """Quasi-Monte Carlo: low-discrepancy points."""

    exhaustive = False
    whole_configurations = False
    guided = False
    several_objectives = True
    most_imported = 0
    same_constraints = False
    package = None

    name: Literal["qmc"] = Field(description="Name of the sampler.", examples=["qmc"])
    seed: Seed = None
    qmc_type: Literal["sobol", "halton"] = Field("sobol", description="Kind of the sequence.", examples=["sobol"])
    scramble: bool = Field(True, description="Whether to scramble the sequence at random.", examples=[True])


class Grid(SamplerOptions):
    """Every combination of a discrete space, once, in random order; the study ends when all are done."""

    exhaustive = True
    whole_configurations = True
    guided = False
    several_objectives = True
    most_imported = 0
    same_constraints = False
    package = None

    name: Literal["grid"] = Field(description="Name of the sampler.", examples=["grid"])
    seed: Seed = None


class Genetic(SamplerOptions):
    """The options of both genetic algorithms."""

    exhaustive = False
    whole_configurations = False
    guided = True
    several_objectives = True
    most_imported = 0
    same_constraints = False
    package = None

    seed: Seed = None
    population_size: int = Field(50, ge=2, le=100_000, description="Number of trials in one generation.", examples=[50])
    mutation_prob: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Probability that a parameter mutates; null for 1 / number of parameters.",
        examples=[None],
    )
    crossover_prob: float = Field(0.9, ge=0, le=1, description="Probability of a crossover.", examples=[0.9])
    swapping_prob: float = Field(
        0.5, ge=0, le=1, description="Probability that a parameter is swapped in a uniform crossover.", examples=[0.5]
    )
    crossover: Literal["uniform", "blxalpha", "sbx", "vsbx", "spx", "undx"] = Field(
        "uniform",
        description="How numeric parameters of parents mix, by Optuna's names; categorical ones always mix uniformly.",
        examples=["uniform"],
    )

    mutation: Literal["polynomial"] | None = Field(
        None, description="How numeric parameters mutate; null to sample new values.", examples=[None]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.crossover in ("spx", "undx") and self.population_size < 3:
            raise ValueError(
                f"population_size must be 3 or more for crossover {self.crossover}: {self.population_size}"
            )
        return self


class NsgaII(Genetic):
    """Genetic algorithm for several objectives (Deb et al., 2002)."""

    name: Literal["nsgaii"] = Field(description="Name of the sampler.", examples=["nsgaii"])


class NsgaIII(Genetic):
    """Genetic algorithm for many objectives, spread along reference points (Deb and Jain, 2014)."""

    name: Literal["nsgaiii"] = Field(description="Name of the sampler.", examples=["nsgaiii"])
    dividing_parameter: int = Field(
        3, ge=1, le=100, description="Divisions of each objective's axis by reference points.", examples=[3]
    )


class BruteForce(SamplerOptions):
    """Every combination of a discrete space, conditional parameters included, each once."""

    exhaustive = True
    whole_configurations = False
    guided = False
    several_objectives = True
    most_imported = 0
    same_constraints = False
    package = None

    name: Literal["brute_force"] = Field(description="Name of the sampler.", examples=["brute_force"])
    seed: Seed = None


BuiltInSampler = Auto | Random | Tpe | Gp | CmaEs | Qmc | Grid | NsgaII | NsgaIII | BruteForce
AnySampler = BuiltInSampler | CustomSampler
Sampler = Annotated[
    Annotated[
        Annotated[BuiltInSampler, Field(discriminator="name")],
        BeforeValidator(named),
        Tag("built_in"),
    ]
    | Annotated[CustomSampler, Tag("own")],
    Discriminator(kind_of_part),
]
SAMPLERS: tuple[type[BuiltInSampler], ...] = get_args(BuiltInSampler)


def sampler_name(sampler: type[SamplerOptions]) -> str:
    """The name of a sampler in a definition."""
    return str(get_args(sampler.model_fields["name"].annotation)[0])
