"""Talk with the processes of an entrypoint's ranks as with one process."""

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workers.user_code.conversation import Conversation
from workers.user_code.failures import EXIT_SECONDS, next_message
from workers.user_code.outcome import Failed
from workers.user_code.process import UserProcess
from workers.user_code.ranks.rank_failures import RankFailures
from workers.user_code.ranks.rank_processes import LAST_RANKS_SECONDS, RankProcesses
from workers.user_code.ranks.shared_answers import SharedAnswers
from workers.user_process.channel import Message
from workers.user_process.failures import MAX_REASON

ENDS = ("complete", "pruned")


@dataclass(frozen=True)
class FunctionRank:
    """One process, and the worker's end of its socket."""

    process: UserProcess
    conversation: Conversation

    def next(self) -> Message | Failed | None:
        """Its next message, if there is one, or how it has failed."""
        return next_message(self.process, self.conversation, 0.0)


class FunctionRanks:
    """Passes on what rank 0 says, and answers the other ranks as rank 0 was answered.

    Rank 0's result counts. It is passed on when all ranks have returned, or after LAST_RANKS_SECONDS. The failure of
    any rank is passed on as that of the trial.
    """

    def __init__(
        self, processes: RankProcesses, ranks: Sequence[FunctionRank], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._processes = processes
        self._ranks = ranks
        self._clock = clock
        self._answers = SharedAnswers(processes.output.tell, clock)
        self._failures = RankFailures(clock)
        self._asked: Message | None = None
        self._results: dict[int, Message] = {}
        self._returned_at: float | None = None

    def receive(self, timeout_seconds: float) -> Message | Failed | None:
        """The next message of rank 0, the result of all, or the failure of one; None if there is none in time."""
        deadline = self._clock() + timeout_seconds
        while True:
            asked = self._look()
            if asked is not None:
                return asked
            end = self._failure() or self._result()
            if end is not None:
                return end
            left = deadline - self._clock()
            if left <= 0:
                self._answers.tell_long_waits()
                return None
            self._wait(left)

    def send(self, answer: Message) -> None:
        """Answer rank 0, and the other ranks that have made the same call; or all that have returned, a result."""
        if self._asked is None:
            for number in self._results:
                self._ranks[number].conversation.send(answer)
            return
        asked, self._asked = self._asked, None
        self._ranks[0].conversation.send(answer)
        self._answers.record(asked, answer)

    def _look(self) -> Message | None:
        """Take what the ranks say. Returns the call of rank 0, if it has made one."""
        for number in self._running():
            rank = self._ranks[number]
            message = rank.next()
            if isinstance(message, Failed):
                self._failures.add(number, message, rank.process.last_lines())
            elif message is not None and message["call"] == "failed":
                self._fail(number, rank, message)
            elif message is not None and message["call"] in ENDS:
                self._note_result(number, message)
            elif message is not None and number > 0:
                self._answers.ask(number, message, rank.conversation.send)
            elif message is not None:
                self._asked = message
                return message
        return None

    def _fail(self, number: int, rank: FunctionRank, message: Message) -> None:
        not_importable = message.get("retry") is True
        reason = str(message.get("reason"))[:MAX_REASON] or "no reason"
        self._failures.add(number, Failed(reason, retry=not_importable, not_importable=not_importable))
        rank.conversation.send({})

    def _note_result(self, number: int, message: Message) -> None:
        self._results[number] = message
        if number == 0:
            self._returned_at = self._clock()
            self._answers.finish()

    def _failure(self) -> Failed | None:
        chosen = self._failures.chosen(len(self._running()))
        if chosen is None:
            return None
        self._processes.failed_rank, failure = chosen
        self._ranks[self._processes.failed_rank].process.ended_within(EXIT_SECONDS)
        return failure

    def _result(self) -> Message | None:
        if self._returned_at is None:
            return None
        late = self._running()
        if late and self._clock() - self._returned_at < LAST_RANKS_SECONDS:
            return None
        self._processes.tell_late(late)
        return self._results[0]

    def _wait(self, seconds: float) -> None:
        """Wait until a rank says something, or ends, whose result is not known."""
        readable = select.poll()
        for number in self._running():
            readable.register(self._ranks[number].process.connection, select.POLLIN)
        readable.poll(seconds * 1000)

    def _running(self) -> list[int]:
        over = self._results.keys() | self._failures.ranks
        return [number for number in range(len(self._ranks)) if number not in over]
