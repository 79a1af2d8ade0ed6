"""Train functions: with a context, as a generator, and an objective that waits in the middle."""

import json
import time
from pathlib import Path


def train(context, n_steps, seconds=0.0):
    """Counts, and goes on from where an earlier attempt has kept its count."""
    file = context.checkpoint_dir / "deep" / "count.json"
    count = json.loads(file.read_text()) if context.resume_step else 0
    assert count == context.resume_step
    for step in range(context.resume_step, n_steps):
        time.sleep(seconds)
        count += 1
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(count))
        if context.report(step, count=count, began_at=context.resume_step) != "continue":
            return None
    return {"count": count, "seed_is_even": context.seed % 2 == 0}


def yielding(context, n_steps):
    """Yields metrics, one dict a step, and keeps a model."""
    import torch

    torch.manual_seed(context.seed)
    model = torch.nn.Linear(2, 1, device=context.device)
    for step in range(n_steps):
        yield {"loss": context.params["rate"] / (step + 1)}
    context.save_model(model)


def pruned_generator(context):
    """Goes on for ever, unless it is closed."""
    try:
        while True:
            yield {"loss": 1.0}
    finally:
        print("closed in time")


def wait_in_a_branch(trial, go):
    kind = trial.suggest_categorical("kind", ["left", "right"])
    depth = trial.suggest_int(f"{kind}_depth", 1, 1000)
    trial.set_user_attr("seen", [kind, depth])
    print("waiting", flush=True)
    while not Path(go).exists():
        time.sleep(0.05)
    rate = trial.suggest_float(f"{kind}_rate", 1e-5, 1.0, log=True)
    assert trial.user_attrs["seen"] == [kind, depth]
    return depth * rate
