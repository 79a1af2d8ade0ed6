"""The place of the one trainer process of a worker."""

from collections.abc import Callable

from service.schemas.protocol import Lease
from workers.errors import CustomTrialError
from workers.user_code.custom_parts.child_trial import ChildTrial
from workers.user_code.custom_parts.cleanups import Cleanups
from workers.user_code.custom_parts.message_handler import MessageHandler
from workers.user_code.custom_parts.trainer_process import TrainerProcess
from workers.user_code.outcome import Failed

POLL_SECONDS = 0.02
DROPPED_SECONDS = 2.0
"""How long a process may take to leave a dropped trial before another one is started there. A longer time is a hang."""

StartProcess = Callable[[Lease, str, int | None, str | None], TrainerProcess]


class ProcessSlot:
    """Holds at most one process. It reuses the process for trials of the same key, and otherwise replaces it."""

    def __init__(
        self, start_process: StartProcess, handler: MessageHandler, cleanups: Cleanups, clock: Callable[[], float]
    ) -> None:
        self._start_process = start_process
        self._handler = handler
        self._cleanups = cleanups
        self._clock = clock
        self.process: TrainerProcess | None = None

    @property
    def n_trials(self) -> int:
        """Number of trials in the process."""
        return 0 if self.process is None else len(self.process.trials)

    def child_of(self, lease_id: str) -> ChildTrial | None:
        """The trial with this lease, if it is in the process."""
        return None if self.process is None else self.process.child_of(lease_id)

    def process_for(self, lease: Lease, key: str, n_lanes: int | None, solo_reason: str | None) -> TrainerProcess:
        """The process to start a trial in, a new one if necessary. Raises CustomTrialError if it cannot be started."""
        process = self.process
        if process is not None and not process.trials:
            is_usable = process.key == key and process.is_reusable and solo_reason is None
            if not is_usable or not self._leaves_dropped(process):
                self.end()
        if self.process is None:
            try:
                self.process = self._start_process(lease, key, n_lanes, solo_reason)
            except OSError as error:
                raise CustomTrialError(f"the trial's process could not be run: {error!r}", retry=True) from error
        return self.process

    def end(self) -> None:
        """End the process, if there is one."""
        process, self.process = self.process, None
        if process is not None:
            process.end()
            self._cleanups.add(process.scratch.remove)

    def _leaves_dropped(self, process: TrainerProcess) -> bool:
        """Wait until the process has left the trials that it was told to drop. False if it hangs or has ended."""
        deadline = self._clock() + DROPPED_SECONDS
        while process.dropped and self._clock() < deadline:
            message = process.receive(POLL_SECONDS)
            if isinstance(message, Failed):
                return False
            if message is not None:
                self._handler.handle(process, message)
        return not process.dropped and not process.user_process.has_ended
