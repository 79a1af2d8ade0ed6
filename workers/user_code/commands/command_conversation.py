"""What the process of a command says, as the messages that the watcher of a trial understands."""

import queue
from collections.abc import Sequence

from service.schemas.study.command_training import CommandTraining
from workers.user_code.commands.output_scanner import OutputScanner
from workers.user_code.commands.program_process import ProgramProcess
from workers.user_code.commands.program_reader import Answer, Fields
from workers.user_code.commands.report_collector import Metrics, ReportCollector
from workers.user_code.failures import end_reason
from workers.user_code.outcome import Failed
from workers.user_process.channel import Message
from workers.user_process.failures import MAX_REASON

MAX_WAITING = 1000
"""Reports that wait for the service. The program waits when there are more."""
REST_SECONDS = 1.0
"""How long outputs are read after the program has ended: a process that it has left behind may hold them open."""
PUT_SECONDS = 0.5

_Item = tuple[Message, Answer | None]


class CommandConversation:
    """Receives the reports of a command, and answers those that the command waits for."""

    def __init__(
        self, training: CommandTraining, objectives: Sequence[str], first_step: int, process: ProgramProcess
    ) -> None:
        """Read what the process says. `first_step` is the number of the first step if the output does not say it."""
        self._training = training
        self._objectives = objectives
        self._process = process
        self._collector = ReportCollector(
            objectives,
            list(training.metrics),
            finds_steps=training.step is not None,
            first_step=first_step,
            report=self._put_report,
            tell=process.output.tell,
        )
        self._items: queue.Queue[_Item] = queue.Queue(MAX_WAITING)
        self._next: _Item | None = None
        self._answer: Answer | None = None
        self._answering: Answer | None = None
        self._closed = False
        self.was_answered = False
        """Whether the program has heard the last decision as the answer to a call of `report`."""
        scanner = OutputScanner(training.metrics, training.step, self._collector.add_found)
        process.read(scanner, self._take, self._collector.finish)

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    def _take(self, fields: Fields, answer: Answer | None) -> None:
        """Take a JSON object of the program. Called on the reader's thread."""
        user_attrs = fields.pop("user_attrs", None)
        if user_attrs is not None:
            self._put({"call": "set_user_attr", "user_attrs": user_attrs}, None)
        self._answering = answer
        if fields:
            self._collector.add_object(fields)
        if self._answering is not None:  # no report has taken it along
            self._put({"call": "decision"}, self._answering)
            self._answering = None

    def receive(self, timeout_seconds: float) -> Message | Failed | None:
        """The next message; several reports for which the program does not wait are one. None after the timeout."""
        item = self._next or self._get(timeout_seconds)
        self._next = None
        if item is None:
            if not self._process.has_ended:
                return None
            if not self._process.has_been_read(REST_SECONDS):
                return None
            item = self._get(0.0)
            if item is None:
                return self._result()
        message, self._answer = item
        if message["call"] != "report" or self._answer is not None:
            return message
        reports = [message]
        while len(reports) < MAX_WAITING and (item := self._get(0.0)) is not None:
            if item[0]["call"] != "report" or item[1] is not None:
                self._next = item
                break
            reports.append(item[0])
        return {"call": "reports", "step": reports[-1]["step"], "reports": reports}

    def send(self, answer: Message) -> None:
        """Answer the last message."""
        if "error" in answer:
            self._process.output.tell(f"not kept: {answer['error']}")
        if self._answer is None:
            self.was_answered = False
            return
        decision = answer.get("decision", "continue")
        self._answer({"decision": "stop" if decision == "lost" else decision})
        self._answer, self.was_answered = None, True

    def _put_report(self, step: int, metrics: Metrics) -> None:
        answer, self._answering = self._answering, None
        self._put({"call": "report", "step": step, "metrics": metrics}, answer)

    def _put(self, message: Message, answer: Answer | None) -> None:
        while not self._closed:
            try:
                self._items.put((message, answer), timeout=PUT_SECONDS)
            except queue.Full:
                continue
            return

    def _get(self, timeout_seconds: float) -> _Item | None:
        try:
            return self._items.get(timeout=timeout_seconds) if timeout_seconds else self._items.get_nowait()
        except queue.Empty:
            return None

    def _result(self) -> Message | Failed:
        """How the program has ended: with values of all objectives, or as a failure."""
        told = self._process.start_failure()
        if told is not None:
            return told
        status = self._process.end()
        if status != 0:
            return end_reason("the program", status)
        latest = self._collector.latest
        missing = [metric for metric in self._objectives if metric not in latest]
        if missing:
            return Failed(self._without(missing[0])[:MAX_REASON])
        return {"call": "complete", "metrics": latest}

    def _without(self, metric: str) -> str:
        pattern = self._training.metrics.get(metric)
        where = f"the expression {pattern} in its output, " if pattern is not None else ""
        looked_for = f"looked for {where}JSON lines in $NARROWS_REPORTS and calls of narrows.report"
        if pattern is None and self._training.metrics:
            looked_for += (
                f"; training.metrics has no expression for {metric}, only for {', '.join(self._training.metrics)}"
            )
        return f"the program ended without a value of {metric}: {looked_for}"
