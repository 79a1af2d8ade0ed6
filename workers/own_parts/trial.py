"""A trial with an own model or data set: the built-in trainer trains it, in the process of the user's code."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from service.schemas.data import Dataset, OwnDataset
from service.schemas.protocol import Lease
from workers.bench import Bench, Broken, Finished
from workers.checkpoints import dump_checkpoint, read_checkpoint
from workers.data import TrialData, prepare
from workers.errors import CheckpointError, DatasetError, MissingCodeError, PrecisionError, WorkerError
from workers.final_trial import FinalTest
from workers.lane_choice import LaneChoice
from workers.lanes.group import LaneGroup
from workers.lanes.state import LaneState
from workers.own_parts.dataset import load_own_test, own_data, read_parts
from workers.own_parts.model import build
from workers.user_process.context import Context
from workers.user_process.function import EntrypointError, MissingError
from workers.work import Work

CHECKPOINT = "trial.safetensors"
CHECKPOINT_SECONDS = 1.0
"""Between two checkpoints on this disk: small models have many epochs a second."""


def train(context: Context, lease: dict[str, Any], data_dir: str, download: bool) -> dict[str, float] | None:
    """Train to the end, or until another decision than to continue; the final metrics."""
    torch.set_num_threads(1)
    device = torch.device(context.device)
    try:
        return _train(context, Work(Lease.model_validate(lease)), Path(data_dir), download, device)
    except (MissingCodeError, PrecisionError) as error:
        raise MissingError(str(error)) from error
    except DatasetError as error:
        built_in = isinstance(Lease.model_validate(lease).built_in.dataset, Dataset)
        raise (MissingError if built_in else EntrypointError)(str(error)) from error
    except WorkerError as error:
        raise EntrypointError(str(error)) from error


def _train(
    context: Context, work: Work, data_dir: Path, download: bool, device: torch.device
) -> dict[str, float] | None:
    seed = work.lease.built_in.seed

    def data_of(dataset: Dataset | OwnDataset) -> TrialData:
        if isinstance(dataset, OwnDataset):
            return own_data(read_parts(dataset, seed), device)
        return prepare(dataset, data_dir, device, download=download)

    def new_group(*arguments: Any) -> LaneGroup:
        return LaneGroup(*arguments, build=build)

    test = FinalTest(device, data_dir, download=download, load_own=partial(load_own_test, seed=seed))
    bench = Bench(data_of, device, LaneChoice(device, 1), test, new_group)
    work.state = _read(context, work)
    bench.begin(work, 1)
    kept = time.monotonic()
    while True:
        for event in bench.step():
            if isinstance(event, Broken):
                raise event.error
            is_due = time.monotonic() - kept >= CHECKPOINT_SECONDS or event.epoch in work.lease.rung_steps
            if is_due and event.final is None:
                bench.keep(work)
                _write(context, work)
                kept = time.monotonic()
            if event.epoch >= context.resume_step and context.report(event.epoch, **event.metrics) != "continue":
                return None
            if event.final is not None:
                _keep_model(context, event)
                return event.final


def _read(context: Context, work: Work) -> LaneState | None:
    """Where an earlier attempt has left it, if anywhere; epochs that were reported since are trained again."""
    path = context.checkpoint_dir / CHECKPOINT
    if context.resume_step == 0 or not path.exists():
        return None
    try:
        state = read_checkpoint(path.read_bytes(), work.lease.built_in, work.lease.seed)
    except CheckpointError as error:
        print(f"begins anew: {error}")
        return None
    print(f"goes on after {state.n_epochs} epochs")
    return state


def _write(context: Context, work: Work) -> None:
    assert work.state is not None, "it was kept"
    part = context.checkpoint_dir / f"{CHECKPOINT}.part"
    part.write_bytes(dump_checkpoint(work.state, work.lease.built_in, work.lease.seed))
    part.replace(context.checkpoint_dir / CHECKPOINT)


def _keep_model(context: Context, event: Finished) -> None:
    assert event.model is not None, "the trial is over"
    path = Path(context.model_path)
    part = path.with_suffix(".part")
    part.write_bytes(event.model())
    part.replace(path)
