"""Custom models that misbehave, and a custom data set, for a process that a worker starts."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

N_BUILT = 0
Params = dict[str, Any]


def build_data(_params: Params) -> Any:
    labels = torch.arange(60) % 3
    inputs = torch.eye(3)[labels] + 0.3 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    return (inputs[:40], labels[:40]), (inputs[40:], labels[40:])


class MuteError(Exception):
    def __str__(self) -> str:
        raise KeyError


class Wild(nn.Module):
    def __init__(self, params: Params) -> None:
        super().__init__()
        self.params = params
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        kind, arms = self.params.get("kind"), Path(self.params.get("armed", "/nowhere"))
        if kind and self.training and self.params.get("from", 0) <= N_BUILT and arms.exists():
            self.misbehave(kind)
        if self.params.get("seconds"):
            time.sleep(self.params["seconds"])
        if self.params.get("noise"):
            x = x + 0.01 * torch.randn_like(x)
        logits: Tensor = self.layers(x)
        return logits

    def misbehave(self, kind: str) -> None:
        print("about to", kind, flush=True)
        if kind == "abort":
            os.abort()
        if kind == "cuda":
            raise RuntimeError("CUDA error: device-side assert triggered")
        if kind == "mute":
            raise MuteError
        if kind == "exit":
            sys.exit(3)
        if kind == "hang":
            time.sleep(600)
        if kind == "blow up":
            self.hoard = [bytearray(64 * 1024**2) for _ in range(1000)]
        if kind == "babble":
            for path in Path("/proc/self/fd").iterdir():
                if path.exists() and "socket" in str(path.readlink()):
                    os.write(int(path.name), json.dumps({"call": "epoch", "id": "trial-0"}).encode() + b"\n")
            time.sleep(600)


def build(params: Params) -> nn.Module:
    global N_BUILT
    N_BUILT += 1
    print("built in", os.getpid(), flush=True)
    return Wild(params)


def build_data_beside_a_fork(params: Params) -> Any:
    """Fork a process that comes back too, or ends by sys.exit; then return the data."""
    if (pid := os.fork()) == 0:
        if params["status"]:
            sys.exit(params["status"])
        return build_data({})
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == params["status"]
    return build_data({})
