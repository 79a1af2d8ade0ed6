"""A sampler that is not one of Optuna's own: a function of a package that the service allows makes it."""

from typing import ClassVar

from pydantic import Field

from service.schemas.study.entrypoints import MAX_ARGUMENTS, Arguments, Entrypoint
from service.schemas.study.sampler_options import SamplerOptions


class CustomSampler(SamplerOptions):
    """A custom sampler: a function makes it, in a separate process of a service that allows its package.

    A trial for which it fails gets random parameters.
    """

    exhaustive = False
    whole_configurations = False
    guided = True
    several_objectives = True
    most_imported = 1_000
    same_constraints = True
    package = None

    name: ClassVar[str] = "custom"

    entrypoint: Entrypoint = Field(
        description="The function, as package.module:function. It takes the options by name and returns an Optuna "
        "sampler.",
        examples=["mypkg.samplers:make"],
    )
    options: Arguments = Field(
        {},
        max_length=MAX_ARGUMENTS,
        description="The options that the function gets, by name.",
        examples=[{"seed": 0}],
    )
    timeout_seconds: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="Seconds that the sampler may take for one trial; then its process is killed.",
        examples=[60.0],
    )
