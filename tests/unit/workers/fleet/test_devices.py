from pathlib import Path

import pytest

from workers.fleet.device_group import DeviceGroup
from workers.fleet.devices import FORMS, NoDeviceError, n_cores, process_groups


def groups(devices: str, *, processes: int | None = None, size: int | None = None, n_gpus: int = 0) -> list[str]:
    """The groups on a machine with 4 cores."""
    return [str(group) for group in process_groups(devices, processes, size, lambda: n_gpus, 4)]


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
        ("cpu,cuda:0", None, 1, ["cpu"] * 4 + ["cuda:0"]),
    ],
)
def test_a_process_for_each_gpu_or_each_core(
    devices: str, processes: int | None, n_gpus: int, found: list[str]
) -> None:
    assert groups(devices, processes=processes, n_gpus=n_gpus) == found


@pytest.mark.parametrize(
    ("devices", "processes", "size", "n_gpus", "found"),
    [
        ("cuda:0+cuda:1,cuda:3+cuda:2", None, None, 4, ["cuda:0+cuda:1", "cuda:3+cuda:2"]),
        (" cuda:0 + cuda:1 ", None, 2, 2, ["cuda:0+cuda:1"]),
        ("cuda:0+cuda:1,cuda:2", None, None, 3, ["cuda:0+cuda:1", "cuda:2"]),
        ("cpu+cpu", None, None, 0, ["cpu+cpu"] * 2),
        ("cpu+cpu", 3, None, 0, ["cpu+cpu"] * 3),
        ("auto", None, 2, 4, ["cuda:0+cuda:1", "cuda:2+cuda:3"]),
        ("auto", None, 2, 5, ["cuda:0+cuda:1", "cuda:2+cuda:3"]),
        ("auto", 3, 2, 4, ["cuda:0+cuda:1", "cuda:2+cuda:3", "cuda:0+cuda:1"]),
        ("cuda:3,cuda:1,cuda:0,cuda:2", None, 2, 4, ["cuda:3+cuda:1", "cuda:0+cuda:2"]),
        ("auto", None, 2, 0, ["cpu+cpu"] * 2),
        ("cpu", None, 3, 0, ["cpu+cpu+cpu"]),
        ("cpu", None, 8, 0, ["cpu+…+cpu"]),
    ],
)
def test_a_process_for_each_group(
    devices: str, processes: int | None, size: int | None, n_gpus: int, found: list[str]
) -> None:
    assert groups(devices, processes=processes, size=size, n_gpus=n_gpus) == found


def test_gpus_that_are_left_over_are_told(caplog: pytest.LogCaptureFixture) -> None:
    groups("auto", size=3, n_gpus=5)

    assert "cuda:3, cuda:4: not used, because a group has 3 devices" in caplog.text


@pytest.mark.parametrize(
    ("devices", "size", "message"),
    [
        ("gpu", None, f"{FORMS}: 'gpu'"),
        ("auto,cpu", None, f"{FORMS}: 'auto,cpu'"),
        ("", None, f"{FORMS}: ''"),
        ("auto+auto", None, f"{FORMS}: 'auto+auto'"),
        ("cuda:0+", None, f"{FORMS}: 'cuda:0+'"),
        ("cuda:0,cuda:7", None, "no such device: cuda:7 (2 GPUs are visible)"),
        ("cuda:0+cuda:7", None, "no such device: cuda:7 (2 GPUs are visible)"),
        ("cuda:0+cpu", None, "the devices of a group must be of one kind: 'cuda:0+cpu'"),
        ("cuda:0+cuda:0", None, "a group must name each of its GPUs once, with its number: 'cuda:0+cuda:0'"),
        ("cuda+cuda:1", None, "a group must name each of its GPUs once, with its number: 'cuda+cuda:1'"),
        ("cuda:0,cuda:0", 2, "a group must name each of its GPUs once, with its number: 'cuda:0+cuda:0'"),
        ("cuda:0+cuda:1", 4, "devices_per_trial must be the size of each group: 4, 'cuda:0+cuda:1'"),
        ("auto", 4, "there are too few devices for a group of 4: cuda:0, cuda:1"),
    ],
)
def test_a_missing_device_is_an_error_that_names_it(devices: str, size: int | None, message: str) -> None:
    with pytest.raises(NoDeviceError) as caught:
        groups(devices, size=size, n_gpus=2)
    assert str(caught.value) == message


def test_gpus_are_not_counted_for_the_cpu() -> None:
    def count() -> int:
        raise AssertionError("torch is slow to import")

    assert process_groups("cpu", 1, None, count, 4) == [DeviceGroup(("cpu",))]


@pytest.mark.parametrize(("text", "most"), [("100000 100000", 1), ("1 100000", 1), ("max 100000", None), ("", None)])
def test_the_cpu_limit_of_a_container_bounds_the_number_of_cores(tmp_path: Path, text: str, most: int | None) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    everything = n_cores(tmp_path / "none")
    assert n_cores(quota) == (most or everything)
