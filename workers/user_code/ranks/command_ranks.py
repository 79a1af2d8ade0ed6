"""Talk with the programs of a command's ranks as with one program."""

import time
from collections.abc import Callable, Sequence

from workers.user_code.commands.command_conversation import REST_SECONDS, CommandConversation
from workers.user_code.commands.output_scanner import OutputScanner
from workers.user_code.commands.program_process import ProgramProcess
from workers.user_code.commands.program_reader import Answer, Fields
from workers.user_code.failures import end_reason
from workers.user_code.outcome import Failed
from workers.user_code.process import POLL_SECONDS
from workers.user_code.ranks.rank_failures import RankFailures
from workers.user_code.ranks.rank_processes import LAST_RANKS_SECONDS, RankProcesses
from workers.user_code.ranks.shared_answers import SharedAnswers
from workers.user_process.channel import Message


class CommandRanks:
    """Passes on what the program of rank 0 says, and answers the others' calls of `report` as its own was answered.

    Metrics and JSON lines of other ranks are left out. The result of rank 0 is passed on when all programs have ended,
    or after LAST_RANKS_SECONDS. The failure of any of them is passed on as that of the trial.
    """

    def __init__(
        self,
        processes: RankProcesses,
        first: CommandConversation,
        others: Sequence[ProgramProcess],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`first` is the conversation with rank 0, `others` are the programs of the ranks from 1."""
        self._processes = processes
        self._first = first
        self._others = dict(enumerate(others, 1))
        self._clock = clock
        self._answers = SharedAnswers(processes.output.tell, clock)
        self._failures = RankFailures(clock)
        self._asked: Message | None = None
        self._result: Message | None = None
        self._ended_at = 0.0
        self._running = set(self._others)
        for rank, program in self._others.items():
            self._read(rank, program)

    def receive(self, timeout_seconds: float) -> Message | Failed | None:
        """The next message of rank 0, the result of all, or the failure of one; None if there is none in time."""
        if self._result is None and 0 not in self._failures.ranks:
            message = self._first.receive(timeout_seconds)
            if isinstance(message, Failed):
                self._failures.add(0, message, self._processes.ranks[0].last_lines())
            elif message is not None and message["call"] == "complete":
                self._result, self._ended_at = message, self._clock()
                self._answers.finish()
            elif message is not None:
                self._asked = message
                return message
        else:
            time.sleep(min(timeout_seconds, POLL_SECONDS))
        self._look()
        self._answers.tell_long_waits()
        return self._failure() or self._last_result()

    def send(self, answer: Message) -> None:
        """Answer rank 0, and the other ranks that have made the same call."""
        self._first.send(answer)
        if self._asked is not None:
            asked, self._asked = self._asked, None
            decision = answer.get("decision", "continue")
            self._answers.record(asked, {"decision": "stop" if decision == "lost" else decision})

    def _read(self, rank: int, program: ProgramProcess) -> None:
        def take(fields: Fields, answer: Answer | None) -> None:
            if answer is not None:
                call = {"call": "report", "step": fields["step"]} if "step" in fields else {"call": "decision"}
                self._answers.ask(rank, call, lambda message: answer({"decision": "continue", **message}))

        program.read(OutputScanner({}, None, lambda _, __: None), take, lambda: None)

    def _look(self) -> None:
        """Notice which of the other programs have ended."""
        for rank in sorted(self._running):
            program = self._others[rank]
            if not program.has_ended or not program.has_been_read(REST_SECONDS):
                continue
            self._running.remove(rank)
            failure = program.start_failure()
            status = program.end()
            if failure is None and status != 0:
                failure = end_reason("the program", status)
            if failure is not None:
                self._failures.add(rank, failure, program.last_lines())

    def _failure(self) -> Failed | None:
        is_first_running = self._result is None and 0 not in self._failures.ranks
        chosen = self._failures.chosen(len(self._running) + is_first_running)
        if chosen is None:
            return None
        self._processes.failed_rank, failure = chosen
        return failure

    def _last_result(self) -> Message | None:
        if self._result is None:
            return None
        if self._running and self._clock() - self._ended_at < LAST_RANKS_SECONDS:
            return None
        self._processes.tell_late(sorted(self._running))
        return self._result
