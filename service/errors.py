"""Errors of the service, each with its HTTP status and the stable code that clients see.

ServiceError
├── InvalidError                    422  invalid
├── UnauthorizedError               401  unauthorized
├── ForbiddenError                  403  forbidden
│   ├── InsufficientScopeError           insufficient_scope
│   └── CrossOriginError                 cross_origin
├── NotFoundError                   404  not_found
│   ├── StudyNotFoundError               study_not_found
│   ├── TrialNotFoundError               trial_not_found
│   ├── LeaseNotFoundError               lease_not_found
│   ├── ArtifactNotFoundError            artifact_not_found
│   ├── FinalNotFoundError               final_not_found
│   ├── ImportNotFoundError              import_not_found
│   └── TokenNotFoundError               token_not_found
├── SlowRequestError                408  request_timeout
├── IncompleteUploadError           408  upload_incomplete
├── TooLargeError                   413  too_large
├── TooManyAttemptsError            429  too_many_attempts
├── TooManyReadersError             503  too_many_readers
├── ShuttingDownError               503  shutting_down
├── OverloadedError                 503  overloaded
└── ConflictError                   409  conflict
    ├── StudyExistsError                 study_exists
    ├── TokenExistsError                 token_exists
    ├── TrialLeasedError                 trial_leased
    ├── StateConflictError               state_conflict
    ├── BudgetExhaustedError             budget_exhausted
    ├── NothingLeftError                 nothing_left
    ├── RoundExistsError                 round_exists
    ├── DistributionError                distribution_conflict
    ├── ReportConflictError              report_conflict
    ├── TooManyArtifactsError            too_many_artifacts
    ├── LeaseClosedError                 lease_closed
    └── LeaseLostError                   lease_lost
"""

from collections.abc import Sequence
from http import HTTPStatus


class ServiceError(Exception):
    """Any error that the service answers with problem details (RFC 9457).

    `errors` are (field, message) pairs for invalid input.
    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal"
    retry_after_seconds: int | None = None

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class InvalidError(ServiceError):
    """The input breaks a rule. `errors` are (field, message) pairs; the first becomes the detail.

    `line` is that of the first error in a YAML body, from 1, if it is known already.
    """

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid"

    def __init__(self, errors: Sequence[tuple[str, str]], line: int | None = None) -> None:
        self.line = line
        first, *others = [f"{field}: {message}" for field, message in errors]
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(f"{first}{more}", errors)


class UnauthorizedError(ServiceError):
    """The request has no valid token or session."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"


class ForbiddenError(ServiceError):
    """The caller is known but may not do this."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class InsufficientScopeError(ForbiddenError):
    """The token lacks the scope that the route requires."""

    code = "insufficient_scope"


class CrossOriginError(ForbiddenError):
    """The request comes from another site's page, or names another host than localhost while no token exists."""

    code = "cross_origin"


class NotFoundError(ServiceError):
    """There is no such path."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class StudyNotFoundError(NotFoundError):
    """There is no such study."""

    code = "study_not_found"


class TrialNotFoundError(NotFoundError):
    """There is no such trial."""

    code = "trial_not_found"


class LeaseNotFoundError(NotFoundError):
    """There is no such lease."""

    code = "lease_not_found"


class ArtifactNotFoundError(NotFoundError):
    """The trial has no artifact of this name."""

    code = "artifact_not_found"


class FinalNotFoundError(NotFoundError):
    """The study has no final evaluation yet."""

    code = "final_not_found"


class ImportNotFoundError(NotFoundError):
    """The study has no import with this number."""

    code = "import_not_found"


class TokenNotFoundError(NotFoundError):
    """There is no token of this name."""

    code = "token_not_found"


class SlowRequestError(ServiceError):
    """The body of a request did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"


class IncompleteUploadError(ServiceError):
    """An upload stalled or was broken off."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "upload_incomplete"


class TooLargeError(ServiceError):
    """An upload is larger than an artifact may be."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "too_large"


class TooManyAttemptsError(ServiceError):
    """One address sent too many wrong tokens. `retry_after_seconds` is the wait until the next attempt."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_attempts"

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class TooManyReadersError(ServiceError):
    """All reader slots of the event stream are taken."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "too_many_readers"
    retry_after_seconds = 10


class ShuttingDownError(ServiceError):
    """The service is shutting down."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "shutting_down"
    retry_after_seconds = 2


class OverloadedError(ServiceError):
    """The machine of the service has no process or memory left for this call."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "overloaded"
    retry_after_seconds = 10


class ConflictError(ServiceError):
    """The present state does not allow this."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class StudyExistsError(ConflictError):
    """A study of this name exists with another definition."""

    code = "study_exists"


class TokenExistsError(ConflictError):
    """A valid token of this name exists."""

    code = "token_exists"


class TrialLeasedError(ConflictError):
    """A worker holds the trial."""

    code = "trial_leased"


class StateConflictError(ConflictError):
    """The state of the study or trial does not allow this."""

    code = "state_conflict"


class BudgetExhaustedError(ConflictError):
    """The study already has n_trials trials."""

    code = "budget_exhausted"


class NothingLeftError(ConflictError):
    """Every configuration of the grid that has these values is tried or queued."""

    code = "nothing_left"


class RoundExistsError(ConflictError):
    """The narrowing round has already begun."""

    code = "round_exists"


class DistributionError(ConflictError):
    """The parameter already has another distribution."""

    code = "distribution_conflict"


class ReportConflictError(ConflictError):
    """The same step was reported before with other metrics."""

    code = "report_conflict"


class TooManyArtifactsError(ConflictError):
    """The trial already has the maximum number of artifacts."""

    code = "too_many_artifacts"


class LeaseClosedError(ConflictError):
    """The lease has ended in another way."""

    code = "lease_closed"


class LeaseLostError(ConflictError):
    """The lease has expired."""

    code = "lease_lost"
