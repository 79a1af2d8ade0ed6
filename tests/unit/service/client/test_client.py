"""Calls of the client: what they send, what they answer, and their errors."""

import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from service.client import Client, ClientError, ServiceError, UnexpectedAnswerError, UnreachableError
from service.client.transport import NO_CERTIFICATES
from service.schemas.code_calls import NewUserAttrs
from service.schemas.protocol import Claim, Complete, Fail, Report, Reports
from service.schemas.renewals import Renew
from service.schemas.study.definition import Definition
from service.schemas.worker_info import WorkerInfo
from tests.unit.service.client.stand_in import DEFINITION, STUDY, Service, problem


def trial(number: int) -> dict[str, Any]:
    empty = dict.fromkeys(("step", "reason", "worker", "started_at", "finished_at", "duration_seconds"))
    return {
        "study": "digits",
        "number": number,
        "state": "COMPLETE",
        "params": {"learning_rate": 0.01},
        "values": [0.97],
        "metrics": {"validation_accuracy": 0.97},
        "attempts": [],
        **empty,
    }


def test_create_study_sends_the_definition_as_it_was_written() -> None:
    service = Service(httpx.Response(201, json=STUDY), httpx.Response(200, json=STUDY))
    with service.client() as client:
        study = client.create_study(DEFINITION)
        assert service.body == DEFINITION
        client.create_study(Definition.model_validate(DEFINITION))
        assert service.body["training"] == {"dataset": {"name": "digits"}, "model": {"name": "mlp"}}
    assert study.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert service.requests[0].method == "POST"
    assert service.requests[0].url == "http://service:8000/v1/studies"


def test_numbers_that_json_lacks_reach_the_service_which_names_the_field() -> None:
    service = Service(httpx.Response(201, json=STUDY))
    with service.client() as client:
        client.create_study({"target_value": float("nan")})
    assert service.requests[0].content == b'{"target_value": NaN}'


def test_half_a_surrogate_pair_reaches_the_service_which_names_the_field() -> None:
    service = Service(problem(422), problem(422))
    with service.client() as client:
        with pytest.raises(ServiceError):
            client.set_user_attrs("lease", NewUserAttrs(user_attrs={"data": "caf\udce9"}))
        with pytest.raises(ServiceError):
            client.create_study({"name": "caf\udce9"})
    assert service.requests[0].content == b'{"user_attrs": {"data": "caf\xed\xb3\xa9"}}'
    assert service.requests[1].content == b'{"name": "caf\xed\xb3\xa9"}'


def test_the_token_goes_with_every_call() -> None:
    service = Service(httpx.Response(200, json=STUDY))
    with service.client(token="secret") as client:
        client.study("digits")
    assert service.requests[0].headers["Authorization"] == "Bearer secret"


def test_trials_are_read_page_by_page() -> None:
    service = Service(
        httpx.Response(200, json={"trials": [trial(0), trial(1)], "next_cursor": "c"}),
        httpx.Response(200, json={"trials": [trial(2)], "next_cursor": None}),
    )
    with service.client() as client:
        assert [each.number for each in client.trials("digits", state="COMPLETE")] == [0, 1, 2]
    assert [str(request.url.params) for request in service.requests] == [
        "state=COMPLETE&limit=1000",
        "state=COMPLETE&limit=1000&cursor=c",
    ]


def test_studies_are_read_page_by_page() -> None:
    service = Service(
        httpx.Response(200, json={"studies": [STUDY], "next_cursor": "c"}),
        httpx.Response(200, json={"studies": [STUDY], "next_cursor": None}),
    )
    with service.client() as client:
        assert [study.name for study in client.studies()] == ["digits", "digits"]


LEASE_CALL = "/v1/leases/ab%2Fc"


TOKEN = {"name": "lab", "scopes": ["work"], "created_at": "2026-01-02T03:04:05Z", "expires_at": None}


TOKEN |= {"revoked_at": None, "last_used_at": None}


NARROWED = {
    "study": "a",
    "preview": True,
    "round": 2,
    "first_trial": 20,
    "n_trials": 0,
    "best": None,
    "began_at": None,
    "requested_by": "lab",
    "keep_top": 5,
    "margin": 0.1,
    "kept": [3, 1],
    "ranges": {},
    "note": None,
}


