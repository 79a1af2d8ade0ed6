"""The process that trains trials of custom models or data sets."""

import logging
from collections.abc import Callable
from typing import Any

from service.client import Client
from service.schemas.protocol import Lease
from workers.fleet.device_group import DeviceGroup
from workers.leases.errands import Errands
from workers.saved.files import dump_checkpoint
from workers.scheduling.leased_trial import LeasedTrial, title
from workers.scratch import Scratch
from workers.user_code.code_versions import CodeVersions
from workers.user_code.conversation import Conversation
from workers.user_code.custom_parts.child_trial import ChildTrial
from workers.user_code.custom_parts.messages import TrialMessage, parse_message
from workers.user_code.failures import check_time_limits, next_message
from workers.user_code.outcome import Failed
from workers.user_code.output_uploads import OutputUploads
from workers.user_code.process_starter import ProcessStarter
from workers.user_code.start_message import start_message
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_process import custom_parts

logger = logging.getLogger("narrows.worker")

TRAINER = f"{custom_parts.__name__}.trainer"
MEASURING_SECONDS = 5.0
"""How much longer a trial may take to start, because the process may first measure how many lanes are fastest."""
SHARED_HEADING = "[this process trains several trials at a time: what follows is the output of all of them]\n"


class TrainerProcess:
    """One process, for trials of one `key`. It is given a trial's state and files, but nothing of the service."""

    def __init__(
        self,
        options: UserCodeOptions,
        starter: ProcessStarter,
        client: Client,
        errands: Errands,
        clock: Callable[[], float],
        versions: CodeVersions,
        lease: Lease,
        key: str,
        n_lanes: int | None,
        solo_reason: str | None,
    ) -> None:
        """Start the process. Raises OSError.

        `solo_reason`: the process is for a single trial, because of what happened to a process that it shared.
        """
        self.key = key
        self.code_hash, changed = versions.note(lease, options.code)
        if changed is not None:
            logger.warning("%s: %s", title(lease), changed)
        self.solo_reason = solo_reason
        self.unfusable_reason: str | None = None
        """Why the process has only one lane, once a trial has started; None if trials can share it."""
        self.n_claimable, self.n_lanes = 0, 1
        self.n_started = 0
        """Trials that were started here, those that have ended included."""
        self.trials: dict[str, ChildTrial] = {}
        self.dropped: dict[str, ChildTrial] = {}
        """Trials that the process was told to drop and may still write files of."""
        self._uploads: dict[str, OutputUploads] = {}
        """By lease: a trial that comes back after a rung goes on with the output it had before."""
        self._client = client
        self._errands = errands
        self._clock = clock
        self._study = lease.study
        self.scratch = Scratch()
        devices = DeviceGroup((starter.devices.first,))
        try:
            self._folder = options.make_working_folder(self.scratch.path, lease)
            self.user_process = starter.start(self._folder.path, lease.training.entrypoints, devices)
        except BaseException:
            self.scratch.remove()
            raise
        self._conversation = Conversation(self.user_process.connection)
        self._conversation.send(_start_message(options, devices, lease, n_lanes, solo_reason is not None))

    @property
    def is_solo(self) -> bool:
        """Whether the process is for a single trial, which is then the cause of whatever happens to the process."""
        return self.solo_reason is not None

    @property
    def is_reusable(self) -> bool:
        """Whether it may train other trials later. Modules that cannot share a step may leave global state behind."""
        return not self.is_solo and self.unfusable_reason is None

    @property
    def is_full(self) -> bool:
        """Whether each lane has a trial."""
        return len(self.trials) >= self.n_lanes

    def end(self) -> None:
        """End the process. The files of its trials stay."""
        self.user_process.end()
        self._folder.close(f"{self._study}: a process")

    def start_trial(self, trial: LeasedTrial, max_lanes: int | None) -> ChildTrial:
        """Tell the process to start a trial; it answers with Started or TrialFailed. Raises OSError."""
        now = self._clock()
        uploads = self._uploads_of(trial)
        name = f"trial-{self.n_started}"
        self.n_started += 1
        folder = self.scratch.path / name
        folder.mkdir()
        child = ChildTrial(name, trial, folder, uploads, now, now, trial.last_step)
        lease = trial.lease.model_copy(update={"lease_id": name})
        if trial.state is not None:
            child.checkpoint.write_bytes(dump_checkpoint(trial.state, lease.built_in, lease.seed))
        self.trials[name] = child
        if len(self.trials) > 1:
            for other in self.trials.values():
                other.uploads.heading = SHARED_HEADING
        self._command(
            "start",
            name,
            lease=lease.model_dump(mode="json"),
            max_lanes=max_lanes,
            state=None if trial.state is None else str(child.checkpoint),
            checkpoint=str(child.checkpoint),
            model=str(child.model),
            rung_steps=[step for step in lease.rung_steps if step > trial.last_step],
        )
        return child

    def drop_trial(self, child: ChildTrial) -> None:
        """Tell the process to leave a trial; it answers with Dropped."""
        self.dropped[child.name] = self.trials.pop(child.name)
        self._command("drop", child.name)

    def child_of(self, lease_id: str) -> ChildTrial | None:
        """The trial with this lease, if it is in the process."""
        return next((child for child in self.trials.values() if child.trial.lease_id == lease_id), None)

    def receive(self, timeout_seconds: float) -> TrialMessage | Failed | None:
        """The next message, or None if none arrives in time. Failed if the process must end, with all of its trials."""
        message = next_message(self.user_process, self._conversation, timeout_seconds)
        if isinstance(message, dict):
            return parse_message(message)
        return message or self._check_time_limits()

    def exclude_from_limits(self, seconds: float, started: ChildTrial) -> None:
        """Leave the time out of the other trials' limits: they did not train while this one was started."""
        for child in self.trials.values():
            if child is not started:
                child.started_at += seconds
                child.reported_at += seconds

    def _check_time_limits(self) -> Failed | None:
        now = self._clock()
        for child in self.trials.values():
            measuring = 0.0 if child.is_started or self.is_solo else MEASURING_SECONDS
            limits = child.trial.lease.built_in
            failed = check_time_limits(limits, now - child.started_at - measuring, now - child.reported_at - measuring)
            if failed is not None:
                return failed
        return None

    def _uploads_of(self, trial: LeasedTrial) -> OutputUploads:
        uploads = self._uploads.get(trial.lease_id)
        if uploads is None:
            output = self.user_process.output
            start = output.begin_line() if self.n_started else 0
            uploads = OutputUploads(trial.lease, output, self._client, self._errands, self._clock, start)
            self._uploads[trial.lease_id] = uploads
        if self.is_solo:
            uploads.heading = f"[tried again alone, after a process of several trials: {self.solo_reason}]\n"
        return uploads

    def _command(self, do: str, name: str, **fields: Any) -> None:
        self._conversation.send({"do": do, "id": name, **fields})


def _start_message(
    options: UserCodeOptions, devices: DeviceGroup, lease: Lease, n_lanes: int | None, alone: bool
) -> dict[str, Any]:
    training = lease.built_in
    arguments = {
        "data_dir": str(options.data_dir),
        "download": options.download,
        "n_lanes": n_lanes,
        "alone": alone,
    }
    return start_message(
        lease,
        options,
        devices,
        entrypoint=f"{TRAINER}:train",
        arguments=arguments,
        seed=training.seed,
        before_code=[TRAINER],
    )
