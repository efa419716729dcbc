"""Registering and activating over HTTP."""

import base64
import binascii
import logging
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from beefirst.api.client_watch import while_client_waits
from beefirst.api.errors import ANSWERS
from beefirst.api.schemas import ActivateAnswer, ActivateRequest, Problem, RegisterAnswer, RegisterRequest
from beefirst.api.services import Services
from beefirst.mail.outbox import Outbox
from beefirst.registration.states import Outcome

CHALLENGE = {"WWW-Authenticate": 'Basic realm="beefirst", charset="UTF-8"'}

log = logging.getLogger("beefirst.registration")


async def require_json(request: Request) -> None:
    """Refuse a body that does not say that it is JSON.

    Raises:
        HTTPException: 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Send the body as Content-Type: application/json.")


class BasicCredentials(HTTPBasic):
    """HTTP Basic as RFC 7617 has it, with UTF-8; what is missing or malformed is left to the handler."""

    async def __call__(self, request: Request) -> HTTPBasicCredentials | None:  # type: ignore[override]
        """Return the credentials of a request, or None."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        username, colon, password = decoded.partition(":")
        if scheme.lower() != "basic" or not colon:
            return None
        return HTTPBasicCredentials(username=username, password=password)


basic = BasicCredentials(realm="beefirst", description="The address as user name, and the password of its claim")
router = APIRouter(prefix="/v1", tags=["registration"], dependencies=[Depends(require_json)])


@router.post(
    "/register",
    status_code=202,
    responses=ANSWERS,
    summary="Claim an address",
    response_description="The same for every address: a code is on its way if it can be claimed",
)
async def register(body: RegisterRequest, request: Request, after_the_answer: BackgroundTasks) -> RegisterAnswer:
    """Claim an e-mail address with a password. The code comes by mail.

    The answer is the same whether the address is free or not; its owner gets a notice instead of a code.
    """
    services = Services.of(request)
    with while_client_waits(request, services.passwords):
        registered = await services.registration.register(body.email, body.password.get_secret_value())
    if registered.claim:
        log.info("claimed", extra={"registration": str(registered.claim.id)})
    else:
        log.info("refused", extra={"reason": "address not free"})
    after_the_answer.add_task(_post, services.outbox, lambda: services.registration.deliver(registered))
    return RegisterAnswer(
        message="If this address can be claimed, a code is on its way to it.",
        expires_in_seconds=services.settings.ttl_seconds,
    )


async def _post(outbox: Outbox, delivery: Any) -> None:
    outbox.post(delivery)


UNAUTHORIZED: dict[int | str, dict[str, Any]] = {
    401: {
        "model": Problem,
        "description": "Address, password and code do not belong to one claim in time; which of them is not said",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/activate",
    responses=ANSWERS | UNAUTHORIZED,
    summary="Activate an account",
    response_description="The account is active",
)
async def activate(
    body: ActivateRequest,
    request: Request,
    credentials: Annotated[HTTPBasicCredentials | None, Depends(basic)],
) -> ActivateAnswer:
    """Prove a claim with its own password (HTTP Basic, `address:password`) and the code that came by mail."""
    if credentials is None:
        log.info("refused", extra={"reason": "no credentials"})
        raise _unauthorized()
    services = Services.of(request)
    with while_client_waits(request, services.passwords):
        attempt = await services.registration.activate(credentials.username, credentials.password, body.code)
    named = {"registration": str(attempt.claim.id)} if attempt.claim else {}
    if attempt.outcome is not Outcome.ACTIVATED or not attempt.claim:
        event = "locked" if attempt.outcome is Outcome.LOCKED else "refused"
        log.info(event, extra=named | {"reason": attempt.outcome.value})
        raise _unauthorized()
    log.info("activated", extra=named)
    return ActivateAnswer(message="Your account is active.", email=attempt.claim.email)


def _unauthorized() -> HTTPException:
    return HTTPException(
        401, "Address, password and code do not belong to one claim in time. Register to get a new code.", CHALLENGE
    )


NEED_A_HASH = {route.path: route for route in router.routes if isinstance(route, APIRoute)}
"""By path; each has POST alone."""
