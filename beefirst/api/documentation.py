"""/docs and /redoc without the internet; FastAPIOffline brings the files that they load."""

from collections.abc import AsyncIterator
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, StreamingResponse

LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"

START = "SwaggerUIBundle({"
WITHOUT_CREDENTIALS = "requestInterceptor: request => Object.assign(request, {credentials: 'omit'}),"

router = APIRouter(include_in_schema=False)


PIECE_BYTES = 64 * 1024
"""Of the script: so much of it waits for each client that does not read on."""


@cache
def _script() -> bytes:
    # Redoc asks its maker's server for this picture at every visit.
    script = files("fastapi_offline").joinpath("static", "redoc.standalone.js").read_bytes()
    return script.replace(LOGO, b"/assets/favicon.png")


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Show the documentation in which each request can be tried."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="beefirst",
        swagger_js_url="/assets/swagger-ui-bundle.js",
        swagger_css_url="/assets/swagger-ui.css",
        swagger_favicon_url="/assets/favicon.png",
    )
    # At a 401 that asks for Basic, a browser would put its own dialog before the page. What the reader entered in
    # the page's is a header of the page's making, which is sent all the same.
    return HTMLResponse(bytes(page.body).decode().replace(START, START + WITHOUT_CREDENTIALS, 1))


@router.get("/redoc")
async def redoc() -> HTMLResponse:
    """Show the reference documentation."""
    return get_redoc_html(
        openapi_url="/openapi.json",
        title="beefirst",
        redoc_js_url="/redoc.js",
        redoc_favicon_url="/assets/favicon.png",
        with_google_fonts=False,
    )


@router.get("/redoc.js")
async def redoc_script() -> Response:
    """Serve the page's script, which is read once: in threads, each of the first to ask would read it."""
    script = _script()
    headers = {"Cache-Control": "max-age=3600", "Content-Length": str(len(script))}
    return StreamingResponse(_pieces(script), media_type="text/javascript", headers=headers)


async def _pieces(script: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(script), PIECE_BYTES):
        yield script[begin : begin + PIECE_BYTES]
