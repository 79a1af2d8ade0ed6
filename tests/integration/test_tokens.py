"""Tokens over HTTP: made once, hashed, expiring, revoked."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from service.access.tokens import PREFIX, digest_of
from storage.database.opening import parse_url
from tests.integration.service_driver import Service, bearer, code_of, errors_of, problem_of
from tests.integration.token_driver import OPERATOR, status

DAY = 86_400


def listed(service: Service) -> dict[str, Any]:
    response = service.http.get("/v1/tokens", headers=bearer(OPERATOR))
    assert response.status_code == 200, response.text
    return {token["name"]: token for token in response.json()["tokens"]}


def moment(value: str) -> datetime:
    found = datetime.fromisoformat(value)
    assert found.tzinfo == UTC
    return found


# Made


def test_a_token_is_told_once_and_only_its_hash_is_kept(database_url: str) -> None:
    with Service(database_url, token=OPERATOR) as service:
        secret = service.create_token("lab-gpu", ["work"])
        everything = service.http.get("/v1/tokens", headers=bearer(OPERATOR)).text

    assert secret.startswith(PREFIX)
    assert len(secret) >= len(PREFIX) + 43  # 256 bits
    assert secret not in everything
    engine = create_engine(parse_url(database_url))
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM narrows_tokens")).mappings().all()
    engine.dispose()
    assert digest_of(secret) in row.values()
    assert not any(secret in str(value) for value in row.values())


def test_a_token_outlives_a_restart(database_url: str) -> None:
    with Service(database_url) as service:
        secret = service.create_token("root", ["admin"])
        service.restart()
        assert status(service, secret) == 200
        assert service.http.get("/v1/studies").status_code == 401


def test_the_list_tells_all_but_the_secret(guarded: Service) -> None:
    guarded.create_token("lab-gpu", ["work", "read", "work"], expires_in_seconds=30 * DAY)
    guarded.create_token("for-ever", ["submit"])

    tokens = listed(guarded)

    assert list(tokens) == ["lab-gpu", "for-ever"]
    lab = tokens["lab-gpu"]
    assert lab["scopes"] == ["read", "work"]
    assert (moment(lab["expires_at"]) - moment(lab["created_at"])).days == 30
    assert (lab["revoked_at"], lab["last_used_at"]) == (None, None)
    assert tokens["for-ever"]["expires_at"] is None
    assert set(lab) == {"name", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": ""}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes.0"),
        ({"scopes": "admin"}, "scopes"),
        ({"scopes": ["anyone"]}, "scopes.0"),
        ({"expires_in_seconds": 0}, "expires_in_seconds"),
        ({"expires_in_seconds": 10**12}, "expires_in_seconds"),
        ({"expires_in_seconds": "30d"}, "expires_in_seconds"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_a_wrong_token_definition_names_the_field(guarded: Service, changes: dict[str, Any], field: str) -> None:
    body = {"name": "new", "scopes": ["read"], **changes}

    assert field in errors_of(guarded.http.post("/v1/tokens", json=body, headers=bearer(OPERATOR)))
    assert listed(guarded) == {}


def test_a_name_is_taken_until_its_token_has_ended(guarded: Service) -> None:
    body = {"name": "lab", "scopes": ["read"]}
    first = guarded.create_token("lab", ["work"])
    again = guarded.http.post("/v1/tokens", json=body, headers=bearer(OPERATOR))
    assert code_of(again, 409) == "token_exists"

    guarded.http.delete("/v1/tokens/lab", headers=bearer(OPERATOR))
    second = guarded.create_token("lab", ["read"], expires_in_seconds=60)
    assert (status(guarded, first), status(guarded, second)) == (401, 200)

    guarded.clock.advance(60.0)
    third = guarded.create_token("lab", ["read"])
    assert (status(guarded, second), status(guarded, third)) == (401, 200)


# Ended


def test_a_revoked_token_is_closed_out_at_once_and_for_good(guarded: Service) -> None:
    secret = guarded.create_token("lab", ["read"])
    assert status(guarded, secret) == 200

    answers = [guarded.http.delete("/v1/tokens/lab", headers=bearer(OPERATOR)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    problem = problem_of(guarded.http.get("/v1/studies", headers=bearer(secret)), 401)
    assert problem["detail"].startswith("token lab was revoked at ")
    guarded.restart()
    assert status(guarded, secret) == 401


def test_a_token_expires_on_the_second(guarded: Service) -> None:
    secret = guarded.create_token("lab", ["read"], expires_in_seconds=DAY)
    guarded.clock.advance(DAY - 1.0)
    assert status(guarded, secret) == 200
    guarded.clock.advance(1.0)
    problem = problem_of(guarded.http.get("/v1/studies", headers=bearer(secret)), 401)
    assert problem["detail"].startswith("token lab has expired at ")


def test_there_is_nothing_to_revoke_under_an_unknown_name(guarded: Service) -> None:
    assert code_of(guarded.http.delete("/v1/tokens/nobody", headers=bearer(OPERATOR)), 404) == "token_not_found"


def test_the_operators_token_counts_no_more_when_it_is_a_stored_one_that_was_revoked(guarded: Service) -> None:
    secret = guarded.create_token("root", ["admin"])
    guarded.http.delete("/v1/tokens/root", headers=bearer(secret))
    guarded.close()

    with Service(guarded.url, token=secret) as again:
        assert status(again, secret) == 401
    guarded._open()


# Used


def test_the_last_use_is_shown_at_once_and_written_once_a_minute(guarded: Service) -> None:
    secret = guarded.create_token("lab", ["read"])
    tokens = guarded.app.state.authenticator.tokens
    written = []
    for seconds in (0.0, 20.0, 39.0, 1.0, 30.0):
        guarded.clock.advance(seconds)
        assert status(guarded, secret) == 200
        assert moment(listed(guarded)["lab"]["last_used_at"]) == guarded.clock.now()
        tokens.save_last_used()
        record = guarded.store.tokens.get("lab")
        assert record is not None
        written.append(record.last_used_at)

    assert len(set(written[:3])) == 1
    assert written[3] == written[4] != written[2]
    guarded.restart()
    assert moment(listed(guarded)["lab"]["last_used_at"]) == written[4]


def test_a_refused_token_was_not_used(guarded: Service) -> None:
    secret = guarded.create_token("lab", ["read"], expires_in_seconds=1)
    guarded.clock.advance(1.0)
    assert status(guarded, secret) == 401
    assert listed(guarded)["lab"]["last_used_at"] is None


# Shown


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_the_scheme_is_written_in_any_case(guarded: Service, scheme: str) -> None:
    assert guarded.http.get("/v1/studies", headers={"Authorization": f"{scheme}{OPERATOR}"}).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        f"Bearer {OPERATOR}x".encode(),
        f"Bearer {OPERATOR[:-1]}".encode(),
        f"Token {OPERATOR}".encode(),
        OPERATOR.encode(),
        b"Basic Y29ycmVjdCBob3JzZTpjb3JyZWN0IGhvcnNl",
        b"Bearer \xc3\xa9\xff\x80",
        b"Bearer " + b"x" * 5000,
    ],
)
def test_a_wrong_token_is_a_problem(guarded: Service, header: bytes) -> None:
    response = guarded.http.get("/v1/studies", headers={b"Authorization": header})

    assert code_of(response, 401) == "unauthorized"
    assert response.headers["www-authenticate"] == 'Bearer realm="Narrows"'


def test_an_operators_token_may_be_of_any_characters(sqlite_url: str) -> None:
    with Service(sqlite_url, token="sésame") as service:
        response = service.http.get("/v1/studies", headers={b"Authorization": "Bearer sésame".encode()})
        assert response.status_code == 200


def test_a_large_body_without_a_token_is_refused_unread(guarded: Service) -> None:
    assert guarded.http.post("/v1/studies", content=b"x" * 2_000_000).status_code == 401
