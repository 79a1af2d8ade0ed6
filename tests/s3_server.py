"""A server that speaks S3, in a process of its own; what it holds is gone with it."""

import os
import secrets
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import httpx

from tests.waiting import PATIENCE_SECONDS


@dataclass(frozen=True)
class Bucket:
    """An empty bucket, and what a process needs in its environment to reach it."""

    name: str
    client: Any
    environment: dict[str, str]

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())]


class S3Server:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )

    def make_bucket(self) -> Bucket:
        name = f"bucket-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name)
        return Bucket(name, self.client, self.environment)


@contextmanager
def s3_server(port: int) -> Iterator[S3Server]:
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _await_answer(process, url)
            yield S3Server(url)
        finally:
            process.kill()


def _await_answer(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            httpx.get(f"{url}/moto-api/", trust_env=False, timeout=PATIENCE_SECONDS)
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline, _log(process)
            assert process.poll() is None, _log(process)
            time.sleep(0.1)


def _log(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None, "it is a pipe"
    readable, _, _ = select.select([process.stderr], [], [], 0)
    return os.read(process.stderr.fileno(), 4096).decode(errors="replace") if readable else "it says nothing"
