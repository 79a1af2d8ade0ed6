"""What rank 0 of a trial is answered, for the other ranks, which make the same calls."""

import threading
import time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from workers.user_process.channel import Message

MAX_KEPT = 10_000
"""Answers of each kind that are kept, for ranks that are behind rank 0 or ask for none."""
SILENT = ("set_user_attr", "set_constraint")
"""Calls that only rank 0 makes of the service."""
WAIT_SECONDS = 60.0
"""After this time, a rank's wait for rank 0 is told in the output, once."""

Respond = Callable[[Message], None]


@dataclass
class _Waiting:
    rank: int
    call: Message
    respond: Respond
    since: float
    is_told: bool = False


class SharedAnswers:
    """Gives the other ranks the answers that rank 0 got, as soon as it has got them.

    The answer to a report is that of rank 0's report at this step, or at the first later one; that to a suggestion is
    rank 0's for the parameter; and to any other call, the nth of its kind by a rank has the answer of rank 0's nth.
    Threads may share this.
    """

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`tell` writes a line to the trial's output."""
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        self._steps: list[int] = []
        self._reports: list[Message] = []
        self._suggestions: dict[str, Message] = {}
        self._others: defaultdict[str, deque[Message]] = defaultdict(lambda: deque(maxlen=MAX_KEPT))
        self._n_recorded: defaultdict[str, int] = defaultdict(int)
        self._n_asked: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._waiting: list[_Waiting] = []
        self._decision = "continue"
        """The last one."""
        self._has_ended = False

    def record(self, call: Message, answer: Message) -> None:
        """Note what rank 0 was answered, and pass it on to the ranks that wait for it."""
        with self._lock:
            self._note(call, answer)
            self._serve()

    def ask(self, rank: int, call: Message, respond: Respond) -> None:
        """Answer the call of another rank: at once, or when rank 0 has got its answer."""
        kind = call["call"]
        if kind in SILENT:
            respond({})
            return
        if kind == "report" and not isinstance(call.get("step"), int):
            respond({"error": f"a report must have a step: {_described(call)}"})
            return
        with self._lock:
            number = self._n_asked[rank, kind]
            self._n_asked[rank, kind] += 1
            self._waiting.append(_Waiting(rank, {**call, "number": number}, respond, self._clock()))
            self._serve()

    def finish(self) -> None:
        """Rank 0 calls no more. Who waits for it gets the last decision, or an error."""
        with self._lock:
            self._has_ended = True
            self._serve()

    def tell_long_waits(self) -> None:
        """Write a line about each rank that has begun to wait long ago."""
        with self._lock:
            for waiting in self._waiting:
                if not waiting.is_told and self._clock() - waiting.since >= WAIT_SECONDS:
                    waiting.is_told = True
                    self._tell(f"rank {waiting.rank} waits for the same call by rank 0: {_described(waiting.call)}")

    def _note(self, call: Message, answer: Message) -> None:
        self._decision = answer.get("decision", self._decision)
        match call["call"]:
            case "report" | "reports":
                step = call.get("step")
                if isinstance(step, int) and (not self._steps or step > self._steps[-1]):
                    self._steps.append(step)
                    self._reports.append(answer)
                if len(self._steps) > 2 * MAX_KEPT:
                    del self._steps[:MAX_KEPT], self._reports[:MAX_KEPT]
            case "suggest":
                self._suggestions[str(call.get("name"))] = answer
            case kind:
                self._others[kind].append(answer)
                self._n_recorded[kind] += 1

    def _serve(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            answer = self._answer(one.call)
            if answer is None:
                self._waiting.append(one)
            else:
                one.respond(answer)

    def _answer(self, call: Message) -> Message | None:
        known = self._known(call)
        if known is not None or not self._has_ended:
            return known
        if call["call"] in ("report", "decision"):
            return {"decision": self._decision}
        return {"error": f"rank 0 has ended without the same call: {_described(call)}"}

    def _known(self, call: Message) -> Message | None:
        match call["call"]:
            case "report":
                index = bisect_left(self._steps, call["step"])
                return self._reports[index] if index < len(self._steps) else None
            case "suggest":
                return self._suggestions.get(str(call.get("name")))
            case kind:
                index = call["number"] - (self._n_recorded[kind] - len(self._others[kind]))
                return self._others[kind][max(0, index)] if index < len(self._others[kind]) else None


def _described(call: Message) -> str:
    about = next((f" {call[name]}" for name in ("step", "name") if name in call), "")
    return f"{call['call']}{about}"[:200]
