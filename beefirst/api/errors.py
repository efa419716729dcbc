"""Which answer each exception becomes: the one place that knows both."""

import logging
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ExceptionHandler

from beefirst.api.body_limit import BODY_MAX_BYTES, BODY_SECONDS
from beefirst.api.schemas import Invalid, Problem
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError

log = logging.getLogger(__name__)

TRY_AGAIN = {"Retry-After": "1"}

OPERATOR_IS_NEEDED = "The database refuses what this service asks of it: whoever runs it finds the reason in its log."
"""The reason itself is none of a stranger's business."""

RETRY_HEADER = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}

ANSWERS: dict[int | str, dict[str, Any]] = {
    408: {"model": Problem, "description": f"The body was not complete {BODY_SECONDS:g} seconds after the head"},
    413: {"model": Problem, "description": f"The body has over {BODY_MAX_BYTES // 1024} KiB"},
    415: {"model": Problem, "description": "The body is not application/json"},
    422: {"model": Invalid, "description": "A field breaks its rule; what was sent is not repeated"},
    429: {
        "model": Problem,
        "description": "The client has made more requests in a minute than it may",
        "headers": RETRY_HEADER,
    },
    500: {"model": Problem, "description": "The database refuses what this service asks of it: no waiting helps"},
    503: {
        "model": Problem,
        "description": "The database does not answer, or the request would have to wait too long for its turn",
        "headers": RETRY_HEADER,
    },
}
"""What any request with a body may be answered beside its own answers."""

ANSWERS_OF_ALL: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request has no Host header, several, or a malformed one"},
    405: {
        "model": Problem,
        "description": "The path has no such method",
        "headers": {"Allow": {"description": "The methods that it has", "schema": {"type": "string"}}},
    },
}
"""What any request may be answered."""


async def _answer_invalid(_: Request, error: Exception) -> JSONResponse:
    fields = error.errors() if isinstance(error, RequestValidationError) else []
    return _invalid([{"loc": list(field["loc"]), "msg": _rule(field), "type": field["type"]} for field in fields])


def _rule(field: dict[str, Any]) -> str:
    if field["type"] == "json_invalid":
        return "must be JSON"
    return str(field["msg"]).removeprefix("Value error, ")


def _invalid(fields: list[dict[str, Any]]) -> JSONResponse:
    return JSONResponse({"detail": fields}, 422)


async def _answer_unavailable(_: Request, error: Exception) -> JSONResponse:
    return unavailable(error)


def unavailable(error: Exception) -> JSONResponse:
    """Return the answer to a request that is to come again in a moment: what `error` says."""
    return JSONResponse({"detail": str(error)}, 503, TRY_AGAIN)


async def _answer_refused(_: Request, error: Exception) -> JSONResponse:
    log.error("%s", error, exc_info=error.__cause__)
    return JSONResponse({"detail": OPERATOR_IS_NEEDED}, 500)


async def _answer_http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == 400:
        # FastAPI's answer to a body that Python's JSON reader gives up on in an unusual way: nested too
        # deeply, not UTF-8, a number of thousands of digits. To the client it is one more malformed body.
        return _invalid([{"loc": ["body"], "msg": "must be JSON", "type": "json_invalid"}])
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = _with_head(headers["Allow"])
    return JSONResponse({"detail": error.detail}, error.status_code, headers)


def _with_head(allowed: str) -> str:
    """Return the methods of a path with HEAD where there is GET: handlers do not name it, see `Observer`."""
    methods = set(allowed.split(", "))
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


HANDLERS: dict[type[Exception], ExceptionHandler] = {
    RequestValidationError: _answer_invalid,
    DatabaseUnavailableError: _answer_unavailable,
    DatabaseRefusedError: _answer_refused,
    HTTPException: _answer_http_exception,
}
"""How each exception that a request can raise is answered."""
