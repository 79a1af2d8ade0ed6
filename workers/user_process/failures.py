"""Why a trial's code failed, as a message to the worker."""

from workers.user_process.channel import Message

MAX_REASON = 500
STARTED_AGAIN = (
    "the trial's code has started its own program again, which a trial's process does not allow: use what starts "
    "processes by spawn or fork, such as Lightning's strategies ddp_spawn and ddp_notebook"
)
"""What such a second process writes before it ends."""


class EntrypointError(Exception):
    """The entrypoint does not name a function that can be called."""


class RetryElsewhereError(EntrypointError):
    """The machine lacks the code or something that it needs; another machine may have it."""


def failure_message(error: BaseException) -> Message:
    """Message `pruned` for Optuna's TrialPruned, otherwise `failed` with the exception as the reason.

    TrialPruned is recognized by its class name, so that Optuna need not be installed.
    """
    if any(kind.__name__ == "TrialPruned" for kind in type(error).__mro__):
        return {"call": "pruned"}
    if isinstance(error, SystemExit):
        return failed(f"the code called sys.exit({error.code!r})")
    if isinstance(error, EntrypointError):
        return failed(str(error), retry=isinstance(error, RetryElsewhereError))
    text = " ".join(str(error).split())
    return failed(f"{type(error).__name__}: {text}"[:MAX_REASON] if text else type(error).__name__)


def failed(reason: str, *, retry: bool = False) -> Message:
    """The message of a failed trial. retry: another machine may succeed."""
    return {"call": "failed", "reason": reason, "retry": retry}
