"""The trial that an objective is called with. It behaves like optuna.Trial of Optuna 5 and does not need Optuna."""

import json
import math
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from typing import Any

from workers.user_process.channel import Channel, Message, RefusedError
from workers.user_process.output import tell
from workers.user_process.rank_storage import RankStorage
from workers.user_process.study import TrialStudy

MAX_ATTR_BYTES = 64 * 1024
"""The service keeps no more user attributes of a trial than that; a longer message would not reach the worker."""


class Trial:
    """A trial with the interface of optuna.Trial.

    The search space's parameters have their values from the start. The service samples any other parameter when the
    code suggests it. Suggestions raise RefusedError when the service refuses them.

    Differences from Optuna: choices are strings, numbers, True, False or None; system_attrs is always empty; the study
    has only its name, its directions and its best trial; relative_params raises NotImplementedError. A report or a user
    attribute that the service does not take only leaves a line in the output.

    With several ranks, rank 0 reports. Another rank that makes the same calls waits for rank 0, and gets its answers.
    """

    def __init__(self, start: Message, channel: Channel) -> None:
        self.number: int = start["number"]
        self.datetime_start = datetime.now()
        self._trial_id = self.number
        self._objectives: list[dict[str, str]] = start["objectives"]
        self._params: dict[str, Any] = dict(start["params"])
        self._suggested: dict[str, tuple[str, dict[str, Any]]] = {}
        self._prunes: bool = start["prunes"]
        self._user_attrs: dict[str, Any] = dict(start["user_attrs"])
        self._constraints: dict[str, float] = {}
        self._reported: set[int] = set()
        self._channel = channel
        directions = [objective["direction"] for objective in self._objectives]
        if start["world_size"] > 1:
            self.storage = RankStorage(channel, self._reported.__contains__)
        self._study = TrialStudy(start["study"], directions, channel, storage=getattr(self, "storage", None))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Value of a float parameter between low and high, on a grid with `step`, on a log scale with `log`."""
        low, high = float(low), float(high)
        if step is not None:
            high = _on_grid(name, low, high, float(step))
        value = self._suggest(name, "float", {"low": low, "high": high, "step": step, "log": log})
        return float(_number(name, value))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Value of an integer parameter between low and high."""
        low, high, step = int(low), int(high), int(step)
        if step > 1:
            high = int(_on_grid(name, low, high, step))
        value = self._suggest(name, "int", {"low": low, "high": high, "step": step if step != 1 else None, "log": log})
        if _number(name, value) != int(value):
            raise ValueError(f"{name} must be a whole number: {value}")
        return int(value)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""
        plain = [choice.item() if hasattr(choice, "item") else choice for choice in choices]
        value = self._suggest(name, "categorical", {"choices": plain})
        for choice, known in zip(choices, plain, strict=True):
            if known == value and isinstance(known, bool) == isinstance(value, bool):
                return choice
        raise ValueError(f"{name} must be one of the choices: {value!r} is none of {plain}")

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Deprecated form of suggest_float(name, low, high)."""
        _warn_deprecated("suggest_uniform", "suggest_float(...)")
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Deprecated form of suggest_float(name, low, high, log=True)."""
        _warn_deprecated("suggest_loguniform", "suggest_float(..., log=True)")
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Deprecated form of suggest_float(name, low, high, step=q)."""
        _warn_deprecated("suggest_discrete_uniform", "suggest_float(..., step=...)")
        return self.suggest_float(name, low, high, step=q)

    def _suggest(self, name: str, kind: str, distribution: dict[str, Any]) -> Any:
        if name not in self._params:
            answer = self._channel.call("suggest", name=name, distribution={"type": kind, **distribution})
            self._params[name] = answer["value"]
        self._suggested.setdefault(name, (kind, distribution))
        return self._params[name]

    def report(self, value: float, step: int) -> None:
        """Report the intermediate value of the first objective at a step. A second value of a step is ignored."""
        self._check_single("report")
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"The `value` argument is of type '{type(value)}' but supposed to be a float.") from None
        try:
            step = int(step)
        except (TypeError, ValueError):
            raise TypeError(f"The `step` argument is of type '{type(step)}' but supposed to be an int.") from None
        if step < 0:
            raise ValueError(f"`{step=}` must be non-negative.")
        if step in self._reported:
            message = f"The reported value is ignored because this `{step=}` is already reported."
            warnings.warn(message, stacklevel=2)
            return
        self._reported.add(step)
        try:
            self._channel.call("report", step=step, metrics={self._objectives[0]["metric"]: value})
        except RefusedError as error:
            tell(f"the report at step {step} is not kept: {error}")

    def should_prune(self) -> bool:
        """Whether the decision on the last report is to prune the trial."""
        self._check_single("should_prune")
        return bool(self._channel.call("decision")["decision"] == "prune")

    def _check_single(self, method: str) -> None:
        """Raise NotImplementedError as Optuna does with several objectives, unless the definition has a pruner.

        The pruner then looks at the first objective.
        """
        if len(self._objectives) > 1 and not self._prunes:
            raise NotImplementedError(f"Trial.{method} is not supported for multi-objective optimization.")

    def set_user_attr(self, key: str, value: Any) -> None:
        """Store an attribute with the trial. For one that cannot be stored, the output has a line with the reason.

        The service gets the texts nan, inf and -inf for such numbers. `user_attrs` has every value as it was set.
        """
        self._user_attrs[key] = value
        try:
            storable = _storable(value)
            n_bytes = len(json.dumps(storable))
            if n_bytes > MAX_ATTR_BYTES:
                raise ValueError(f"it must have at most {MAX_ATTR_BYTES} bytes as JSON: {n_bytes}")
            self._channel.call("set_user_attr", user_attrs={key: storable})
        except (TypeError, ValueError, RecursionError) as error:
            tell(f"the user attribute {key!a} is not kept: {error}")

    def set_constraint(self, key: str, value: float) -> None:
        """Set the value of a constraint. A value above 0 violates it, and the trial cannot be one of the best.

        A second value of a constraint is ignored, as in Optuna.
        """
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"The `value` argument is of type '{type(value)}' but supposed to be a float.") from None
        if math.isnan(value):
            raise ValueError(f"Attempted to set a constraint for {key!r}, but NaN is not allowed.")
        if key in self._constraints:
            message = f"The constraint value is ignored because this constraint `{key=}` is already set."
            warnings.warn(message, stacklevel=2)
            return
        sent = value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
        self._channel.call("set_constraint", constraints={key: sent})
        self._constraints[key] = value

    @property
    def constraints(self) -> dict[str, float]:
        """Constraint values that were set, by key."""
        return dict(self._constraints)

    @property
    def relative_params(self) -> dict[str, Any]:
        """Raises NotImplementedError: the service does not say which parameters were sampled together."""
        raise NotImplementedError("Narrows does not say which parameters were sampled together: use params")

    @property
    def params(self) -> dict[str, Any]:
        """Values of all parameters so far."""
        return dict(self._params)

    @property
    def distributions(self) -> dict[str, Any]:
        """Optuna's distributions of the suggested parameters. Needs Optuna."""
        distributions = import_module(
            "optuna.distributions"
        )  # of the user's environment: a worker does not need Optuna
        kinds: dict[str, Callable[..., Any]] = {
            "float": distributions.FloatDistribution,
            "int": lambda step, **others: distributions.IntDistribution(step=step or 1, **others),
            "categorical": distributions.CategoricalDistribution,
        }
        return {name: kinds[kind](**fields) for name, (kind, fields) in self._suggested.items()}

    @property
    def user_attrs(self) -> dict[str, Any]:
        """Attributes of the trial."""
        return dict(self._user_attrs)

    @property
    def system_attrs(self) -> dict[str, Any]:
        """Always empty."""
        return {}

    @property
    def study(self) -> TrialStudy:
        """The study, with its name, its directions and its best trial so far."""
        return self._study


def _storable(value: Any) -> Any:
    """The value with plain numbers for those of numpy, and texts for nan and infinities."""
    if isinstance(value, dict):
        return {name: _storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if not isinstance(value, str | int | float | bool | None) and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value


def _warn_deprecated(method: str, instead: str) -> None:
    warnings.warn(f"{method} has been deprecated in Optuna 3.0: use {instead} instead", FutureWarning, stacklevel=3)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, but the definition says {value!r}")
    return value


def _on_grid(name: str, low: float, high: float, step: float) -> float:
    """Largest value of low, low + step, … that is at most high. Warns, as Optuna does, if it is below high."""
    if not step > 0 or not math.isfinite(high - low) or high < low:
        return high  # the service refuses the suggestion, with the reason
    width, stride = Decimal(str(high)) - Decimal(str(low)), Decimal(str(step))
    last = float(Decimal(str(low)) + width // stride * stride)
    if last != high:
        message = f"The distribution of {name} is not divisible by step={step}: high={high} is replaced by {last}."
        warnings.warn(message, stacklevel=3)
    return last
