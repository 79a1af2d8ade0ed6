"""Find the function that an entrypoint names, call it, and put its result into a message."""

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Never

from workers.user_process.channel import Channel, Message
from workers.user_process.context import Context, float_metrics
from workers.user_process.failures import EntrypointError, RetryElsewhereError, failed, shown
from workers.user_process.trial import Trial


def run_trial(start: Message, channel: Channel, found: Callable[[], None] = lambda: None) -> Message:
    """Call the trial's function and return its result as the message `complete` or `failed`.

    The name of the function's first parameter decides how it is called: `trial` is an Optuna objective, `context` a
    train function. `found` is called before that. Raises EntrypointError, and whatever the code raises.
    """
    function, kind = find_function(start["entrypoint"], start["arguments"])
    found()
    n_objectives = len(start["objectives"])
    if kind == "trial":
        trial = Trial(start, channel)
        register_as_optuna_trial(Trial)
        return _values(function(trial, **start["arguments"]), n_objectives)
    context = Context(start, channel)
    result = function(context, **start["arguments"])
    if inspect.isgenerator(result):
        result = _drain(result, context)
    if result is None or isinstance(result, Mapping):
        return {"call": "complete", "values": None, "metrics": float_metrics(result or {})}
    return _values(result, n_objectives)


def find_function(entrypoint: str, arguments: Mapping[str, Any]) -> tuple[Callable[..., Any], str]:
    """Import the function. Returns it with the name of its first parameter, `trial` or `context`.

    Raises EntrypointError, and whatever the import of its module raises.
    """
    function = import_function(entrypoint)
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


def import_function(entrypoint: str) -> Callable[..., Any]:
    """Return the function that an entrypoint names.

    Raises RetryElsewhereError if its module cannot be imported, EntrypointError if the module has no such function.
    """
    module_name, _, name = entrypoint.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RetryElsewhereError(f"{entrypoint} cannot be imported: {error}") from error
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        raise EntrypointError(f"{module_name} must have a function {name}: {_what_there_is(vars(module), name)}")
    return function


def _what_there_is(names: Mapping[str, Any], name: str) -> str:
    """What a module has in place of a function of this name: something else, or functions with similar names."""
    if name in names:
        return f"it is a {type(names[name]).__name__}"
    functions = [other for other, value in names.items() if callable(value) and not other.startswith("_")]
    close = difflib.get_close_matches(name, functions)
    return f"did you mean {' or '.join(close)}?" if close else "there is none of this name"


def register_as_optuna_trial(trial: type) -> None:
    """Make isinstance(trial, optuna.Trial) true, which libraries check. Does nothing if Optuna is not imported."""
    module = sys.modules.get("optuna.trial")
    if module is not None:
        module.Trial.register(trial)


def _drain(steps: Generator[Any, Never, Any], context: Context) -> Any:
    """Report each value that the generator yields as one step. Close it when a decision is not `continue`."""
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


def _values(result: Any, n_objectives: int) -> Message:
    results = list(result) if isinstance(result, Sequence) and not isinstance(result, str) else [result]
    try:
        values = [float(value) for value in results]
    except (TypeError, ValueError, OverflowError):
        return failed(f"the objective must return {n_objectives} number(s): {shown(result)}")
    if len(values) != n_objectives:
        return failed(f"the objective must return one number for each of {n_objectives} objective(s): {shown(result)}")
    return {"call": "complete", "values": values, "metrics": {}}
