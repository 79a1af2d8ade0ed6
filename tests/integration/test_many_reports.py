"""One call with reports of many trials: recorded a few at a time, and all or none."""

import pytest

from service.leases.lease_operations import REPORTS_AT_A_TIME
from service.study.call_costs import MAX_LEASES
from storage import Commit
from tests.integration.service_driver import Json, Service, code_of

N_REPORTS = MAX_LEASES + 3 * REPORTS_AT_A_TIME
N_RUNGS = 12
HALVING: Json = {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2}


@pytest.fixture
def leases(service: Service) -> list[Json]:
    return service.claim(service.create(n_trials=N_REPORTS, pruner=HALVING), N_REPORTS)


def bodies(leases: list[Json], step: int) -> list[Json]:
    metrics = {"validation_accuracy": 0.5}
    return [{"lease_id": lease["lease_id"], "step": step, "metrics": metrics} for lease in leases]


def test_no_commit_has_many_of_their_rows(service: Service, leases: list[Json]) -> None:
    """Each report reaches all rungs, which are as many rows. Reports of other studies wait for a commit."""
    commits: list[Commit] = []
    service.store.add_commit_listener(commits.append)
    answer = service.http.post("/v1/reports", json={"reports": bodies(leases, 2 ** (N_RUNGS - 1))}).json()
    n_rows = [commit.n_rows for commit in commits]
    assert {decision["decision"] for decision in answer["decisions"]} == {"continue"}
    assert sum(n_rows) > N_REPORTS * N_RUNGS
    assert max(n_rows) <= REPORTS_AT_A_TIME * (N_RUNGS + 4)


def test_none_is_recorded_if_one_of_them_is_wrong(service: Service, leases: list[Json]) -> None:
    service.report(leases[-1], 0, 0.25)
    wrong = service.http.post("/v1/reports", json={"reports": bodies(leases, 0)})
    assert code_of(wrong, 409) == "report_conflict"
    name = leases[0]["study"]
    assert [service.trial(name, number)["step"] for number in (0, N_REPORTS - 2, N_REPORTS - 1)] == [None, None, 0]


def test_the_same_call_again_gets_the_same_answer(service: Service, leases: list[Json]) -> None:
    first = service.http.post("/v1/reports", json={"reports": bodies(leases, 3)}).json()
    assert service.http.post("/v1/reports", json={"reports": bodies(leases, 3)}).json() == first
    assert [one["lease_id"] for one in first["decisions"]] == [lease["lease_id"] for lease in leases]
