"""The experiments of notebook 04, on real starts and on starts that are late or flatter themselves."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from beefirst.evaluation.experiments import startup_time
from beefirst.evaluation.experiments.startup_time import Start
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.running_service import OWN, UP
from beefirst.laboratory.scratch_database import ScratchDatabase

BEGAN = 1_700_000_000.0
"""When the API of the tests without one began, in seconds since the epoch."""


@pytest.fixture(scope="module")
def database() -> Iterator[ScratchDatabase]:
    with ScratchDatabase() as scratch:
        yield scratch


@pytest.fixture(scope="module")
def first(database: ScratchDatabase) -> Start:
    return startup_time.measure_start(database)


def start(inside: float, outside: float) -> Start:
    """A start of two phases, by the API's own stop-watch and by the one outside."""
    phases = [("load code", 0.0, 0.9 * inside), ("migrate", 0.9 * inside, 0.1 * inside)]
    return Start(pd.DataFrame(phases, columns=["phase", "begins at", "seconds"]), outside)


def test_the_first_start_is_within_the_budget_and_is_drawn(first: Start) -> None:
    evidence = startup_time.first_start_is_within_budget(first)

    assert evidence.holds
    assert evidence.summary == f"first start, with an empty database: {first.outside:.2f} s"
    assert evidence.picture is not None
    assert evidence.picture.finding.startswith("One start took ")
    assert "load code" in repr(startup_time.phases_in_numbers(first))


def test_a_first_start_beyond_the_budget_fails_with_its_phases() -> None:
    evidence = startup_time.first_start_is_within_budget(start(61, 61.5))

    assert not evidence.holds
    assert "(first start, with an empty database: 61.50 s): load code, 0.000, 54.900" in evidence.summary


def test_every_start_is_measured_and_drawn(database: ScratchDatabase, first: Start) -> None:
    starts = startup_time.measure_starts(2, database)
    evidence = startup_time.every_start_is_within_budget(starts)

    assert evidence.holds
    assert evidence.summary.startswith("2 of 2 within budget, slowest ")
    assert evidence.picture is not None
    assert startup_time.spread(starts)["phase"].tolist() == [
        *first.phases["phase"],
        "until ready, from outside",
        "between the two stop-watches",
    ]


def test_a_start_beyond_the_budget_is_named_among_many() -> None:
    evidence = startup_time.every_start_is_within_budget([start(1, 1), start(59, 60), start(1, 1)])

    assert not evidence.holds
    assert evidence.summary == "not as promised (2 of 3 within budget, slowest 60.00 s): 2, 60"


def test_the_stop_watches_agree_in_real_starts(database: ScratchDatabase) -> None:
    starts = (startup_time.measure_start(database) for _ in range(20))  # a busy machine keeps many of them waiting

    assert any(startup_time.stop_watches_agree(real, [real]).holds for real in starts)


def test_the_api_that_starts_its_stop_watch_late_does_not_agree(database: ScratchDatabase) -> None:
    with ProjectCopy() as copy:
        copy.replace("beefirst/machine/stopwatch.py", "time.monotonic() - process_age()", "time.monotonic()")
        late = startup_time.measure_start(database, copy.code)

    evidence = startup_time.stop_watches_agree(late, [late])

    assert not evidence.holds
    assert f"{late.inside:.2f} s inside and {late.outside:.2f} s outside" in evidence.summary


@pytest.mark.parametrize(
    ("first", "starts"),
    [
        pytest.param(start(0.5, 1.2), [start(1, 1)], id="the first starts late"),
        pytest.param(start(1.6, 1), [start(1, 1)], id="the first has more inside than outside"),
        pytest.param(start(1, 1), [start(0.85, 1), start(0.8, 1)], id="all are flattered"),
        pytest.param(start(1, 1), [start(1.15, 1)], id="all have more inside than outside"),
        pytest.param(start(1, 1), [start(3.5, 4), start(3, 4)], id="all are flattered by more than a tenth"),
    ],
)
def test_stop_watches_apart_fail(first: Start, starts: list[Start]) -> None:
    evidence = startup_time.stop_watches_agree(first, starts)

    assert not evidence.holds
    assert "s inside and" in evidence.summary
    assert "between the two stop-watches" in evidence.summary


