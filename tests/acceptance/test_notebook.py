"""Watching a study in a notebook: a real kernel, without the widgets that some notebooks have."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from service.client import Client
from tests.acceptance.by_hand import completed, definition
from tests.conftest import ServiceProcess, StartService, clean_environment
from tests.waiting import PATIENCE_SECONDS

KERNEL = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
CODE = """
from service.client import Client
client = Client({url!r})
study = client.watch("watched")
print(study.state, len(study.optuna().trials))
"""


@pytest.fixture
def service(service_process: StartService) -> ServiceProcess:
    return service_process()


@pytest.fixture
def kernel() -> Iterator[BlockingKernelClient]:
    manager = KernelManager()
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv = KERNEL
    manager.start_kernel(env=clean_environment())
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE_SECONDS)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def outputs(kernel: BlockingKernelClient, request: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a cell puts out, message by message, until it has ended."""
    while True:
        message = kernel.get_iopub_msg(timeout=PATIENCE_SECONDS)
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return
        yield message["msg_type"], message["content"]


def test_one_output_of_the_cell_follows_the_study(service: ServiceProcess, kernel: BlockingKernelClient) -> None:
    with Client(service.url) as client:
        client.create_study(definition("watched", n_trials=2))
        shown: list[dict[str, Any]] = []
        printed = ""
        ids = set()
        for kind, content in outputs(kernel, kernel.execute(CODE.format(url=service.url))):
            assert kind != "error", content
            if kind in ("display_data", "update_display_data") and "display_id" in content.get("transient", {}):
                assert (kind == "display_data") == (not shown)
                shown.append(content["data"])
                ids.add(content["transient"]["display_id"])
                if len(shown) == 1:  # it runs now
                    for value in (0.5, 0.75):
                        completed(client, "watched", value)
            printed += content.get("text", "") or content.get("data", {}).get("text/plain", "")
    assert len(ids) == 1
    assert "0/2" in shown[0]["text/plain"]
    assert "2/2" in shown[-1]["text/plain"]
    assert "2/2" in shown[-1]["text/html"]
    assert "watched is finished" in printed
    assert "finished 2" in printed
