"""Text that a user may send in every field, and a study that has it everywhere."""

import re

from service.schemas.study.definition import Definition
from tests.integration.service_driver import Json, Service, definition

FORGED = "2026-01-01 00:00:00,000 ERROR service.web: forged"


WILD = f"=1+1\x1b]0;t\x07\r\n{FORGED}\x9b2J\u202e\u2028</script><script>alert(1)</script>'\",;&\t"


NAME = f"n{WILD}"


def send_everything(service: Service) -> list[str]:
    """Send WILD in all fields of KEPT. Returns the names of the studies."""
    when = {NAME: [WILD]}
    space: Json = {
        NAME: {"type": "categorical", "choices": [WILD, "plain"]},
        "float": {"type": "float", "low": 0, "high": 1, "when": when},
        "int": {"type": "int", "low": -9, "high": -1, "when": when},
        "choice": {"type": "categorical", "choices": ["-a", "@b"], "when": when},
    }
    objectives = [{"metric": WILD, "direction": "maximize"}]
    params = {NAME: WILD, "float": 0.5, "int": -5, "choice": "-a"}
    own = service.create(
        objectives=objectives,
        constraints=[{"metric": f"seconds{WILD}", "max": 5}],
        search_space=space,
        training={"entrypoint": "mine.train:f", "arguments": {WILD: {WILD: [WILD]}}},
        sampler={"name": "tpe", "seed": 0},
        enqueue=[params],
        n_trials=9,
    )
    service.http.post(f"/v1/studies/{own}/trials", json={"params": params}).raise_for_status()
    constraint = next(
        iter(Definition.model_validate(service.study(own)["definition"]).constraints[0].constraint_values(0))
    )
    imported = {"state": "COMPLETE", "params": {**params, WILD: WILD}, "values": [0.5], "constraints": {constraint: -1}}
    kind = {"type": "categorical", "choices": [WILD, "plain"]}
    body = {"source": WILD, "distributions": {WILD: kind}, "trials": [imported], "defaults": {NAME: WILD}}
    service.http.post(f"/v1/studies/{own}/imports", json=body).raise_for_status()
    worker = {"id": WILD, "host": WILD, "device": WILD, "narrows_version": WILD[:100], "torch_version": WILD[:100]}
    for ending in ("complete", "fail"):
        claim = {"claim_id": ending, "worker": worker, "study": own, "allow": ["mine"]}
        (lease,) = service.http.post("/v1/claims", json=claim).json()["leases"]
        path = f"/v1/leases/{lease['lease_id']}"
        calls: list[tuple[str, Json]] = [
            ("suggest", {"name": f"asked{WILD}", "distribution": kind}),
            ("user-attrs", {"user_attrs": {WILD: {WILD: [WILD]}}}),
            ("constraints", {"constraints": {f"code{WILD}": -1.0}}),
        ]
        for route, content in calls:
            service.http.post(f"{path}/{route}", json=content).raise_for_status()
        metrics = {WILD: -0.5, f"seconds{WILD}": 1.0}
        report = {"lease_id": lease["lease_id"], "step": 0, "metrics": metrics}
        service.http.post("/v1/reports", json={"reports": [report]}).raise_for_status()
        result: Json = {"metrics": metrics} if ending == "complete" else {"reason": WILD}
        service.http.post(f"{path}/{ending}", json=result).raise_for_status()
    service.http.post(f"/v1/studies/{own}/final", json={"force": True, "reason": WILD})
    later = service.create(
        objectives=objectives,
        search_space={
            NAME: space[NAME],
            f"asked{WILD}": kind,
            **{key: space[key] for key in ("float", "int", "choice")},
        },
        training={"entrypoint": "mine.train:f"},
        sampler="tpe",
        warm_start_from=[own],
        warm_start_defaults={NAME: WILD},
    )
    arguments = {"entrypoint": "mine.data:make", "arguments": {"a": WILD}}
    parts = service.create(training={"dataset": arguments, "model": {**arguments}, "epochs": 1})
    pattern = re.escape(WILD)
    command = service.create(
        objectives=objectives,
        search_space=space,
        training={
            "command": [WILD, "{args}"],
            "arguments": {f"constant{WILD}": WILD},
            "environment": {"A": WILD},
            "metrics": {WILD: f"{pattern}(?P<value>.)"},
            "step": f"{pattern}(?P<step>.)",
            "working_directory": WILD.replace("/", ""),
        },
    )
    data = {"name": "folder", "path": WILD}
    refused = service.http.post("/v1/studies", json=definition(training={"dataset": data, "model": "mlp"}))
    named = service.http.post("/v1/studies", json=definition(training={"dataset": WILD, "model": "mlp"}))
    assert {refused.status_code, named.status_code} <= {201, 422}
    return [own, parts, later, command]
