"""Start the program of a command."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.schemas.protocol import Lease
from service.schemas.study.placeholders import fill
from workers.fleet.device_group import DeviceGroup
from workers.user_code.attempt import Attempt, TrialFiles
from workers.user_code.commands.command_conversation import CommandConversation
from workers.user_code.commands.program_process import ProgramProcess
from workers.user_code.process import environment_for
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
        training, limit_mib = lease.command, lease.command.memory_limit_mib
        process = ProgramProcess(
            self._command(lease, files, devices),
            scratch=files.scratch,
            folder=self._folder(training.working_directory, files.folder),
            environment=self._environment(lease, files, devices),
            memory_limit_mib=None if limit_mib is None else devices.part_of(limit_mib),
        )
        metrics = [objective.metric for objective in lease.objectives]
        conversation = CommandConversation(training, metrics, files.resume_step, process)
        grace_seconds = training.grace_seconds
        return Attempt(
            process,
            conversation.receive,
            conversation.send,
            grace_seconds,
            pruned_seconds=lambda: grace_seconds if conversation.was_answered else 0.0,
            close=conversation.close,
        )

    def _command(self, lease: Lease, files: TrialFiles, devices: DeviceGroup) -> list[str]:
        values = lease.command.values(lease.params)
        params = files.scratch / "params.json"
        params.write_text(json.dumps(values))
        facts = {
            "params_json": str(params),
            "seed": str(lease.seed),
            "trial": str(lease.trial_number),
            "study": lease.study,
            "device": devices.kind,
            "n_devices": str(len(devices)),
            "checkpoint_dir": str(files.checkpoints),
            "data_dir": str(self.options.data_dir.resolve()),
        }
        program, *arguments = fill(lease.command.command, values, facts)
        return [str(self.options.python or sys.executable) if program == PYTHON else program, *arguments]

    def _environment(self, lease: Lease, files: TrialFiles, devices: DeviceGroup) -> Mapping[str, str]:
        environment = environment_for(devices, os.environ) | lease.command.environment
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
