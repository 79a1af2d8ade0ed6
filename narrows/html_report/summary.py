"""The parts of the page that are text: the study, its best trials, its diagnosis."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import get_args

from narrows.html_report.gather import Gathered
from narrows.html_report.plot import VERDICT_COLOURS
from service.client.text import number, params_line, seconds, sentences, utc
from service.schemas.diagnosis import TrialDiagnosis, Verdict
from service.schemas.fields import Scalar

N_BEST_ROWS = 10
MAX_DIAGNOSIS_ROWS = 200
MAX_PARAM_COLUMNS = 8


def heading(gathered: Gathered) -> str:
    study = gathered.study
    objectives = ", ".join(f"{one.direction} {one.metric}" for one in study.definition.objectives)
    began = f"begun {utc(study.started_at)} UTC" if study.started_at else "not begun yet"
    ended = f", ended {utc(study.finished_at)} UTC" if study.finished_at else ""
    reason = f" ({study.finished_reason})" if study.finished_reason else ""
    return (
        f'<h1>{escape(study.name)}<span class="state">{escape(study.state)}</span></h1>'
        f'<p class="quiet">{escape(objectives)} · sampler {escape(study.definition.sampler.name)}, '
        f"pruner {escape(study.definition.pruner.name)} · {began}{ended}{escape(reason)}</p>"
    )


def tiles(gathered: Gathered) -> str:
    counts, definition = gathered.study.trial_counts, gathered.study.definition
    n_done = counts.COMPLETE + counts.PRUNED + counts.FAIL
    shown: list[tuple[str, str]] = []
    best = gathered.best[0] if gathered.best else None
    if best is not None and best.values and not gathered.has_several_objectives:
        shown.append((number(best.values[0]), f"best {definition.objectives[0].metric}, trial {best.number}"))
    elif best is not None:
        shown.append((str(len(gathered.best)), "trials on the Pareto front"))
    shown.append((f"{n_done} of {definition.n_trials}", "trials are done"))
    shown += [
        (str(count), word) for count, word in zip(_counts(gathered), ("complete", "pruned", "failed"), strict=True)
    ]
    shown += [(str(count), word) for count, word in ((counts.RUNNING, "running"), (counts.WAITING, "waiting")) if count]
    if gathered.study.trials_per_hour is not None:
        shown.append((f"{gathered.study.trials_per_hour:,.0f}", "trials an hour"))
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>' for value, text in shown
    )
    return f'<div class="tiles">{cells}</div>'


def _counts(gathered: Gathered) -> tuple[int, int, int]:
    counts = gathered.study.trial_counts
    return counts.COMPLETE, counts.PRUNED, counts.FAIL


def best_table(gathered: Gathered) -> str:
    """The best trials with their parameters."""
    if not gathered.best:
        return '<div class="card"><p>No trial is complete yet.</p></div>'
    trials = gathered.best[:N_BEST_ROWS]
    metrics = [objective.metric for objective in gathered.study.definition.objectives]
    params = list(dict.fromkeys(name for trial in trials for name in trial.params))
    in_columns = len(params) <= MAX_PARAM_COLUMNS
    head = ["trial", *metrics, *(params if in_columns else ["params"]), "epochs", "time"]
    rows = [
        [
            str(trial.number),
            *(number(value) for value in trial.values or []),
            *([_shown(trial.params, name) for name in params] if in_columns else [params_line(trial.params)]),
            "" if trial.step is None else str(trial.step + 1),
            seconds(trial.duration_seconds),
        ]
        for trial in trials
    ]
    note = "No other trial beats these in every objective." if gathered.has_several_objectives else "Best first."
    return f'<div class="card"><p class="note">{note}</p>{table(head, rows)}</div>'


def final(gathered: Gathered) -> str:
    """What the final evaluation says, if there is one."""
    if gathered.final is None:
        return ""
    lines = "".join(f"<p>{escape(line)}</p>" for line in sentences(gathered.final))
    return f'<div class="card"><h3>Final evaluation</h3>{lines}</div>'


def diagnosis(gathered: Gathered) -> str:
    """Verdicts, what to change next, and the trials one by one."""
    found = gathered.diagnosis
    advice = "".join(f"<li>{escape(one.message)}</li>" for one in found.advice)
    left_out = f"<p>{found.n_left_out} older trials were not looked at.</p>" if found.n_left_out else ""
    basis = f"By {escape(found.train_metric)} and {escape(found.validation_metric)} of each trial."
    return (
        f'<div class="card">{_verdict_bar(gathered)}<p class="note">{basis}</p>'
        f'<h3>What to change next</h3><ul class="advice">{advice}</ul>{left_out}{_details(found.trials)}</div>'
    )


def _verdict_bar(gathered: Gathered) -> str:
    counts = {verdict: getattr(gathered.diagnosis.counts, verdict) for verdict in get_args(Verdict)}
    shown = {verdict: count for verdict, count in counts.items() if count}
    parts = "".join(
        f'<div style="flex:{count};background:{VERDICT_COLOURS[verdict]}" title="{count} {verdict}"></div>'
        for verdict, count in shown.items()
    )
    words = "".join(
        f'<span><i class="dot" style="background:{VERDICT_COLOURS[verdict]}"></i>{count} {verdict}</span>'
        for verdict, count in shown.items()
    )
    return f'<div class="bar">{parts}</div><p class="legend">{words}</p>' if shown else "<p>No trial has begun yet.</p>"


def _details(trials: Sequence[TrialDiagnosis]) -> str:
    if not trials:
        return ""
    head = ["trial", "verdict", "epochs", "train", "validation", "gap", "fall", "why"]
    rows = [
        [
            str(one.number),
            one.verdict,
            str(one.n_epochs),
            *map(_figure, (one.train, one.validation, one.gap, one.fall)),
            one.because,
        ]
        for one in trials[-MAX_DIAGNOSIS_ROWS:]
    ]
    which = "All trials" if len(rows) == len(trials) else f"The newest {len(rows)} trials"
    listed = table(head, rows, left=("verdict", "why"))
    return f'<details><summary>{which}, one by one</summary><div class="scroll">{listed}</div></details>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = ("params",)) -> str:
    classes = [' class="left"' if name in left else "" for name in head]
    titles = "".join(f"<th{mark}>{escape(name)}</th>" for name, mark in zip(head, classes, strict=True))
    lines = "".join(
        "<tr>" + "".join(f"<td{mark}>{escape(cell)}</td>" for cell, mark in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="plot"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'


def _shown(params: dict[str, Scalar], name: str) -> str:
    return number(params[name], 3) if name in params else ""


def _figure(value: float | None) -> str:
    return "" if value is None else number(value, 3)
