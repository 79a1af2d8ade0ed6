"""What can go wrong on a worker.

WorkerError
├── DatasetError      the data is not there, or not as described
├── ModelError        the model does not fit the data or the batches
├── CustomCodeError      an entrypoint leads to nothing that can be called
├── MissingCodeError  this machine lacks an entrypoint's code
├── PrecisionError    the device lacks the number format
├── CheckpointError   a file is damaged, or holds another trial
├── DivergedError     a loss is no longer a finite number
└── CustomTrialError     what became of a trial in the process of its own model or data set
"""


class WorkerError(Exception):
    """Base of every error raised here on purpose; its message is one readable line."""


class DatasetError(WorkerError):
    pass


class ModelError(WorkerError):
    pass


class CustomCodeError(WorkerError):
    pass


class MissingCodeError(WorkerError):
    pass


class PrecisionError(WorkerError):
    pass


class CheckpointError(WorkerError):
    pass


class DivergedError(WorkerError):
    pass


class CustomTrialError(WorkerError):
    """retry: another attempt may go better, on another machine above all."""

    def __init__(self, reason: str, *, retry: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry
