"""What can go wrong on a worker.

WorkerError
├── DatasetError      the data is not there, or not as described
│   └── BadImageError an image file is damaged, or its pixels are of no kind that is read
├── ModelError        the model does not fit the data or the batches
├── PrecisionError    the device lacks the number format
├── CheckpointError   a file is damaged, or holds another trial
├── DivergedError     a loss is no longer a finite number
└── CustomTrialError  a trial with a custom model or data set failed in its process
"""


class WorkerError(Exception):
    """Base of every error raised here on purpose; its message is one readable line."""


class DatasetError(WorkerError):
    """The data is not there, or not as described."""


class BadImageError(DatasetError):
    """An image file is damaged, or its pixels are of no kind that is read."""


class ModelError(WorkerError):
    """The model does not fit the data or the batches."""


class PrecisionError(WorkerError):
    """The device lacks the number format."""


class CheckpointError(WorkerError):
    """A file is damaged, or holds another trial."""


class DivergedError(WorkerError):
    """A loss is no longer a finite number."""


class CustomTrialError(WorkerError):
    """A trial with a custom model or data set failed in its process. retry: another attempt may succeed."""

    def __init__(self, reason: str, *, retry: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry
