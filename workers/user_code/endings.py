"""How a process with users' code ended: too late, killed, or with an unusual message."""

import signal
from typing import Protocol

from pydantic import ValidationError

from workers.user_code.outcome import Failed
from workers.user_code.process import UserProcess

EXIT_SECONDS = 5.0
"""For what the code does at its exit, once its function has returned."""
MAX_REASON = 500


class Limits(Protocol):
    """Of the definition's training: how long an attempt may take, and how long from one report to the next."""

    trial_timeout_seconds: float | None
    step_timeout_seconds: float | None


def too_late(limits: Limits, seconds: float, seconds_since_report: float) -> Failed | None:
    """What becomes of a trial that has taken so long already, and has reported so long ago."""
    whole, step = limits.trial_timeout_seconds, limits.step_timeout_seconds
    if whole is not None and seconds > whole:
        return Failed(f"it had not ended after {whole:g} s (trial_timeout_seconds)")
    if step is not None and seconds_since_report > step:
        return Failed(f"it had reported nothing for {step:g} s (step_timeout_seconds)")
    return None


def how_it_ended(process: UserProcess) -> Failed:
    """What becomes of the trial of a process that has ended by itself."""
    if not process.ended_within(EXIT_SECONDS):
        return Failed("its process closed its connection to the worker")
    status = process.end()
    if status >= 0:
        return Failed(f"its process ended with status {status} before the function had returned")
    name = _signal_name(-status)
    if -status == signal.SIGKILL:
        return Failed(f"its process was killed by {name}, as happens when memory runs out", retry=True)
    return Failed(f"its process was killed by {name}")


def _signal_name(number: int) -> str:
    """Real-time signals have no names."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def unusual(error: ValidationError) -> Failed:
    """What becomes of results that break a rule of Complete."""
    first = error.errors(include_url=False, include_context=False)[0]
    return Failed(f"its results are not such as a trial can have: {first['loc']}: {first['msg']}"[:MAX_REASON])
