"""Which trials of a large study the plots draw: a browser and Optuna's plots cannot take all of them."""

from collections.abc import Iterable, Sequence

from service.schemas.results import Study, Trial

MAX_DRAWN = 2000
"""Number of trials drawn of a larger study. It can be a few more."""
N_BEST = 500
N_NEWEST = 200


def drawn_numbers(study: Study, trials: Sequence[Trial], always: Iterable[int]) -> set[int]:
    """The numbers of the trials to draw: all of them, or MAX_DRAWN of a larger study.

    These are the numbers in `always`, each trial that was the best when it ended, the best, the newest, and an even
    spread of the others.
    """
    if len(trials) <= MAX_DRAWN:
        return {trial.number for trial in trials}
    sign = -1 if study.definition.objectives[0].direction == "maximize" else 1
    numbers = set(always) | {trial.number for trial in trials[-N_NEWEST:]}
    complete = [(sign * trial.values[0], trial.number) for trial in trials if trial.values]
    best_so_far = float("inf")
    for value, number in complete:
        if value < best_so_far:
            best_so_far = value
            numbers.add(number)
    numbers |= {number for _, number in sorted(complete)[:N_BEST]}
    others = [trial.number for trial in trials if trial.number not in numbers]
    n_more = min(len(others), max(0, MAX_DRAWN - len(numbers)))
    return numbers | {others[index * len(others) // n_more] for index in range(n_more)}
