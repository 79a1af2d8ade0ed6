"""Watch the process of a custom objective until it has ended or must be ended."""

import time
from collections.abc import Callable

from pydantic import ValidationError

from service.client import ClientError
from service.client.retries import Retries
from service.schemas.protocol import Complete, Decision
from workers.fleet.stopping import StopFlag
from workers.leases.outcome_client import AWAY_LIMIT_SECONDS
from workers.user_code.attempt import Attempt
from workers.user_code.failures import EXIT_SECONDS, TimeLimits, check_time_limits, invalid_results
from workers.user_code.objectives.call_handler import CallHandler
from workers.user_code.objectives.checkpoint_uploads import CheckpointUploads
from workers.user_code.outcome import ClosedByService, Completed, Failed, Outcome, Paused, PrunedByCode, Released
from workers.user_process.channel import Message
from workers.user_process.failures import MAX_REASON

POLL_SECONDS = 0.1
LAST_REPORT_SECONDS = 8.0
"""How long a worker that was asked to end waits for one more report, to save the checkpoint of that step."""


class ProcessWatcher:
    """Answers the code's calls, saves its checkpoints, and ends its trial.

    The trial ends by the code's result, a time limit, a decision of the service, or the end of the worker.
    """

    def __init__(
        self,
        limits: TimeLimits,
        attempt: Attempt,
        calls: CallHandler,
        checkpoints: CheckpointUploads,
        decision: Callable[[], Decision],
        stopping: StopFlag,
        checkpoint_seconds: float,
        on_turn: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_turn` is called several times a second."""
        self._limits = limits
        self._attempt = attempt
        self._calls = calls
        self._checkpoints = checkpoints
        self._decision = decision
        self._stopping = stopping
        self._checkpoint_seconds = checkpoint_seconds
        self._on_turn = on_turn
        self._clock = clock
        self._started_at = self._reported_at = self._saved_at = clock()
        self._pruned_at: float | None = None
        self._stopping_since: float | None = None

    def watch(self) -> Outcome:
        """Return how the trial ends. The process may still run then."""
        outcome: Outcome | None = None
        try:
            while outcome is None:
                outcome = self._turn() or self._check_decision() or self._check_stopping() or self._check_time()
                self._on_turn()
        except ClientError:
            return Released()
        return outcome

    def _turn(self) -> Outcome | None:
        message = self._attempt.receive(POLL_SECONDS)
        if isinstance(message, Failed) and self._decision() == "pause":  # its code was told that it is pruned
            return PrunedByCode()
        return self._handle(message) if isinstance(message, dict) else message

    def _handle(self, message: Message) -> Outcome | None:
        match message["call"]:
            case "complete":
                # A trial without checkpoint files cannot pause: its code was told that it is pruned.
                return self._finish(PrunedByCode() if self._decision() == "pause" else _completed(message))
            case "pruned":
                return self._finish(PrunedByCode())
            case "failed":
                reason = str(message.get("reason"))[:MAX_REASON] or "no reason"
                not_importable = message.get("retry") is True  # of the errors in the process, only this one is retried
                return self._finish(Failed(reason, retry=not_importable, not_importable=not_importable))
        asked_at = self._clock()
        answer = self._calls.answer(message)
        is_report = message["call"] in ("report", "reports") and "decision" in answer
        is_last = is_report and answer["decision"] == "continue" and self._save_checkpoint(message["step"])
        waited = self._clock() - asked_at  # time of the service and the worker, which limits of the code leave out
        self._started_at, self._reported_at = self._started_at + waited, self._reported_at + waited
        if is_report:
            self._reported_at = self._clock()
        if is_last:
            return Released()
        if is_report and self._decision() == "pause" and self._checkpoints.has_files:
            retries = Retries(AWAY_LIMIT_SECONDS, self._stopping)
            return Paused(self._checkpoints.save_at_rung(message["step"], retries))
        self._attempt.send(answer)
        return None

    def _save_checkpoint(self, step: int) -> bool:
        """Save a checkpoint if one is due and the last one is uploaded, or if this worker ends: then return True."""
        is_last = self._stopping.is_set()
        is_due = self._clock() - self._saved_at >= self._checkpoint_seconds
        if is_last or (is_due and not self._checkpoints.is_uploading):
            self._saved_at = self._clock()
            self._checkpoints.save(step)
        return is_last

    def _finish(self, outcome: Outcome) -> Outcome:
        self._attempt.send({})
        self._attempt.process.ended_within(EXIT_SECONDS)
        return outcome

    def _check_decision(self) -> Outcome | None:
        decision = self._decision()
        if decision in ("stop", "lost") or (decision == "continue" and self._calls.is_lost):
            return ClosedByService()
        if decision not in ("prune", "pause"):
            return None
        self._pruned_at = self._pruned_at or self._clock()
        if self._clock() - self._pruned_at < self._attempt.pruned_seconds():
            return None
        return PrunedByCode() if decision == "pause" else ClosedByService()

    def _check_stopping(self) -> Outcome | None:
        """Once the worker must end, wait for the next report if the code has checkpoint files, else do not wait."""
        if not self._stopping.is_set():
            return None
        self._stopping_since = self._stopping_since or self._clock()
        waited = self._clock() - self._stopping_since
        return Released() if waited >= LAST_REPORT_SECONDS or not self._checkpoints.has_files else None

    def _check_time(self) -> Outcome | None:
        now = self._clock()
        return check_time_limits(self._limits, now - self._started_at, now - self._reported_at)


def _completed(message: Message) -> Outcome:
    try:
        complete = Complete.model_validate({name: message.get(name) for name in ("values", "metrics")})
    except ValidationError as error:
        return invalid_results(error)
    return Completed(complete.values, complete.metrics)
