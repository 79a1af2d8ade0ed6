from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from narrows.html_report.weights import histogram_of


def test_weights_of_layers_are_counted_by_their_size(tmp_path: Path) -> None:
    weights = np.array([[0.0, -1e-9, 2e-3], [-0.5, 0.5, 1e3]], dtype=np.float32)
    tensors: dict[str, Any] = {
        "0.weight": weights,
        "0.bias": np.ones(3),
        "1.weight": np.ones(7),
        "1.running_mean": np.ones((2, 2)),
    }
    save_file(tensors, tmp_path / "model")

    found = histogram_of(tmp_path / "model")

    assert found is not None
    assert found.n_weights == 6
    assert found.counts[0] == 2
    assert found.counts[-1] == 1
    assert found.counts[int(np.searchsorted(found.edges, 0.5)) - 1] == 2
    assert [found.edges[0], found.edges[-1]] == pytest.approx([1e-7, 10.0])


def test_the_line_of_near_zero_is_an_edge(tmp_path: Path) -> None:
    save_file({"0.weight": np.full((4, 4), 9.9e-4)}, tmp_path / "model")
    found = histogram_of(tmp_path / "model")

    assert found is not None
    edge = int(np.argmin(np.abs(np.array(found.edges) - 1e-3)))
    assert found.edges[edge] == pytest.approx(1e-3)
    assert sum(found.counts[:edge]) == 16


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\xff" * 100])
def test_a_damaged_file_has_no_histogram(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model").write_bytes(content)
    assert histogram_of(tmp_path / "model") is None


def test_a_model_without_layers_has_no_histogram(tmp_path: Path) -> None:
    save_file({"scale": np.ones(3)}, tmp_path / "model")
    assert histogram_of(tmp_path / "model") is None


def test_weights_that_are_not_finite_are_in_the_last_bin(tmp_path: Path) -> None:
    save_file({"0.weight": np.array([[np.nan, np.inf, -np.inf]])}, tmp_path / "model")
    found = histogram_of(tmp_path / "model")
    assert found is not None
    assert found.counts[-1] == 3
