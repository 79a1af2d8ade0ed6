"""The custom samplers of a service: which packages are allowed, and the processes that run."""

import threading
from collections.abc import Sequence
from functools import partial
from weakref import WeakSet

from service.errors import InvalidError, OverloadedError
from service.sampling.custom.errors import CustomSamplerError, SamplerSkippedError
from service.sampling.custom.process_sampler import ProcessSampler, check_start
from service.sampling.custom.sampler_process import SamplerProcess
from service.schemas.study.custom_sampler import CustomSampler
from service.schemas.study.entrypoints import is_allowed

MEMORY_BYTES = 8 * 1024**3
MAX_CHECKS = 4
"""How many samplers of new definitions are tried at a time: each has a process, and a thread waits for it."""


class CustomSamplers:
    """Starts processes of allowed samplers, until `close` kills those that run and refuses others. Thread-safe."""

    def __init__(self, allowed: Sequence[str] = (), memory_bytes: int = MEMORY_BYTES) -> None:
        """`allowed` are names of modules and packages; `memory_bytes` is the limit of each process."""
        self._allowed = tuple(allowed)
        self._memory_bytes = memory_bytes
        self._processes: WeakSet[SamplerProcess] = WeakSet()
        self._closed = False
        self._lock = threading.Lock()
        self._checks = threading.BoundedSemaphore(MAX_CHECKS)

    def check(self, sampler: CustomSampler) -> None:
        """Make the sampler once, in a process that ends after that. Raises InvalidError, and OverloadedError."""
        refusal = self._refusal(sampler)
        if refusal is not None:
            raise InvalidError([("sampler.entrypoint", refusal)])
        if not self._checks.acquire(blocking=False):
            raise OverloadedError(f"{MAX_CHECKS} samplers of other definitions are being tried: try again later")
        try:
            check_start(sampler.entrypoint, sampler.options, partial(self._start, sampler))
        except CustomSamplerError as error:
            raise InvalidError([("sampler", f"the sampler cannot be made: {error}")]) from error
        finally:
            self._checks.release()

    def sampler_of(self, sampler: CustomSampler, *, has_trials: bool) -> ProcessSampler:
        """A sampler for a study. Its process is started when it is first asked."""
        start = partial(self._start, sampler)
        return ProcessSampler(
            sampler.entrypoint, sampler.options, sampler.timeout_seconds, has_trials=has_trials, start_process=start
        )

    def close(self) -> None:
        """Kill the processes and refuse others."""
        with self._lock:
            self._closed = True
            for process in list(self._processes):
                process.kill()

    def _refusal(self, sampler: CustomSampler) -> str | None:
        """Why a sampler may not run here; None if it may."""
        if is_allowed(sampler.entrypoint, self._allowed):
            return None
        package = sampler.entrypoint.partition(":")[0].partition(".")[0]
        allowed = f"allows {', '.join(self._allowed)}" if self._allowed else "allows none"
        return (
            f"entrypoint must be in a package that the service allows for samplers: {sampler.entrypoint!r} "
            f"(the service {allowed}; start it with narrows serve --samplers {package})"
        )

    def _start(self, sampler: CustomSampler) -> SamplerProcess:
        refusal = self._refusal(sampler)
        if refusal is not None:  # the service was started anew without it
            raise CustomSamplerError(refusal)
        with self._lock:
            if self._closed:
                raise SamplerSkippedError("the service is shutting down")
            process = SamplerProcess(self._memory_bytes)
            self._processes.add(process)
            return process
