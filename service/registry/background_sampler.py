"""Sample suggestions on background threads, so that claims need not wait for a sampler."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from service.study.live_study import LiveStudy
from service.study.sampling_ahead import sample_ahead, wants_suggestions
from storage import DATABASE_ERRORS, StorageError

log = logging.getLogger(__name__)

MAX_THREADS = 4
"""Number of studies sampled at the same time, so that a slow sampler does not hold up the other studies."""
MAX_WAITING_THREADS = 64
"""Number of studies at the same time whose samplers run in processes of their own: their threads only wait."""
PAUSE_AFTER_ERROR_SECONDS = 1.0
"""Pause after an error, so that an unreachable database is not called all the time."""


class BackgroundSampler:
    """Samples ahead for every study that wants suggestions, one thread a study, each time `wake` is called."""

    def __init__(self, studies: Callable[[], Sequence[LiveStudy]]) -> None:
        self._studies = studies
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._busy: set[LiveStudy] = set()
        self._samplers: tuple[ThreadPoolExecutor, ThreadPoolExecutor] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the threads; also after a `close`."""
        self._ending.clear()
        here = ThreadPoolExecutor(MAX_THREADS, "narrows-sampler")
        apart = ThreadPoolExecutor(MAX_WAITING_THREADS, "narrows-apart")
        self._samplers = here, apart
        self._thread = threading.Thread(
            target=self._run, args=[here, apart], name="narrows-background-sampler", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Check all studies soon."""
        self._wanted.set()

    def close(self) -> None:
        """Stop after the suggestions that are being sampled, and wait for that."""
        self._ending.set()
        self._wanted.set()
        if self._thread is not None and self._samplers is not None:
            self._thread.join()
            for samplers in self._samplers:
                samplers.shutdown()

    def _run(self, here: ThreadPoolExecutor, apart: ThreadPoolExecutor) -> None:
        while not self._ending.is_set():
            self._wanted.wait()
            self._wanted.clear()
            for live in self._studies():
                if live not in self._busy and self._is_wanted(live) and not self._ending.is_set():
                    self._busy.add(live)
                    samplers = apart if live.queue.suggestions.is_apart else here
                    samplers.submit(self._prepare, live)

    def _is_wanted(self, live: LiveStudy) -> bool:
        try:
            return wants_suggestions(live)
        except Exception:  # one study, for example one that another program has deleted, must not stop the others
            log.exception("suggestions for study %s cannot be prepared", live.record.name)
            return False

    def _prepare(self, live: LiveStudy) -> None:
        try:
            while not self._ending.is_set() and sample_ahead(live):
                pass
        except (*DATABASE_ERRORS, StorageError) as error:
            log.error("the database does not answer: %s", error)
            self._ending.wait(PAUSE_AFTER_ERROR_SECONDS)
        except Exception:
            log.exception("suggestions for study %s could not be prepared", live.record.name)
            self._ending.wait(PAUSE_AFTER_ERROR_SECONDS)
        finally:
            self._busy.discard(live)
            self._wanted.set()  # a wish for this study that came while it was busy was skipped
