"""Check, on a few examples, that a custom model gives the same logits, gradients and buffers under vmap as alone."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from workers.faults import error_text
from workers.lanes.layout import Views
from workers.lanes.networks.vmapped_network import VmappedNetwork
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.training.randomness import preserved_global_generators

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3}
"""Largest error, relative to the largest number of a tensor, or of all gradients."""
BF16_TOLERANCE = 5e-2
SMALL = 1e-3
"""Lower limit of the number that an error is relative to."""
N_LANES = 2
N_EXAMPLES = 4
"""Examples for each lane."""
N_TRIES = 2
"""Batches that are tried. A unit that sums to almost nothing may fall on either side of a kink, so a second batch can
agree where the first did not."""
GRADIENT = "the gradient of "
MAX_DEPTH = 4
MAX_REASON = 300

Sample = Callable[[int], Tensor]


class UnfusableError(Exception):
    """The model cannot train in lanes that share a step. The message is the reason."""


def find_unfusable_reason(
    model: nn.Module, device: torch.device, dtype: torch.dtype, autocast: AbstractContextManager[object], sample: Sample
) -> str | None:
    """Return why a model must train one lane at a time, in one line; None if lanes can train together.

    `sample(n)` returns n inputs. The model's parameters and buffers are left as they were; attributes that it changes
    at every call are not.
    """
    hooked = next((name for name, module in model.named_modules() if _has_hooks(module)), None)
    if hooked is not None:
        return f"{hooked or 'the module'} has hooks, which would see all lanes at once"
    rows = Rows(model, N_LANES, device, dtype, is_custom=True)
    network = VmappedNetwork(model, rows, device, autocast, unfusable_reason=None)
    tolerance = BF16_TOLERANCE if isinstance(autocast, torch.autocast) else TOLERANCES[dtype]
    was_training = model.training
    try:
        with preserved_global_generators(device):
            return _compare(network, rows, sample, tolerance)
    except UnfusableError as reason:
        return str(reason)
    except Exception as error:  # noqa: BLE001 - any error under vmap only means that lanes train one by one
        lines = error_text(error).strip().splitlines() or ["no reason"]
        return f"it does not run under torch.func.vmap: {type(error).__name__}: {lines[0]}"[:MAX_REASON]
    finally:
        model.train(was_training)


def _has_hooks(module: nn.Module) -> bool:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for kind in kinds)


def _compare(network: VmappedNetwork, rows: Rows, sample: Sample, tolerance: float) -> str | None:
    difference = None
    for number in range(N_TRIES):
        images = sample(N_LANES * N_EXAMPLES * (number + 1))[-N_LANES * N_EXAMPLES :]
        images = images.view(N_LANES, -1, *images.shape[1:])
        if number == 0:
            _run(network, rows, images, [slice(0, 1)])  # what the model prepares at its first call is ready after it
            _check_shared_state(network, rows, images)
        alone = _run(network, rows, images, [slice(lane, lane + 1) for lane in range(N_LANES)])
        together = _run(network, rows, images, [slice(0, N_LANES)])
        difference = _difference(together, alone, tolerance)
        if difference is None:
            return None
    return difference


def _check_shared_state(network: VmappedNetwork, rows: Rows, images: Tensor) -> None:
    """Raises UnfusableError if the model draws from generators, or changes attributes, that lanes would share."""
    attributes = _attributes(network.model)
    generators = _generator_states(rows.values.device)
    _run(network, rows, images, [slice(0, 1)], seeded=False)
    for name, state in _generator_states(rows.values.device).items():
        if state != generators[name]:
            raise UnfusableError(
                f"it draws random numbers from {name} by other means than nn.Dropout, and lanes would share that"
            )
    for name, value in _attributes(network.model).items():
        if value != attributes.get(name):
            raise UnfusableError(f"it changes {name} at every call, which is no buffer, and lanes would share that")


def _run(network: VmappedNetwork, rows: Rows, images: Tensor, steps: list[slice], *, seeded: bool = True) -> Views:
    """Train each slice of lanes for one step, evaluate it, and return logits, gradients and buffers by name.

    `images` are [lanes, examples, …]. Every lane starts from its initial weights.
    """
    _initialize_lanes(network.model, rows)
    n = images.shape[1]
    masks = RandomMasks([], N_LANES, n, rows.values)
    masks.step_seeds = (lambda: [0]) if seeded else list
    results: Views = {}
    with torch.no_grad():
        for lanes in steps:
            generators = [Generator(rows.values.device).manual_seed(lane) for lane in range(lanes.start, lanes.stop)]
            masks.draw(lanes, generators, n)
            logits = network.forward(lanes, images[lanes], masks)
            network.backward(
                torch.linspace(-1, 1, logits[0].numel()).to(logits).view(logits[0].shape).expand_as(logits)
            )
            evaluated = network.evaluate(lanes, images[0])
            for index, lane in enumerate(range(lanes.start, lanes.stop)):
                results[f"its logits in training {lane}"] = logits[index].clone()
                results[f"its logits in evaluation {lane}"] = evaluated[index].clone()
    for name, gradient in rows.gradients(slice(0, N_LANES)).items():
        results[f"{GRADIENT}{name}"] = gradient.clone()
    for name, buffer in rows.buffers(slice(0, N_LANES)).items():
        results[f"the buffer {name}"] = buffer.to(torch.promote_types(buffer.dtype, torch.float64), copy=True)
    return results


@torch.no_grad()
def _initialize_lanes(model: nn.Module, rows: Rows) -> None:
    """Copy the model's weights into lane 0 and slightly changed ones into the others."""
    rows.gradient.zero_()
    generator = Generator().manual_seed(0)
    for lane in range(N_LANES):
        rows.layout.read(model, rows.lane(lane))
        change = torch.empty(rows.values.shape[1]).uniform_(0.9, 1.1, generator=generator)
        if lane > 0:
            rows.values[lane].mul_(change.to(rows.values))


