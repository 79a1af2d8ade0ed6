from collections import Counter, defaultdict
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from service.diagnosis.advice import advise
from service.diagnosis.curve_pair import CurvePair, Watched, curve_pair, watched_metric
from service.diagnosis.evidence import Evidence, Judged
from service.diagnosis.verdicts import Judgement, judge
from service.diagnosis.yardstick import Yardstick
from service.schemas.diagnosis import Diagnosis, TrialDiagnosis, VerdictCounts
from service.study.live_study import LiveStudy
from storage import Store, trial_id_of

PAGE = 500

Metrics = dict[str, float]


def diagnose(store: Store, live: LiveStudy, limit: int) -> Diagnosis:
    """Judge the newest trials of a study that have begun, so many at most."""
    begun = [trial for trial in live.study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    trials = begun[-limit:]
    ids = [trial_id_of(trial) for trial in trials]
    watched = watched_metric(live.definition, {name for epoch in store.last_epochs(ids) for name in epoch.metrics})
    pairs = _pairs(store, ids, watched)
    judged = _judged(store, live, trials, pairs)
    return Diagnosis(
        study=live.record.name,
        train_metric=watched.train,
        validation_metric=watched.validation,
        counts=VerdictCounts.model_validate(Counter(one.verdict for one in judged)),
        advice=advise(Evidence(live.definition, judged)),
        trials=[
            _view(trial, pair, one.judgement, watched) for trial, pair, one in zip(trials, pairs, judged, strict=True)
        ],
        n_left_out=len(begun) - len(trials),
    )


def _pairs(store: Store, trial_ids: Sequence[int], watched: Watched) -> list[CurvePair]:
    """The curves of trials in their order; of all other metrics, no more than a page is in memory at a time."""
    found = []
    for start in range(0, len(trial_ids), PAGE):
        page = trial_ids[start : start + PAGE]
        reports: defaultdict[int, list[tuple[int, Metrics]]] = defaultdict(list)
        for trial_id, step, metrics in store.metrics_of_trials(page):
            reports[trial_id].append((step, metrics))
        found += [curve_pair(reports[trial_id], watched) for trial_id in page]
    return found


def _judged(store: Store, live: LiveStudy, trials: Sequence[FrozenTrial], pairs: Sequence[CurvePair]) -> list[Judged]:
    reasons = {result.trial_id: result.reason for result in store.results([trial_id_of(trial) for trial in trials])}
    yardstick = Yardstick.of(pairs)
    sign = -1 if live.definition.objectives[0].direction == "maximize" else 1
    return [
        Judged(
            number=trial.number,
            params=trial.params,
            judgement=judge(pair, yardstick, reasons.get(trial_id_of(trial))),
            n_epochs=len(pair.steps),
            rank=sign * trial.values[0] if trial.state == TrialState.COMPLETE else None,
            is_pruned=trial.state == TrialState.PRUNED,
        )
        for trial, pair in zip(trials, pairs, strict=True)
    ]


def _view(trial: FrozenTrial, pair: CurvePair, judgement: Judgement, watched: Watched) -> TrialDiagnosis:
    found = judgement.figures
    best = None if found is None else pair.validation[found.best]
    return TrialDiagnosis(
        number=trial.number,
        state=trial.state.name,
        verdict=judgement.verdict,
        because=judgement.because,
        n_epochs=len(pair.steps),
        best_epoch=None if found is None else pair.steps[found.best],
        best_validation=None if best is None else watched.sign * best,
        train=None if found is None else watched.sign * found.train,
        validation=None if found is None else watched.sign * found.validation,
        gap=None if found is None else found.gap,
        gap_slope=None if found is None else found.gap_slope,
        fall=None if found is None else found.fall,
        tolerance=None if found is None else found.tolerance,
        improving=found is not None and found.improving,
    )
