"""Start the function of an entrypoint."""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.schemas.protocol import Lease
from workers.fleet.device_group import DeviceGroup
from workers.user_code.attempt import Attempt, TrialFiles
from workers.user_code.code_versions import ATTRIBUTE
from workers.user_code.conversation import Conversation
from workers.user_code.failures import next_message
from workers.user_code.process_starter import ProcessStarter
from workers.user_code.ranks.function_ranks import FunctionRank, FunctionRanks
from workers.user_code.ranks.rank_processes import RankProcesses
from workers.user_code.ranks.variables import meeting_variables, rank_device, rank_variables
from workers.user_code.start_message import start_message
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_process.channel import Message


@dataclass(frozen=True)
class FunctionStarter:
    """Starts a process that calls the function of a trial's entrypoint, or one for each of its devices."""

    options: UserCodeOptions
    starter: ProcessStarter

    def __call__(self, lease: Lease, files: TrialFiles, devices: DeviceGroup) -> Attempt:
        """Start an attempt. Raises OSError."""
        if lease.user_code.launch is not None:
            return self._start_ranks(lease, files, devices)
        process = self.starter.start(files.folder, lease.training.entrypoints, devices)
        conversation = Conversation(process.connection)
        conversation.send(self._start_message(lease, files, devices))
        return Attempt(process, partial(next_message, process, conversation), conversation.send)

    def _start_ranks(self, lease: Lease, files: TrialFiles, devices: DeviceGroup) -> Attempt:
        processes = RankProcesses(len(devices))
        try:
            ranks = [self._start_rank(lease, files, devices, processes, rank) for rank in range(len(devices))]
        except BaseException:
            processes.end(0.0)
            raise
        conversation = FunctionRanks(processes, ranks)
        return Attempt(processes, conversation.receive, conversation.send)

    def _start_rank(
        self, lease: Lease, files: TrialFiles, devices: DeviceGroup, processes: RankProcesses, rank: int
    ) -> FunctionRank:
        process = self.starter.start(
            files.folder,
            lease.training.entrypoints,
            devices,
            rank_variables(rank, len(devices), os.environ),
            partial(processes.outputs.tail, rank),
        )
        processes.ranks.append(process)
        started = FunctionRank(process, Conversation(process.connection))
        message = self._start_message(
            lease,
            files,
            devices,
            device=rank_device(devices, rank),
            environment=meeting_variables(lease.study, lease.trial_number, processes.port),
            rank=rank,
            world_size=len(devices),
        )
        started.conversation.send(message)
        return started

    def _start_message(self, lease: Lease, files: TrialFiles, devices: DeviceGroup, **more: Any) -> Message:
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
            **more,
        )
