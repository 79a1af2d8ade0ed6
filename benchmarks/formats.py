"""A training step of the convolutional cases by number format, memory format and torch.compile, on this device.

    python -m benchmarks.formats [--device cpu] [--steps 8] [--repeats 3] [--record]

One lane and one thread train. Workers use channels last without torch.compile; the definition sets `precision`. The
variants are measured in turn. On a CPU a step's time is the CPU time of its thread. The first two steps, which include
compilation, are reported separately.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from benchmarks import local, machine
from benchmarks.peers.cases import CASES, Case
from service.schemas.study.data import Dataset
from service.schemas.study.training import Training
from workers.data.trial_data import TrialData, prepare_data
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import LaneGroup
from workers.lanes.networks.stacked_network import LaneConvolution, StackedNetwork

N_TRAIN = 3000


@dataclass
class Measured:
    """Durations of one variant."""

    first_seconds: list[float] = field(default_factory=list)
    step_milliseconds: list[float] = field(default_factory=list)


def channels_first(model: nn.Module) -> None:
    """Make convolutions use contiguous weights, and therefore return outputs with channels first."""
    for module in model.modules():
        if isinstance(module, LaneConvolution):
            module.register_forward_pre_hook(_with_contiguous_weight)


def _with_contiguous_weight(module: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    assert isinstance(module, LaneConvolution)
    parameters, name = module._active.parameters, f"{module._name}.weight"
    module._active.parameters = {**parameters, name: parameters[name].contiguous()}
    return (inputs[0].contiguous(),)


VARIANTS: dict[str, Callable[[nn.Module], object]] = {
    "channels last": lambda _model: None,
    "channels first": channels_first,
    "channels last, compiled": lambda model: model.compile(dynamic=False),
}


def measure(training: Training, data: TrialData, device: torch.device, variant: str, n_steps: int) -> Measured:
    """Train a variant of the model: seconds of its first two steps together, milliseconds of each of the others."""
    group = LaneGroup(training, data, device, 1)
    network = group._engine.network
    assert isinstance(network, StackedNetwork), "the cases have convolutions"
    VARIANTS[variant](network._model)
    group.load(LaneTrial(training, 0))
    began = time.perf_counter()
    for _ in range(2):
        _step(group, device)
    first = time.perf_counter() - began
    return Measured([first], [1000 * _step(group, device) for _ in range(n_steps)])


def _step(group: LaneGroup, device: torch.device) -> float:
    clock = time.perf_counter if device.type == "cuda" else time.thread_time
    began = clock()
    group.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began


def rows(case: Case, device: torch.device, data_dir: Path, n_steps: int, repeats: int) -> list[str]:
    """Return the table rows of one case, whose variants are measured in turn."""
    data = prepare_data(Dataset(name=case.dataset, n_train=N_TRAIN), data_dir, device, download=False)
    training = Training.model_validate(case.training(1000))
    found = {variant: Measured() for variant in VARIANTS}
    for _ in range(repeats):
        for variant, kept in found.items():
            measured = measure(training, data, device, variant, n_steps)
            kept.first_seconds += measured.first_seconds
            kept.step_milliseconds.append(statistics.median(measured.step_milliseconds))
    return [
        f"| {case.name} | {variant} | {machine.spread(kept.step_milliseconds)} | {machine.spread(kept.first_seconds)} |"
        for variant, kept in found.items()
    ]


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data-dir", type=Path, default=local.default_data_dir())
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    head = [
        "# Number and memory formats: a training step",
        "",
        machine.describe(),
        f"- {arguments.device}, one thread, one lane; median of {arguments.repeats} (least to largest)",
        "",
        "| case | | ms a step | seconds of the first two |",
        "| --- | --- | --- | --- |",
    ]
    setting = torch.device(arguments.device), arguments.data_dir, arguments.steps, arguments.repeats
    found = (row for name, case in CASES.items() if "cnn" in name for row in rows(case, *setting))
    machine.print_table("formats", head, found, record=arguments.record)


if __name__ == "__main__":
    main()
