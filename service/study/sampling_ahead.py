"""Sample parameters without the study's lock: for a claim, and as suggestions ahead of the next claims."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from service.study.live_study import LiveStudy


def sample_params(live: LiveStudy, lacking: Sequence[FrozenTrial], n_new: int) -> None:
    """Complete the parameters of `lacking` trials and have `n_new` suggestions ready. The study is not locked."""
    try:
        for trial in lacking:
            live.queue.suggestions.sample_missing(trial)
        live.queue.suggestions.sample_new(n_new)
    except KeyError:
        if not live.was_deleted():  # a study that was deleted meanwhile has no trials to sample for
            raise


def wants_suggestions(live: LiveStudy) -> bool:
    """Whether suggestions should be sampled ahead of the next claims."""
    with live.lock:
        return _n_ahead(live) > 0


def sample_ahead(live: LiveStudy) -> bool:
    """Sample one suggestion ahead of the next claims. Returns False if enough are ready."""
    with live.lock:
        n_ahead = _n_ahead(live)
        n_ready = live.queue.suggestions.n_ready(len(live.leases))
    if n_ahead > 0:
        sample_params(live, [], min(n_ahead, n_ready + 1))
    return n_ahead > 0


def _n_ahead(live: LiveStudy) -> int:
    """How many suggestions should be ready; 0 if enough are ready."""
    if not live.may_start():
        return 0
    n_running = len(live.leases)
    n_new = min(live.queue.suggestions.depth(n_running), live.queue.n_new(live.n_trials_now))
    return n_new if live.queue.suggestions.n_ready(n_running) < n_new else 0
