"""Why a trial's code failed, as a message to the worker."""

from typing import Any

from workers.user_process.channel import Message

MAX_REASON = 500
MAX_SHOWN = 200
STARTED_AGAIN = (
    "the trial's code has started its own program again, which a trial's process does not allow: use what starts "
    "processes by spawn or fork, such as Lightning's ddp_spawn and ddp_notebook, or training.launch: torchrun"
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
        return failed(f"the code called sys.exit({shown(error.code)})")
    if isinstance(error, EntrypointError):
        return failed(str(error), retry=isinstance(error, RetryElsewhereError))
    text = " ".join(_text(error).split())
    return failed(f"{type(error).__name__}: {text}"[:MAX_REASON] if text else type(error).__name__)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as problem:  # noqa: BLE001 - a class of the code's own
        return f"its text cannot be told ({type(problem).__name__})"


def shown(value: Any) -> str:
    """A value of the code as a message shows it: cut off if it is long, and only its type if it cannot be told."""
    try:
        return repr(value)[:MAX_SHOWN]
    except Exception:  # noqa: BLE001 - a class of the code's own, or a number with thousands of digits
        return type(value).__name__


def failed(reason: str, *, retry: bool = False) -> Message:
    """The message of a failed trial. retry: another machine may succeed."""
    return {"call": "failed", "reason": reason, "retry": retry}
