"""As pytorch_lightning_simple.py of Optuna's examples: a LightningModule, and Optuna's own callback that prunes."""

import lightning.pytorch as pl
import optuna
import torch
from optuna_integration import PyTorchLightningPruningCallback
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 4


class LightningNet(pl.LightningModule):
    def __init__(self, dropout, output_dims, lr):
        super().__init__()
        layers = []
        input_dim = 64
        for output_dim in output_dims:
            layers += [nn.Linear(input_dim, output_dim), nn.ReLU(), nn.Dropout(dropout)]
            input_dim = output_dim
        self.model = nn.Sequential(*layers, nn.Linear(input_dim, 10))
        self.lr = lr

    def forward(self, data):
        return self.model(data)

    def training_step(self, batch, _batch_idx):
        data, target = batch
        return functional.cross_entropy(self(data), target)

    def validation_step(self, batch, _batch_idx):
        data, target = batch
        self.log("val_acc", (self(data).argmax(dim=1) == target).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.model.parameters(), lr=self.lr)


class Digits(pl.LightningDataModule):
    def setup(self, stage=None):
        x, y = load_digits(return_X_y=True)
        data = TensorDataset(torch.tensor(x / 16.0, dtype=torch.float32), torch.tensor(y))
        self.train, self.val = torch.utils.data.random_split(data, [1400, 397])

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=128, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=397)


def objective(trial: optuna.trial.Trial) -> float:
    n_layers = trial.suggest_int("n_layers", 1, 2)
    dropout = trial.suggest_float("dropout", 0.1, 0.3)
    lr = trial.suggest_float("lr", 1e-5, 1e-2, log=True)
    output_dims = [trial.suggest_int(f"n_units_l{i}", 32, 64, log=True) for i in range(n_layers)]
    trainer = pl.Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        max_epochs=EPOCHS,
        accelerator="auto",
        devices=1,
        callbacks=[PyTorchLightningPruningCallback(trial, monitor="val_acc")],
    )
    trainer.fit(LightningNet(dropout, output_dims, lr), datamodule=Digits())
    return trainer.callback_metrics["val_acc"].item()
