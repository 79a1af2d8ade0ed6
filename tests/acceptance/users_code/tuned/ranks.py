"""DistributedDataParallel on the CPU, in as many ranks as the trial has devices."""

import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


def train(context, folder):
    """Trains until the file `go` is in the folder, and writes the process ids of the ranks there."""
    dist.init_process_group("gloo")
    folder = Path(folder)
    (folder / f"pid-{context.rank}").write_text(str(os.getpid()))
    torch.manual_seed(context.rank)  # the ranks begin with other weights, and DDP gives them those of rank 0
    model = DistributedDataParallel(torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    file = context.checkpoint_dir / "state.pt"
    if context.resume_step > 0:
        model.module.load_state_dict(torch.load(file, weights_only=True))
    for step in range(context.resume_step, 100_000):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()  # other data in each rank
        optimizer.step()
        total = sum(parameter.sum() for parameter in model.parameters()).item()
        go = torch.tensor(float((folder / "go").exists()))
        dist.all_reduce(go, op=dist.ReduceOp.MIN)
        print(f"step {step}: {total:.9f}")
        if context.rank == 0:
            torch.save(model.module.state_dict(), file.with_suffix(".part"))
            file.with_suffix(".part").rename(file)
        if context.report(step, score=total, began_at=context.resume_step) != "continue" or go > 0:
            break
        time.sleep(0.01)
    dist.destroy_process_group()
    print("left")
