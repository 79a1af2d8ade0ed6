"""Samples ahead on threads of its own, so that a claim does not wait for a sampler and nothing waits for a claim."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from service.study.ahead import prepare, wants_suggestions
from service.study.live_study import LiveStudy
from storage import DATABASE_ERRORS, StorageError

log = logging.getLogger(__name__)

MAX_THREADS = 4
"""Studies that are sampled at the same time: a slow sampler must not hold up the suggestions of other studies."""
REST_SECONDS = 1.0
"""After a failure, so that a database that is away is not asked all the time."""


class Preparation:
    """Looks at the studies whenever one says that it may want suggestions; one sampler works for each at a time."""

    def __init__(self, studies: Callable[[], Sequence[LiveStudy]]) -> None:
        self._studies = studies
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._busy: set[LiveStudy] = set()
        self._samplers: ThreadPoolExecutor | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, or begin again after a `close`."""
        self._ending.clear()
        self._samplers = ThreadPoolExecutor(MAX_THREADS, "narrows-sampler")
        self._thread = threading.Thread(
            target=self._run, args=[self._samplers], name="narrows-preparation", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Have a look at the studies soon."""
        self._wanted.set()

    def close(self) -> None:
        """End, after the samples that are being made."""
        self._ending.set()
        self._wanted.set()
        if self._thread is not None and self._samplers is not None:
            self._thread.join()
            self._samplers.shutdown()

    def _run(self, samplers: ThreadPoolExecutor) -> None:
        while not self._ending.is_set():
            self._wanted.wait()
            self._wanted.clear()
            for live in self._studies():
                if live not in self._busy and self._is_wanted(live) and not self._ending.is_set():
                    self._busy.add(live)
                    samplers.submit(self._prepare, live)

    def _is_wanted(self, live: LiveStudy) -> bool:
        try:
            return wants_suggestions(live)
        except Exception:  # one study, such as one that another tool has deleted, must not end this for all
            log.exception("suggestions for study %s cannot be prepared", live.record.name)
            return False

    def _prepare(self, live: LiveStudy) -> None:
        try:
            while not self._ending.is_set() and prepare(live):
                pass
        except (*DATABASE_ERRORS, StorageError) as error:
            log.error("the database does not answer: %s", error)
            self._ending.wait(REST_SECONDS)
        except Exception:
            log.exception("suggestions for study %s could not be prepared", live.record.name)
            self._ending.wait(REST_SECONDS)
        finally:
            self._busy.discard(live)
            self._wanted.set()  # something may have been wanted in this very moment
