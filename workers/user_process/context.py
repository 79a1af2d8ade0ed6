"""The context that a train function is called with."""

import json
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.user_process.channel import Channel, Message

if TYPE_CHECKING:
    from torch import Tensor, nn


class Context:
    """What a train function needs to know about its trial, and how it reports.

    params: the trial's parameters. arguments: the arguments in the study's definition. device: where to train, in the
    form that torch.device takes. seed: the trial's seed, the same in every attempt. checkpoint_dir: a folder whose
    files are saved at a report and restored for the trial's next attempt. resume_step: the first step to train; above
    0 only when checkpoint_dir has the files of an earlier attempt.
    """

    def __init__(self, start: Message, channel: Channel) -> None:
        self.study: str = start["study"]
        self.trial_number: int = start["number"]
        self.params: dict[str, Any] = dict(start["params"])
        self.arguments: dict[str, Any] = dict(start["arguments"])
        self.device: str = start["device"]
        self.seed: int = start["seed"]
        self.checkpoint_dir = Path(start["checkpoint_dir"])
        self.resume_step: int = start["resume_step"]
        self.model_path: str = start["model_path"]
        self._start = start
        self._channel = channel

    @property
    def channel(self) -> Channel:
        """The channel to the worker, for the trainer of custom models, which trains several trials in one process."""
        return self._channel

    def report(self, step: int, **metrics: Any) -> str:
        """Report the metrics of a step, counted from 0. Returns the decision: continue, prune, stop or lost.

        Return from the train function unless the decision is continue: later reports do not count. Raises ValueError
        without a metric, and TypeError for a metric that is not a number.
        """
        if not metrics:
            raise ValueError(f"a report must have a metric: step {step}")
        answer = self._channel.call("report", step=operator.index(step), metrics=float_metrics(metrics))
        decision: str = answer["decision"]
        return decision

    def save_model(self, module: "nn.Module | Mapping[str, Tensor]") -> None:
        """Save a module's weights, or tensors by name, as the trial's model. A later call replaces an earlier one.

        The worker uploads the model when the trial completes, if its option `--keep-models` says so.
        """
        from safetensors.torch import save_file, save_model

        names = ("study", "number", "entrypoint", "params", "arguments", "seed")
        header = {"narrows": json.dumps({name: self._start[name] for name in names})}
        path = Path(self.model_path)
        part = path.with_suffix(".part")
        if isinstance(module, Mapping):
            save_file(dict(module), part, header)
        else:
            save_model(module, str(part), header)
        part.replace(path)


def float_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Convert metrics to floats. Raises TypeError, with the metric's name, for a value that is not a number."""
    floats = {}
    for name, value in metrics.items():
        try:
            floats[str(name)] = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"metric {name} must be a number: {value!r}") from None
    return floats
