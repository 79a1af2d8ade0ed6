"""What a train function can report and save, and what becomes of a report or a model that cannot be kept."""

import io
import json
import socket
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, load_model
from torch import Tensor, nn

from workers.user_process.channel import Channel
from workers.user_process.context import Context


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The code's and the worker's end of the connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def context(tmp_path: Path, ends: tuple[socket.socket, socket.socket]) -> Iterator[Context]:
    start = {
        **{"study": "s", "number": 3, "params": {"x": 1}, "arguments": {}, "device": "cpu", "seed": 5},
        **{"checkpoint_dir": str(tmp_path), "resume_step": 0, "entrypoint": "mine:f"},
        "rank": 0,
        "world_size": 1,
        "n_devices": 1,
        "model_path": str(tmp_path / "model.safetensors"),
    }
    channel = Channel(ends[0])
    yield Context(start, channel)
    channel._lines.close()


def test_a_report_that_is_refused_or_repeated_costs_the_trial_nothing(
    context: Context, ends: tuple[socket.socket, socket.socket], capsys: pytest.CaptureFixture[str]
) -> None:
    for answer in ({"error": "step: too large"}, *[{"decision": name} for name in ("continue", "continue", "prune")]):
        ends[1].sendall(json.dumps(answer).encode() + b"\n")
    assert context.report(2**40, loss=0.5) == "continue"
    assert context.report(1, loss=0.5) == "continue"
    assert context.report(1, accuracy=0.5) == "prune"
    assert capsys.readouterr().out.splitlines() == [
        f"[the report at step {2**40} is not kept: step: too large]",
        "[the report at step 1 is not kept: the step is already reported; put all of its metrics into one report]",
    ]
    asked = [json.loads(line)["call"] for line in ends[1].recv(4096).splitlines()]
    assert asked == ["report", "decision", "report", "decision"]


WEIGHT = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "tensors",
    [
        {"encoder": WEIGHT, "decoder": WEIGHT},
        {"weight": WEIGHT.T},
        {"weight": torch.zeros(1, 3).expand(4, 3)},
        {"first": WEIGHT[0], "all": WEIGHT},
        {"weight": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)},
        OrderedDict(weight=nn.Parameter(WEIGHT)),
        {"half": WEIGHT.half(), "whole": WEIGHT.long(), "yes": WEIGHT > 2},
    ],
    ids=["tied", "transposed", "expanded", "overlapping", "channels last", "parameter", "kinds"],
)
def test_tensors_are_saved_whatever_their_memory_is_like(context: Context, tensors: dict[str, Tensor]) -> None:
    context.save_model(tensors)
    saved = load_file(context.model_path)
    assert saved.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(saved[name], tensor.detach(), rtol=0, atol=0)


class Views(nn.Module):
    """Two buffers that overlap, and state that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        table = torch.arange(4.0)
        self.register_buffer("first", table[:3])
        self.register_buffer("last", table[1:])

    def get_extra_state(self) -> Any:
        return {"words": ["a", "b"]}

    def set_extra_state(self, state: Any) -> None:
        pass


def test_a_module_with_tied_weights_is_loaded_again(context: Context) -> None:
    def make() -> nn.Sequential:
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    model = make()
    context.save_model(model)
    again = make()
    load_model(again, context.model_path)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)


def test_what_is_no_tensor_is_left_out_and_told(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    context.save_model(Views())
    assert load_file(context.model_path)["last"].tolist() == [1.0, 2.0, 3.0]
    more: Any = {"weight": WEIGHT, "epoch": 7}
    context.save_model(more)
    assert load_file(context.model_path).keys() == {"weight"}
    assert capsys.readouterr().out.splitlines() == [
        "[the model is saved without what is no tensor: _extra_state]",
        "[the model is saved without what is no tensor: epoch]",
    ]


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"epoch": 7}, "ValueError: it has no tensors"),
        ({}, "ValueError: it has no tensors"),
        ("model", "AttributeError: 'str' object has no attribute 'state_dict'"),
        ({"weight": WEIGHT.to_sparse()}, "RuntimeError: "),
        ({"weight": torch.empty(3, device="meta")}, "NotImplementedError: "),
    ],
    ids=["no tensor", "nothing", "no module", "sparse", "meta"],
)
def test_a_model_that_cannot_be_saved_costs_the_trial_nothing(
    context: Context, model: Any, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    context.save_model({"weight": WEIGHT})
    context.save_model(model)
    assert capsys.readouterr().out.startswith(f"[the model is not saved: {told}")
    assert load_file(context.model_path).keys() == {"weight"}, "the model before it stays"
    assert not Path(context.model_path).with_suffix(".part").exists()


def test_a_full_disk_costs_the_trial_nothing(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    context.model_path = "/proc/model.safetensors"
    context.save_model({"weight": WEIGHT})
    assert capsys.readouterr().out.startswith("[the model is not saved: ")


@pytest.mark.parametrize("is_closed", [False, True])
def test_output_that_takes_no_such_line_costs_the_trial_nothing(
    context: Context, is_closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii", write_through=True))
    if is_closed:
        sys.stdout.close()
    more: Any = {"weight": WEIGHT, "größe": 7}
    context.save_model(more)
    assert load_file(context.model_path).keys() == {"weight"}
    if not is_closed:
        assert out.getvalue() == rb"[the model is saved without what is no tensor: gr\xf6\xdfe]" + b"\n"
