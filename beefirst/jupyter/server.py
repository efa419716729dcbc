"""Jupyter's server with the traits that beefirst gives it; importing this imports JupyterLab."""

import logging
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler
from traitlets.config import Config

from beefirst.jupyter.lab_application import FIRST_PAGE, JupyterLabApp


@dataclass(frozen=True)
class ServerOptions:
    """Where JupyterLab listens, whom it lets in, and which folders it uses.

    Attributes:
        host: where it listens, at `port`.
        port: of TCP.
        token: lets a browser in; empty where none is asked for.
        hosts: the names and addresses to which it answers.
        forwarded: those of them that may stand before a port forwarded with TLS: the page's origin is then another
            than what the Host header says.
        notebooks: the reader's.
        state: what it keeps itself.
    """

    host: str
    port: int
    token: str
    hosts: frozenset[str]
    forwarded: frozenset[str]
    notebooks: Path
    state: Path


def run(options: ServerOptions, link: str) -> None:
    """Serve JupyterLab until SIGTERM or SIGINT, and print `link` once it answers."""
    server = ServerApp.instance(config=_traits(options), jpserver_extensions={JupyterLabApp.__module__: True})
    server.initialize(argv=[], find_extensions=False, starter_extension=JupyterLabApp.name)
    logging.getLogger("tornado.general").addFilter(_is_worth_showing)
    server.log.addFilter(_advise)
    server.web_app.default_router.rules.insert(0, Rule(_ForeignHost(options.hosts), _Refusal))
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not in the handler itself: it may interrupt the very loop whose handlers `stop` takes away.
        signal.signal(number, lambda *_: server.io_loop.add_callback_from_signal(_stop, server))
    server.io_loop.add_callback(print, f"JupyterLab is at {link}", flush=True)
    server.start()


def _stop(server: ServerApp) -> None:
    kernels: Any = server.kernel_manager
    kernels.complaints.hush()
    server.stop()


def _traits(options: ServerOptions) -> Config:
    state = options.state
    return Config(
        {
            "Application": {"log_level": "WARN"},
            "ServerApp": {
                "ip": options.host,
                "port": options.port,
                "port_retries": 0,
                "root_dir": str(options.notebooks),
                "allow_root": True,
                "open_browser": False,
                "default_url": FIRST_PAGE,
                "terminals_enabled": False,
                "quit_button": False,
                # Jupyter's own Host check refuses every address but loopback, named or not; then ours stands alone.
                "allow_remote_access": any(_is_far_address(host) for host in options.hosts),
                "local_hostnames": sorted(options.hosts),
                "allow_origin_pat": _origins(options.forwarded),
                "identity_provider_class": _Identity,
                "kernel_manager_class": _Kernels,
                "cookie_secret_file": str(state / "cookie_secret"),
            },
            "IdentityProvider": {"token": options.token},
            "PasswordIdentityProvider": {"allow_password_change": False},
            "JupyterLabApp": {
                "user_settings_dir": str(state / "settings"),
                "workspaces_dir": str(state / "workspaces"),
            },
            "FileContentsManager": {"delete_to_trash": False},
            "FileCheckpoints": {"checkpoint_dir": str(state / "checkpoints")},
            "KernelManager": {"transport_encryption": "auto"},
            "KernelSpecManager": {"allowed_kernelspecs": {"python3"}},
        }
    )


def _is_far_address(host: str) -> bool:
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return False


def _origins(names: frozenset[str]) -> str:
    """Return what matches the origins of pages that a forwarder with TLS serves under one of the names, and no other.

    It ends with the text, without which Jupyter warns of whatever only begins so.
    """
    hosts = (re.escape(f"[{name}]" if ":" in name else name) for name in sorted(names))
    return rf"https://(?:{'|'.join(hosts)})(?::[0-9]+)?\Z" if names else ""


def _advise(record: logging.LogRecord) -> bool:
    """Let every record pass; one of a page that was refused says what to do."""
    if str(record.msg).startswith("Blocking Cross Origin"):
        record.msg = f"{record.msg}  If that is your own forwarded port, add its host name to JUPYTER_HOSTNAMES."
    return True


def _is_worth_showing(record: logging.LogRecord) -> bool:
    """Tell whether a record says more than that Jupyter gives tornado milliseconds where it takes seconds."""
    return "websocket_ping_timeout" not in str(record.msg)


class _Identity(PasswordIdentityProvider):
    """Jupyter's own, without its warning when there is no token: that is decided, with reasons, in `choose_token`."""

    def validate_security(self, app: Any, ssl_options: Any = None) -> None:
        pass


class _Complaints:
    """What kernels write to standard error, shown until they are told to end: one that is busy then has tracebacks."""

    def __init__(self) -> None:
        self._hushed = False
        self._source, self.sink = os.pipe()
        Thread(target=self._pass_on, daemon=True).start()

    def hush(self) -> None:
        self._hushed = True

    def _pass_on(self) -> None:
        while written := os.read(self._source, 65536):
            if not self._hushed:
                with suppress(OSError):  # with nobody to read them, kernels must not wait for that
                    os.write(2, written)


class _Kernels(AsyncMappingKernelManager):
    """Jupyter's own, with an eye on what kernels complain of."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)  # type: ignore[no-untyped-call]
        self.complaints = _Complaints()

    async def start_kernel(self, **options: Any) -> str:  # type: ignore[override]  # as the class above does
        kernel: str = await super().start_kernel(**options, stderr=self.complaints.sink)
        return kernel


class _ForeignHost(Matcher):
    def __init__(self, hosts: frozenset[str]) -> None:
        self.hosts = hosts

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return None if request.host_name.strip("[]") in self.hosts else {}


class _Refusal(RequestHandler):
    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("JupyterLab does not answer to this host name: use localhost, or add it to JUPYTER_HOSTNAMES.\n")
