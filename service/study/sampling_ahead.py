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


def wait_for_sampler(live: LiveStudy, lacking: Sequence[FrozenTrial], n_new: int) -> None:
    """Let the background sampler do what `sample_params` does, and wait a little for that.

    A sampler in a process of its own may hang: only the background sampler, which has threads for that, waits for it.
    """
    live.queue.suggestions.want(n_new + len(lacking))
    live.want_suggestions()
    live.queue.suggestions.wait_for_others(n_new, lacking)


def wants_suggestions(live: LiveStudy) -> bool:
    """Whether suggestions should be sampled ahead of the next claims."""
    with live.lock:
        lacking, n_ahead = _ahead(live)
    return bool(lacking) or n_ahead > 0


def sample_ahead(live: LiveStudy) -> bool:
    """Sample one suggestion ahead of the next claims. Returns False if enough are ready."""
    with live.lock:
        lacking, n_ahead = _ahead(live)
        n_ready = live.queue.suggestions.n_ready(len(live.leases))
    if lacking:
        sample_params(live, lacking[:1], 0)
    elif n_ahead > 0:
        sample_params(live, [], min(n_ahead, n_ready + 1))
    else:
        return False
    if live.queue.suggestions.is_apart:
        live.notify()  # claims have not waited for it
    return True


def _ahead(live: LiveStudy) -> tuple[list[FrozenTrial], int]:
    """The waiting trials to complete ahead of claims, and how many suggestions should be ready; 0 for enough."""
    if not live.may_start():
        return [], 0
    n_running = len(live.leases)
    depth = live.queue.suggestions.depth(n_running)
    if live.queue.suggestions.is_apart:
        return live.queue.to_sample(depth, live.n_trials_now, n_running)
    n_new = min(depth, live.queue.n_new(live.n_trials_now))
    return [], n_new if live.queue.suggestions.n_ready(n_running) < n_new else 0
