"""What users' code asks the service for, with the token of a worker."""

from service.client.retries import Retries
from service.schemas.protocol import Lease
from tests.integration.service_driver import Service, bearer
from workers.leases.reporter import Reporter
from workers.user_code.objectives.call_handler import CallHandler

OPERATOR = "correct horse"


def test_the_best_trial_needs_no_more_than_the_scope_of_a_worker(sqlite_url: str) -> None:
    with Service(sqlite_url, token=OPERATOR) as service:
        service.http.headers |= bearer(OPERATOR)
        study = service.create()
        for value in (0.25, 0.75):
            service.complete(service.claim_one(study), value)
        lease = Lease.model_validate(service.claim_one(study))
        with service.client(service.create_token("lab-gpu", ["work"])) as client:
            retries = Retries(0.0)
            reporter = Reporter(client, retries)
            answer = CallHandler(lease, client, reporter, retries).answer({"call": "best_trial"})
            reporter.close()
        best = service.trial(study, 1)
    assert answer == {"best_trial": {name: best[name] for name in ("number", "values", "params", "user_attrs")}}
