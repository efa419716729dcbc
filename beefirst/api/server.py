"""The API as a process: uvicorn on one port, with one line for each way that a start can fail."""

import asyncio
import gc
import logging
import signal
import socket
from contextlib import suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI

from beefirst.api.http_protocol import HttpProtocol
from beefirst.api.main import create_app
from beefirst.api.services import GRACE_SECONDS, Services
from beefirst.machine.logs import configure_logging
from beefirst.machine.open_files import raise_file_limit
from beefirst.machine.ports import bind
from beefirst.settings import DeploymentSettings, Settings

DATE_SECONDS = 1.0
"""How old the date in an answer's head may be."""

log = logging.getLogger("beefirst.api")


def serve_api(settings: Settings, deployment: DeploymentSettings) -> None:
    """Serve the API until SIGTERM or SIGINT, then finish what is in flight and return.

    Args:
        settings: of the service.
        deployment: where to listen, and at which address a browser reaches it.

    Raises:
        PortTakenError: another program has the port.
        BeefirstError: the database cannot be used; see `prepare_database`.
    """
    configure_logging(settings.log_level, settings.log_format)
    raise_file_limit()
    app = create_app(settings)
    with bind(*deployment.listen(deployment.api_port, in_container=8000), setting="API_PORT") as listener:
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            http=HttpProtocol,
            ws="none",
            timeout_graceful_shutdown=int(GRACE_SECONDS),
            server_header=False,
            proxy_headers=False,  # whose are believed says TRUSTED_PROXIES; uvicorn believes all of this machine
        )
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(app, config, listener, deployment.browser_url(deployment.api_port)))


async def _serve(app: FastAPI, config: uvicorn.Config, listener: socket.socket, address: str) -> None:
    server = _Server(config, app, address)
    # The lifespan is entered here and not by uvicorn, which answers an error in it with a traceback.
    async with app.router.lifespan_context(app):
        # uvicorn raises the signal again when it has shut down; without a handler that would end
        # the process before its pool is closed.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, lambda: None)
        await server.serve(sockets=[listener])
    log.info("stopped")


class _Server(uvicorn.Server):
    """uvicorn's server, which also says when and where it began to listen."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, address: str) -> None:
        super().__init__(config)
        self._services: Services = app.state.services
        self._address = address
        self._asked_to_end = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take note of a signal, and wake who waits for it."""
        super().handle_exit(sig, frame)
        asyncio.get_running_loop().call_soon_threadsafe(self._asked_to_end.set)

    async def main_loop(self) -> None:
        """Keep the answers' date until a signal comes; uvicorn looks ten times a second whether one has."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(DATE_SECONDS):
                    await self._asked_to_end.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        timeline = self._services.timeline
        timeline.finish("listen")
        # What there is now stays: to look through it for garbage, again and again, would hold up every request.
        gc.freeze()
        log.info("ready in %.2f s: %s (documentation at %s/docs)", timeline.seconds, self._address, self._address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take leave of the balancers, stop listening and let the requests in flight finish."""
        await self._services.balancers.take_leave()
        self._services.grace.begin()
        await super().shutdown(sockets)
