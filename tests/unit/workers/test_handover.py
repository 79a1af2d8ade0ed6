import threading
from functools import partial

from service.client.retries import Retries
from tests.unit.workers.fakes import FakeService, lease, until
from workers.checkpointing import Checkpointing
from workers.delivery import Delivery
from workers.errands import Errands
from workers.handover import Handover
from workers.keeping import Keeping
from workers.lanes.state import LaneState
from workers.reporter import Reporter
from workers.stopping import Stopping
from workers.studies import Studies
from workers.work import Work


def test_a_checkpoint_that_waits_while_its_trial_is_pruned_is_not_uploaded_and_harms_nothing() -> None:
    service, errands, stopping = FakeService(), Errands(), Stopping()
    service.decide = lambda _lease_id, _step: "prune"
    client, retries = service.client(), Retries(1.0)
    reporter = Reporter(client, retries)
    checkpointing = Checkpointing(client, reporter)
    keeping = Keeping(client, Studies(client, retries), "best", retries)
    handover = Handover(reporter, Delivery(client, stopping), keeping, checkpointing, errands, stopping)
    turn, work = threading.Event(), Work(lease(), LaneState({}, {"epoch": 1}))

    reporter.follow(work.lease)
    errands.do(partial(_wait, turn))
    handover.save(work)
    reporter.report(work.lease_id, 0, {"train_loss": 0.5})
    until(lambda: reporter.decision(work.lease_id) == "prune")
    handover.leave(work.lease)
    turn.set()

    assert errands.finish(10.0)
    errands.check()
    assert [path for path in service.paths() if path.startswith("artifacts/")] == []
    assert not reporter.has_closed
    errands.close()
    reporter.close()


def _wait(turn: threading.Event) -> None:
    assert turn.wait(10.0)
