"""The trial that an objective is given: it behaves as optuna.Trial of Optuna 5 does, and does not need Optuna."""

import math
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from workers.user_process.channel import Channel, Message


class Trial:
    """Parameters of the lease have their values already; others are sampled by the service when they are asked for.

    Differences: choices are strings, numbers, True, False or None; system_attrs is always empty; the study knows its
    name and directions alone; relative_params raises NotImplementedError.
    """

    def __init__(self, start: Message, channel: Channel) -> None:
        self.number: int = start["number"]
        self.datetime_start = datetime.now()
        self._trial_id = self.number
        self._study_name: str = start["study"]
        self._objectives: list[dict[str, str]] = start["objectives"]
        self._params: dict[str, Any] = dict(start["params"])
        self._asked: dict[str, tuple[str, dict[str, Any]]] = {}
        self._prunes: bool = start["prunes"]
        self._user_attrs: dict[str, Any] = dict(start["user_attrs"])
        self._constraints: dict[str, float] = {}
        self._reported: set[int] = set()
        self._channel = channel

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        low, high = float(low), float(high)
        if step is not None:
            high = _on_grid(name, low, high, float(step))
        value = self._suggest(name, "float", {"low": low, "high": high, "step": step, "log": log})
        return float(_number(name, value))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        low, high, step = int(low), int(high), int(step)
        if step > 1:
            high = int(_on_grid(name, low, high, step))
        value = self._suggest(name, "int", {"low": low, "high": high, "step": step if step != 1 else None, "log": log})
        if _number(name, value) != int(value):
            raise ValueError(f"{name} must be a whole number: {value}")
        return int(value)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        plain = [choice.item() if hasattr(choice, "item") else choice for choice in choices]
        value = self._suggest(name, "categorical", {"choices": plain})
        for choice, known in zip(choices, plain, strict=True):
            if known == value and isinstance(known, bool) == isinstance(value, bool):
                return choice
        raise ValueError(f"{name} must be one of the choices: {value!r} is none of {plain}")

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        _warn_of_old("suggest_uniform", "suggest_float(...)")
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        _warn_of_old("suggest_loguniform", "suggest_float(..., log=True)")
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        _warn_of_old("suggest_discrete_uniform", "suggest_float(..., step=...)")
        return self.suggest_float(name, low, high, step=q)

    def _suggest(self, name: str, kind: str, distribution: dict[str, Any]) -> Any:
        if name not in self._params:
            answer = self._channel.call("suggest", name=name, distribution={"type": kind, **distribution})
            self._params[name] = answer["value"]
        self._asked.setdefault(name, (kind, distribution))
        return self._params[name]

    def report(self, value: float, step: int) -> None:
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
        self._channel.call("report", step=step, metrics={self._objectives[0]["metric"]: value})

    def should_prune(self) -> bool:
        self._check_single("should_prune")
        return bool(self._channel.call("decision")["decision"] == "prune")

    def _check_single(self, method: str) -> None:
        """With several objectives Optuna has neither; where the definition names a pruner, it is the first one's."""
        if len(self._objectives) > 1 and not self._prunes:
            raise NotImplementedError(f"Trial.{method} is not supported for multi-objective optimization.")

    def set_user_attr(self, key: str, value: Any) -> None:
        self._channel.call("set_user_attr", user_attrs={key: value})
        self._user_attrs[key] = value

    def set_constraint(self, key: str, value: float) -> None:
        """Above 0 the trial violates the constraint, and is none of the best. As in Optuna the first value counts."""
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
        return dict(self._constraints)

    @property
    def relative_params(self) -> dict[str, Any]:
        """Raises NotImplementedError."""
        raise NotImplementedError("Narrows does not tell which parameters were sampled together: params has them all")

    @property
    def params(self) -> dict[str, Any]:
        return dict(self._params)

    @property
    def distributions(self) -> dict[str, Any]:
        """Of the parameters that were asked for, as Optuna has them; needs Optuna."""
        distributions = import_module("optuna.distributions")  # the code's own: a worker needs none
        kinds: dict[str, Callable[..., Any]] = {
            "float": distributions.FloatDistribution,
            "int": lambda step, **others: distributions.IntDistribution(step=step or 1, **others),
            "categorical": distributions.CategoricalDistribution,
        }
        return {name: kinds[kind](**fields) for name, (kind, fields) in self._asked.items()}

    @property
    def user_attrs(self) -> dict[str, Any]:
        return dict(self._user_attrs)

    @property
    def system_attrs(self) -> dict[str, Any]:
        return {}

    @property
    def study(self) -> SimpleNamespace:
        """study_name, direction and directions; needs Optuna, whose directions these are."""
        kinds = import_module("optuna.study").StudyDirection
        directions = [kinds[objective["direction"].upper()] for objective in self._objectives]
        # Optuna's callbacks look at the storage for what processes of one trial share: there is nothing.
        return SimpleNamespace(
            study_name=self._study_name, directions=directions, direction=directions[0], _storage=None
        )


def _warn_of_old(method: str, instead: str) -> None:
    warnings.warn(f"{method} has been deprecated in Optuna 3.0: use {instead} instead", FutureWarning, stacklevel=3)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number: {value!r} is what the definition has")
    return value


def _on_grid(name: str, low: float, high: float, step: float) -> float:
    """The last value of low, low + step, … that is not above high. Warns, as Optuna does, when that is not high."""
    if not step > 0 or not math.isfinite(high - low) or high < low:
        return high  # refused with its reason when it is asked for
    width, stride = Decimal(str(high)) - Decimal(str(low)), Decimal(str(step))
    last = float(Decimal(str(low)) + width // stride * stride)
    if last != high:
        message = f"The distribution of {name} is not divisible by step={step}: high={high} is replaced by {last}."
        warnings.warn(message, stacklevel=3)
    return last
