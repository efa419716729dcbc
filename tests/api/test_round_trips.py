"""How often a request waits for the database, counted on the wire between the two."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.support.counting_proxy import CountingProxy, counting_proxy
from tests.support.http_client import activate, fetch_row, register, wrong

TRIES = 6
"""The fewest round trips of so many requests count: on a busy machine a connection may have been left alone for so long
that it is asked, before a request, whether it still works."""


@pytest.fixture(scope="module")
def counted() -> Iterator[tuple[ApiProcess, CountingProxy, ScratchDatabase]]:
    """A service on one connection, of which nothing but requests makes use once it has started."""
    quiet = {"pool_min_size": 1, "pool_max_size": 1, "sweep_interval_seconds": 3600, "ttl_seconds": 3600}
    with ScratchDatabase() as database, counting_proxy(database.url) as proxy, start_api(proxy.url, **quiet) as api:
        yield api, proxy, database


def fewest_round_trips(proxy: CountingProxy, send: Callable[[str], httpx.Response], status: int) -> int:
    """Send a request for each of some addresses, and return how often the quickest of them waited for the database."""
    counts = []
    for number in range(TRIES):
        before = proxy.round_trips
        assert send(f"ada{number}@example.com").status_code == status
        counts.append(proxy.round_trips - before)
    return min(counts)


def test_a_registration_waits_for_the_database_once_and_an_activation_twice(
    counted: tuple[ApiProcess, CountingProxy, ScratchDatabase],
) -> None:
    api, proxy, database = counted

    def guess(address: str) -> httpx.Response:
        code = wrong(fetch_row(database, address).code)
        return activate(api, address, code)

    registering = fewest_round_trips(proxy, lambda address: register(api, address), 202)
    activating = fewest_round_trips(proxy, guess, 401)

    assert (registering, activating) == (1, 2)
