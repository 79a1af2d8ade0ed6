"""Retries: trials with the parameters of a failed one, which stays FAIL."""

from optuna.trial import FrozenTrial

RETRY_OF = "narrows:retry_of"
"""Our system attribute of a retry: the number of the failed trial."""


def retry_of(trial: FrozenTrial) -> int | None:
    """The number of the failed trial that this one tries again; None if it is no retry."""
    number: int | None = trial.system_attrs.get(RETRY_OF)
    return number