@pytest.mark.parametrize(
    ("first", "starts"),
    [
        pytest.param(start(0.8, 1), [start(0.95, 1), start(0.2, 1)], id="one start was not kept waiting"),
        pytest.param(start(1.1, 2), [start(2.8, 3)], id="all within a share of long starts"),
    ],
)
def test_stop_watches_that_a_busy_machine_keeps_waiting_agree(first: Start, starts: list[Start]) -> None:
    assert startup_time.stop_watches_agree(first, starts).holds


class UpService:
    """A running service that tells when its API and its database began.

    Args:
        database_began: seconds before the API did.
    """

    def __init__(self, database_began: float, way: str = UP, **changes: Any) -> None:
        self.way = way
        self._database_began = BEGAN - database_began
        phases = [{"name": name, "seconds": 0.5} for name in ("load code", "connect", "migrate")]
        began = datetime.fromtimestamp(BEGAN, UTC).isoformat()
        self._startup = {"started_at": began, "seconds": 1.5, "phases": phases, **changes}

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/health/startup"
        return self._startup

    def connect(self) -> Any:
        rows = SimpleNamespace(fetchall=lambda: [(self._database_began,)])
        return nullcontext(SimpleNamespace(execute=lambda _: rows))


@pytest.fixture(autouse=True)
def _no_jupyterlab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_URL", raising=False)


def came_up(service: UpService) -> dict[str, list[float]]:
    programs = startup_time.measure_programs(service)  # type: ignore[arg-type]
    return {row.program: [round(row.began, 3), round(row.ready, 3)] for row in programs.itertuples()}


def test_the_programs_that_came_up_together_are_on_one_clock() -> None:
    assert came_up(UpService(database_began=2)) == {"PostgreSQL": [0, 3], "API": [2, 3.5]}


def test_a_program_that_was_up_long_before_is_left_out() -> None:
    assert came_up(UpService(database_began=121)) == {"API": [0, 1.5]}
    assert came_up(UpService(database_began=2, way=OWN)) == {"API": [0, 1.5]}


def test_the_time_from_the_command_is_not_shown_here_but_the_programs_are() -> None:
    programs = startup_time.measure_programs(UpService(database_began=2))  # type: ignore[arg-type]
    evidence = startup_time.command_is_within_budget(programs)

    assert evidence.result == "NOT SHOWN HERE"
    assert evidence.command == "pytest -s tests/compose/test_compose.py, in a checkout with Docker"
    assert evidence.picture is not None
    assert evidence.picture.finding == "Everything was up 3.5 s after the first program began; API was last"
    assert "PostgreSQL  0.00  3.00" in repr(startup_time.programs_in_numbers(programs))


def test_a_service_that_does_not_tell_its_phases_fails_with_the_reason() -> None:
    programs = startup_time.measure_programs(UpService(database_began=2, phases=None))  # type: ignore[arg-type]
    evidence = startup_time.command_is_within_budget(programs)

    assert evidence.result == "FAIL"
    assert "TypeError" in evidence.summary
    assert "Crash" in repr(startup_time.programs_in_numbers(programs))


def write_package_that_does_nothing(folder: Path) -> None:
    (folder / "beefirst").mkdir()
    (folder / "beefirst" / "__init__.py").touch()


def test_an_api_that_does_not_start_fails_each_check_with_the_reason(database: ScratchDatabase, tmp_path: Path) -> None:
    write_package_that_does_nothing(tmp_path)
    crash = startup_time.measure_start(database, tmp_path)
    evidence = [
        startup_time.first_start_is_within_budget(crash),
        startup_time.stop_watches_agree(crash, [start(1, 1)]),
        startup_time.every_start_is_within_budget(crash),  # type: ignore[arg-type]
    ]

    assert [each.result for each in evidence] == ["FAIL"] * 3
    assert all(each.summary.startswith("The API ended with status 1.") for each in evidence)
    assert "Crash" in repr(startup_time.phases_in_numbers(crash))
