from pydantic import ValidationError

from service.client import Client, ServiceError
from service.client.retries import Retries, will_pass
from service.schemas.protocol import Decision, Lease, NewConstraints, NewUserAttrs, Report, Suggest
from workers.leases.reporter import LOST_CODES, Reporter
from workers.user_code.conversation import Message

REPORT_SECONDS = 5.0
"""How long the code waits for the decision on a report; while the service is away, it goes on without one."""
AWAY_SECONDS = 0.05


class Calls:
    """Answers what the code of one trial reports and asks for, by way of the service."""

    def __init__(self, lease: Lease, client: Client, reporter: Reporter, retries: Retries) -> None:
        self._lease_id = lease.lease_id
        self._client = client
        self._reporter = reporter
        self._retries = retries
        self._patience_seconds = REPORT_SECONDS
        self.is_lost = False
        self.is_feasible = True
        """Whether the code has set no constraint that it violates."""

    def answer(self, message: Message) -> Message:
        """Raises ClientError when the service is away for too long."""
        try:
            return self._answer(message)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            return {"error": f"{where}: {str(first['msg']).removeprefix('Value error, ')}"}
        except ServiceError as error:
            if will_pass(error):
                raise
            self.is_lost = self.is_lost or error.code in LOST_CODES
            return {"error": str(error)}
        except ValueError as error:  # such as text that is no Unicode
            return {"error": str(error)}

    def _answer(self, message: Message) -> Message:
        fields = {name: value for name, value in message.items() if name != "call"}
        match message["call"]:
            case "report":
                return self._report(Report.model_validate({**fields, "lease_id": self._lease_id}))
            case "decision":
                return {"decision": self._decision()}
            case "suggest":
                suggest = Suggest.model_validate(fields)
                value = self._retries(lambda: self._client.suggest(self._lease_id, suggest)).value
                self._reporter.add_param(self._lease_id, suggest.name, value)
                return {"value": value}
            case "set_user_attr":
                attrs = NewUserAttrs.model_validate(fields)
                self._retries(lambda: self._client.set_user_attrs(self._lease_id, attrs))
                return {}
            case "set_constraint":
                constraints = NewConstraints.model_validate(fields)
                known = self._retries(lambda: self._client.set_constraints(self._lease_id, constraints)).constraints
                self.is_feasible = all(value <= 0 for value in known.values())
                return {}
            case unknown:
                return {"error": f"no such call: {unknown[:100]}"}

    def _report(self, report: Report) -> Message:
        self._reporter.report(self._lease_id, report.step, report.metrics)
        answered = self._reporter.flush(self._lease_id, self._patience_seconds)
        self._patience_seconds = REPORT_SECONDS if answered else AWAY_SECONDS
        return {"decision": self._decision()}

    def _decision(self) -> Decision:
        """To code that is to pause and goes on all the same, because it keeps no files, that is to be pruned."""
        decision = self._reporter.decision(self._lease_id)
        return "prune" if decision == "pause" else decision
