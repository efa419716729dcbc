"""Who sends a request: the address at the other end of the connection, or what proxies say that are believed."""

from collections.abc import Sequence

from starlette.types import Scope

from beefirst.networks import Network, is_within, read_address, subscriber

NOBODY = "unknown"
"""Whoever comes over something that has no address, as a Unix socket, is one client."""


def find_client(scope: Scope, trusted: Sequence[Network]) -> str:
    """Return the client of a request, as limits count it.

    Each proxy adds to the end of X-Forwarded-For who came to it. So the list is read from its end, for as long as
    who said so is trusted: what stands further to the front may be written by anybody. An entry that is no address
    ends the reading at who wrote it.

    Args:
        scope: of the request.
        trusted: whose X-Forwarded-For is believed.

    Returns:
        An address of IPv4, a network of 64 bits of IPv6, or NOBODY.
    """
    try:
        client = read_address(scope["client"][0])
    except (TypeError, ValueError):
        return NOBODY
    told = _forwarded(scope) if is_within(client, trusted) else []
    while told and is_within(client, trusted):
        try:
            client = read_address(told.pop())
        except ValueError:
            break
    return subscriber(client)


def _forwarded(scope: Scope) -> list[str]:
    """Return all of X-Forwarded-For; a header that comes more than once goes on where it ended."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return ",".join(lines).split(",") if lines else []
