import json
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.user_process.channel import Channel, Message

if TYPE_CHECKING:
    from torch import Tensor, nn


class Context:
    """What a train function is given.

    params: the trial's parameters. arguments: those of the definition. device: where to train, as torch.device takes
    it. seed: the trial's own, the same in every attempt. checkpoint_dir: what lies there at a report is what a later
    attempt finds there. resume_step: the first step to train, 0 unless an earlier attempt's files are in it.
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
        """To the worker, for what trains several trials."""
        return self._channel

    def report(self, step: int, **metrics: Any) -> str:
        """Report numbers of a step, counted from 0; the decision: continue, prune, stop or lost.

        After another one than continue, return: what comes later does not count.
        """
        if not metrics:
            raise ValueError(f"a report must have a metric: step {step}")
        decision: str = self._channel.call("report", step=operator.index(step), metrics=numbers(metrics))["decision"]
        return decision

    def save_model(self, module: "nn.Module | Mapping[str, Tensor]") -> None:
        """Keep a module's weights, or tensors by name, as the trial's model; the last ones count.

        They are kept with the service when the trial completes, as `--keep-models` of the worker says.
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


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as plain numbers. Raises TypeError that names the one that is none."""
    found = {}
    for name, value in metrics.items():
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"metric {name} must be a number: {value!r}") from None
    return found
