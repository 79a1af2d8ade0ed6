"""Artifacts of a real service: bounded memory, nothing left of what broke off, and trials that go on after a death."""

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.client import Client, ServiceError
from service.client.retries import Retries
from service.schemas.protocol import Claim, Complete, Lease, Report, Reports
from service.schemas.worker_info import WorkerInfo
from tests.conftest import ServiceProcess, StartService, free_tcp_port
from tests.integration.service_driver import definition
from tests.s3_server import Bucket, s3_server
from tests.waiting import PATIENCE_SECONDS, until

MIB = 1024**2
LARGE_BYTES = 64 * MIB
MAX_GROWTH_BYTES = 40 * MIB


def claim(client: Client, study: str, claim_id: str = "first") -> Lease:
    worker = WorkerInfo(id=f"worker of {claim_id}")
    wanted = Claim(claim_id=claim_id, worker=worker, study=study, wait_seconds=30.0)
    (lease,) = client.claim(wanted).leases
    return lease


def report(client: Client, lease: Lease, step: int) -> str:
    sent = Report(lease_id=lease.lease_id, step=step, metrics={"validation_accuracy": step / 10})
    (decided,) = client.report(Reports(reports=[sent])).decisions
    return decided.decision


def begin(service: ServiceProcess) -> tuple[Client, Lease]:
    client = Client(service.url)
    study = client.create_study(definition(n_trials=1)).name
    return client, claim(client, study)


