"""An ObjectiveRunner with its boundaries, and a service that answers from memory."""

import sys
from pathlib import Path
from typing import Any

from service.client.retries import Retries
from service.schemas.protocol import Lease
from service.schemas.study.allowance import Allowance
from tests.unit.workers.fakes import ONE_CPU, FakeService, lease_json
from tests.waiting import PATIENCE_SECONDS
from workers.faults import Fault
from workers.fleet.device_group import CPU, DeviceGroup
from workers.fleet.stopping import StopFlag, Stopping
from workers.leases.checkpoint_keeper import CheckpointKeeper
from workers.leases.errands import Errands
from workers.leases.model_uploader import ModelUploader
from workers.leases.outcome_client import OutcomeClient
from workers.leases.reporter import Reporter
from workers.leases.study_facts import StudyFactsCache
from workers.leases.trial_finisher import TrialFinisher
from workers.options import KeepModels
from workers.user_code.commands.command_starter import CommandStarter
from workers.user_code.objectives.function_starter import FunctionStarter
from workers.user_code.objectives.objective_runner import ObjectiveRunner
from workers.user_code.process_starter import ProcessStarter
from workers.user_code.user_code_options import UserCodeOptions


class RunnerHarness:
    """A worker's parts around ObjectiveRunner; its scratch folders are in `scratch`, the code in `code`."""

    def __init__(self, folder: Path, keep_models: KeepModels = "all") -> None:
        self.code, self.scratch = folder / "code", folder / "scratch"
        self.code.mkdir()
        self.scratch.mkdir()
        self.keep_models = keep_models
        self.service, self.errands, self.stopping = FakeService(), Errands(), Stopping()
        self.client = self.service.client()
        self.reporter = Reporter(self.client, Retries(1.0))
        self.starter = ProcessStarter(ONE_CPU, self.code)
        self.allowance = Allowance(("mine",), ((sys.executable,), ("python",), ("sh",), ("no-such-program",)))
        self.data_dir = folder / "data"

    def run(self, body: str, entrypoint: str = "mine:f", checkpoint_seconds: float = PATIENCE_SECONDS) -> Fault | None:
        """Run a trial of `def f(context)` with this body until every call to the service is done."""
        self.write(body)
        return self.run_lease(entrypoint, self.code, checkpoint_seconds)

    def write(self, body: str, parameter: str = "context") -> None:
        """Write the file with the function that trials call."""
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        (self.code / "mine.py").write_text(f"import json, os, sys, time\ndef f({parameter}):\n{lines}")

    def run_ranks(self, body: str, n: int = 2, parameter: str = "context", **more: Any) -> Fault | None:
        """Run a trial of `def f(context)`, or of another first parameter, with this body in several ranks."""
        self.write(body, parameter)
        training = {"entrypoint": "mine:f", "devices": n, "launch": "torchrun"}
        return self.run_whole(lease_of(training, **more), self.code)

    def run_lease(self, entrypoint: str, code: Path, checkpoint_seconds: float = PATIENCE_SECONDS) -> Fault | None:
        """Run a trial of this entrypoint, and wait for its errands."""
        return self.run_whole(lease_of({"entrypoint": entrypoint}), code, checkpoint_seconds)

    def run_command(self, *command: str, params: Any = None, **fields: Any) -> Fault | None:
        """Run a trial of a command with these parameters and fields, and wait for its errands."""
        return self.run_whole(lease_of({"command": list(command), **fields}, params=params or {}), self.code)

    def run_whole(self, lease: Lease, code: Path, checkpoint_seconds: float = PATIENCE_SECONDS) -> Fault | None:
        """Run a leased trial on as many devices as it needs, and wait for its errands."""
        devices = DeviceGroup((CPU,) * lease.training.needs.n_devices)
        self.allowance = self.allowance._replace(n_devices=len(devices))
        self.reporter.follow(lease)
        fault = self.objective_runner(code, checkpoint_seconds).run(lease, devices)
        assert self.errands.finish(PATIENCE_SECONDS)
        self.errands.check()
        return fault

    def objective_runner(self, code: Path, checkpoint_seconds: float = PATIENCE_SECONDS) -> ObjectiveRunner:
        """A runner of trials of the code in this folder."""
        retries = Retries(1.0)
        model_uploader = ModelUploader(self.client, StudyFactsCache(self.client, retries), self.keep_models, retries)
        checkpoints, outcomes = (
            CheckpointKeeper(self.client, self.reporter),
            OutcomeClient(self.client, self.stopping),
        )
        finisher = TrialFinisher(self.reporter, outcomes, model_uploader, checkpoints, self.errands, self.stopping)
        user_code = UserCodeOptions(self.allowance, code, self.data_dir)
        return ObjectiveRunner(
            user_code,
            FunctionStarter(user_code, self.starter),
            CommandStarter(user_code),
            self.client,
            self.reporter,
            finisher,
            self.errands,
            StopFlag(self.stopping),
            checkpoint_seconds=checkpoint_seconds,
        )

    def bodies(self, call: str) -> list[Any]:
        """Return the bodies of calls with the lease, such as `complete`."""
        return self.service.bodies(f"leases/lease-0/{call}")

    def close(self) -> None:
        """End the threads and the process that forks."""
        self.starter.close()
        self.errands.close()
        self.reporter.close()
        self.client.close()


def lease_of(training: Any, **more: Any) -> Lease:
    """A lease of a trial with this training."""
    objectives = [{"metric": "loss", "direction": "minimize"}]
    return Lease.model_validate({**lease_json(), "training": training, "objectives": objectives, **more})
