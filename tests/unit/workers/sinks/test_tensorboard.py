"""TensorBoard event files, read by TensorBoard's reader."""

from pathlib import Path

import pytest

from service.schemas.fields import Scalar
from service.schemas.protocol import Lease
from service.schemas.results import TrialState
from tests.sink_readers import tensorboard_reader
from tests.unit.workers.fakes import lease, lease_json
from workers.sinks.metric_fanout import LeaseEnded, MetricsReported
from workers.sinks.tensorboard import TensorBoard

PARAMS: dict[str, Scalar] = {"learning_rate": 0.01, "optimizer": "adam", "nesterov": True, "depth": None}


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in tensorboard_reader(folder).Scalars(name)]


def hparams(folder: Path) -> dict[str, object]:
    from tensorboard.plugins.hparams import plugin_data_pb2

    content = tensorboard_reader(folder).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}


def resumed(step: int) -> Lease:
    return Lease.model_validate(
        {**lease_json(), "lease_id": "later", "attempt": 2, "resume": {"step": step, "artifact": "checkpoint"}}
    )


def report(sink: TensorBoard, of: Lease, steps: range, loss: float) -> None:
    for step in steps:
        sink.write(MetricsReported(of, PARAMS, step, {"loss": loss, "accuracy": 1 - loss}))


def test_reports_become_scalars_and_the_end_of_a_trial_hparams(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path)
    report(sink, lease(), range(3), 0.5)
    assert curve(tmp_path / "digits/00000", "loss") == [(0, 0.5), (1, 0.5), (2, 0.5)]  # while it trains
    sink.write(LeaseEnded(lease(), PARAMS, "PRUNED", {"loss": 0.25}))
    sink.close()

    assert curve(tmp_path / "digits/00000", "accuracy") == [(0, 0.5), (1, 0.5), (2, 0.5)]
    assert curve(tmp_path / "digits/00000", "final/loss") == [(0, 0.25)]
    assert hparams(tmp_path / "digits/00000") == {
        "learning_rate": 0.01,
        "optimizer": "adam",
        "nesterov": True,
        "depth": "null",
        "trial_state": "PRUNED",
    }


@pytest.mark.parametrize(("left", "state"), [(True, "WAITING"), (True, None), (False, None)])
def test_a_continued_trial_has_no_step_twice(tmp_path: Path, left: bool, state: TrialState | None) -> None:
    first = TensorBoard(tmp_path)
    report(first, lease(), range(6), 0.5)
    if left:
        first.write(LeaseEnded(lease(), PARAMS, state, {}))
    second = TensorBoard(tmp_path)  # on another machine, with the same folder
    report(second, resumed(step=2), range(3, 8), 0.25)
    second.write(LeaseEnded(resumed(step=2), PARAMS, "COMPLETE", {"loss": 0.25}))
    second.close()
    first.close()
    expected = [(step, 0.5) for step in range(3)] + [(step, 0.25) for step in range(3, 8)]
    assert curve(tmp_path / "digits/00000", "loss") == expected


def test_a_trial_that_starts_again_replaces_its_earlier_events(tmp_path: Path) -> None:
    for loss, n_steps in ((0.5, 5), (0.25, 3)):
        sink = TensorBoard(tmp_path)
        report(sink, lease(), range(n_steps), loss)
        sink.write(LeaseEnded(lease(), PARAMS, "COMPLETE", {"loss": loss}))
        sink.close()
    assert curve(tmp_path / "digits/00000", "loss") == [(0, 0.25), (1, 0.25), (2, 0.25)]
    assert curve(tmp_path / "digits/00000", "final/loss") == [(0, 0.25)]


def test_a_folder_that_cannot_be_written_is_tried_again_at_the_next_report(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path / "place")
    (tmp_path / "place").write_text("a file")
    with pytest.raises(OSError):
        report(sink, lease(), range(1), 0.5)
    (tmp_path / "place").unlink()
    report(sink, lease(), range(1, 3), 0.5)
    sink.close()
    assert curve(tmp_path / "place/digits/00000", "loss") == [(1, 0.5), (2, 0.5)]
