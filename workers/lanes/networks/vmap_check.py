"""Whether vmap gives a user's module the numbers in lanes that it has alone: tried on a few examples."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from workers.lanes.layout import Views
from workers.lanes.networks.vmapped_network import VmappedNetwork
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.training.randomness import own_global_generators

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3}
"""Relative to the largest number of a tensor, or of all gradients. A unit that sums to almost nothing may fall on
either side of a kink, so a second batch may do where a first did not."""
BF16_TOLERANCE = 5e-2
SMALL = 1e-3
"""No tensor counts as smaller."""
N_LANES = 2
N_EXAMPLES = 4
"""For each lane."""
N_TRIES = 2
GRADIENT = "the gradient of "
MAX_DEPTH = 4
MAX_REASON = 300

Sample = Callable[[int], Tensor]


@dataclass(frozen=True)
class Pass:
    """What a step of both lanes, and an evaluation after it, have given."""

    tensors: Views


class UnfitError(Exception):
    """The module cannot train in lanes."""


def unfusable_reason(
    model: nn.Module, device: torch.device, dtype: torch.dtype, autocast: AbstractContextManager[object], sample: Sample
) -> str | None:
    """Why a module has to train one lane at a time, in one line; None when lanes can train together.

    `sample` gives so many examples. The module is left as it was, but for what it has counted by itself.
    """
    hooked = next((name for name, module in model.named_modules() if _has_hooks(module)), None)
    if hooked is not None:
        return f"{hooked or 'the module'} has hooks, which would see all lanes at once"
    rows = Rows(model, N_LANES, device, dtype, whole=True)
    network = VmappedNetwork(model, rows, device, autocast, unfusable_reason=None)
    tolerance = BF16_TOLERANCE if isinstance(autocast, torch.autocast) else TOLERANCES[dtype]
    was_training = model.training
    try:
        with own_global_generators(device):
            return _tried(network, rows, sample, tolerance)
    except UnfitError as reason:
        return str(reason)
    except Exception as error:  # noqa: BLE001 - whatever it is that it cannot do under vmap, it may do alone
        lines = str(error).strip().splitlines() or ["no reason"]
        return f"it does not run under torch.func.vmap: {type(error).__name__}: {lines[0]}"[:MAX_REASON]
    finally:
        model.train(was_training)


def _has_hooks(module: nn.Module) -> bool:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for kind in kinds)


def _tried(network: VmappedNetwork, rows: Rows, sample: Sample, tolerance: float) -> str | None:
    difference = None
    for number in range(N_TRIES):
        images = sample(N_LANES * N_EXAMPLES * (number + 1))[-N_LANES * N_EXAMPLES :]
        images = images.view(N_LANES, -1, *images.shape[1:])
        if number == 0:
            _pass(network, rows, images, [slice(0, 1)])  # what it prepares at its first call, it has then
            _check_alone(network, rows, images)
        alone = _pass(network, rows, images, [slice(lane, lane + 1) for lane in range(N_LANES)])
        together = _pass(network, rows, images, [slice(0, N_LANES)])
        difference = _difference(together, alone, tolerance)
        if difference is None:
            return None
    return difference


def _check_alone(network: VmappedNetwork, rows: Rows, images: Tensor) -> None:
    """Raises UnfitError when the module draws, or keeps, what lanes would share."""
    kept = _kept(network.model)
    drawn = _generators(rows.values.device)
    _pass(network, rows, images, [slice(0, 1)], seeded=False)
    for name, state in _generators(rows.values.device).items():
        if state != drawn[name]:
            raise UnfitError(
                f"it draws random numbers from {name} by other means than nn.Dropout, which lanes would share"
            )
    for name, value in _kept(network.model).items():
        if value != kept.get(name):
            raise UnfitError(f"it changes {name} at every call, which is no buffer, so that lanes would share it")


def _pass(network: VmappedNetwork, rows: Rows, images: Tensor, steps: list[slice], *, seeded: bool = True) -> Pass:
    """A step of the lanes, from the beginning, and an evaluation of each: logits, gradients, buffers."""
    _begin(network.model, rows)
    n = images.shape[1]
    draws = RandomMasks([], N_LANES, n, rows.values)
    draws.step_seeds = (lambda: [0]) if seeded else list
    found: Views = {}
    with torch.no_grad():
        for lanes in steps:
            generators = [Generator(rows.values.device).manual_seed(lane) for lane in range(lanes.start, lanes.stop)]
            draws.draw(lanes, generators, n)
            logits = network.forward(lanes, images[lanes], draws)
            network.backward(
                torch.linspace(-1, 1, logits[0].numel()).to(logits).view(logits[0].shape).expand_as(logits)
            )
            evaluated = network.evaluate(lanes, images[0])
            for place, lane in enumerate(range(lanes.start, lanes.stop)):
                found[f"its logits in training {lane}"] = logits[place].clone()
                found[f"its logits in evaluation {lane}"] = evaluated[place].clone()
    for name, gradient in rows.gradients(slice(0, N_LANES)).items():
        found[f"{GRADIENT}{name}"] = gradient.clone()
    for name, buffer in rows.buffers(slice(0, N_LANES)).items():
        found[f"the buffer {name}"] = buffer.to(torch.promote_types(buffer.dtype, torch.float64), copy=True)
    return Pass(found)


@torch.no_grad()
def _begin(model: nn.Module, rows: Rows) -> None:
    """Put the module's own weights into the lanes, those of the others slightly changed."""
    rows.gradient.zero_()
    generator = Generator().manual_seed(0)
    for lane in range(N_LANES):
        rows.layout.read(model, rows.lane(lane))
        change = torch.empty(rows.values.shape[1]).uniform_(0.9, 1.1, generator=generator)
        if lane > 0:
            rows.values[lane].mul_(change.to(rows.values))


