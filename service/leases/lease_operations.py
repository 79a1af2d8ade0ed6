"""The operations of a worker on its leases: report epochs, renew leases, end a lease."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

from service.errors import ReportConflictError
from service.finals.trials import check_no_test_metrics
from service.leases.ends import EndedTrial, LeaseEnd, read_ended_trial
from service.leases.epoch_reports import (
    check_metric_names,
    check_report,
    record_report,
    renew_lease,
    report_in_database,
)
from service.leases.lookup import Committed, find_lease, get_ended_lease, get_lease, lease_refusal
from service.leases.trial_results import same_metrics
from service.registry.registry import Registry
from service.schemas.protocol import Closed, Report, ReportDecision
from service.schemas.renewals import RenewedLease
from service.study.call_costs import MAX_LEASES
from service.study.live_study import LiveStudy
from storage import Decision, EpochRecord, LeaseRecord, TrialStateName

REPORTS_AT_A_TIME = 32
"""A report may add as many rows to the database as there are rungs. Other calls' commits wait for them."""

StepOfLease = tuple[str, int]
KnownReports = dict[StepOfLease, EpochRecord | None]
ReportOfLease = tuple[Report, LiveStudy | None, LeaseRecord | None]


def answer_reports(registry: Registry, reports: Sequence[Report]) -> tuple[list[ReportDecision], Committed]:
    """Answer each report with a decision.

    Many reports are recorded a few at a time: between them other calls may take the locks of the studies and commit.
    Raises InvalidError and ReportConflictError; then none of the reports is recorded.
    """
    for index, report in enumerate(reports):
        check_no_test_metrics(report.metrics, f"reports.{index}.metrics")
    n_at_a_time = len(reports)
    if len(reports) > MAX_LEASES:
        n_at_a_time = REPORTS_AT_A_TIME
        with _checked(registry, reports):
            pass
    decisions: list[ReportDecision] = []
    commits: list[Future[None]] = []
    for start in range(0, len(reports), n_at_a_time):
        if commits:
            registry.store.wait(commits[-1])
        with _checked(registry, reports[start : start + n_at_a_time]) as (reports_of_leases, known):
            recorded = _record_reports(reports_of_leases, known)
        decisions += recorded[0]
        commits += recorded[1]
    return decisions, commits


@contextmanager
def _checked(registry: Registry, reports: Sequence[Report]) -> Iterator[tuple[list[ReportOfLease], KnownReports]]:
    """Hold the studies of reports, with what is known of each report's step. Raises as `_check_reports` does."""
    reports_of_leases = [(report, *find_lease(registry, report.lease_id)) for report in reports]
    while True:
        earlier = _reports_in_database(reports_of_leases)
        with ExitStack() as held:
            studies = {live.record.study_id: live for _, live, _ in reports_of_leases if live is not None}
            for study_id in sorted(studies):  # in one order, or two calls could wait for each other
                held.enter_context(studies[study_id].lock)
                with registry.store.deferred():
                    studies[study_id].tick()
            if all(_is_in_memory(*one) or _key(one[0]) in earlier for one in reports_of_leases):
                yield reports_of_leases, _check_reports(reports_of_leases, earlier)
                return
        # A lease ended just now, or has just forgotten an early report: it is read without the study's lock.


def _is_in_memory(report: Report, live: LiveStudy | None, lease: LeaseRecord | None) -> bool:
    """Whether a report is of an unknown lease, or of an open one that knows all about its step."""
    return live is None or lease is None or live.leases.knows(lease.lease_id, report.step)


def _key(report: Report) -> StepOfLease:
    return report.lease_id, report.step


def _reports_in_database(reports_of_leases: Sequence[ReportOfLease]) -> KnownReports:
    """Earlier reports of the same steps that are not in memory, be it under open leases or ended ones."""
    return {
        _key(report): report_in_database(live, lease, report.step)
        for report, live, lease in reports_of_leases
        if live is not None and lease is not None and not _is_in_memory(report, live, lease)
    }


