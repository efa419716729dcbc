"""Who a request is from: never what a stranger writes into its head."""

from typing import Any

import pytest

from beefirst.api.client_address import NOBODY, find_client
from beefirst.networks import read_networks

TRUSTED = read_networks("127.0.0.1, 10.0.0.0/8, ::1, 2001:db8:f::/48")


def scope(peer: str, *forwarded: str) -> dict[str, Any]:
    """Return what is known of a request: the other end of its connection, and each of its lines X-Forwarded-For."""
    lines = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    return {"client": (peer, 4711), "headers": [(b"host", b"beefirst"), *lines]}


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1"])
@pytest.mark.parametrize("forwarded", ["203.0.113.5", "127.0.0.1", "10.0.0.1", "::1", "nonsense", ""])
def test_what_a_stranger_forwards_is_ignored(peer: str, forwarded: str) -> None:
    assert find_client(scope(peer, forwarded), TRUSTED) == find_client(scope(peer), TRUSTED)


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.1", "::1"])
def test_nobody_is_believed_where_nobody_is_trusted(peer: str) -> None:
    assert find_client(scope(peer, "203.0.113.5"), ()) == find_client(scope(peer), ())


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["203.0.113.5"], "203.0.113.5"),
        (["198.51.100.7, 203.0.113.5"], "203.0.113.5"),
        (["198.51.100.7", "203.0.113.5"], "203.0.113.5"),
        (["198.51.100.7, 203.0.113.5, 10.1.2.3"], "203.0.113.5"),
        (["203.0.113.5", "10.1.2.3,10.0.0.9"], "203.0.113.5"),
        (["127.0.0.1, 203.0.113.5"], "203.0.113.5"),
        (["nonsense, 203.0.113.5"], "203.0.113.5"),
        (["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
        (["203.0.113.5:51000"], "203.0.113.5"),
        (["[2001:db8:1::5]:51000"], "2001:db8:1::/64"),
        (["2001:db8:1::5"], "2001:db8:1::/64"),
        (["::ffff:203.0.113.5"], "203.0.113.5"),
        (["2001:db8:f:1::2"], "2001:db8:f:1::/64"),
        ([], "10.0.0.1"),
    ],
)
def test_of_a_trusted_proxy_the_last_address_that_is_not_trusted_is_the_client(
    forwarded: list[str], client: str
) -> None:
    assert find_client(scope("10.0.0.1", *forwarded), TRUSTED) == client


@pytest.mark.parametrize("entry", ["", "unknown", "_hidden", "203.0.113", "203.0.113.5, ", "x" * 60_000, "\xff"])
def test_an_entry_that_is_no_address_ends_the_list_at_who_wrote_it(entry: str) -> None:
    assert find_client(scope("10.0.0.1", f"203.0.113.5, {entry}"), TRUSTED) == "10.0.0.1"
    assert find_client(scope("10.0.0.1", f"203.0.113.5, {entry}, 10.0.0.7"), TRUSTED) == "10.0.0.7"


def test_addresses_of_one_network_of_64_bits_are_one_client_and_those_of_two_are_two() -> None:
    first = {find_client(scope(f"2001:db8:0:1::{host:x}"), ()) for host in range(1, 300)}
    second = {find_client(scope("2001:db8:0:2::1"), ())}

    assert (first, second) == ({"2001:db8:0:1::/64"}, {"2001:db8:0:2::/64"})


def test_an_address_of_version_4_is_one_client_however_it_is_written() -> None:
    assert find_client(scope("::ffff:192.0.2.1"), ()) == find_client(scope("192.0.2.1"), ()) == "192.0.2.1"


def test_a_proxy_that_is_trusted_by_its_address_of_version_4_is_so_in_version_6() -> None:
    assert find_client(scope("::ffff:10.0.0.1", "203.0.113.5"), TRUSTED) == "203.0.113.5"
    assert find_client(scope("10.0.0.1", "203.0.113.5"), read_networks("::ffff:10.0.0.0/104")) == "203.0.113.5"


def test_whoever_has_no_address_is_one_client() -> None:
    assert find_client({"client": None, "headers": []}, TRUSTED) == NOBODY
    assert find_client(scope("testclient", "203.0.113.5"), TRUSTED) == NOBODY
