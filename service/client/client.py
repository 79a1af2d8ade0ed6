"""The client of the HTTP API."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from service.client.artifacts import download, upload
from service.client.client_study import ClientStudy
from service.client.errors import MissingPackageError
from service.client.pages import every_page
from service.client.paths import quoted, study_path
from service.client.transport import BodyToSend, Method, Query, Transport
from service.client.worker_calls import WorkerCalls
from service.schemas.artifacts import Artifact, ArtifactList
from service.schemas.changes import NewTrial, RequestedState, StudyChange
from service.schemas.diagnosis import Diagnosis
from service.schemas.final import Final, FinalRequest
from service.schemas.imports import Import, ImportList, NewImport
from service.schemas.results import (
    BestTrials,
    Curves,
    ExportFormat,
    Importances,
    Study,
    StudyList,
    Trial,
    TrialList,
    TrialState,
)
from service.schemas.rounds import NarrowedRound, NarrowRequest, Round, RoundList
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params
from service.schemas.study_check import StudyCheck
from service.schemas.tokens import CreatedToken, Token, TokenList
from service.schemas.workers import WorkerList

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

DATAFRAME = (
    *("number", "value", "datetime_start", "datetime_complete", "duration"),
    *("params", "user_attrs", "system_attrs", "state"),
)
"""The columns of a data frame that Optuna has by default."""
AWAY_SECONDS = 30.0
"""How long `watch` goes on while the service does not answer."""
TRIALS_PER_PAGE = 1000
"""The most that the service sends on one page."""


class Client(WorkerCalls):
    """The calls of the HTTP API, one method each; a failed one raises a ClientError.

    Calls are not repeated; `service.client.retries` repeats those that are safe to repeat. Several threads may share a
    client.
    """

    def __init__(
        self,
        server: str,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self.server = server.rstrip("/")
        super().__init__(Transport(server, token, transport, timeout_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def health(self) -> None:
        """Return if the service is ready to work."""
        self._transport.send("GET", "/readyz")

    def get(self, path: str, query: Query | None = None) -> str:
        """The JSON text of any GET call, as the service sent it; `path` without the prefix."""
        return self._transport.send("GET", f"/v1/{path}", query=query).decode()

    # Studies

    def create_study(self, definition: Definition | Mapping[str, Any], *, replace: bool = False) -> ClientStudy:
        """Create a study, or return the same study if it exists. Safe to repeat.

        With `replace`, the definition takes the place of a study of its name that has no complete trial.
        """
        return self._study("POST", "/v1/studies", body=definition, query={"replace": "true"} if replace else None)

    def check_study(self, definition: Definition | Mapping[str, Any] | bytes) -> StudyCheck:
        """Check a definition, or a YAML text, without creating a study. Errors in a text come with their lines."""
        return self._transport.call(StudyCheck, "POST", "/v1/studies", body=definition, query={"check": "true"})

    def studies_page(self, limit: int | None = None, cursor: str | None = None) -> StudyList:
        """A page of studies, oldest first, from a cursor of the page before."""
        query: Query = {"limit": limit, "cursor": cursor}
        return self._transport.call(StudyList, "GET", "/v1/studies", query=query)

    def studies(self) -> Iterator[Study]:
        """Every study, oldest first, read page by page."""
        for page in every_page(lambda cursor: self.studies_page(cursor=cursor)):
            yield from page.studies

    def study(self, name: str) -> ClientStudy:
        """A study as it is now."""
        return self._study("GET", study_path(name))

    def _study(self, method: Method, path: str, body: BodyToSend = None, query: Query | None = None) -> ClientStudy:
        status, answer = self._transport.exchange(method, path, body=body, query=query)
        return ClientStudy.bound(self._transport, answer, is_new=status == 201)

    def watch(self, name: str, console: "Console | None" = None) -> ClientStudy:
        """Show the progress of a study in a terminal or notebook until the study ends, and return it."""
        from rich.console import Console

        from service.client.progress import follow
        from service.client.retries import Retries

        retries = Retries(limit_seconds=AWAY_SECONDS)
        return follow(lambda: retries(lambda: self.study(name)), console or Console())

    def change(
        self, name: str, *, state: RequestedState | None = None, n_trials: int | None = None, **limits: float | None
    ) -> ClientStudy:
        """Change a study's state, its number of trials, `max_total_epochs` or `max_device_hours`, and return it."""
        body = {"state": state, "n_trials": n_trials, **limits}
        change = StudyChange.model_validate({key: value for key, value in body.items() if value is not None})
        return self._study("PATCH", study_path(name), body=change)

    def delete(self, name: str) -> None:
        """Delete a study with its trials and their files."""
        self._transport.send("DELETE", study_path(name))

    # Trials

    def trials_page(
        self,
        name: str,
        *,
        state: TrialState | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> TrialList:
        """A page of a study's trials, from a cursor of the page before."""
        query: Query = {"state": state, "order_by": order_by, "limit": limit, "cursor": cursor}
        return self._transport.call(TrialList, "GET", f"{study_path(name)}/trials", query=query)

    def trials(self, name: str, *, state: TrialState | None = None, order_by: str | None = None) -> Iterator[Trial]:
        """Every trial of a study, read page by page."""

        def read(cursor: str | None) -> TrialList:
            return self.trials_page(name, state=state, order_by=order_by, limit=TRIALS_PER_PAGE, cursor=cursor)

        for page in every_page(read):
            yield from page.trials

    def trial(self, name: str, number: int) -> Trial:
        """A trial by its number."""
        return self._transport.call(Trial, "GET", f"{study_path(name)}/trials/{number}")

    def curves_page(self, name: str, number: int, *, limit: int | None = None, cursor: str | None = None) -> Curves:
        """A page of the metrics that a trial reported, from a cursor of the page before; `limit` counts its steps."""
        query: Query = {"limit": limit, "cursor": cursor}
        return self._transport.call(Curves, "GET", f"{study_path(name)}/trials/{number}/curves", query=query)

    def curves(self, name: str, number: int) -> Curves:
        """The metrics that a trial reported, step by step."""
        return Curves.joined(every_page(lambda cursor: self.curves_page(name, number, cursor=cursor)))

    def enqueue(self, name: str, params: Params, *, skip_if_exists: bool = False) -> Trial:
        """Add a configuration to train next, and return its trial.

        With `skip_if_exists` the call is safe to repeat: it returns a trial that has these parameters already.
        """
        body = NewTrial(params=params, skip_if_exists=skip_if_exists)
        return self._transport.call(Trial, "POST", f"{study_path(name)}/trials", body=body)

    def retry(self, name: str, number: int) -> Trial:
        """Try a failed trial again, and return the new trial."""
        return self._transport.call(Trial, "POST", f"{study_path(name)}/trials/{number}/retry")

    def import_trials(self, name: str, wanted: NewImport | Mapping[str, Any], *, check: bool = False) -> Import:
        """Let the sampler learn from trials that are not trials of the study. `check` imports nothing."""
        query: Query | None = {"check": "true"} if check else None
        return self._transport.call(Import, "POST", f"{study_path(name)}/imports", body=wanted, query=query)

    def imports(self, name: str) -> list[Import]:
        """The imports of a study, oldest first."""
        return self._transport.call(ImportList, "GET", f"{study_path(name)}/imports").imports

    # Results

    def best(self, name: str, k: int | None = None) -> list[Trial]:
        """The best complete trials of a study, or its Pareto front with several objectives."""
        return self.best_trials(name, k).trials

    def best_trials(self, name: str, k: int | None = None) -> BestTrials:
        """The best complete trials of a study, and the unfinished one that is better than these, if there is one."""
        return self._transport.call(BestTrials, "GET", f"{study_path(name)}/best", query={"k": k})

    def pareto(self, name: str) -> list[Trial]:
        """The Pareto front of a study."""
        return self._transport.call(BestTrials, "GET", f"{study_path(name)}/pareto").trials

    def begin_final(self, name: str, wanted: FinalRequest | Mapping[str, Any] | None = None) -> Final:
        """Begin the final evaluation, or return the present one. Safe to repeat."""
        return self._transport.call(Final, "POST", f"{study_path(name)}/final", body=wanted or {})

    def final(self, name: str) -> Final:
        """The latest final evaluation of a study."""
        return self._transport.call(Final, "GET", f"{study_path(name)}/final")

    def narrow(self, name: str, wanted: NarrowRequest | Mapping[str, Any] | None = None) -> NarrowedRound:
        """Begin the next narrowing round, or preview it. Safe to repeat with the number of the round."""
        return self._transport.call(NarrowedRound, "POST", f"{study_path(name)}/narrow", body=wanted or {})

    def rounds(self, name: str) -> list[Round]:
        """The narrowing rounds of a study, oldest first."""
        return self._transport.call(RoundList, "GET", f"{study_path(name)}/rounds").rounds

    def importance(self, name: str) -> Importances:
        """The importance of each parameter for the first objective."""
        return self._transport.call(Importances, "GET", f"{study_path(name)}/importance")

    def diagnosis(self, name: str, limit: int | None = None) -> Diagnosis:
        """Which trials overfit, underfit or diverged, and what to change; `limit` counts the newest trials."""
        return self._transport.call(Diagnosis, "GET", f"{study_path(name)}/diagnosis", query={"limit": limit})

    def trials_dataframe(self, name: str, attrs: tuple[str, ...] = DATAFRAME, multi_index: bool = False) -> "DataFrame":
        """All trials, as from Optuna's Study.trials_dataframe. Raises MissingPackageError without pandas."""
        try:
            import pandas  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingPackageError("trials_dataframe needs pandas: pip install 'narrows[notebook]'") from error
        return self.study(name).optuna().trials_dataframe(attrs, multi_index)

    def export(self, name: str, format: ExportFormat = "csv", where: str | None = None) -> Iterator[bytes]:
        """The bytes of a file with all trials, or those that match a filter, in pieces as they arrive."""
        return self._transport.stream(f"{study_path(name)}/export", {"format": format, "where": where})

    # Artifacts

    def artifacts(self, name: str, number: int) -> list[Artifact]:
        """The files of a trial, ordered by name."""
        path = f"{study_path(name)}/trials/{number}/artifacts"
        return self._transport.call(ArtifactList, "GET", path).artifacts

    def upload_artifact(self, lease_id: str, name: str, content: Path | bytes, *, step: int | None = None) -> Artifact:
        """Upload a file or bytes for a leased trial. An artifact of the name `checkpoint` needs a step.

        Safe to repeat. Raises OSError when the file cannot be read.
        """
        return upload(self._transport, f"/v1/artifacts/{quoted(lease_id)}/{quoted(name)}", content, step)

    def download_artifact(self, name: str, number: int, artifact: str, path: Path) -> None:
        """Download a trial's file to a path, only if it is whole and has the right checksum.

        Raises OSError when it cannot be written.
        """
        download(self._transport, f"/v1/artifacts/{quoted(name)}/{number}/{quoted(artifact)}", path)

    # Tokens

    def create_token(self, name: str, scopes: Sequence[str], expires_in_seconds: int | None = None) -> CreatedToken:
        """Create a token, and return it with its secret, which no other call returns."""
        body = {"name": name, "scopes": list(scopes), "expires_in_seconds": expires_in_seconds}
        return self._transport.call(CreatedToken, "POST", "/v1/tokens", body=body)

    def tokens(self) -> list[Token]:
        """All tokens, oldest first, without their secrets."""
        return self._transport.call(TokenList, "GET", "/v1/tokens").tokens

    def revoke_token(self, name: str) -> Token:
        """Revoke a token. Safe to repeat."""
        return self._transport.call(Token, "DELETE", f"/v1/tokens/{quoted(name)}")

    # Workers

    def workers_page(self, *, limit: int | None = None, cursor: str | None = None) -> WorkerList:
        """A page of workers, from a cursor of the page before: in the order of their ids, the last seen first on it."""
        return self._transport.call(WorkerList, "GET", "/v1/workers", query={"limit": limit, "cursor": cursor})

    def workers(self) -> WorkerList:
        """All workers, the last seen first."""
        pages = every_page(lambda cursor: self.workers_page(cursor=cursor))
        workers = [worker for page in pages for worker in page.workers]
        return WorkerList(workers=sorted(workers, key=lambda worker: worker.last_seen_at, reverse=True))
