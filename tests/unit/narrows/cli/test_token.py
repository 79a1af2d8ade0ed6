import pytest

from narrows.cli.main import run
from tests.unit.narrows.cli.stand_in import StandIn, token_json

Capture = pytest.CaptureFixture[str]
SECRET = "narrows_secret"


def test_the_token_alone_goes_to_standard_output(service: StandIn, capsys: Capture) -> None:
    made = token_json(expires_at="2026-02-01T03:04:05Z", token=SECRET)
    service.answers["POST /v1/tokens"] = (201, made)

    arguments = ["--scope", "work", "--name", "lab-gpu", "--expires-in", "30d", "--token", "mine"]
    assert run(["token", "create", *arguments]) == 0

    body = {"name": "lab-gpu", "scopes": ["work"], "expires_in_seconds": 30 * 86_400}
    assert service.requests == [("POST /v1/tokens", body)]
    printed = capsys.readouterr()
    assert printed.out == f"{SECRET}\n"
    assert printed.err == "lab-gpu allows work, valid until 2026-02-01 03:04 UTC. The token is not shown again.\n"


@pytest.mark.parametrize("scopes", [["--scope", "read,work"], ["--scope", "read", "--scope", "work"]])
def test_several_scopes_are_given_together_or_one_by_one(service: StandIn, scopes: list[str]) -> None:
    service.answers["POST /v1/tokens"] = (201, token_json(token=SECRET))
    assert run(["token", "create", *scopes, "--name", "lab-gpu"]) == 0
    assert service.requests[0][1]["scopes"] == ["read", "work"]


def test_who_makes_the_first_token_is_told_what_follows(service: StandIn, capsys: Capture) -> None:
    service.answers["POST /v1/tokens"] = (201, token_json(token=SECRET))
    assert run(["token", "create", "--scope", "work", "--name", "lab-gpu"]) == 0
    _, second, third = capsys.readouterr().err.splitlines()
    assert second == "From now on every call needs a token: --token or NARROWS_TOKEN."
    assert third == "There is no admin token yet: narrows token create --scope admin --name NAME"

    service.answers["POST /v1/tokens"] = (201, token_json(token=SECRET, scopes=["admin"]))
    assert run(["token", "create", "--scope", "admin", "--name", "root"]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("90m", 5400), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)]
)
def test_a_lifetime_is_a_number_and_a_unit(service: StandIn, text: str, seconds: int) -> None:
    service.answers["POST /v1/tokens"] = (201, token_json(token=SECRET))
    assert run(["token", "create", "--scope", "work", "--name", "x", "--expires-in", text]) == 0
    assert service.requests[0][1]["expires_in_seconds"] == seconds


@pytest.mark.parametrize("text", ["30", "d", "-1d", "1.5h", "1y", "", "30 d", "9" * 20 + "d"])
def test_what_is_no_lifetime_is_a_line(capsys: Capture, text: str) -> None:
    assert run(["token", "create", "--scope", "work", "--name", "x", "--expires-in", text]) == 2
    message = f"must be a number and one of s, m, h, d, w, such as 30d: {text}"
    assert capsys.readouterr().err == f"narrows: Invalid value for '--expires-in': {message}\n"


def test_what_the_service_refuses_is_a_line(service: StandIn, capsys: Capture) -> None:
    errors = [{"field": "scopes.0", "message": "scopes.0 must be 'read', 'submit', 'work' or 'admin': 'root'"}]
    problem = {"title": "No", "status": 422, "detail": "an error", "code": "invalid", "errors": errors}
    service.answers["POST /v1/tokens"] = (422, problem)
    assert run(["token", "create", "--scope", "root", "--name", "x"]) == 1
    line = "narrows: scopes.0: scopes.0 must be 'read', 'submit', 'work' or 'admin': 'root'\n"
    assert capsys.readouterr().err == line


def test_tokens_are_a_table(service: StandIn, capsys: Capture) -> None:
    tokens = [
        token_json(expires_at="2026-02-01T03:04:05Z", last_used_at="2026-01-03T00:00:59Z"),
        token_json("old", scopes=["read", "submit"], revoked_at="2026-01-02T04:00:00Z"),
    ]
    service.answers["GET /v1/tokens"] = (200, {"tokens": tokens})
    assert run(["token", "list"]) == 0
    head, _, lab, old = capsys.readouterr().out.splitlines()
    assert head.split() == ["token", "scopes", "created", "(UTC)", "expires", "revoked", "last", "used"]
    assert lab.split() == ["lab-gpu", "work", "2026-01-02", "03:04", "2026-02-01", "03:04", "2026-01-03", "00:00"]
    assert old.split() == ["old", "read,", "submit", "2026-01-02", "03:04", "2026-01-02", "04:00"]


def test_no_tokens_are_a_hint_and_json_is_as_it_was_sent(service: StandIn, capsys: Capture) -> None:
    service.answers["GET /v1/tokens"] = (200, {"tokens": []})
    assert run(["token", "list"]) == 0
    assert "narrows token create --scope admin" in capsys.readouterr().out
    assert run(["token", "list", "--json"]) == 0
    assert capsys.readouterr().out == '{"tokens": []}\n'


def test_a_token_is_revoked_by_its_name(service: StandIn, capsys: Capture) -> None:
    service.answers["DELETE /v1/tokens/lab-gpu"] = (200, token_json(revoked_at="2026-01-02T04:00:00Z"))
    assert run(["token", "revoke", "lab-gpu"]) == 0
    assert capsys.readouterr().out == "lab-gpu is revoked\n"
    assert run(["token", "revoke", "a/b"]) == 1
    assert service.requests[-1] == ("DELETE /v1/tokens/a%2Fb", None)
