"""Watch the process of one trial until it has ended, or has to."""

import time
from collections.abc import Callable

from pydantic import ValidationError

from service.client import ClientError
from service.client.retries import Retries
from service.schemas.protocol import Complete, Decision
from workers.fleet.stopping import Stopping
from workers.leases.outcome_client import AWAY_LIMIT_SECONDS
from workers.user_code.conversation import BrokenConversationError, Conversation, Message
from workers.user_code.endings import EXIT_SECONDS, MAX_REASON, Limits, how_it_ended, too_late, unusual
from workers.user_code.objectives.calls import Calls
from workers.user_code.objectives.snapshots import Snapshots
from workers.user_code.outcome import Closed, Completed, Failed, GaveUp, GivenBack, Outcome, Paused
from workers.user_code.process import UserProcess

POLL_SECONDS = 0.1
PRUNED_SECONDS = 30.0
"""For what the code does once it was pruned."""
LAST_REPORT_SECONDS = 8.0
"""For one more report, with its checkpoint, when this worker was asked to end."""


class Attempt:
    """Answers the code's calls, keeps its checkpoints, and looks at the clock, the decisions and the signals."""

    def __init__(
        self,
        limits: Limits,
        process: UserProcess,
        conversation: Conversation,
        calls: Calls,
        snapshots: Snapshots,
        decision: Callable[[], Decision],
        stopping: Stopping,
        checkpoint_seconds: float,
        on_turn: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_turn` is called several times a second."""
        self._limits = limits
        self._process = process
        self._conversation = conversation
        self._calls = calls
        self._snapshots = snapshots
        self._decision = decision
        self._stopping = stopping
        self._checkpoint_seconds = checkpoint_seconds
        self._on_turn = on_turn
        self._clock = clock
        self._began = self._reported = self._kept = clock()
        self._pruned: float | None = None
        self._asked_to_end: float | None = None

    def watch(self) -> Outcome:
        """The process is still there, unless it has ended by itself."""
        outcome: Outcome | None = None
        try:
            while outcome is None:
                outcome = self._turn() or self._closed() or self._ending() or self._too_late()
                self._on_turn()
        except BrokenConversationError as error:
            return Failed(f"its process broke off the conversation with the worker: {error}")
        except ClientError:
            return GivenBack()
        return outcome

    def _turn(self) -> Outcome | None:
        message = self._conversation.next(POLL_SECONDS)
        if message is None and (self._process.has_ended or self._conversation.has_ended):
            message = self._conversation.next(0.0)  # it may have come between the two looks
            if message is None:
                return how_it_ended(self._process)
        return None if message is None else self._hear(message)

    def _hear(self, message: Message) -> Outcome | None:
        match message["call"]:
            case "complete":
                # Without files to pause with it was told that it is pruned.
                return self._end(GaveUp() if self._decision() == "pause" else _completed(message))
            case "pruned":
                return self._end(GaveUp())
            case "failed":
                return self._end(
                    Failed(str(message.get("reason"))[:MAX_REASON] or "no reason", message.get("retry") is True)
                )
        asked = self._clock()
        answer = self._calls.answer(message)
        is_report = message["call"] == "report" and "decision" in answer
        ends = is_report and answer["decision"] == "continue" and self._keep(message["step"])
        spent = self._clock() - asked  # the service's time, and the worker's, is not the code's
        self._began, self._reported = self._began + spent, self._reported + spent
        if is_report:
            self._reported = self._clock()
        if ends:
            return GivenBack()
        if is_report and self._decision() == "pause" and self._snapshots.is_in_use:
            retries = Retries(AWAY_LIMIT_SECONDS, self._stopping)
            return Paused(self._snapshots.keep_at_rung(message["step"], retries))
        self._conversation.send(answer)
        return None

    def _keep(self, step: int) -> bool:
        """Keep a checkpoint when it is time to and the last one is away; whether this worker ends now."""
        ends = self._stopping.is_set()
        due = self._clock() - self._kept >= self._checkpoint_seconds
        if ends or (due and not self._snapshots.is_uploading):
            self._kept = self._clock()
            self._snapshots.keep(step)
        return ends

    def _end(self, outcome: Outcome) -> Outcome:
        self._conversation.send({})
        self._process.ended_within(EXIT_SECONDS)
        return outcome

    def _closed(self) -> Outcome | None:
        decision = self._decision()
        if decision in ("stop", "lost") or (decision == "continue" and self._calls.is_lost):
            return Closed()
        if decision not in ("prune", "pause"):
            return None
        self._pruned = self._pruned or self._clock()
        if self._clock() - self._pruned < PRUNED_SECONDS:
            return None
        return GaveUp() if decision == "pause" else Closed()

    def _ending(self) -> Outcome | None:
        """Without files to go on from there is nothing to wait for."""
        if not self._stopping.is_set():
            return None
        self._asked_to_end = self._asked_to_end or self._clock()
        waited = self._clock() - self._asked_to_end
        return GivenBack() if waited >= LAST_REPORT_SECONDS or not self._snapshots.is_in_use else None

    def _too_late(self) -> Outcome | None:
        return too_late(self._limits, self._clock() - self._began, self._clock() - self._reported)


def _completed(message: Message) -> Outcome:
    try:
        complete = Complete.model_validate({name: message.get(name) for name in ("values", "metrics")})
    except ValidationError as error:
        return unusual(error)
    return Completed(complete.values, complete.metrics)
