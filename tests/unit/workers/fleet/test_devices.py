from pathlib import Path

import pytest

from workers.fleet.devices import NoDeviceError, n_cores, process_devices


@pytest.mark.parametrize(
    ("devices", "processes", "n_gpus", "found"),
    [
        ("auto", None, 0, ["cpu"] * 4),
        ("auto", None, 2, ["cuda:0", "cuda:1"]),
        ("auto", 3, 0, ["cpu"] * 3),
        ("auto", 3, 2, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cpu", None, 2, ["cpu"] * 4),
        ("cuda", None, 2, ["cuda:0", "cuda:1"]),
        ("cuda:1", None, 2, ["cuda:1"]),
        ("cuda:0, cuda:1", None, 2, ["cuda:0", "cuda:1"]),
    ],
)
def test_a_process_for_each_gpu_or_each_core(
    devices: str, processes: int | None, n_gpus: int, found: list[str]
) -> None:
    assert process_devices(devices, processes, lambda: n_gpus, 4) == found


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("gpu", "devices must be auto, cpu or a list such as cuda:0,cuda:1: 'gpu'"),
        ("auto,cpu", "devices must be auto, cpu or a list such as cuda:0,cuda:1: 'auto,cpu'"),
        ("", "devices must be auto, cpu or a list such as cuda:0,cuda:1: ''"),
        ("cuda:0,cuda:7", "no such device: cuda:7 (1 GPUs are visible)"),
    ],
)
def test_a_missing_device_is_an_error_that_names_it(devices: str, message: str) -> None:
    with pytest.raises(NoDeviceError) as caught:
        process_devices(devices, None, lambda: 1, 4)
    assert str(caught.value) == message


def test_gpus_are_not_counted_for_the_cpu() -> None:
    def count() -> int:
        raise AssertionError("torch is slow to import")

    assert process_devices("cpu", 1, count, 4) == ["cpu"]


@pytest.mark.parametrize(("text", "most"), [("100000 100000", 1), ("1 100000", 1), ("max 100000", None), ("", None)])
def test_the_cpu_limit_of_a_container_bounds_the_number_of_cores(tmp_path: Path, text: str, most: int | None) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    everything = n_cores(tmp_path / "none")
    assert n_cores(quota) == (most or everything)
