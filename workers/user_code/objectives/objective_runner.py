"""Run trials of custom objectives and commands, each in processes of its own."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from service.client import Client
from service.client.retries import Retries
from service.schemas.protocol import Complete, Lease
from service.schemas.study.command_training import CommandTraining
from service.schemas.study.training import Training
from workers.faults import MAX_REASON, Fault
from workers.fleet.device_group import DeviceGroup
from workers.fleet.stopping import StopFlag
from workers.leases.errands import Errands
from workers.leases.outcome_client import AWAY_LIMIT_SECONDS
from workers.leases.reporter import OPEN_DECISIONS, Reporter
from workers.leases.trial_finisher import TrialFinisher
from workers.scheduling.leased_trial import need_of, title
from workers.scratch import Scratch
from workers.user_code.attempt import StartAttempt, TrialFiles
from workers.user_code.code_versions import ATTRIBUTE, CodeVersions
from workers.user_code.failures import invalid_results
from workers.user_code.objectives.call_handler import CallHandler
from workers.user_code.objectives.checkpoint_uploads import CheckpointUploads
from workers.user_code.objectives.process_watcher import ProcessWatcher
from workers.user_code.outcome import ClosedByService, Completed, Failed, Outcome, Paused, PrunedByCode, Released
from workers.user_code.output_uploads import OutputUploads
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_code.written_files import model_reader

logger = logging.getLogger("narrows.worker")

FETCH_SECONDS = 60.0


@dataclass(frozen=True)
class ObjectiveRunner:
    """Runs a trial from its start to its end. Several threads may each run one.

    The reporter's thread sends a trial's reports and renews its lease.

    `functions` starts the code of an entrypoint, `commands` a command.
    """

    options: UserCodeOptions
    functions: StartAttempt
    commands: StartAttempt
    client: Client
    reporter: Reporter
    finisher: TrialFinisher
    errands: Errands
    stopping: StopFlag
    checkpoint_seconds: float
    clock: Callable[[], float] = time.monotonic
    versions: CodeVersions = field(default_factory=CodeVersions)

    def run(self, lease: Lease, devices: DeviceGroup) -> Fault | None:
        """Train on the devices and pass the outcome to the finisher. Returns the fault if the trial failed."""
        refusal = self.options.refusal(lease.training.needs)
        if refusal is not None:
            return self.fail(lease, Fault(refusal, retry=True))
        scratch = None
        try:
            scratch = Scratch()
            return self._run(lease, devices, scratch.path)
        except Exception as error:  # any error ends the trial, not the worker
            logger.error("%s: unexpected error", title(lease), exc_info=error)
            reason = f"the trial's process could not be run: {error!r}"[:MAX_REASON]
            return self.fail(lease, Fault(reason, retry=isinstance(error, OSError)))
        finally:
            if scratch is not None:  # behind the errands that read its files
                self.errands.submit(scratch.remove)

    def fail(self, lease: Lease, fault: Fault) -> Fault:
        """Fail a trial, as its fault says. Returns the fault."""
        self.finisher.fail(lease, fault)
        return fault

    def _run(self, lease: Lease, devices: DeviceGroup, scratch: Path) -> Fault | None:
        started_at, training = self.clock(), lease.training
        assert not isinstance(training, Training), "the lease is of a trial with users' code"
        checkpoints = CheckpointUploads(lease, scratch, self.client, self.reporter, self.errands)
        resume_step = checkpoints.fetch(Retries(FETCH_SECONDS, self.stopping))
        model = scratch / "model.safetensors"
        folder = self.options.make_working_folder(scratch, lease)
        changed = self._note_code(lease)
        files = TrialFiles(scratch, folder.path, checkpoints.folder, model, resume_step)
        start = self.commands if isinstance(lease.training, CommandTraining) else self.functions
        attempt = start(lease, files, devices)
        output = OutputUploads(lease, attempt.process.output, self.client, self.errands, self.clock)
        output.heading = "" if changed is None else f"[{changed}]\n"
        try:
            retries = Retries(AWAY_LIMIT_SECONDS, self.stopping)
            calls = CallHandler(lease, self.client, self.reporter, retries)
            outcome = ProcessWatcher(
                training,
                attempt,
                calls,
                checkpoints,
                lambda: self.reporter.decision(lease.lease_id),
                self.stopping,
                self.checkpoint_seconds,
                output.upload_when_due,
                self.clock,
            ).watch()
        finally:
            attempt.end()
            folder.close(title(lease))
        output.upload()
        if isinstance(outcome, Completed):
            outcome = _with_all_metrics(lease, outcome, self.clock() - started_at)
        return self._hand_over(lease, outcome, attempt.process.last_lines(), model, is_feasible=calls.is_feasible)

    def _note_code(self, lease: Lease) -> str | None:
        """Send the hash of the trial's code. Returns a sentence if the code has changed since the last trial."""
        version, changed = self.versions.note(lease, self.options.code)
        if changed is not None:
            logger.warning("%s: %s", title(lease), changed)
        self.finisher.add_user_attrs(lease, {ATTRIBUTE: version})
        return changed

    def _hand_over(
        self, lease: Lease, outcome: Outcome, last_lines: str, model: Path, *, is_feasible: bool
    ) -> Fault | None:
        if self.reporter.decision(lease.lease_id) not in OPEN_DECISIONS:
            self.finisher.note_closed(lease)
            return None
        match outcome:
            case Completed():
                content = model_reader(model, title(lease))
                self.finisher.complete(lease, outcome.metrics, content, outcome.values, is_feasible=is_feasible)
            case Failed():
                reason = outcome.reason_with_output(last_lines)
                lacking = need_of(lease) if outcome.not_importable else None
                return self.fail(lease, Fault(reason[:MAX_REASON], retry=outcome.retry, lacking=lacking))
            case PrunedByCode():
                self.finisher.prune(lease)
            case Paused():
                self.finisher.pause(lease, outcome.save_files)
            case ClosedByService():
                self.finisher.note_lost(lease)
            case Released():
                self.finisher.release(lease)
        return None


def _with_all_metrics(lease: Lease, outcome: Completed, seconds: float) -> Completed | Failed:
    """Add the objective values and the time to the metrics. Failed if that makes too many of them."""
    values = zip((objective.metric for objective in lease.objectives), outcome.values or [], strict=False)
    metrics = {**dict(values), **outcome.metrics, "training_seconds": seconds}
    try:
        Complete(metrics=metrics, values=outcome.values)
    except ValidationError as error:
        return invalid_results(error)
    return Completed(outcome.values, metrics)
