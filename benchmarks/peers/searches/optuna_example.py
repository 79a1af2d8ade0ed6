"""The loop of Optuna's own PyTorch example, with a DataLoader, the sampler and the pruner of the study.

Several processes share a journal file.
"""

from collections.abc import Iterator
from pathlib import Path

import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.searches.digits import (
    N_TRAIN,
    N_VALIDATION,
    Params,
    Search,
    load,
    new_model,
    new_optimizer,
    print_trial,
    search_of_command,
    suggest,
)


def main() -> None:
    """Train trials until all processes together have begun as many as were asked for."""
    search = search_of_command()
    data = TensorDataset(*load("cpu"))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="digits",
        direction="maximize",
        storage=JournalStorage(JournalFileBackend(str(Path(search.folder, "study.journal")))),
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=search.process),
        pruner=optuna.pruners.MedianPruner(search.n_startup_trials, search.n_warmup_steps),
    )

    def objective(trial: optuna.Trial) -> float:
        accuracy = 0.0
        for epoch, accuracy in enumerate(_train(search, suggest(trial, search.space), data)):
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        values = list(trial.intermediate_values.values())
        print_trial(values[-1], len(values), pruned=trial.state == TrialState.PRUNED)
        if len(study.get_trials(deepcopy=False)) >= search.n_trials:
            study.stop()

    study.optimize(objective, callbacks=[after])


def _train(search: Search, params: Params, data: TensorDataset) -> Iterator[float]:
    """Yield the validation accuracy after every epoch."""
    rows = torch.arange(N_TRAIN + N_VALIDATION)
    train, validation = (torch.utils.data.Subset(data, part.tolist()) for part in (rows[:N_TRAIN], rows[N_TRAIN:]))
    train_loader = DataLoader(train, params["batch_size"], shuffle=True)
    valid_loader = DataLoader(validation, params["batch_size"], shuffle=False)
    model = new_model(params).to(search.device)
    optimizer = new_optimizer(model, params)
    for _ in range(search.epochs):
        model.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images.to(search.device)), labels.to(search.device))
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
        yield _accuracy(model, valid_loader, search.device)


@torch.no_grad()
def _accuracy(model: nn.Module, loader: "DataLoader[tuple[torch.Tensor, ...]]", device: str) -> float:
    model.eval()
    correct = 0
    for images, labels in loader:
        predicted = model(images.to(device)).argmax(dim=1)
        correct += int((predicted == labels.to(device)).sum().item())
    return correct / N_VALIDATION


if __name__ == "__main__":
    main()
