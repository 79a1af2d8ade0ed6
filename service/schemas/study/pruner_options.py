"""What every pruner of a definition states."""

from typing import ClassVar

from service.schemas.fields import StrictBody


class PrunerOptions(StrictBody):
    """The traits that every pruner states. There are no defaults: a test fails for a pruner that leaves one out."""

    prunes: ClassVar[bool]
    """Whether it ever ends a trial early."""
    grace_option: ClassVar[str | None]
    """The option to raise so that trials train for longer before they are pruned; None if it has none."""

    @property
    def promotes(self) -> bool:
        """Whether trials pause at rungs and resume when they are promoted."""
        return False
