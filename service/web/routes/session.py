"""Route that says who the caller is."""

from fastapi import APIRouter, Request

from service.access.authenticator import LOCAL, Caller
from service.schemas.session import Session

router = APIRouter(prefix="/v1", tags=["tokens"])


@router.get("/session", name="session", response_description="The caller.")
async def get_session(request: Request) -> Session:
    """Read who the caller is.

    The answer has the name and the scopes of the caller. A page shows only the buttons that these scopes allow.
    """
    caller: Caller = request.state.caller
    how = "local" if caller.name == LOCAL else "token" if caller.by_token else "session"
    return Session(name=caller.name, scopes=sorted(caller.scopes), by=how)
