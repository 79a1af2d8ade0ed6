"""Sampling without the study's lock: what a claim lacks, and suggestions ahead of the next claims."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from service.study.live_study import LiveStudy


def sample(live: LiveStudy, lacking: Sequence[FrozenTrial], n_new: int) -> None:
    """Ask the sampler, while others work on the study."""
    try:
        for trial in lacking:
            live.queue.suggestions.sample_rest(trial)
        live.queue.suggestions.sample_new(n_new)
    except KeyError:
        if not live.deleted:  # else the study has gone meanwhile
            raise


def wants_suggestions(live: LiveStudy) -> bool:
    """Whether something should be sampled ahead of the next claims."""
    with live.lock:
        return _n_ahead(live) > 0


def prepare(live: LiveStudy) -> bool:
    """Sample one suggestion ahead of the next claims; whether there was one to sample."""
    with live.lock:
        n_ahead = _n_ahead(live)
        n_ready = live.queue.suggestions.n_ready(len(live.leases))
    if n_ahead > 0:
        sample(live, [], min(n_ahead, n_ready + 1))
    return n_ahead > 0


def _n_ahead(live: LiveStudy) -> int:
    """How many suggestions should be ready; 0 when enough are."""
    if not live.may_start():
        return 0
    n_running = len(live.leases)
    n_new = min(live.queue.suggestions.depth(n_running), live.queue.n_new(live.n_trials_now))
    return n_new if live.queue.suggestions.n_ready(n_running) < n_new else 0