def _difference(found: Pass, expected: Pass, tolerance: float) -> str | None:
    steepest = max(_largest(one) for name, one in expected.tensors.items() if name.startswith(GRADIENT))
    for name, tensor in found.tensors.items():
        other = expected.tensors[name]
        if tensor.shape != other.shape:
            return f"{name} would be other than alone: {list(tensor.shape)} for {list(other.shape)}"
        error = _largest(tensor - other)
        # That of a bias before a batch norm is nothing but rounding errors.
        size = steepest if name.startswith(GRADIENT) else max(SMALL, _largest(other))
        if not error <= tolerance * size:
            return f"{name} would be other than alone: by {error:.3g}, where the largest is {size:.3g}"
    return None


def _largest(tensor: Tensor) -> float:
    return tensor.abs().max().item() if tensor.numel() else 0.0


# What a module keeps from call to call without being asked for, and draws from


def _kept(model: nn.Module) -> dict[str, Any]:
    """A picture of every attribute that is no parameter, buffer or module, to be compared with a later one."""
    found = {}
    for prefix, module in model.named_modules():
        for name, value in vars(module).items():
            if name not in ("training", "_parameters", "_buffers", "_modules"):
                found[f"{prefix}.{name}".lstrip(".")] = _picture(value, MAX_DEPTH)
    return found


def _picture(value: Any, depth: int) -> Any:
    match value:
        case None | bool() | int() | float() | complex() | str() | bytes():
            return repr(value)
        case dict() if depth:
            return [(repr(key), _picture(one, depth - 1)) for key, one in value.items()]
        case list() | tuple() | set() | frozenset() if depth:
            return [_picture(one, depth - 1) for one in value]
        case _:
            return _Same(value)


class _Same:
    """Equal as long as it is the very same object, and a tensor that nobody has written to."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._version = value._version if isinstance(value, Tensor) and not value.is_inference() else 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value and self._version == other._version

    __hash__ = None  # type: ignore[assignment]


def _generators(device: torch.device) -> dict[str, object]:
    def states() -> Iterator[tuple[str, object]]:
        yield "torch's generator", torch.get_rng_state().numpy().tobytes()
        if device.type == "cuda":
            yield "torch's generator of the GPU", torch.cuda.get_rng_state(device).cpu().numpy().tobytes()
        kind, key, *place = np.random.get_state()
        yield "numpy's generator", (kind, np.asarray(key).tobytes(), place)
        yield "Python's generator", random.getstate()

    return dict(states())
