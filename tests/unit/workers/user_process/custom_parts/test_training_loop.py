"""The files that the process of custom models writes."""

from pathlib import Path

import pytest

from workers.user_process.custom_parts.training_loop import write_model


def test_a_model_that_cannot_be_written_is_told_and_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def content() -> bytes:
        raise RuntimeError("Some tensors share memory")

    write_model(tmp_path / "model.safetensors", content)
    write_model(tmp_path / "missing" / "model.safetensors", lambda: b"a model")
    first, second = capsys.readouterr().out.splitlines()
    assert first == "[the model is not saved: RuntimeError: Some tensors share memory]"
    assert second.startswith("[the model is not saved: FileNotFoundError: ")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_device_still_ends_the_process(tmp_path: Path) -> None:
    def content() -> bytes:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        write_model(tmp_path / "model.safetensors", content)
