"""IP addresses and networks of clients and proxies, each in one spelling."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

IpAddress: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

SUBSCRIBER_PREFIX = 64
"""RFC 6177: a subscriber has at least so much of IPv6, and within it any number of addresses."""

MAPPED_PREFIX = 96
"""RFC 4291, 2.5.5.2: ::ffff:192.0.2.1 is 192.0.2.1 to a socket that serves both."""


@lru_cache(1024)
def read_address(text: str) -> IpAddress:
    """Return an address in one spelling: IPv4 where IPv6 only maps it, and without a zone.

    Args:
        text: an address, also with a port behind it, as some proxies write it: `192.0.2.1:4711`, `[2001:db8::1]:4711`.

    Raises:
        ValueError: it is none.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    address = ip_address(text.partition("%")[0])
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def read_networks(text: str) -> tuple[Network, ...]:
    """Return addresses and networks that stand in a list with commas; an address is a network of one.

    Raises:
        ValueError: one of them is neither, or a network with bits set behind its prefix.
    """
    return tuple(_without_mapping(ip_network(part.strip())) for part in text.split(",") if part.strip())


def _without_mapping(network: Network) -> Network:
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return IPv4Network((mapped, network.prefixlen - MAPPED_PREFIX)) if mapped else network


def is_within(address: IpAddress, networks: Sequence[Network]) -> bool:
    """Tell whether an address belongs to one of the networks."""
    return any(address in network for network in networks)


def subscriber(address: IpAddress) -> str:
    """Return whom an address belongs to, as far as it tells: itself in IPv4, its network of 64 bits in IPv6."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, SUBSCRIBER_PREFIX), strict=False))
