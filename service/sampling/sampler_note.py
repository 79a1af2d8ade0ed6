"""What a study says of parameters that its sampler has not chosen."""

import threading

from service.sampling.custom.errors import CustomSamplerError, SamplerSkippedError
from service.sampling.gp import MAX_VALUES, is_too_fine
from service.sampling.samplers import chosen_sampler
from service.schemas.study.definition import Definition
from service.schemas.study.samplers import Gp


class SamplerFailures:
    """The suggestions for which a study's sampler failed, since the service started. Their parameters are random."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_failed = 0
        self._last = ""

    def note(self, error: Exception) -> None:
        """Remember that the sampler has failed, unless the same is noted already."""
        if isinstance(error, SamplerSkippedError):
            return
        text = str(error) if isinstance(error, CustomSamplerError) else f"{type(error).__name__}: {error}"
        with self._lock:
            self._n_failed += 1
            self._last = text[:300]

    @property
    def text(self) -> str | None:
        """How often the sampler failed and with which error; None if it never did."""
        with self._lock:
            if self._n_failed == 0:
                return None
            times = "time" if self._n_failed == 1 else "times"
            return f"the sampler failed {self._n_failed} {times}, random parameters took their place: {self._last}"


def sampler_note(definition: Definition, failures: SamplerFailures) -> str | None:
    """Which parameters are random though the sampler of a study is not, and why; None if there are none."""
    notes = []
    if isinstance(chosen_sampler(definition), Gp):
        fine = [name for name, parameter in definition.search_space.items() if is_too_fine(parameter)]
        if fine:
            limit = f"it takes parameters of at most {MAX_VALUES:,} values"
            notes.append(f"gp samples {', '.join(fine)} at random: {limit}")
    if failures.text is not None:
        notes.append(failures.text)
    return "; ".join(notes) or None
