"""How many trials of one study a worker process may train at a time, unless `--lanes` gives a number.

`workers.leases.study_facts` keeps the cap of each study.
"""

from service.schemas.study.definition import Definition

MAX_SHARE_WITH_GUIDED_SAMPLER = 1 / 8
MAX_SHARE_WITH_PRUNER = 1 / 4
"""Largest share of a study's trials that one machine trains at a time, if its sampler learns from finished trials, and
if only its pruner does.

With more at a time the study finishes sooner, but its sampler knows fewer results, and its pruner prunes fewer trials.
"""


def lane_cap(definition: Definition, n_processes: int) -> int:
    """The most lanes that one of `n_processes` worker processes on a machine gives to a study, at least 1."""
    if definition.sampler.guided:
        share = MAX_SHARE_WITH_GUIDED_SAMPLER
    elif definition.pruner.prunes:
        share = MAX_SHARE_WITH_PRUNER
    else:
        share = 1.0
    return max(1, round(share * definition.n_trials / n_processes))
