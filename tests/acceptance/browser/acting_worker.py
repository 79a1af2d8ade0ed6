"""Does over HTTP what a worker does, with curves of a test's choosing."""

import itertools
from typing import Any

import httpx

Json = dict[str, Any]


class ActingWorker:
    """A worker that trains nothing."""

    def __init__(self, http: httpx.Client, name: str = "lab-gpu-1/cuda:0", **facts: str) -> None:
        """`facts` are more of what the worker says of itself."""
        self.http = http
        self.name = name
        self.facts = facts
        self._claims = itertools.count()

    def claim(self, study: str) -> Json:
        """The lease of one trial."""
        worker = {"id": self.name, "host": "lab-gpu-1", "device": "cuda:0", "n_lanes": 4, **self.facts}
        claim = {"claim_id": f"{self.name}-{next(self._claims)}", "worker": worker, "max_trials": 1, "study": study}
        [lease] = self.post("/v1/claims", {**claim, "wait_seconds": 10})["leases"]
        return dict(lease)

    def report(self, lease: Json, step: int, **metrics: float) -> str:
        """Report an epoch, and return the decision."""
        report = {"lease_id": lease["lease_id"], "step": step, "metrics": metrics}
        [answer] = self.post("/v1/reports", {"reports": [report]})["decisions"]
        return str(answer["decision"])

    def complete(self, lease: Json, **metrics: float) -> None:
        """End the trial with its final metrics."""
        self.post(f"/v1/leases/{lease['lease_id']}/complete", {"metrics": metrics})

    def fail(self, lease: Json, reason: str) -> None:
        """End the trial with a reason."""
        self.post(f"/v1/leases/{lease['lease_id']}/fail", {"reason": reason, "retry": False})

    def train(self, study: str, accuracy: float, n_epochs: int = 4) -> int:
        """A whole trial that ends with this accuracy. Return its number."""
        lease = self.claim(study)
        for step in range(n_epochs):
            learned = accuracy * (step + 1) / n_epochs
            if self.report(lease, step, validation_accuracy=learned, train_accuracy=learned + 0.01) == "prune":
                return int(lease["trial_number"])
        self.complete(lease, validation_accuracy=accuracy)
        return int(lease["trial_number"])

    def post(self, path: str, body: Json) -> Json:
        response = self.http.post(path, json=body)
        assert response.is_success, response.text
        answer: Json = response.json()
        return answer
