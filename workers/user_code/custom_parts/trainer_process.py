"""The process that holds trials with own models or data sets as its lanes."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.schemas.protocol import Lease
from workers.errors import CheckpointError
from workers.lanes.lane_state import LaneState
from workers.saved.files import dump_checkpoint, previous_checkpoint, read_checkpoint
from workers.scheduling.leased_trial import LeasedTrial
from workers.scratch import Scratch
from workers.user_code.allowed import UserCode
from workers.user_code.conversation import Conversation
from workers.user_code.endings import too_late
from workers.user_code.model_file import read
from workers.user_code.outcome import Failed
from workers.user_code.output_uploads import OutputUploads
from workers.user_code.process import UserProcess, device_seen
from workers.user_process import custom_parts as own_parts

logger = logging.getLogger("narrows.worker")

TRAINER = f"{own_parts.__name__}.trainer"
MEASURING_SECONDS = 5.0
"""That a trial may take longer to begin, while it is measured how many lanes are fastest."""
WRONG_FORM = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What a file that the user's code may have written can bring about where it is read."""
SHARED = "[this process trains several trials at a time: what follows is the output of all of them]\n"


@dataclass
class ChildTrial:
    """A trial in the process, where it is called `name`: it knows no lease, and nothing of the service."""

    name: str
    trial: LeasedTrial
    folder: Path
    uploads: OutputUploads
    began_at: float
    reported_at: float
    last_epoch: int
    is_begun: bool = False

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def model(self) -> Path:
        return self.folder / "model.safetensors"

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def read_state(self, last_epoch: int) -> None:
        """Take note of where the trial was last written, unless that is behind an epoch that is not told yet."""
        self.trial.state = kept_state(self.checkpoint, self.trial, last_epoch) or self.trial.state


def kept_state(checkpoint: Path, trial: LeasedTrial, last_epoch: int) -> LaneState | None:
    """Where a trial was last written, or the time before, that is not behind an epoch after the last one told."""
    lease = trial.lease
    for path in (checkpoint, previous_checkpoint(checkpoint)):
        if not path.exists():  # it was not written yet
            continue
        try:
            state = read_checkpoint(read(path, "a checkpoint"), lease.built_in, lease.seed)
        except (CheckpointError, OSError, *WRONG_FORM) as error:
            logger.warning("%s: its checkpoint cannot be read: %s", trial.title, error)
            continue
        if 0 <= state.n_epochs <= last_epoch + 1:
            return state
    return None


class TrainerProcess:
    """One process for trials of one `key`; `alone` for a single one, which is then to blame for what happens to it."""

    def __init__(
        self, user_code: UserCode, device: str, lease: Lease, key: str, n_lanes: int | None, *, alone: bool
    ) -> None:
        """Raises OSError."""
        self.key = key
        self.alone = alone
        self.unfusable_reason: str | None = None
        self.room, self.n_lanes = 0, 1
        self.n_begun = 0
        self.seats: dict[str, ChildTrial] = {}
        self.dropped: dict[str, ChildTrial] = {}
        """Those that the process has not let go of yet: it may still write to their folders."""
        self.uploads: dict[str, OutputUploads] = {}
        """By lease: a trial that has waited at a rung goes on with what it wrote before."""
        self.scratch = Scratch()
        try:
            self.process = UserProcess(device, user_code.code)
        except BaseException:
            self.scratch.remove()
            raise
        self.conversation = Conversation(self.process.connection)
        self.conversation.send(_start(user_code, device, lease, n_lanes, alone))

    @property
    def is_reusable(self) -> bool:
        """Whether trials may come after others: those of a module that lanes cannot share may leave a trace."""
        return not self.alone and self.unfusable_reason is None

    @property
    def is_full(self) -> bool:
        return len(self.seats) >= self.n_lanes

    def begin(self, trial: LeasedTrial, max_lanes: int | None, uploads: OutputUploads, now: float) -> ChildTrial:
        """Tell the process; it answers once the trial is in its lane, or cannot be. Raises OSError."""
        name = f"trial-{self.n_begun}"
        self.n_begun += 1
        folder = self.scratch.path / name
        folder.mkdir()
        seat = ChildTrial(name, trial, folder, uploads, now, now, trial.last_step)
        lease = trial.lease.model_copy(update={"lease_id": name})
        if trial.state is not None:
            seat.checkpoint.write_bytes(dump_checkpoint(trial.state, lease.built_in, lease.seed))
        self.seats[name] = seat
        if len(self.seats) > 1:
            for one in self.seats.values():
                one.uploads.heading = SHARED
        self._send(
            "begin",
            name,
            lease=lease.model_dump(mode="json"),
            max_lanes=max_lanes,
            state=None if trial.state is None else str(seat.checkpoint),
            checkpoint=str(seat.checkpoint),
            model=str(seat.model),
            rung_steps=[step for step in lease.rung_steps if step > trial.last_step],
        )
        return seat

    def drop(self, seat: ChildTrial) -> None:
        self.dropped[seat.name] = self.seats.pop(seat.name)
        self._send("drop", seat.name)

    def seat_of(self, lease_id: str) -> ChildTrial | None:
        return next((seat for seat in self.seats.values() if seat.trial.lease_id == lease_id), None)

    def too_late(self, now: float) -> Failed | None:
        """What the first of the trials that take too long fails with."""
        for seat in self.seats.values():
            measuring = 0.0 if seat.is_begun or self.alone else MEASURING_SECONDS
            limits = seat.trial.lease.built_in
            late = too_late(limits, now - seat.began_at - measuring, now - seat.reported_at - measuring)
            if late is not None:
                return late
        return None

    def leave_out(self, seconds: float, begun: ChildTrial) -> None:
        """The others did not train while a trial was begun: that is none of their time."""
        for seat in self.seats.values():
            if seat is not begun:
                seat.began_at += seconds
                seat.reported_at += seconds

    def _send(self, do: str, name: str, **fields: Any) -> None:
        self.conversation.send({"do": do, "id": name, **fields})


def _start(user_code: UserCode, device: str, lease: Lease, n_lanes: int | None, alone: bool) -> dict[str, Any]:
    """What the process is told at first. `before_code`: else a package of the code's could take another one's place."""
    training, code = lease.built_in, user_code.code
    arguments = {
        "data_dir": str(user_code.data_dir),
        "download": user_code.download,
        "n_lanes": n_lanes,
        "alone": alone,
    }
    return {
        "study": lease.study,
        "number": lease.trial_number,
        "params": {},
        "user_attrs": {},
        "objectives": [],
        "prunes": False,
        "entrypoint": f"{TRAINER}:train",
        "arguments": arguments,
        "before_code": [TRAINER],
        "memory_limit_mib": training.memory_limit_mib,
        "seed": training.seed,
        "device": device_seen(device),
        "checkpoint_dir": "",
        "resume_step": 0,
        "model_path": "",
        "code": None if code is None else str(code),
    }
