"""/redoc without the internet; FastAPIOffline brings /docs."""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_redoc_html
from fastapi.responses import HTMLResponse

LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"

router = APIRouter(include_in_schema=False)


@cache
def _script() -> str:
    # Redoc asks its maker's server for this picture at every visit.
    script = files("fastapi_offline").joinpath("static", "redoc.standalone.js").read_text(encoding="utf-8")
    return script.replace(LOGO, "/assets/favicon.png")


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
def redoc_script() -> Response:
    """Serve the page's script."""
    return Response(_script(), media_type="text/javascript", headers={"Cache-Control": "max-age=3600"})
