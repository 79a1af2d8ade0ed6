"""What every sampler of a definition states about itself."""

from typing import ClassVar

from service.schemas.fields import StrictBody


class SamplerOptions(StrictBody):
    """The traits that every sampler states. There are no defaults: a test fails for a sampler that leaves one out."""

    exhaustive: ClassVar[bool]
    """Whether it tries every configuration of a discrete search space once, and so has no use for ranges."""
    whole_configurations: ClassVar[bool]
    """Whether it only hands out whole configurations: it takes no conditional parameters and completes no trial."""
    guided: ClassVar[bool]
    """Whether it learns from finished trials, so that it suggests better with fewer trials in training at a time."""
    several_objectives: ClassVar[bool]
    """Whether a study that uses it may have more than one objective."""
    most_imported: ClassVar[int]
    """How many complete imported trials it learns from at most; 0 if it looks at no trials of other studies."""
    same_constraints: ClassVar[bool]
    """Whether it fails when some of the trials that it sees have constraints that others lack."""
    package: ClassVar[str | None]
    """The package that it needs on the service's machine, beyond the service's own requirements; None for none."""