def memory_bytes(pid: int, kind: str) -> int:
    """A number of a process's memory: VmRSS now, VmHWM at its highest."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{kind}:"))


def half_an_upload(service: ServiceProcess, lease: Lease, name: str = "model") -> socket.socket:
    """A connection that has sent 2 MiB of 4, and is still open."""
    host, port = service.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), PATIENCE_SECONDS)
    head = f"PUT /v1/artifacts/{lease.lease_id}/{name} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {4 * MIB}\r\n\r\n"
    connection.sendall(head.encode() + b"x" * (2 * MIB))
    return connection


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "narrows-artifacts").iterdir())


def sizes(tmp_path: Path) -> list[int]:
    return [path.stat().st_size for path in (tmp_path / "narrows-artifacts").iterdir()]


def test_a_large_file_goes_in_and_out_in_bounded_memory(service_process: StartService, tmp_path: Path) -> None:
    service = service_process()
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(os.urandom(LARGE_BYTES))
    client, lease = begin(service)
    client.upload_artifact(lease.lease_id, "warm", b"up")
    pid = service.process.pid
    before = memory_bytes(pid, "VmRSS")
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the highest starts again from here

    kept = client.upload_artifact(lease.lease_id, "model", source)
    client.download_artifact(lease.study, 0, "model", copy)

    growth = memory_bytes(pid, "VmHWM") - before
    print(f"memory of the service: {before / MIB:.0f} MiB, at most {growth / MIB:.1f} MiB more")
    assert growth < MAX_GROWTH_BYTES
    assert kept.size_bytes == LARGE_BYTES
    assert copy.read_bytes() == source.read_bytes()
    assert sorted(sizes(tmp_path)) == [2, LARGE_BYTES]
    assert f"artifacts are stored in {tmp_path / 'narrows-artifacts'}" in service.log.read_text()
    client.close()


def test_slow_uploads_keep_nobody_waiting(service_process: StartService, tmp_path: Path) -> None:
    service = service_process()
    client, lease = begin(service)
    slow = [half_an_upload(service, lease, f"slow-{number}") for number in range(20)]
    until(lambda: len(files(tmp_path)) == 20, "all uploads have begun")

    for step in range(20):
        assert report(client, lease, step) == "continue"
    assert client.upload_artifact(lease.lease_id, "model", b"x" * MIB).size_bytes == MIB

    for connection in slow:
        connection.sendall(b"y" * (2 * MIB))
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.close()
    assert len(client.artifacts(lease.study, 0)) == 21
    client.close()


def test_a_connection_that_breaks_off_leaves_nothing(service_process: StartService, tmp_path: Path) -> None:
    service = service_process()
    client, lease = begin(service)
    with half_an_upload(service, lease):
        until(lambda: any(size >= MIB for size in sizes(tmp_path)), "something is written")

    until(lambda: files(tmp_path) == [], "what was written is removed")
    assert client.artifacts(lease.study, 0) == []
    assert client.upload_artifact(lease.lease_id, "model", b"whole").size_bytes == 5
    assert "Traceback" not in service.log.read_text()
    client.close()


def test_a_service_that_is_killed_during_an_upload_leaves_nothing(
    service_process: StartService, tmp_path: Path, free_port: int
) -> None:
    service = service_process("--port", str(free_port))
    client, lease = begin(service)
    client.upload_artifact(lease.lease_id, "model", b"earlier")
    with half_an_upload(service, lease):
        until(lambda: any(size >= MIB for size in sizes(tmp_path)), "something is written")
        service.kill()
    assert len(files(tmp_path)) == 2

    service_process("--port", str(free_port))

    until(lambda: sizes(tmp_path) == [7], "the half is removed, the earlier one is not")
    assert [found.name for found in client.artifacts(lease.study, 0)] == ["model"]
    client.download_artifact(lease.study, 0, "model", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"earlier"
    client.upload_artifact(lease.lease_id, "model", b"later")
    client.close()


def test_no_room_is_said_and_leaves_nothing(service_process: StartService, tmp_path: Path) -> None:
    service = service_process()
    client, lease = begin(service)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (8 * MIB, 8 * MIB))

    with pytest.raises(ServiceError, match="there is no room for the artifact: File too large") as refused:
        client.upload_artifact(lease.lease_id, "model", b"x" * 12 * MIB)

    assert (refused.value.status, refused.value.code) == (507, "insufficient_storage")
    until(lambda: files(tmp_path) == [], "what was written is removed")
    assert client.upload_artifact(lease.lease_id, "model", b"x" * MIB).size_bytes == MIB
    client.close()


def test_a_file_may_be_as_large_as_the_setting_says(service_process: StartService) -> None:
    service = service_process("--max-artifact-mib", "1")
    client, lease = begin(service)

    assert client.upload_artifact(lease.lease_id, "model", b"x" * MIB).size_bytes == MIB
    with pytest.raises(ServiceError, match=f"an artifact must have at most {MIB} bytes") as refused:
        client.upload_artifact(lease.lease_id, "model", b"x" * (MIB + 1))
    assert refused.value.status == 413
    client.close()


def test_a_trial_goes_on_from_its_checkpoint_when_its_worker_died(
    service_process: StartService, tmp_path: Path, free_port: int
) -> None:
    service = service_process("--port", str(free_port), "--lease-seconds", "2")
    client, lease = begin(service)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_bytes(b"after epoch 1")
    for step in range(4):
        assert report(client, lease, step) == "continue"
        if step == 1:
            client.upload_artifact(lease.lease_id, "checkpoint", checkpoint, step=step)
    service.kill()
    service_process("--port", str(free_port), "--lease-seconds", "2")

    again = Retries(PATIENCE_SECONDS)(lambda: claim(client, lease.study, "second"))  # when the first one has expired

    assert again.resume is not None
    assert (again.trial_number, again.attempt) == (lease.trial_number, 2)
    assert (again.params, again.seed) == (lease.params, lease.seed)
    assert (again.resume.step, again.resume.artifact) == (1, "checkpoint")
    client.download_artifact(again.study, again.trial_number, again.resume.artifact, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"after epoch 1"
    assert client.curves(lease.study, 0).steps == [0, 1]
    assert report(client, lease, 4) == report(client, lease, 1) == "lost"
    assert [report(client, again, step) for step in (2, 3)] == ["continue"] * 2
    assert client.complete(again.lease_id, Complete(values=[0.9])).state == "COMPLETE"
    assert client.curves(lease.study, 0).steps == [0, 1, 2, 3]
    until(lambda: files(tmp_path) == [], "the checkpoint is removed with the end of the trial")
    client.close()


# S3


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    with s3_server(free_tcp_port()) as server:
        yield server.make_bucket()


def test_artifacts_go_to_a_bucket_and_are_deleted_there(
    service_process: StartService, bucket: Bucket, tmp_path: Path
) -> None:
    environment = {**bucket.environment, "NARROWS_ARTIFACTS": f"s3://{bucket.name}/runs"}
    service = service_process(environment=environment)
    client, lease = begin(service)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20 * MIB))

    client.upload_artifact(lease.lease_id, "model", source)
    client.upload_artifact(lease.lease_id, "checkpoint", b"weights", step=0)
    client.download_artifact(lease.study, 0, "model", tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert len(bucket.keys()) == 2
    assert all(key.startswith("runs/") for key in bucket.keys())  # noqa: SIM118 - it is no dictionary
    client.complete(lease.lease_id, Complete(values=[0.9]))
    until(lambda: len(bucket.keys()) == 1, "the checkpoint is removed")
    client.delete(lease.study)
    until(lambda: bucket.keys() == [], "all is removed")
    client.close()


def test_a_bucket_that_is_not_there_ends_the_service_with_a_word(
    service_process: StartService, bucket: Bucket, tmp_path: Path
) -> None:
    environment = {**bucket.environment, "NARROWS_ARTIFACTS": "s3://no-such-bucket/x"}

    with pytest.raises(AssertionError, match="not ready"):
        service_process(environment=environment, expect_exit=None)

    last = (tmp_path / "service-0.log").read_text().splitlines()[-1]
    assert "artifacts must go to a bucket that answers: s3://no-such-bucket/x/" in last
