"""JupyterLab in this process, on the reader's notebooks, for one reader, and for no other machine unasked."""

import os
import secrets
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from beefirst.errors import ConfigurationError
from beefirst.jupyter.fast_import import skip_iri_grammar
from beefirst.jupyter.readers_copy import copies_folder, seed, signatures_folder
from beefirst.machine.folders import NOTEBOOKS, data_folder, explain_unwritable, refuse_unusable
from beefirst.machine.ports import bind, refuse_unknown_host
from beefirst.settings import DeploymentSettings

CONTAINER_PORT = 8888
"""The container engine publishes this one as NOTEBOOK_PORT."""

CONFIG = Path(__file__).parent / "config"
"""Holds `labconfig/`: what JupyterLab shows differently from its defaults."""


def serve(settings: DeploymentSettings, shipped: Path = NOTEBOOKS, container_port: int = CONTAINER_PORT) -> None:
    """Seed the reader's notebooks and serve them until SIGTERM or SIGINT; print one line with the link.

    Args:
        settings: where to listen, and who may come in.
        shipped: the folder of the original notebooks.
        container_port: where to listen inside a container.

    Raises:
        ConfigurationError: other machines could come in without a token, or a file or folder cannot be read or written.
        PortTakenError: another program listens on the port.
    """
    token = choose_token(settings)
    host, port = settings.listen(settings.notebook_port, container_port)
    bind(host, port, "NOTEBOOK_PORT").close()
    state = data_folder() / "jupyter"
    skip_iri_grammar()
    with TemporaryDirectory(prefix="beefirst-jupyter-", ignore_cleanup_errors=True) as runtime:
        _prepare(state, Path(runtime), shipped)
        # Only now: a refusal should not wait until JupyterLab is imported.
        from beefirst.jupyter.server import ServerOptions, run

        added = _names(settings.jupyter_hostnames)
        hosts = added | _names(f"localhost,127.0.0.1,::1,{settings.bind_address}") - {"0.0.0.0", "::"}  # noqa: S104
        options = ServerOptions(host, port, token, hosts, added, copies_folder(), state)
        run(options, link(settings, token))


def choose_token(settings: DeploymentSettings) -> str:
    """Return the token that lets a browser in; empty in a container that publishes on loopback.

    There nobody but users of the host can connect, and pages of other origins are kept out by the Host,
    origin and XSRF checks. Without a container, any user of the machine could run code as whoever started it.

    Raises:
        ConfigurationError: other machines could come in without a token, or BIND_ADDRESS leads nowhere.
    """
    if token := settings.jupyter_token.get_secret_value().strip():
        return token
    if not _is_loopback(settings.bind_address):
        if not settings.beefirst_container:  # where it is the engine's to resolve
            refuse_unknown_host(settings.bind_address)
        raise ConfigurationError(
            f"BIND_ADDRESS is {settings.bind_address}, so other machines could run code in JupyterLab: "
            "set JUPYTER_TOKEN to a secret that lets your browser in, or BIND_ADDRESS to 127.0.0.1."
        )
    return "" if settings.beefirst_container else secrets.token_hex()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _names(listed: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in listed.split(",")) - {""}


def link(settings: DeploymentSettings, token: str) -> str:
    """Return the complete link that opens JupyterLab in a browser."""
    url = settings.browser_url(settings.notebook_port)
    return f"{url}/?token={quote(token, safe='')}" if token else url


def _prepare(state: Path, runtime: Path, shipped: Path) -> None:
    os.environ.update(_environment(state, runtime))
    for name in ("JUPYTER_PATH", "JUPYTER_NO_CONFIG", "MPLBACKEND", "MATPLOTLIBRC"):
        os.environ.pop(name, None)
    with explain_unwritable():
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        refuse_unusable(state)  # JupyterLab itself would say so with a traceback, or not at all
    seed(shipped)


def _environment(state: Path, runtime: Path) -> dict[str, str]:
    """Return what keeps JupyterLab, its kernels and matplotlib away from the user's own files."""
    return {
        "JUPYTER_CONFIG_PATH": str(CONFIG),
        "JUPYTER_CONFIG_DIR": str(state / "config"),
        "JUPYTER_DATA_DIR": str(signatures_folder()),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(state / "ipython"),
        "MPLCONFIGDIR": str(state / "matplotlib"),
        # debugpy warns on every kernel start that CPython's frozen modules hide from breakpoints.
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