def _check_reports(reports_of_leases: Sequence[ReportOfLease], earlier: KnownReports) -> KnownReports:
    """Return the known reports of the same steps, be it under open leases or ended ones.

    Raises ReportConflictError if a step comes with other metrics than before, or than in the same call, and
    InvalidError for too many metrics.
    """
    known: KnownReports = {}
    first_of_step: dict[StepOfLease, Report] = {}
    fields_of_lease: defaultdict[str, list[tuple[str, Report]]] = defaultdict(list)
    for index, (report, live, lease) in enumerate(reports_of_leases):
        first = first_of_step.setdefault((report.lease_id, report.step), report)
        if not same_metrics(first.metrics, report.metrics):
            raise ReportConflictError(f"step {report.step} of lease {report.lease_id} is reported twice, not the same")
        if live is not None and lease is not None:
            known[_key(report)] = earlier.get(_key(report)) or live.leases.epoch(report.lease_id, report.step)
            check_report(lease, known[_key(report)], report.step, report.metrics)
            fields_of_lease[report.lease_id].append((f"reports.{index}", report))
    for _, live, lease in reports_of_leases:
        if live is not None and lease is not None:
            check_metric_names(live, lease.lease_id, fields_of_lease.pop(lease.lease_id, []))
    return known


def _record_reports(
    reports_of_leases: Sequence[ReportOfLease], known: KnownReports
) -> tuple[list[ReportDecision], list[Future[None]]]:
    decisions = []
    commits = []
    for report, live, lease in reports_of_leases:
        decision: Decision = "lost"
        if live is not None and lease is not None:
            decision, committed = record_report(live, lease, known[_key(report)], report.step, report.metrics)
            commits.append(committed)
        decisions.append(ReportDecision(lease_id=report.lease_id, step=report.step, decision=decision))
    return decisions, commits


def extend_leases(registry: Registry, lease_ids: Sequence[str]) -> tuple[list[RenewedLease], Committed]:
    """Give each open lease a fresh term. Leases that have ended or are unknown are answered as not alive."""
    renewed = []
    commits = []
    for lease_id in lease_ids:
        live, _ = find_lease(registry, lease_id)
        seconds = 0.0
        if live is not None:
            seconds, committed = renew_lease(live, lease_id)
            commits.append(committed)
        renewed.append(RenewedLease(lease_id=lease_id, alive=seconds > 0, expires_in_seconds=seconds))
    return renewed, commits


def end_lease(registry: Registry, lease_id: str, end: LeaseEnd) -> tuple[Closed, Committed]:
    """End a lease and return the state of its trial. The same call again returns the same state.

    Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError, and what the methods of `end` raise.
    """
    live, lease = get_lease(registry, lease_id)
    end.check(live, lease)
    while True:
        trial = _ended_trial(registry, live, lease, end)
        with live.deferred_change() as committed:
            if live.leases.get(lease_id) is not None:
                return _closed(live, lease, end.apply(live, lease)), [committed]
            if trial is not None and trial.lease.state is not None:
                end.apply_again(live, trial)
                return _closed(live, lease, trial.lease.state), [committed]
        # The lease ended just now: what it left is read without the study's lock.


def _ended_trial(registry: Registry, live: LiveStudy, lease: LeaseRecord, end: LeaseEnd) -> EndedTrial | None:
    """The trial of a lease that has ended in a way after which the call is answered again; None for an open lease.

    Raises LeaseNotFoundError, LeaseLostError and LeaseClosedError.
    """
    if live.leases.get(lease.lease_id) is not None:
        return None
    ended = get_ended_lease(registry, lease)
    if ended.outcome not in end.answered_after or ended.state is None:
        raise lease_refusal(ended)
    return read_ended_trial(live, ended)


def _closed(live: LiveStudy, lease: LeaseRecord, state: TrialStateName) -> Closed:
    """The answer to a worker, with the reason if it gets no more trials of the study because too many have failed."""
    note = None
    if live.record.state == "paused" and live.record.state_reason is not None:
        note = f"the study is paused: {live.record.state_reason}"
    elif live.failures.is_stopped(lease.worker_id):
        note = f"this worker gets no more trials of the study: {live.failures.text(live.record.name)}"
    return Closed(state=state, note=note)
