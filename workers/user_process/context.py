"""The context that a train function is called with."""

import json
import operator
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.user_process.channel import Channel, Message, RefusedError
from workers.user_process.failures import shown
from workers.user_process.output import tell

if TYPE_CHECKING:
    from torch import Tensor, nn


class Context:
    """What a train function needs to know about its trial, and how it reports.

    params: the trial's parameters. arguments: the arguments in the study's definition. device: where to train, in the
    form that torch.device takes. n_devices: how many devices the trial has. seed: the trial's seed, the same in every
    attempt. checkpoint_dir: a folder whose files are saved at a report and restored for the trial's next attempt.
    resume_step: the first step to train; above 0 only when checkpoint_dir has the files of an earlier attempt. rank,
    world_size: which of how many processes of the trial this is; 0 and 1 unless the definition says `launch: torchrun`.
    """

    def __init__(self, start: Message, channel: Channel) -> None:
        self.study: str = start["study"]
        self.trial_number: int = start["number"]
        self.params: dict[str, Any] = dict(start["params"])
        self.arguments: dict[str, Any] = dict(start["arguments"])
        self.device: str = start["device"]
        self.n_devices: int = start["n_devices"]
        self.seed: int = start["seed"]
        self.checkpoint_dir = Path(start["checkpoint_dir"])
        self.resume_step: int = start["resume_step"]
        self.model_path: str = start["model_path"]
        self.rank: int = start["rank"]
        self.world_size: int = start["world_size"]
        self._start = start
        self._channel = channel
        self._reported: set[int] = set()

    @property
    def channel(self) -> Channel:
        """The channel to the worker, for the trainer of custom models, which trains several trials in one process."""
        return self._channel

    def report(self, step: int, **metrics: Any) -> str:
        """Report the metrics of a step, counted from 0. Returns the decision: continue, prune, stop or lost.

        Return from the train function unless the decision is continue: later reports do not count. A report that the
        service does not take, and a second one of a step, only leave a line in the output. Raises ValueError without a
        metric, and TypeError for a metric that is not a number.

        With several ranks, the report of rank 0 counts. Another rank that reports the same step waits for rank 0, and
        gets the same decision.
        """
        if not metrics:
            raise ValueError(f"a report must have a metric: step {step}")
        step, floats = operator.index(step), float_metrics(metrics)
        try:
            if step in self._reported:
                raise RefusedError("the step is already reported; put all of its metrics into one report")
            self._reported.add(step)
            answer = self._channel.call("report", step=step, metrics=floats)
        except RefusedError as error:
            tell(f"the report at step {step} is not kept: {error}")
            answer = self._channel.call("decision")
        decision: str = answer["decision"]
        return decision

    def save_model(self, module: "nn.Module | Mapping[str, Tensor]") -> None:
        """Save a module's weights, or tensors by name, as the trial's model. A later call replaces an earlier one.

        The worker uploads the model when the trial completes, if its option `--keep-models` says so. A model that
        cannot be saved, or tensors that cannot, only leave a line in the trial's output. With several ranks, that of
        rank 0 is saved.
        """
        if self.rank > 0:
            return
        path = Path(self.model_path)
        part = path.with_suffix(".part")
        names = ("study", "number", "entrypoint", "params", "arguments", "seed")
        try:
            write_model(module, part, {"narrows": json.dumps({name: self._start[name] for name in names})})
            part.replace(path)
        except Exception as error:  # noqa: BLE001 - a model is an addition: it does not cost the trial its value
            tell(f"the model is not saved: {type(error).__name__}: {error}")
            with suppress(OSError):
                part.unlink()


def write_model(module: "nn.Module | Mapping[str, Tensor]", path: Path, header: dict[str, str]) -> None:
    """Write a safetensors file. Tied weights of a module stand under one of their names, as safetensors has it.

    Raises ValueError without tensors, and whatever torch and safetensors raise.
    """
    import torch
    from safetensors.torch import save_file, save_model

    if not isinstance(module, Mapping):
        try:
            save_model(module, str(path), header)
        except (RuntimeError, ValueError, TypeError, AttributeError):  # such as views of one tensor, or extra state
            module = module.state_dict()
        else:
            return
    tensors = {str(name): value for name, value in module.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise ValueError("it has no tensors")
    if len(tensors) < len(module):
        left_out = [str(name) for name in module if str(name) not in tensors]
        tell(f"the model is saved without what is no tensor: {', '.join(left_out)[:200]}")
    # Copies, because safetensors refuses tensors that share memory or are not contiguous.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    save_file(copies, path, header)


def float_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Convert metrics to floats. Raises TypeError, with the metric's name, for a value that is not a number."""
    floats = {}
    for name, value in metrics.items():
        try:
            floats[str(name)] = float(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"metric {name} must be a number: {shown(value)}") from None
    return floats
