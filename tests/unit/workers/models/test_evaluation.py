from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from workers.data.trial_data import TrialData
from workers.models.evaluation import evaluate_model


def test_evaluation_is_cross_entropy_and_accuracy_over_the_given_rows() -> None:
    images = torch.randint(0, 256, (2500, 1, 24, 24), dtype=torch.uint8)  # two batches
    labels = torch.randint(0, 3, (2500,))
    rows = torch.randperm(2500)[:2100]
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(576, 3))
    mean, std = torch.full((1, 1, 1), 100.0), torch.full((1, 1, 1), 50.0)
    data = TrialData(images, labels, rows, rows, mean, std, 3)
    loss, accuracy = evaluate_model(model, data, rows, nullcontext())
    logits = model.eval()((images[rows].float() - mean) / std).detach()
    assert loss == pytest.approx(float(F.cross_entropy(logits, labels[rows])), rel=1e-5)
    assert accuracy == pytest.approx(float((logits.argmax(1) == labels[rows]).float().mean()))
