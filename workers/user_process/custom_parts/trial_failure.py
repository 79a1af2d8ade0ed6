"""Translate an exception of custom code into the reason that its trial fails with."""

from service.schemas.study.data import Dataset
from workers.errors import DatasetError, PrecisionError, WorkerError
from workers.faults import is_device_broken
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_process.channel import Message
from workers.user_process.failures import EntrypointError, RetryElsewhereError, failure_message
from workers.user_process.output import flush_output, print_error


def raise_if_device_broken(error: BaseException) -> None:
    """Raise the error again if the device is unusable: any trial may be the cause, so the process has to end."""
    if is_device_broken(error):
        raise error


def trial_failure(trial: LeasedTrial, error: BaseException) -> Message:
    """Fields `reason` and `retry` of the message that a trial has failed. Prints the traceback of an unexpected error.

    `retry` is true when another machine may succeed.
    """
    message = failure_message(_translated(trial, error))
    if message["call"] != "failed":  # Optuna's TrialPruned, which has no meaning here
        message = {"reason": type(error).__name__, "retry": False}
    if not isinstance(error, WorkerError | EntrypointError | SystemExit):
        print_error(error)
    flush_output()
    reason = message["reason"].encode(errors="replace").decode()  # an exception's text may not be valid Unicode
    return {"reason": reason, "retry": message["retry"]}


def _translated(trial: LeasedTrial, error: BaseException) -> BaseException:
    is_built_in_data = isinstance(trial.lease.built_in.dataset, Dataset)
    if isinstance(error, PrecisionError) or (isinstance(error, DatasetError) and is_built_in_data):
        return RetryElsewhereError(str(error))
    return EntrypointError(str(error)) if isinstance(error, WorkerError) else error
