"""A budget of seconds for all fuzz tests together, and a service that is watched while they run."""

import time
from collections.abc import Iterator

import pytest

from tests.support.fuzzing import Fuzzer, draw_seed
from tests.support.watched_service import WatchedService

FIGURES = "fuzz"
SECONDS = 4.0
"""For each test, where nobody says how long: all of them then take under two minutes of one process."""


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Iterator[Fuzzer]:
    """Random inputs, for a share of --fuzz-seconds: as much for each test that was chosen."""
    sharing = sum("fuzz" in getattr(item, "fixturenames", ()) for item in request.session.items)
    together: float | None = request.config.getoption("--fuzz-seconds")
    chosen: int | None = request.config.getoption("--fuzz-seed")
    fuzzer = Fuzzer(
        seconds=SECONDS if together is None else together / sharing,
        seed=draw_seed() if chosen is None else chosen,
        again=f"pytest '{request.node.nodeid}'",
    )
    began = time.monotonic()
    yield fuzzer
    figures = f"{fuzzer.examples} examples in {time.monotonic() - began:.0f} s from seed {fuzzer.seed}"
    request.node.user_properties.append((FIGURES, figures))


@pytest.fixture(scope="module")
def service() -> Iterator[WatchedService]:
    """A service of the module's own, which still serves at its end."""
    with WatchedService() as watched:
        yield watched
        watched.check()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was tried."""
    ends = [report for report in terminalreporter.stats.get("", ()) if getattr(report, "when", "") == "teardown"]
    lines = [
        f"{end.nodeid}: {dict(end.user_properties)[FIGURES]}" for end in ends if FIGURES in dict(end.user_properties)
    ]
    if lines:
        terminalreporter.section("fuzzed")
        terminalreporter.write_line("\n".join(lines))
