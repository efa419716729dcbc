"""X-Forwarded-For of any kind over HTTP, from a proxy that is trusted and from a stranger: who is counted for it."""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from hypothesis import reject
from hypothesis import strategies as st

from tests.support.fuzzing import Fuzzer
from tests.support.watched_service import WatchedService, statuses

PROXY = "127.0.0.1"
PROXIES, STRANGERS = "127.1.0.0", "127.2.0.0"
"""The first of the addresses from which a request comes, of those that are trusted and of those that are not."""

TRUSTED = f"{PROXY}, {PROXIES}/16, 10.0.0.0/8, fd00:f::/32"
SPELLINGS = {
    4: ["{}", "{}:4711", "  {}\t", "::ffff:{}", "{}:", "[::ffff:{}]:80"],
    6: ["{}", "[{}]", "[{}]:443", "{}%eth0", "[{}%25eth0]:443", " {}%1 "],
}
DECOYS = ["X-Real-IP: {}", "Forwarded: for={}", "X_Forwarded_For: {}", "X-Forwarded-For2: {}", "Client-IP: {}"]
WORDS = ["", " ", "unknown", "_hidden", "-", '"', "for=100.64.0.1", "100.64.0", "100.64.0.256", "100.64.01.1", "null"]
WORDS += ["100.64.0.1.1", "100.64.0.1/32", "2001:db8:::1", "2001:db8::g", "[]", "[", "]", "%", "%eth0", "x" * 300]

numbers = itertools.count(1)
"""Of the examples: each has addresses that none had before."""


@dataclass(frozen=True)
class Named:
    """An entry that is an address.

    Attributes:
        first: the first of those that it is taken from.
        spelling: how it is written.
        slot: the same one in an example is the same address.
    """

    first: str
    spelling: str
    slot: int

    @property
    def is_trusted(self) -> bool:
        """Whether it is a proxy that is believed."""
        return self.first in ("10.0.0.0", "fd00:f::")

    def address(self, example: int) -> str:
        """Return the address, of version 6 in a network of 64 bits of its own."""
        first, number = ip_address(self.first), 8 * example + self.slot
        return str(first + (number if first.version == 4 else (number << 64) + 0xABCD))

    def write(self, example: int) -> str:
        return self.spelling.format(self.address(example))


Entry = Named | str
"""An address, or what is none."""


def named(first: str) -> st.SearchStrategy[Named]:
    return st.builds(Named, st.just(first), st.sampled_from(SPELLINGS[ip_address(first).version]), st.integers(0, 7))


letters = st.characters(codec="latin-1", exclude_categories=["Cc"], exclude_characters=",:0123456789")
garbage = st.sampled_from(WORDS) | st.text(letters, max_size=12)
proxies = named("10.0.0.0") | named("fd00:f::")
strangers = named("100.64.0.0") | named("2001:db8::")
entries = st.lists(proxies | strangers | garbage, min_size=1, max_size=6)
many = st.builds(lambda some, times: some * times, entries, st.integers(20, 200))
lines = st.lists(entries | st.lists(proxies, min_size=1, max_size=4) | many, max_size=4)
decoys = st.lists(st.sampled_from(DECOYS), max_size=2)


def counted(peer: str, is_trusted: bool, told: Sequence[Entry], example: int) -> str:
    """Return who is to be counted: the last one that is not trusted, of those that are named by who is."""
    client = peer
    for entry in reversed(told):
        if not is_trusted or isinstance(entry, str):
            break
        client, is_trusted = entry.address(example), entry.is_trusted
    return client


def request(*headers: str) -> bytes:
    """Return a request that costs nothing but its place within the limit."""
    fixed = ["POST /v1/activate HTTP/1.1", "Host: x", "Connection: close", "Content-Type: application/json"]
    return "\r\n".join([*fixed, "Content-Length: 2", *headers, "", "{}"]).encode("latin-1")


@pytest.fixture(scope="module")
def service() -> Iterator[WatchedService]:
    """A service that serves one request a minute of each client."""
    with WatchedService(client_limit=1, trusted_proxies=TRUSTED) as watched:
        yield watched
        watched.check()


def test_whatever_is_forwarded_the_last_one_counts_that_a_trusted_proxy_names_and_no_other(
    service: WatchedService, fuzz: Fuzzer
) -> None:
    def status(client: str) -> int:
        return statuses(service.converse(request(f"X-Forwarded-For: {client}"), source=PROXY))[0]

    def the_right_one_is_counted(is_trusted: bool, some: list[list[Entry]], others: list[str]) -> None:
        example, minute = next(numbers), time.time() // 60
        peer = str(ip_address(PROXIES if is_trusted else STRANGERS) + example % 65_536)
        written = [
            ",".join(entry if isinstance(entry, str) else entry.write(example) for entry in line) for line in some
        ]
        told = list(itertools.chain.from_iterable(some))
        client = counted(peer, is_trusted, told, example)
        strangers = {entry.address(example) for entry in told if isinstance(entry, Named)} | {peer}
        headers = [f"x-forwarded-FOR: {line}" for line in written]
        decoy = [other.format(f"100.127.0.{place}") for place, other in enumerate(others)]
        if sum(map(len, headers)) > 60_000:
            reject()

        first = statuses(service.converse(request(*headers, *decoy), source=peer))
        again = status(client)
        of_others = {status(other) for other in sorted(strangers - {client})[:3]}

        if time.time() // 60 != minute:
            reject()
        assert (first, again) == ([422], 429)
        assert of_others <= {422}
        service.check()

    fuzz.run(the_right_one_is_counted, st.booleans(), lines, decoys)
