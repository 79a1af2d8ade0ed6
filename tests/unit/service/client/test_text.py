from service.client.text import share_of_time
from service.schemas.worker_seconds import WorkerSeconds


def test_the_time_of_workers_is_told_in_shares() -> None:
    workers = [
        WorkerSeconds(training=60, idle=10, used_lanes=90, empty_lanes=10),
        WorkerSeconds(training=20, claims=10, used_lanes=20),
    ]
    assert share_of_time(workers) == (
        "training 80%, idle 10%, start 0%, claims 10%, data 0%, reports 0%, checkpoints 0%, other 0%; 8% of lanes empty"
    )


def test_workers_that_have_not_begun_have_no_shares() -> None:
    assert share_of_time([]) == "nothing yet"
    assert share_of_time([WorkerSeconds()]) == "nothing yet"
