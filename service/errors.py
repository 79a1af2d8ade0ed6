"""Errors of the service, each with the HTTP status and the stable code that clients see.

ServiceError
├── InvalidError              422  invalid              input that breaks a rule; names the fields
├── UnauthorizedError         401  unauthorized         no token, or a wrong one
├── ForbiddenError            403  forbidden            known, but not allowed
│   ├── InsufficientScopeError     insufficient_scope   the token opens other things
│   └── CrossOriginError           cross_origin         from another site's page, or to another name than localhost
├── NotFoundError             404  not_found            no such path
│   ├── StudyNotFoundError         study_not_found
│   ├── TrialNotFoundError         trial_not_found
│   ├── LeaseNotFoundError         lease_not_found
│   ├── ArtifactNotFoundError      artifact_not_found
│   ├── FinalNotFoundError         final_not_found      the study has no final evaluation yet
│   ├── ImportNotFoundError        import_not_found
│   └── TokenNotFoundError         token_not_found
├── SlowRequestError          408  request_timeout      the body did not arrive in time
├── IncompleteUploadError     408  upload_incomplete    an upload that stands still or breaks off
├── TooLargeError             413  too_large            an upload that is larger than artifacts may be
├── TooManyAttemptsError      429  too_many_attempts    too many wrong tokens from one address
├── TooManyReadersError       503  too_many_readers     no place left in the event stream
├── ShuttingDownError         503  shutting_down        the service is about to end
└── ConflictError             409  conflict             not in the present state
    ├── StudyExistsError           study_exists         same name, another definition
    ├── TokenExistsError           token_exists         a valid token has the name
    ├── TrialLeasedError           trial_leased         a worker has the trial
    ├── StateConflictError         state_conflict       a study's state does not allow it
    ├── BudgetExhaustedError       budget_exhausted     n_trials trials exist already
    ├── NothingLeftError           nothing_left         every such configuration of a grid is tried
    ├── RoundExistsError           round_exists         the narrowing round has begun already
    ├── DistributionError          distribution_conflict  the parameter has another distribution
    ├── ReportConflictError        report_conflict      the same step again with other metrics
    ├── TooManyArtifactsError      too_many_artifacts   the trial has as many as it may have
    ├── LeaseClosedError           lease_closed         the lease has ended in another way
    └── LeaseLostError             lease_lost           the lease has expired
"""

from collections.abc import Sequence
from http import HTTPStatus


class ServiceError(Exception):
    """Anything that the service answers with a problem."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal"
    retry_after_seconds: int | None = None

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class InvalidError(ServiceError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid"

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        first, *others = [f"{field}: {message}" for field, message in errors]
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(f"{first}{more}", errors)


class UnauthorizedError(ServiceError):
    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"


class ForbiddenError(ServiceError):
    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class InsufficientScopeError(ForbiddenError):
    code = "insufficient_scope"


class CrossOriginError(ForbiddenError):
    code = "cross_origin"


class NotFoundError(ServiceError):
    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class StudyNotFoundError(NotFoundError):
    code = "study_not_found"


class TrialNotFoundError(NotFoundError):
    code = "trial_not_found"


class LeaseNotFoundError(NotFoundError):
    code = "lease_not_found"


class ArtifactNotFoundError(NotFoundError):
    code = "artifact_not_found"


class FinalNotFoundError(NotFoundError):
    code = "final_not_found"


class ImportNotFoundError(NotFoundError):
    code = "import_not_found"


class IncompleteUploadError(ServiceError):
    status = HTTPStatus.REQUEST_TIMEOUT
    code = "upload_incomplete"


class TooLargeError(ServiceError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "too_large"


class TooManyReadersError(ServiceError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "too_many_readers"
    retry_after_seconds = 10


class ShuttingDownError(ServiceError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "shutting_down"
    retry_after_seconds = 2


class TokenNotFoundError(NotFoundError):
    code = "token_not_found"


class SlowRequestError(ServiceError):
    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"


class TooManyAttemptsError(ServiceError):
    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_attempts"

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class ConflictError(ServiceError):
    status = HTTPStatus.CONFLICT
    code = "conflict"


class StudyExistsError(ConflictError):
    code = "study_exists"


class TokenExistsError(ConflictError):
    code = "token_exists"


class TrialLeasedError(ConflictError):
    code = "trial_leased"


class StateConflictError(ConflictError):
    code = "state_conflict"


class BudgetExhaustedError(ConflictError):
    code = "budget_exhausted"


class NothingLeftError(ConflictError):
    code = "nothing_left"


class RoundExistsError(ConflictError):
    code = "round_exists"


class DistributionError(ConflictError):
    code = "distribution_conflict"


class ReportConflictError(ConflictError):
    code = "report_conflict"


class TooManyArtifactsError(ConflictError):
    code = "too_many_artifacts"


class LeaseClosedError(ConflictError):
    code = "lease_closed"


class LeaseLostError(ConflictError):
    code = "lease_lost"
