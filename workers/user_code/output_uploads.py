"""Upload what the code of a trial writes, as the trial's artifact `output`."""

import logging
from collections.abc import Callable
from functools import partial

from service.client import Client, ClientError
from service.client.retries import Retries
from service.schemas.artifacts import OUTPUT
from service.schemas.protocol import Lease
from workers.leases.errands import Errands
from workers.scheduling.leased_trial import title
from workers.user_code.output_tail import OutputTail

logger = logging.getLogger("narrows.worker")

OUTPUT_SECONDS = 5.0
"""Time between two uploads of one trial's output."""
UPLOAD_SECONDS = 10.0


class OutputUploads:
    """Uploads the output of one trial from time to time, while no other errand is under way."""

    def __init__(
        self,
        lease: Lease,
        output: OutputTail,
        client: Client,
        errands: Errands,
        clock: Callable[[], float],
        start: int = 0,
    ) -> None:
        """The first `start` bytes of the output are not the trial's."""
        self._lease = lease
        self._output = output
        self._client = client
        self._errands = errands
        self._clock = clock
        self._uploaded_at = clock()
        self._start = start
        self._n_uploaded = output.n_written if start else 0
        self.pause_seconds = OUTPUT_SECONDS
        self.heading = ""
        """A first line, put before the output."""

    def upload_when_due(self) -> None:
        """Upload if the last upload is `pause_seconds` ago. Raises the error of an errand that has failed."""
        self._errands.check()
        if self._clock() - self._uploaded_at >= self.pause_seconds and not self._errands.is_busy:
            self.upload()

    def upload(self) -> None:
        """Upload the output if the code has written anything since the last upload."""
        self._uploaded_at = self._clock()
        n_written = self._output.n_written
        if n_written > self._n_uploaded:
            content = self.heading.encode() + self._output.content(self._start)
            self._errands.submit(partial(self._send, content, n_written))

    def _send(self, content: bytes, n_written: int) -> None:
        retries = Retries(UPLOAD_SECONDS)
        try:
            retries(lambda: self._client.upload_artifact(self._lease.lease_id, OUTPUT, content))
        except ClientError as error:
            logger.warning("%s: its output is not kept: %s", title(self._lease), error)
        else:
            self._n_uploaded = n_written
