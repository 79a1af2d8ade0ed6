"""Find the function that an entrypoint names, call it as what it is, and put what came of it into a message."""

import importlib
import inspect
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Never

from workers.user_process.channel import Channel, Message
from workers.user_process.context import Context, numbers
from workers.user_process.trial import Trial

Outcome = Message


class EntrypointError(Exception):
    """The entrypoint leads to no function that can be called."""


class MissingError(EntrypointError):
    """This machine lacks the code, or something that it imports."""


def call(start: Message, channel: Channel) -> Outcome:
    """Train. The first parameter's name tells how: `trial` is an Optuna objective, `context` a train function."""
    function, kind = find(start["entrypoint"], start["arguments"])
    n_objectives = len(start["objectives"])
    if kind == "trial":
        trial = Trial(start, channel)
        register(Trial)
        return _values(function(trial, **start["arguments"]), n_objectives)
    context = Context(start, channel)
    result = function(context, **start["arguments"])
    if inspect.isgenerator(result):
        result = _drain(result, context)
    if result is None or isinstance(result, Mapping):
        return {"call": "complete", "values": None, "metrics": numbers(result or {})}
    return _values(result, n_objectives)


def find(entrypoint: str, arguments: Mapping[str, Any]) -> tuple[Callable[..., Any], str]:
    """The function, and what its first parameter is called. Raises EntrypointError, and what its module raises."""
    module_name, _, name = entrypoint.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise MissingError(f"{entrypoint} cannot be imported: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise EntrypointError(f"{module_name} must have a function {name}: it has {type(function).__name__}")
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise EntrypointError(f"{entrypoint} must be a Python function: {error}") from error
    first = next(iter(signature.parameters), None)
    if first not in ("trial", "context"):
        raise EntrypointError(
            f"{entrypoint} must take trial (an Optuna objective) or context (a train function) first: it takes {first}"
        )
    try:
        signature.bind(None, **arguments)
    except TypeError as error:
        raise EntrypointError(f"{entrypoint} must take the arguments {sorted(arguments)}: {error}") from error
    return function, first


def register(trial: type) -> None:
    """Let isinstance(trial, optuna.Trial) hold, as libraries ask, where the code has imported Optuna by now."""
    module = sys.modules.get("optuna.trial")
    if module is not None:
        module.Trial.register(trial)


def _drain(steps: Generator[Any, Never, Any], context: Context) -> Any:
    """Report what a generator yields, one step each; it is closed by another decision than to continue."""
    step = context.resume_step
    while True:
        try:
            metrics = next(steps)
        except StopIteration as end:
            return end.value
        if context.report(step, **metrics) != "continue":
            steps.close()
            return None
        step += 1


def _values(result: Any, n_objectives: int) -> Outcome:
    several = list(result) if isinstance(result, Sequence) and not isinstance(result, str) else [result]
    try:
        values = [float(value) for value in several]
    except (TypeError, ValueError):
        return _failed(f"the objective must return {n_objectives} number(s): {result!r}")
    if len(values) != n_objectives:
        return _failed(f"the objective must return one number for each of {n_objectives} objective(s): {result!r}")
    return {"call": "complete", "values": values, "metrics": {}}


def failure(error: BaseException) -> Outcome:
    """What an exception makes of the trial. Optuna's TrialPruned is known by its name: Optuna need not be there."""
    if any(kind.__name__ == "TrialPruned" for kind in type(error).__mro__):
        return {"call": "pruned"}
    if isinstance(error, SystemExit):
        return _failed(f"the code called sys.exit({error.code!r})")
    if isinstance(error, EntrypointError):
        return _failed(str(error), retry=isinstance(error, MissingError))
    lines = str(error).strip().splitlines()
    return _failed(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)


def _failed(reason: str, *, retry: bool = False) -> Outcome:
    return {"call": "failed", "reason": reason, "retry": retry}