CALLS: list[tuple[Callable[[Client], object], str, str, Any]] = [
    (lambda client: client.study("a/b"), "GET", "/v1/studies/a%2Fb", STUDY),
    (lambda client: client.tokens(), "GET", "/v1/tokens", {"tokens": [TOKEN]}),
    (lambda client: client.create_token("lab", ["work"]), "POST", "/v1/tokens", {**TOKEN, "token": "narrows_x"}),
    (lambda client: client.revoke_token("a/b"), "DELETE", "/v1/tokens/a%2Fb", TOKEN),
    (lambda client: client.change("digits", state="paused"), "PATCH", "/v1/studies/digits", STUDY),
    (lambda client: client.trial("digits", 3), "GET", "/v1/studies/digits/trials/3", trial(3)),
    (
        lambda client: client.curves("digits", 3),
        "GET",
        "/v1/studies/digits/trials/3/curves",
        {"steps": [0], "metrics": {"train_loss": ["nan"]}},
    ),
    (lambda client: client.enqueue("digits", {"dropout": 0.1}), "POST", "/v1/studies/digits/trials", trial(4)),
    (lambda client: client.best("digits", 2), "GET", "/v1/studies/digits/best?k=2", {"trials": [trial(1)]}),
    (lambda client: client.pareto("digits"), "GET", "/v1/studies/digits/pareto", {"trials": []}),
    (
        lambda client: client.diagnosis("digits", 50),
        "GET",
        "/v1/studies/digits/diagnosis?limit=50",
        {
            "study": "digits",
            "train_metric": "train_loss",
            "validation_metric": "validation_loss",
            "counts": {},
            "advice": [],
            "trials": [],
            "n_left_out": 0,
        },
    ),
    (
        lambda client: client.importance("digits"),
        "GET",
        "/v1/studies/digits/importance",
        {"metric": "validation_accuracy", "importances": {}},
    ),
    (lambda client: client.rounds("a/b"), "GET", "/v1/studies/a%2Fb/rounds", {"study": "a", "rounds": []}),
    (lambda client: client.narrow("a/b", {"preview": True}), "POST", "/v1/studies/a%2Fb/narrow", NARROWED),
    (lambda client: client.workers(), "GET", "/v1/workers", {"workers": []}),
    (
        lambda client: client.claim(Claim(claim_id="c", worker=WorkerInfo(id="w"))),
        "POST",
        "/v1/claims",
        {"leases": []},
    ),
    (
        lambda client: client.report(Reports(reports=[Report(lease_id="l", step=0, metrics={"train_loss": 1.0})])),
        "POST",
        "/v1/reports",
        {"decisions": [{"lease_id": "l", "step": 0, "decision": "prune"}]},
    ),
    (lambda client: client.complete("ab/c", Complete()), "POST", f"{LEASE_CALL}/complete", {"state": "COMPLETE"}),
    (lambda client: client.fail("ab/c", Fail(reason="r")), "POST", f"{LEASE_CALL}/fail", {"state": "FAIL"}),
    (lambda client: client.release("ab/c"), "POST", f"{LEASE_CALL}/release", {"state": "WAITING"}),
    (lambda client: client.renew(Renew(lease_ids=["l"])), "POST", "/v1/leases/renew", {"leases": []}),
]


@pytest.mark.parametrize(("call", "method", "path", "answer"), CALLS)
def test_each_call_has_its_route(call: Callable[[Client], object], method: str, path: str, answer: Any) -> None:
    service = Service(httpx.Response(200, json=answer))
    with service.client() as client:
        call(client)
    assert service.requests[0].method == method
    assert service.requests[0].url.raw_path.decode() == path


def test_delete_and_health_answer_nothing() -> None:
    service = Service(httpx.Response(204), httpx.Response(200, json={"status": "ready"}))
    with service.client() as client:
        client.delete("digits")
        client.health()
    assert [request.url.path for request in service.requests] == ["/v1/studies/digits", "/readyz"]


def test_export_is_streamed() -> None:
    service = Service(httpx.Response(200, content=iter([b"number,", b"state\n"])))
    with service.client() as client:
        assert b"".join(client.export("digits", "csv")) == b"number,state\n"


@pytest.mark.parametrize("call", [lambda client: client.study("x"), lambda client: list(client.export("x"))])
def test_a_problem_is_a_service_error(call: Callable[[Client], object]) -> None:
    with Service(problem(404)).client() as client, pytest.raises(ServiceError) as caught:
        call(client)
    assert (caught.value.status, caught.value.code, str(caught.value)) == (404, "study_not_found", "no such study: 'x'")


def test_an_error_that_is_no_problem_names_the_server_and_the_status() -> None:
    with Service(httpx.Response(502, text="<html>")).client() as client, pytest.raises(ServiceError) as caught:
        client.study("x")
    assert str(caught.value) == "http://service:8000 answered 502 Bad Gateway to /v1/studies/x"


def test_another_kind_of_answer_is_an_error() -> None:
    with Service(httpx.Response(200, text="hello")).client() as client, pytest.raises(UnexpectedAnswerError) as caught:
        client.study("x")
    assert str(caught.value).startswith(
        "http://service:8000 sent an answer that this version of Narrows does not know: "
    )


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut off")]
)
def test_no_answer_names_the_server_in_one_line(error: httpx.TransportError) -> None:
    with Service(error).client() as client, pytest.raises(UnreachableError) as caught:
        client.study("x")
    assert str(caught.value).startswith("cannot reach http://service:8000: ")


@pytest.mark.parametrize("server", ["localhost:8000", "http://a b", "http://[::1", "ftp://x", ""])
def test_an_address_that_is_none_is_an_error_of_the_client(server: str) -> None:
    with pytest.raises(ClientError), Client(server) as client:
        client.health()


@pytest.mark.processes
def test_the_client_costs_httpx_and_pydantic_alone() -> None:
    code = "import sys, service.client; print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"httpx", "pydantic"} <= set(loaded)
    assert not {"fastapi", "optuna", "sqlalchemy", "torch", "storage", "typer", "tenacity", "yaml"} & set(loaded)


def test_only_a_client_of_https_reads_the_certificates_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *given, **named: read.append(given))
    Client("http://service").close()
    assert read == []
    Client("https://service").close()
    assert read != []


def test_a_client_of_http_trusts_no_certificate() -> None:
    assert (NO_CERTIFICATES.verify_mode, NO_CERTIFICATES.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert NO_CERTIFICATES.get_ca_certs() == []
