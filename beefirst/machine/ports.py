"""Taking a TCP port, and finding a free one."""

import errno
import secrets
import socket
from collections import deque
from contextlib import ExitStack, suppress
from typing import Any

from beefirst.errors import ConfigurationError, PortTakenError


def bind(host: str, port: int, setting: str) -> socket.socket:
    """Return a socket that has `host:port` and does not listen yet.

    Args:
        host: a name or an address of this machine.
        port: the TCP port; 0 takes any.
        setting: the name of the setting that moves the port, for the message.

    Raises:
        PortTakenError: another program listens there.
        ConfigurationError: the address is not one of this machine's, or the port is not allowed to this user.
    """
    family, kind, protocol, _, address = _resolve(host, port)
    try:
        with ExitStack() as unless_bound:
            listener = unless_bound.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            unless_bound.pop_all()
    except OSError as error:
        raise _explain(error, host, port, setting) from None
    return listener


def refuse_unknown_host(host: str) -> None:
    """Raise ConfigurationError where a BIND_ADDRESS is neither an address nor a name that leads to one."""
    _resolve(host, 0)


def _resolve(host: str, port: int) -> tuple[int, int, int, str, tuple[Any, ...]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:  # the latter of a name that could be none
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"BIND_ADDRESS is {host}, which leads to no address ({reason}): "
            "set it to one of this machine's, as 127.0.0.1."
        ) from None


def local_name(address: str) -> str:
    """Return how programs of this machine name one of its loopback addresses: `localhost` where that leads there.

    On a machine whose `localhost` is IPv6 alone, it does not lead to 127.0.0.1, which then is the name.

    Args:
        address: 127.0.0.1 or ::1.
    """
    with suppress(OSError):
        if any(found[4][0] == address for found in socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)):
            return "localhost"
    return f"[{address}]" if ":" in address else address


def refuse_taken_port(host: str, port: int, setting: str) -> None:
    """Raise as `bind` does where a server could not listen, or where `localhost` leads to another program first."""
    bind(host, port, setting).close()
    if host == "127.0.0.1":
        with suppress(ConfigurationError):  # a machine without IPv6
            bind("::1", port, setting).close()


def _explain(error: OSError, host: str, port: int, setting: str) -> PortTakenError | ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return PortTakenError(f"Port {port} is taken: stop the program that has it, or set {setting} to a free port.")
    reason = error.strerror or str(error)
    return ConfigurationError(f"Cannot listen on {host}:{port} ({reason}): set {setting} or BIND_ADDRESS to another.")


OUT_OF_THE_WAY = range(20_000, 32_000)
"""Below the ports that systems give to whoever asks for any one, as each connection and many a server does."""

_recent: deque[int] = deque(maxlen=64)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens, and that was not returned a short while ago.

    Who asked for it may take a while to listen on it; until then no other program is given it unasked.
    """
    while True:
        port = secrets.choice(OUT_OF_THE_WAY)
        with suppress(PortTakenError):
            bind("127.0.0.1", port, "").close()
            if port not in _recent:
                _recent.append(port)
                return port
