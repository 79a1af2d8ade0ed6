"""Answer what the code of a trial reports and asks for."""

from collections.abc import Sequence

from pydantic import ValidationError

from service.client import Client, ServiceError
from service.client.retries import Retries, will_pass
from service.schemas.code_calls import NewConstraints, NewUserAttrs, Suggest
from service.schemas.locations import first_error
from service.schemas.protocol import Decision, Lease, Report
from workers.leases.reporter import LOST_CODES, Reporter
from workers.user_process.channel import Message

REPORT_SECONDS = 5.0
"""How long the code waits for the decision on a report. After a wait in vain, it waits for AWAY_SECONDS."""
AWAY_SECONDS = 0.05


class CallHandler:
    """Answers the calls of one trial's code with the help of the service."""

    def __init__(self, lease: Lease, client: Client, reporter: Reporter, retries: Retries) -> None:
        self._lease_id, self._study = lease.lease_id, lease.study
        self._client = client
        self._reporter = reporter
        self._retries = retries
        self._patience_seconds = REPORT_SECONDS
        self.is_lost = False
        """Whether the service has said that the lease is lost."""
        self.is_feasible = True
        """False once the code has set a constraint that is violated."""

    def answer(self, message: Message) -> Message:
        """The answer, with the field `error` if the call is refused. Raises ClientError if the service stays away."""
        try:
            return self._answer(message)
        except ValidationError as error:
            return {"error": first_error(error)}
        except ServiceError as error:
            if will_pass(error):
                raise
            self.is_lost = self.is_lost or error.code in LOST_CODES
            return {"error": str(error)}
        except ValueError as error:  # such as text that is not valid Unicode
            return {"error": str(error)}

    def _answer(self, message: Message) -> Message:
        fields = {name: value for name, value in message.items() if name != "call"}
        match message["call"]:
            case "report":
                return self._report(Report.model_validate({**fields, "lease_id": self._lease_id}))
            case "reports":
                return self._reports(fields["reports"])
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
                new = NewConstraints.model_validate(fields)
                constraints = self._retries(lambda: self._client.set_constraints(self._lease_id, new)).constraints
                self.is_feasible = all(value <= 0 for value in constraints.values())
                return {}
            case "best_trial":
                return {"best_trial": self._best_trial()}
            case "broadcast":
                return {"value": fields["value"]}  # for the other ranks, which get the answers of rank 0
            case unknown:
                return {"error": f"no such call: {unknown[:100]}"}

    def _best_trial(self) -> Message | None:
        best = self._retries(lambda: self._client.study(self._study)).best  # /best needs more than the scope work
        return None if best is None else best.model_dump(include={"number", "values", "params", "user_attrs"})

    def _report(self, report: Report) -> Message:
        self._reporter.report(self._lease_id, report.step, report.metrics)
        is_answered = self._reporter.flush(self._lease_id, self._patience_seconds)
        self._patience_seconds = REPORT_SECONDS if is_answered else AWAY_SECONDS
        return {"decision": self._decision()}

    def _reports(self, messages: Sequence[Message]) -> Message:
        """Report several steps in order, for which the code does not wait."""
        reports = [
            Report(lease_id=self._lease_id, step=message["step"], metrics=message["metrics"]) for message in messages
        ]
        for report in reports[:-1]:
            self._reporter.report(self._lease_id, report.step, report.metrics)
        return self._report(reports[-1])

    def _decision(self) -> Decision:
        """Report `pause` as `prune`, to code without checkpoints: it cannot be resumed."""
        decision = self._reporter.decision(self._lease_id)
        return "prune" if decision == "pause" else decision
