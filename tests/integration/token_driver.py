"""What tests of tokens do over HTTP."""

from tests.integration.service_driver import Service, bearer

OPERATOR = "correct horse"


def status(service: Service, secret: str, path: str = "/v1/studies") -> int:
    return service.http.get(path, headers=bearer(secret)).status_code
