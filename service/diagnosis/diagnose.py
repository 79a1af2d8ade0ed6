"""Diagnose a study: judge its trials by their curves, and advise what to change next."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from service.diagnosis.advice import advise
from service.diagnosis.curve_pair import CurvePair, MetricPair, choose_metric_pair, curve_pair
from service.diagnosis.evidence import Evidence, JudgedTrial
from service.diagnosis.study_baseline import StudyBaseline
from service.diagnosis.verdicts import Judgement, judge_trial
from service.schemas.diagnosis import Diagnosis, TrialDiagnosis, VerdictCounts
from service.study.live_study import LiveStudy
from storage import trial_id_of

PAGE = 500
"""Number of trials whose reports are in memory at the same time."""

Metrics = dict[str, float]


def diagnose_study(live: LiveStudy, limit: int) -> Diagnosis:
    """Judge the newest started trials of a study, at most `limit` of them."""
    started = [trial for trial in live.study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    trials = started[-limit:]
    ids = [trial_id_of(trial) for trial in trials]
    reported = {name for epoch in live.store.last_epochs(ids) for name in epoch.metrics}
    metric_pair = choose_metric_pair(live.definition, reported)
    curves = _curve_pairs(live, ids, metric_pair)
    judged_trials = _judge_trials(live, trials, curves)
    return Diagnosis(
        study=live.record.name,
        train_metric=metric_pair.train,
        validation_metric=metric_pair.validation,
        counts=VerdictCounts.model_validate(Counter(judged.verdict for judged in judged_trials)),
        advice=advise(Evidence(live.definition, judged_trials)),
        trials=[
            _trial_diagnosis(trial, pair, judged.judgement, metric_pair.sign)
            for trial, pair, judged in zip(trials, curves, judged_trials, strict=True)
        ],
        n_left_out=len(started) - len(trials),
    )


def _curve_pairs(live: LiveStudy, trial_ids: Sequence[int], metric_pair: MetricPair) -> list[CurvePair]:
    """The curves of the trials in the given order. Reports are read by pages, because they hold other metrics too."""
    curves = []
    for start in range(0, len(trial_ids), PAGE):
        page = trial_ids[start : start + PAGE]
        reports: defaultdict[int, list[tuple[int, Metrics]]] = defaultdict(list)
        for trial_id, step, metrics in live.store.metrics_of_trials(page):
            reports[trial_id].append((step, metrics))
        curves += [curve_pair(reports[trial_id], metric_pair) for trial_id in page]
    return curves


def _judge_trials(live: LiveStudy, trials: Sequence[FrozenTrial], curves: Sequence[CurvePair]) -> list[JudgedTrial]:
    results = live.store.results([trial_id_of(trial) for trial in trials])
    reasons = {result.trial_id: result.reason for result in results}
    baseline = StudyBaseline.of(curves)
    sign = -1 if live.definition.objectives[0].direction == "maximize" else 1
    return [
        JudgedTrial(
            number=trial.number,
            params=trial.params,
            judgement=judge_trial(pair, baseline, reasons.get(trial_id_of(trial))),
            n_epochs=len(pair.steps),
            rank=sign * trial.values[0] if trial.state == TrialState.COMPLETE else None,
            is_pruned=trial.state == TrialState.PRUNED,
        )
        for trial, pair in zip(trials, curves, strict=True)
    ]


def _trial_diagnosis(trial: FrozenTrial, pair: CurvePair, judgement: Judgement, sign: int) -> TrialDiagnosis:
    figures = judgement.figures
    best = None if figures is None else pair.validation[figures.best]
    return TrialDiagnosis(
        number=trial.number,
        state=trial.state.name,
        verdict=judgement.verdict,
        because=judgement.because,
        n_epochs=len(pair.steps),
        best_epoch=None if figures is None else pair.steps[figures.best],
        best_validation=None if best is None else sign * best,
        train=None if figures is None else sign * figures.train,
        validation=None if figures is None else sign * figures.validation,
        gap=None if figures is None else figures.gap,
        gap_slope=None if figures is None else figures.gap_slope,
        fall=None if figures is None else figures.fall,
        tolerance=None if figures is None else figures.tolerance,
        improving=figures is not None and figures.improving,
    )
