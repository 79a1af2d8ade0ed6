"""Model files: what can be written, and read again."""

import torch

from workers.saved.files import dump_model, read_model


def test_tensors_that_share_memory_or_are_not_contiguous_are_written() -> None:
    table = torch.arange(6.0).reshape(2, 3)
    tensors = {"first": table, "second": table, "across": table.T, "wide": torch.zeros(1, 3).expand(4, 3)}
    again, _ = read_model(dump_model(tensors, {}))
    assert again.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=0)
