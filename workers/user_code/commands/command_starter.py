"""Start the program of a command."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from service.schemas.protocol import Lease
from service.schemas.study.placeholders import fill
from workers.fleet.device_group import DeviceGroup
from workers.user_code.attempt import Attempt, TrialFiles, TrialProcess
from workers.user_code.commands.command_conversation import CommandConversation
from workers.user_code.commands.program_process import ProgramProcess
from workers.user_code.output_tail import OutputTail
from workers.user_code.process import environment_for
from workers.user_code.ranks.command_ranks import CommandRanks
from workers.user_code.ranks.rank_processes import RankProcesses
from workers.user_code.ranks.variables import THREADS, meeting_variables, rank_device, rank_variables
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_process import reporting

PYTHON = "python"
"""The name of a program that stands for the worker's own interpreter."""


@dataclass(frozen=True)
class CommandStarter:
    """Starts the program of a trial with the trial's parameters as its arguments."""

    options: UserCodeOptions

    def __call__(self, lease: Lease, files: TrialFiles, devices: DeviceGroup) -> Attempt:
        """Start an attempt. Raises OSError, also for a working directory outside of the folder with the code."""
        if lease.command.launch is not None:
            return self._start_ranks(lease, files, devices)
        process = self._start(lease, files, devices)
        conversation = self._converse(lease, files, process)
        return self._attempt(lease, process, conversation, conversation)

    def _start_ranks(self, lease: Lease, files: TrialFiles, devices: DeviceGroup) -> Attempt:
        n_ranks = len(devices)
        processes = RankProcesses(n_ranks)
        meeting = meeting_variables(lease.study, lease.trial_number, processes.port)
        programs = []
        try:
            for rank in range(n_ranks):
                variables = {**rank_variables(rank, n_ranks, os.environ), **meeting}
                of_rank, tail = _files_of_rank(files, rank), processes.outputs.tail(rank, None)
                programs.append(self._start(lease, of_rank, devices, rank, variables, tail))
                processes.ranks.append(programs[-1])
            first = self._converse(lease, files, programs[0])
            conversation = CommandRanks(processes, first, programs[1:])
        except BaseException:
            processes.end(0.0)
            raise
        return self._attempt(lease, processes, first, conversation)

    def _attempt(
        self,
        lease: Lease,
        process: TrialProcess,
        first: CommandConversation,
        conversation: CommandConversation | CommandRanks,
    ) -> Attempt:
        """`first` is the conversation with the only program, or with that of rank 0."""
        grace_seconds = lease.command.grace_seconds
        return Attempt(
            process,
            conversation.receive,
            conversation.send,
            grace_seconds,
            pruned_seconds=lambda: grace_seconds if first.was_answered else 0.0,
            close=first.close,
        )

    def _start(
        self,
        lease: Lease,
        files: TrialFiles,
        devices: DeviceGroup,
        rank: int | None = None,
        variables: Mapping[str, str] | None = None,
        tail: OutputTail | None = None,
    ) -> ProgramProcess:
        device = devices.kind if rank is None else rank_device(devices, rank)
        limit_mib = lease.command.memory_limit_mib
        return ProgramProcess(
            self._command(lease, files, device, len(devices)),
            scratch=files.scratch,
            folder=self._folder(lease.command.working_directory, files.folder),
            environment=self._environment(lease, files, devices, variables or {}),
            memory_limit_mib=None if limit_mib is None else devices.part_of(limit_mib),
            tail=tail,
        )

    def _converse(self, lease: Lease, files: TrialFiles, process: ProgramProcess) -> CommandConversation:
        metrics = [objective.metric for objective in lease.objectives]
        return CommandConversation(lease.command, metrics, files.resume_step, process)

    def _command(self, lease: Lease, files: TrialFiles, device: str, n_devices: int) -> list[str]:
        values = lease.command.values(lease.params)
        params = files.scratch / "params.json"
        params.write_text(json.dumps(values))
        facts = {
            "params_json": str(params),
            "seed": str(lease.seed),
            "trial": str(lease.trial_number),
            "study": lease.study,
            "device": device,
            "n_devices": str(n_devices),
            "checkpoint_dir": str(files.checkpoints),
            "data_dir": str(self.options.data_dir.resolve()),
        }
        program, *arguments = fill(lease.command.command, values, facts)
        return [str(self.options.python or sys.executable) if program == PYTHON else program, *arguments]

    def _environment(
        self, lease: Lease, files: TrialFiles, devices: DeviceGroup, variables: Mapping[str, str]
    ) -> Mapping[str, str]:
        """`variables` are those of a rank. The definition may change its number of threads alone."""
        fixed = {name: value for name, value in variables.items() if name != THREADS}
        environment = environment_for(devices, os.environ) | dict(variables) | lease.command.environment | fixed
        modules = files.scratch / "modules"
        modules.mkdir()
        shutil.copyfile(reporting.__file__, modules / "narrows.py")
        path = [str(modules), *([environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else [])]
        return environment | {
            "PYTHONPATH": os.pathsep.join(path),
            "NARROWS_CHECKPOINT_DIR": str(files.checkpoints),
            "NARROWS_MODEL": str(files.model),
            "NARROWS_RESUME_STEP": str(files.resume_step),
        }

    def _folder(self, name: str, working_folder: Path) -> Path:
        """The folder to start in. It must not be a link that leads out of the folder with the code."""
        folder = (working_folder / name).resolve()
        roots = [working_folder.resolve(), *([self.options.code.resolve()] if self.options.code is not None else [])]
        if not any(folder.is_relative_to(root) for root in roots):
            raise PermissionError(f"working_directory leads out of the folder with the code: {name!r}")
        if not folder.is_dir():
            raise NotADirectoryError(f"working_directory must be a folder in the folder with the code: {name!r}")
        return folder


def _files_of_rank(files: TrialFiles, rank: int) -> TrialFiles:
    """Files of the worker for one rank. Other ranks than 0 may write a model too, which is not kept."""
    if rank == 0:
        return files
    scratch = files.scratch / f"rank-{rank}"
    scratch.mkdir()
    return replace(files, scratch=scratch, model=scratch / files.model.name)
