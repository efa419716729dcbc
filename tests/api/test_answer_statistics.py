"""How long an answer takes tells nothing of an address, by more samples than notebook 08 takes, and under load.

The service is a copy whose hashes cost next to nothing, for they would hide the rest by their noise.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pandas as pd

from beefirst.evaluation.experiments.attacks.telling_apart import CHEAP, COST, slow_down
from beefirst.laboratory import raw_http
from beefirst.laboratory.address_kinds import KINDS, probe
from beefirst.laboratory.difference_test import LARGEST_T, Difference, compare_classes
from beefirst.laboratory.paced_load import send_for
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.testbed import Testbed
from tests.conftest import SECRET

SAMPLES, LANES = 300, 6
SLOW_SECONDS = 0.005
"""What the database takes longer for each change, so that there is something to be hidden. Under load it is slow by
itself, and what then goes beyond the 25 ms of an answer shows."""

LOAD_CONNECTIONS = 3

LEAKING = (
    "beefirst/api/registrations.py",
    "    named = {",
    "    await __import__('asyncio').sleep(0.005 if attempt.outcome.value == 'wrong code' else 0)\n    named = {",
)
"""A service whose answer to one kind of failure comes 5 ms later than to all others."""


@contextmanager
def service(*changes: tuple[str, str, str]) -> Iterator[Testbed]:
    """Run two replicas of the copy, with what else is to be another in it."""
    with ExitStack() as parts:
        copy = parts.enter_context(ProjectCopy())
        for change in (("beefirst/api/main.py", COST, CHEAP), *changes):
            copy.replace(*change)
        yield parts.enter_context(Testbed(2, code=copy.code))


@contextmanager
def load(testbed: Testbed) -> Iterator[list[int]]:
    """Let others register and activate as fast as they are answered, and give the statuses that they got."""
    done, statuses = threading.Event(), list[int]()
    numbers = itertools.count()

    def requests() -> Iterator[bytes]:
        for number in numbers:
            yield raw_http.registering(f"load-{number}@example.com", SECRET)
            yield raw_http.activating(f"load-{number}@example.com", f"not {SECRET}", "0000")

    def send() -> None:
        while not done.is_set():
            statuses.extend(
                answer.status for answer in send_for(testbed.urls.split()[0], 0.5, LOAD_CONNECTIONS, requests())
            )

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield statuses
    finally:
        done.set()
        sender.join()


def compare(asked: pd.DataFrame) -> dict[str, Difference]:
    wide = {
        request: asked[asked["request"] == request].pivot(index="round", columns="kind", values="seconds")
        for request in KINDS
    }
    return {request: compare_classes(times) for request, times in wide.items()}


def describe(compared: dict[str, Difference]) -> str:
    return "\n".join(
        f"{request}: {it.samples} of each, p = {it.p:.4f}, smallest difference seen {it.smallest_seen * 1000:.1f} ms\n"
        f"{it.pairs.head(3)}"
        for request, it in compared.items()
    )


def test_three_hundred_answers_of_each_kind_take_as_long_as_those_of_any_other() -> None:
    with service() as testbed:
        compared = compare(probe(testbed, SAMPLES, LANES, lambda: slow_down(testbed, SLOW_SECONDS)))

    assert [it.samples for it in compared.values()] == [SAMPLES] * len(KINDS)
    assert max(it.largest_t for it in compared.values()) < LARGEST_T, describe(compared)


def test_they_do_so_while_others_load_the_service() -> None:
    with service() as testbed, load(testbed) as statuses:
        compared = compare(probe(testbed, SAMPLES, LANES))

    assert set(statuses) == {202, 401}
    assert max(it.largest_t for it in compared.values()) < LARGEST_T, describe(compared)


def test_one_kind_that_takes_five_milliseconds_longer_is_noticed() -> None:
    with service(LEAKING) as testbed:
        compared = compare(probe(testbed, SAMPLES, LANES))

    difference = compared["activate"]
    assert difference.is_seen or difference.smallest_seen > 0.005, describe(compared)
    assert "wrong code" in {difference.pairs["one"][0], difference.pairs["other"][0]}
