"""Trials of users' own code, one at a time, each in a process of its own."""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from service.client import Client
from service.client.retries import Retries
from service.schemas.protocol import Complete, Lease
from service.schemas.study.entrypoints import is_allowed
from workers.faults import MAX_REASON, Fault
from workers.fleet.stopping import StopFlag, Stopping
from workers.leases.errands import Errands
from workers.leases.outcome_client import AWAY_LIMIT_SECONDS
from workers.leases.reporter import OPEN, Reporter
from workers.leases.trial_finisher import TrialFinisher
from workers.scheduling.leased_trial import title
from workers.scratch import Scratch
from workers.user_code.allowed import UserCode
from workers.user_code.conversation import Conversation, Message
from workers.user_code.endings import unusual
from workers.user_code.model_file import content_of
from workers.user_code.objectives.attempt import Attempt
from workers.user_code.objectives.calls import Calls
from workers.user_code.objectives.snapshots import Snapshots
from workers.user_code.outcome import Closed, Completed, Failed, GaveUp, Outcome, Paused
from workers.user_code.output_uploads import OutputUploads
from workers.user_code.process import UserProcess, device_seen

logger = logging.getLogger("narrows.worker")

FETCH_SECONDS = 60.0


class ObjectiveRunner:
    """Runs a trial to its end. Its reports are sent and its lease is renewed on the reporter's thread."""

    def __init__(
        self,
        user_code: UserCode,
        device: str,
        client: Client,
        reporter: Reporter,
        finisher: TrialFinisher,
        errands: Errands,
        stopping: Stopping,
        *,
        checkpoint_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user_code = user_code
        self._device = device
        self._client = client
        self._reporter = reporter
        self._finisher = finisher
        self._errands = errands
        self._stopping = stopping
        self._checkpoint_seconds = checkpoint_seconds
        self._clock = clock

    def run(self, lease: Lease) -> Fault | None:
        """Train, and hand the outcome over; what was wrong with it, if anything was."""
        refused = [one for one in lease.training.entrypoints if not is_allowed(one, self._user_code.allow)]
        if refused:
            fault = Fault(f"this worker does not allow the entrypoint {refused[0]} (--allow)", retry=True)
            self._finisher.fail(lease, fault)
            return fault
        scratch = None
        try:
            scratch = Scratch()
            return self._run(lease, scratch.path)
        except Exception as error:  # whatever a trial raises ends the trial, not the worker
            logger.error("%s: unexpected error", title(lease), exc_info=error)
            reason = f"its process could not be run: {error!r}"[:MAX_REASON]
            fault = Fault(reason, retry=isinstance(error, OSError))
            self._finisher.fail(lease, fault)
            return fault
        finally:
            if scratch is not None:  # after the errands that read what is in it
                self._errands.submit(scratch.remove)

    def _run(self, lease: Lease, scratch: Path) -> Fault | None:
        began = self._clock()
        snapshots = Snapshots(lease, scratch, self._client, self._reporter, self._errands)
        resume_step = snapshots.fetch(Retries(FETCH_SECONDS, self._stopping))
        model = scratch / "model.safetensors"
        process = UserProcess(self._device, self._user_code.code)
        try:
            output = OutputUploads(lease, process.output, self._client, self._errands, self._clock)
            conversation = Conversation(process.connection)
            retries = Retries(AWAY_LIMIT_SECONDS, StopFlag(self._stopping))
            calls = Calls(lease, self._client, self._reporter, retries)
            conversation.send(self._start(lease, snapshots.folder, model, resume_step))
            outcome = Attempt(
                lease.training,
                process,
                conversation,
                calls,
                snapshots,
                lambda: self._reporter.decision(lease.lease_id),
                self._stopping,
                self._checkpoint_seconds,
                output.turn,
                self._clock,
            ).watch()
        finally:
            process.end()
        output.upload()
        said, seconds = process.output.last_lines(), self._clock() - began
        return self._hand_over(lease, outcome, said, model, seconds, is_feasible=calls.is_feasible)

    def _start(self, lease: Lease, checkpoint_dir: Path, model: Path, resume_step: int) -> Message:
        """What the process is told. Neither the lease's id nor anything of the service is in it."""
        training, code = lease.user_code, self._user_code.code
        return {
            "study": lease.study,
            "number": lease.trial_number,
            "params": lease.params,
            "user_attrs": lease.user_attrs,
            "objectives": [objective.model_dump() for objective in lease.objectives],
            "prunes": lease.prunes,
            "entrypoint": training.entrypoint,
            "arguments": training.arguments,
            "before_code": [],
            "memory_limit_mib": training.memory_limit_mib,
            "seed": lease.seed,
            "device": device_seen(self._device),
            "checkpoint_dir": str(checkpoint_dir),
            "resume_step": resume_step,
            "model_path": str(model),
            "code": None if code is None else str(code),
        }

    def _hand_over(
        self, lease: Lease, outcome: Outcome, said: str, model: Path, seconds: float, *, is_feasible: bool
    ) -> Fault | None:
        if self._reporter.decision(lease.lease_id) not in OPEN:
            self._finisher.note_closed(lease)
        elif isinstance(outcome, Completed):
            metrics = {**_by_objective(lease, outcome), **outcome.metrics, "training_seconds": seconds}
            try:
                Complete(metrics=metrics, values=outcome.values)
            except ValidationError as error:
                return self._hand_over(lease, unusual(error), said, model, seconds, is_feasible=is_feasible)
            content = content_of(model, title(lease))
            self._finisher.complete(lease, metrics, content, outcome.values, is_feasible=is_feasible)
        elif isinstance(outcome, Failed):
            reason = f"{outcome.reason}; the end of its output:\n{said}" if said else outcome.reason
            fault = Fault(reason[:MAX_REASON], retry=outcome.retry)
            self._finisher.fail(lease, fault)
            return fault
        elif isinstance(outcome, GaveUp):
            self._finisher.prune(lease)
        elif isinstance(outcome, Paused):
            self._finisher.pause(lease, outcome.keep)
        elif isinstance(outcome, Closed):
            logger.warning("%s: lost to another worker", title(lease))
            self._errands.submit(partial(self._reporter.forget, lease.lease_id))
        else:
            self._finisher.release(lease)
        return None


def _by_objective(lease: Lease, outcome: Completed) -> dict[str, float]:
    names = [objective.metric for objective in lease.objectives]
    return dict(zip(names, outcome.values or [], strict=False))
