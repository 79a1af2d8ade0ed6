"""Why a process with users' code failed: a time limit, its exit, or an invalid message."""

import signal
from typing import Protocol

from pydantic import ValidationError

from service.schemas.locations import first_error
from workers.user_code.conversation import Conversation, InvalidMessageError
from workers.user_code.outcome import Failed
from workers.user_code.process import UserProcess
from workers.user_process.channel import Message
from workers.user_process.failures import MAX_REASON, STARTED_AGAIN

EXIT_SECONDS = 5.0
"""How long the process may take to exit after its function has returned."""


class TimeLimits(Protocol):
    """Time limits in the definition's training: for an attempt, and from one report to the next. None: no limit."""

    trial_timeout_seconds: float | None
    step_timeout_seconds: float | None


def check_time_limits(limits: TimeLimits, seconds: float, seconds_since_report: float) -> Failed | None:
    """The failure of a trial that has exceeded a limit; None if it has not."""
    trial_limit, step_limit = limits.trial_timeout_seconds, limits.step_timeout_seconds
    if trial_limit is not None and seconds > trial_limit:
        return Failed(f"the code did not end within {trial_limit:g} s (trial_timeout_seconds)")
    if step_limit is not None and seconds_since_report > step_limit:
        return Failed(f"the code reported nothing for {step_limit:g} s (step_timeout_seconds)")
    return None


def next_message(process: UserProcess, conversation: Conversation, timeout_seconds: float) -> Message | Failed | None:
    """The next message of the process, or None if none arrives in time. Failed if it has ended or sent garbage."""
    try:
        message = conversation.next(timeout_seconds)
        if message is None and (process.has_ended or conversation.has_ended):
            message = conversation.next(0.0)  # it may have arrived between the two checks
            return _exit_failure(process) if message is None else message
    except InvalidMessageError as error:
        return invalid_message(str(error))
    return message


def invalid_message(problem: str) -> Failed:
    """The failure of a process that has sent an invalid message."""
    return Failed(f"the trial's process sent an invalid message: {problem}"[:MAX_REASON])


def invalid_results(error: ValidationError) -> Failed:
    """The failure of a trial whose results are not valid as a `Complete`."""
    return Failed(f"the trial's results are not valid: {first_error(error)}"[:MAX_REASON])


def _exit_failure(process: UserProcess) -> Failed:
    if not process.ended_within(EXIT_SECONDS):
        return Failed("the trial's process closed its connection to the worker")
    status = process.end()
    if status >= 0:
        return Failed(f"the trial's process ended with status {status} before the function had returned")
    if STARTED_AGAIN.encode() in process.output.content():  # and what it has started again killed this process
        return Failed(STARTED_AGAIN)
    return end_reason("the trial's process", status)


def end_reason(process: str, status: int) -> Failed:
    """The failure of a process that has ended with this status, negative for a signal, as Popen has it."""
    if status >= 0:
        return Failed(f"{process} ended with status {status}")
    reason = f"{process} was killed by {_signal_name(-status)}"
    if -status == signal.SIGKILL:
        return Failed(f"{reason}, as happens when memory runs out", retry=True)
    return Failed(reason)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"