def _difference(together: Views, alone: Views, tolerance: float) -> str | None:
    steepest = max(_largest(tensor) for name, tensor in alone.items() if name.startswith(GRADIENT))
    for name, tensor in together.items():
        expected = alone[name]
        if tensor.shape != expected.shape:
            return f"{name} would differ from that of a trial alone: {list(tensor.shape)}, not {list(expected.shape)}"
        error = _largest(tensor - expected)
        # Relative to the largest of all gradients, as that of a bias before a batch norm is only rounding error.
        size = steepest if name.startswith(GRADIENT) else max(SMALL, _largest(expected))
        if not error <= tolerance * size:
            return f"{name} would differ from that of a trial alone: by {error:.3g} of {size:.3g}"
    return None


def _largest(tensor: Tensor) -> float:
    return tensor.abs().max().item() if tensor.numel() else 0.0


# State outside of parameters and buffers: attributes of modules, and random generators


def _attributes(model: nn.Module) -> dict[str, Any]:
    """Return, by name, a comparable copy of every attribute that is not a parameter, a buffer or a module."""
    copies = {}
    for prefix, module in model.named_modules():
        for name, value in vars(module).items():
            if name not in ("training", "_parameters", "_buffers", "_modules"):
                copies[f"{prefix}.{name}".lstrip(".")] = _comparable(value, MAX_DEPTH)
    return copies


def _comparable(value: Any, depth: int) -> Any:
    match value:
        case None | bool() | int() | float() | complex() | str() | bytes():
            return repr(value)
        case dict() if depth:
            return [(repr(key), _comparable(item, depth - 1)) for key, item in value.items()]
        case list() | tuple() | set() | frozenset() if depth:
            return [_comparable(item, depth - 1) for item in value]
        case _:
            return _Identity(value)


class _Identity:
    """Equal to another `_Identity` of the same object; of a tensor only if nothing was written to it in between."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._version = value._version if isinstance(value, Tensor) and not value.is_inference() else 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._value is other._value and self._version == other._version

    __hash__ = None  # type: ignore[assignment]


def _generator_states(device: torch.device) -> dict[str, object]:
    def states() -> Iterator[tuple[str, object]]:
        yield "torch's generator", torch.get_rng_state().numpy().tobytes()
        if device.type == "cuda":
            yield "torch's generator of the GPU", torch.cuda.get_rng_state(device).cpu().numpy().tobytes()
        kind, key, *position = np.random.get_state()
        yield "numpy's generator", (kind, np.asarray(key).tobytes(), position)
        yield "Python's generator", random.getstate()

    return dict(states())
