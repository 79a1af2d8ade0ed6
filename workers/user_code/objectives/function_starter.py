"""Start the function of an entrypoint."""

from dataclasses import dataclass
from functools import partial

from service.schemas.protocol import Lease
from workers.fleet.device_group import DeviceGroup
from workers.user_code.attempt import Attempt, TrialFiles
from workers.user_code.code_versions import ATTRIBUTE
from workers.user_code.conversation import Conversation
from workers.user_code.failures import next_message
from workers.user_code.process_starter import ProcessStarter
from workers.user_code.start_message import start_message
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_process.channel import Message


@dataclass(frozen=True)
class FunctionStarter:
    """Starts a process that calls the function of a trial's entrypoint."""

    options: UserCodeOptions
    starter: ProcessStarter

    def __call__(self, lease: Lease, files: TrialFiles, devices: DeviceGroup) -> Attempt:
        """Start an attempt. Raises OSError."""
        process = self.starter.start(files.folder, lease.training.entrypoints, devices)
        conversation = Conversation(process.connection)
        conversation.send(self._start_message(lease, files, devices))
        return Attempt(process, partial(next_message, process, conversation), conversation.send)

    def _start_message(self, lease: Lease, files: TrialFiles, devices: DeviceGroup) -> Message:
        training = lease.user_code
        return start_message(
            lease,
            self.options,
            devices,
            entrypoint=training.entrypoint,
            arguments=training.arguments,
            seed=lease.seed,
            params=lease.params,
            user_attrs={name: value for name, value in lease.user_attrs.items() if name != ATTRIBUTE},
            objectives=[objective.model_dump() for objective in lease.objectives],
            prunes=lease.prunes,
            checkpoint_dir=str(files.checkpoints),
            resume_step=files.resume_step,
            model_path=str(files.model),
        )
