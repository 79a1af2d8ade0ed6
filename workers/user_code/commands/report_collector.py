"""Make reports, one for each step, of the numbers that a command gives in any way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.schemas.protocol import MAX_STEP
from workers.user_code.commands.output_scanner import Found

MAX_METRICS = 100
MAX_NAME = 128
SEVERAL_REPORT = (
    "a step was reported twice: if the command starts several processes itself, as torchrun does, only one of them may "
    "report; with training.launch: torchrun, Narrows starts them and knows their ranks"
)

Metrics = dict[str, float]


class ReportCollector:
    """Collects metrics until a step is complete, and passes the step on.

    With a step of its own, as in a JSON line, a report is complete as it comes. Numbers without one belong to the step
    that the output said last, which is complete once each metric of the definition has a value, or when the next step
    begins. If the definition has no expression for the step, each value of the first objective completes a step, and
    the steps are counted.
    """

    def __init__(
        self,
        objectives: Sequence[str],
        metrics: Sequence[str],
        *,
        finds_steps: bool,
        first_step: int,
        report: Callable[[int, Metrics], None],
        tell: Callable[[str], None],
    ) -> None:
        """`metrics` are those with an expression; `tell` writes a line to the trial's output."""
        self._first = objectives[0]
        self._expected = set(metrics)
        self._finds_steps = finds_steps
        self._next_step = first_step
        self._step: int | None = None
        self._pending: Metrics = {}
        self._report = report
        self._tell = tell
        self._told: set[str] = set()
        self._last_step = -1
        self.latest: Metrics = {}
        """The last value of each metric."""

    def add_found(self, step_text: str | None, texts: Found) -> None:
        """Add what the expressions have found in a line."""
        step = None
        if step_text is not None:
            try:
                step = int(step_text)
            except ValueError:
                self._tell_once("step", f"the step must be a whole number: {step_text[:100]!r}")
        metrics = {}
        for name, text in texts.items():
            try:
                metrics[name] = float(text)
            except ValueError:
                self._tell_once(name, f"the value of {name} must be a number: {text[:100]!r}")
        self._add(step, metrics)

    def add_object(self, fields: Mapping[str, Any]) -> bool:
        """Add a JSON object of metrics, with the step under `step` or without. False if nothing of it is taken."""
        step = fields.get("step")
        if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
            self._tell_once("step", f"the step must be a whole number: {str(step)[:100]!r}")
            return False
        metrics = {}
        for name, value in fields.items():
            if name == "step":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < len(name) <= MAX_NAME:
                self._tell_once(name, f"the metric {name[:MAX_NAME]!r} must be a number: {str(value)[:100]!r}")
                continue
            try:
                metrics[name] = float(value)
            except OverflowError:
                self._tell_once(name, f"the metric {name!r} is too large")
        if step is None:
            return self._add(None, metrics)
        self._note(metrics)
        return bool(metrics) and self._pass_on(step, metrics)

    def finish(self) -> None:
        """Pass on what a last step has, although it lacks metrics."""
        if self._step is not None and self._pending:
            self._pass_on(self._step, self._pending)
            self._pending = {}

    def _add(self, step: int | None, metrics: Metrics) -> bool:
        if step is not None and step != self._step:
            self.finish()
            self._step, self._pending = step, {}
        self._note(metrics)
        self._pending.update(metrics)
        if self._finds_steps:
            return self._add_to_step()
        if self._first not in metrics:
            return bool(metrics)
        pending, self._pending = self._pending, {}
        return self._pass_on(self._next_step, pending)

    def _add_to_step(self) -> bool:
        if self._step is None or not self._pending or not self._expected <= self._pending.keys():
            return bool(self._pending)
        pending, self._pending = self._pending, {}
        return self._pass_on(self._step, pending)

    def _note(self, metrics: Metrics) -> None:
        for name, value in metrics.items():
            if name in self.latest or len(self.latest) < MAX_METRICS:
                self.latest[name] = value
            else:
                self._tell_once("", f"a trial has at most {MAX_METRICS} metrics: {name!r} is left out")

    def _pass_on(self, step: int, metrics: Metrics) -> bool:
        if not 0 <= step <= MAX_STEP:
            self._tell_once("range", f"a step must be from 0 to {MAX_STEP}: {step}")
            return False
        if step <= self._last_step:
            self._tell_once("order", f"steps must grow: the report at step {step} after {self._last_step} is not kept")
            if step == self._last_step:
                self._tell_once("twice", SEVERAL_REPORT)
            return False
        self._last_step = step
        self._next_step = step + 1
        self._report(step, {name: metrics[name] for name in list(metrics)[:MAX_METRICS]})
        return True

    def _tell_once(self, key: str, text: str) -> None:
        if key not in self._told and len(self._told) < MAX_METRICS:
            self._told.add(key)
            self._tell(text)
