"""Why a custom sampler has given no parameters. The messages go to `sampler_note` of the study.

CustomSamplerError           its code raised an error, or answered with what it must not
├── SamplerEndedError        its process ended, or was killed: it took too long or too much memory
└── SamplerSkippedError      it was not asked, for a reason that is noted already or is none of its own
"""


class CustomSamplerError(Exception):
    """A custom sampler failed. `details` is the traceback or the output of its process, for the log."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class SamplerEndedError(CustomSamplerError):
    """The process of a custom sampler ended or was killed."""


class SamplerSkippedError(CustomSamplerError):
    """A custom sampler was not asked."""
