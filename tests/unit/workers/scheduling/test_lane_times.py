import json
import logging
import threading
from pathlib import Path

import pytest
import torch

from workers.scheduling.lane_times import MAX_KEPT, LaneTimes, cache_file, device_name, read_times
from workers.scheduling.step_cost import Shape

CPU = torch.device("cpu")
SHAPE, OTHER = Shape("mlp", 10_000, 32), Shape("mlp", 20_000, 64)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "lane-times.json"


def test_the_fastest_step_counts(file: Path) -> None:
    times = LaneTimes(CPU)
    for seconds in (0.02, 0.01, 0.03):
        times.note(SHAPE, 4, seconds)
    assert times.measured(SHAPE) == {4: pytest.approx(400.0)}
    assert times.rate(SHAPE, 4) == pytest.approx(400.0)


def test_what_was_measured_outlives_the_worker(file: Path) -> None:
    times = LaneTimes(CPU, file)
    times.note(SHAPE, 1, 0.01)
    times.note(SHAPE, 2, 0.015)
    times.save()
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    later = LaneTimes(CPU, file)
    assert later.measured(SHAPE) == times.measured(SHAPE)
    assert later.most_lanes("mlp") == 2
    assert later.is_explored(SHAPE)


def test_processes_keep_what_others_have_measured(file: Path) -> None:
    first, second = LaneTimes(CPU, file), LaneTimes(CPU, file)
    first.note(SHAPE, 1, 0.01)
    first.save()
    second.note(SHAPE, 2, 0.015)
    second.note(OTHER, 1, 0.02)
    second.save()
    assert set(LaneTimes(CPU, file).measured(SHAPE)) == {1, 2}
    assert set(LaneTimes(CPU, file).measured(OTHER)) == {1}


def test_other_devices_keep_their_measurements(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"version": 1, "devices": {"another": [["mlp", 10_000, 32, 1, 0.5]]}}))
    times = LaneTimes(CPU, file)
    assert times.measured(SHAPE) == {}
    times.note(SHAPE, 1, 0.01)
    times.save()
    assert read_times(file) == {"another": {SHAPE: {1: 0.5}}, device_name(CPU): {SHAPE: {1: 0.01}}}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "null",
        '{"version": 1}',
        '{"version": 1, "devices": []}',
        '{"version": 1, "devices": {"cpu": [1]}}',
        '{"version": 1, "devices": {"cpu": [["mlp", 1, 1, 1, -1]]}}',
        '{"version": 1, "devices": {"cpu": [["mlp", 1, 1, 0, 1]]}}',
        '{"version": 1, "devices": {"cpu": [["mlp", 1, 1, 1, "x"]]}}',
        "\x00",
    ],
)
def test_a_damaged_file_is_ignored_and_replaced(content: str, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.parent.mkdir()
    file.write_text(content)
    with caplog.at_level(logging.INFO):
        times = LaneTimes(CPU, file)
    assert len(caplog.messages) == 1
    assert "is damaged, so lanes are measured anew" in caplog.text
    times.note(SHAPE, 1, 0.01)
    times.save()
    assert LaneTimes(CPU, file).measured(SHAPE) == {1: pytest.approx(100.0)}


def test_a_file_of_another_version_is_not_read(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.parent.mkdir()
    file.write_text('{"version": 99, "devices": {"cpu": 1}}')
    assert LaneTimes(CPU, file).measured(SHAPE) == {}
    assert caplog.messages == []


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").write_text("no folder")
    times = LaneTimes(CPU, tmp_path / "cache" / "lane-times.json")
    with caplog.at_level(logging.INFO):
        for seconds in (0.02, 0.01):
            times.note(SHAPE, 1, seconds)
            times.save()
    assert [message for message in caplog.messages if "cannot be kept" in message] == caplog.messages[-1:]
    assert times.measured(SHAPE) == {1: pytest.approx(100.0)}


def test_the_file_keeps_the_shapes_that_were_measured_last(file: Path) -> None:
    times = LaneTimes(CPU, file)
    for size in range(1, MAX_KEPT + 11):
        times.note(Shape("mlp", size, 32), 1, 0.01)
    times.save()
    kept = read_times(file)[device_name(CPU)]
    assert len(kept) == MAX_KEPT
    assert min(shape.n_parameters for shape in kept) == 11


def test_a_reader_never_sees_half_a_file(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def write() -> None:
        for size in range(1, 100):
            times = LaneTimes(CPU, file)
            times.note(Shape("mlp", size, 32), 1, 0.01)
            times.save()
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        read_times(file)
    thread.join()
    assert caplog.messages == []


def test_what_was_not_measured_is_expected_from_the_number_of_lanes_next_to_it() -> None:
    times = LaneTimes(CPU)
    for n in (1, 2, 4):
        times.note(OTHER, n, 0.010 + 0.001 * n)
    times.note(SHAPE, 1, 2 * 0.011)  # this one is twice as slow
    assert times.rate(SHAPE, 4) == pytest.approx(0.5 * times.rate(OTHER, 4), rel=0.3)
    assert times.rate(OTHER, 8) == pytest.approx(8 / 0.018, rel=0.05)


@pytest.mark.parametrize(("given", "expected"), [("/cache", "/cache/narrows"), ("", None), ("relative", None)])
def test_the_file_is_in_the_cache_folder_of_the_user(
    given: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setenv("HOME", "/users/somebody")
    assert cache_file() == Path(expected or "/users/somebody/.cache/narrows", "lane-times.json")


def test_what_is_expected_follows_all_shapes_rather_than_one_measurement() -> None:
    times = LaneTimes(CPU)
    for n_parameters in (5_000, 10_000, 20_000, 40_000):
        for n_lanes in (1, 2, 4, 8):
            times.note(Shape("mlp", n_parameters, 32), n_lanes, 1e-3 + n_lanes * n_parameters * 1e-8)
    times.note(OTHER, 4, 1.0)
    assert times.rate(OTHER, 4) == pytest.approx(4.0)
    assert times.expected(OTHER, 4) > 400.0
