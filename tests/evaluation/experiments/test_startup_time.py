"""The experiments of notebook 04, on real starts and on starts that are late or flatter themselves."""

import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from beefirst.evaluation.experiments import startup_time
from beefirst.evaluation.experiments.startup_time import Start
from beefirst.evaluation.run_context import RunContext
from beefirst.laboratory import compose_start
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.compose_start import ComposeStart
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.running_service import COMPOSE, OWN, UP, RunningService
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.support.evidence import fails, judged

BEGAN = 1_700_000_000.0
"""When the API of the tests without one began, in seconds since the epoch."""


@pytest.fixture(scope="module")
def database() -> Iterator[ScratchDatabase]:
    with ScratchDatabase() as scratch:
        yield scratch


@pytest.fixture(scope="module")
def first(database: ScratchDatabase) -> Start:
    return startup_time.measure_start(database)


CLOCK = count(1000, 1000)
"""When each of the starts began that nobody made."""


def start(inside: float, outside: float) -> Start:
    """A start of two phases, by the API's own stop-watch and by the one outside."""
    phases = [("load code", 0.0, 0.9 * inside), ("migrate", 0.9 * inside, 0.1 * inside)]
    began = float(next(CLOCK))
    return Start(pd.DataFrame(phases, columns=["phase", "begins at", "seconds"]), began, began + outside)


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
    evidence = startup_time.every_start_is_within_budget(starts, 2)

    assert evidence.holds
    assert evidence.summary.startswith("2 of 2 within budget, slowest ")
    assert evidence.picture is not None
    assert startup_time.spread(starts)["phase"].tolist() == [
        *first.phases["phase"],
        "until ready, from outside",
        "between the two stop-watches",
    ]


def test_a_start_beyond_the_budget_is_named_among_many() -> None:
    evidence = startup_time.every_start_is_within_budget([start(0.9, 1), start(59, 60), start(0.9, 1)], 3)

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
        pytest.param(start(0.5, 1.2), [start(0.99, 1)], id="the first starts late"),
        pytest.param(start(1.6, 1), [start(0.99, 1)], id="the first has more inside than outside"),
        pytest.param(start(0.99, 1), [start(0.85, 1), start(0.8, 1)], id="all are flattered"),
        pytest.param(start(0.99, 1), [start(1.15, 1)], id="all have more inside than outside"),
        pytest.param(start(0.99, 1), [start(3.5, 4), start(3, 4)], id="all are flattered by more than a tenth"),
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


BOTH = "one stop-watch is given out as both"


def test_the_inside_stop_watch_cannot_be_given_out_as_the_one_outside(first: Start) -> None:
    copied = replace(first, ready=first.began + first.inside)

    for evidence in (
        startup_time.first_start_is_within_budget(copied),
        startup_time.every_start_is_within_budget([start(0.9, 1), copied], 2),
        startup_time.stop_watches_agree(copied, [start(0.99, 1)]),
        startup_time.stop_watches_agree(start(0.99, 1), [copied]),
    ):
        fails(evidence, BOTH)


def test_the_moments_of_real_starts_are_read_from_one_clock(database: ScratchDatabase) -> None:
    before = time.monotonic()
    real = startup_time.measure_start(database)

    assert before < real.began < real.ready < time.monotonic()
    assert real.inside != real.outside


@pytest.mark.parametrize(
    ("inside", "outside"), [(61, 1), (1, 61), (-1, 1), (1, 0), (1, -1)], ids=lambda seconds: f"{seconds} s"
)
def test_a_start_is_in_time_by_both_stop_watches_or_not_at_all(inside: float, outside: float) -> None:
    fails(startup_time.first_start_is_within_budget(start(inside, outside)))
    fails(startup_time.every_start_is_within_budget([start(0.9, 1), start(inside, outside)], 2))


def test_starts_that_overlap_were_not_measured_one_after_another() -> None:
    one = start(0.9, 1)

    evidence = startup_time.every_start_is_within_budget([one, replace(one, ready=one.ready + 0.5)], 2)

    fails(evidence, "the starts are not one after another on one clock")


@pytest.mark.parametrize("due", [3, 1], ids=["one is missing", "one is more than asked for"])
def test_another_number_of_starts_than_was_asked_for_is_no_proof(due: int) -> None:
    evidence = startup_time.every_start_is_within_budget([start(0.9, 1), start(0.9, 1)], due)

    fails(evidence, f"2 of 2 within budget, slowest 1.00 s; {due} starts were due, and 2 made")


def test_no_start_is_no_proof() -> None:
    nothing: dict[str, Any] = {
        "moments": pd.DataFrame(columns=["start", "began", "ready"]),
        "phases": pd.DataFrame(columns=["start", "phase", "begins at", "seconds"]),
    }
    one = judged(startup_time.first_start_is_within_budget, **nothing)
    many = judged(startup_time.every_start_is_within_budget, due=0, **nothing)
    agreement = judged(startup_time.stop_watches_agree, first=nothing, others=nothing)

    assert [one.result, many.result, agreement.result] == ["FAIL"] * 3


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


@pytest.fixture(scope="module")
def programs() -> pd.DataFrame:
    """What came up together, as measured."""
    return startup_time.measure_programs(UpService(database_began=2))  # type: ignore[arg-type]


def test_the_time_from_the_command_is_not_shown_outside_a_container_but_the_programs_are(
    programs: pd.DataFrame,
) -> None:
    evidence = startup_time.command_is_within_budget(programs, None)

    assert evidence.result == "NOT SHOWN HERE"
    assert evidence.summary == f"run: {startup_time.FROM_THE_COMMAND}"
    assert evidence.command == "python -m beefirst report --compose, in a checkout with Docker"
    assert evidence.picture is not None
    assert evidence.picture.finding == "Everything was up 3.5 s after the first program began; API was last"
    assert "PostgreSQL  0.00  3.00" in repr(startup_time.programs_in_numbers(programs))


FIRST_START = ComposeStart(created=0, started=1, database_began=2, migrated=5.9, api_began=4, api_ready=6)
"""That of one command on empty volumes; `api_ready` is what makes others of it late."""

KEPT_VOLUMES = replace(FIRST_START, migrated=-5000)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(FIRST_START, id="on empty volumes"),
        pytest.param(KEPT_VOLUMES, id="on volumes that were kept"),
        pytest.param(replace(FIRST_START, started=5000), id="only this container was started again"),
    ],
)
def test_an_api_that_was_ready_within_the_budget_from_the_creation_of_the_container_on_is_a_pass(
    programs: pd.DataFrame, start: ComposeStart
) -> None:
    evidence = startup_time.command_is_within_budget(programs, start)

    assert (evidence.result, evidence.summary) == ("PASS", "6.0 s from the creation of this container to the API ready")
    assert evidence.picture is not None


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(replace(FIRST_START, api_ready=60), id="the API took long"),
        pytest.param(
            replace(FIRST_START, database_began=150, api_began=151, migrated=152, api_ready=153),
            id="the database took long to initialise",
        ),
    ],
)
def test_an_api_that_was_ready_later_is_a_fail(programs: pd.DataFrame, start: ComposeStart) -> None:
    evidence = startup_time.command_is_within_budget(programs, start)

    assert evidence.result == "FAIL"
    assert evidence.summary == f"{start.seconds:.1f} s from the creation of this container to the API ready"


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        pytest.param(
            replace(FIRST_START, api_began=40, api_ready=41),
            "the API was started again since it migrated the empty database",
            id="an API that was started again, however soon",
        ),
        pytest.param(
            replace(KEPT_VOLUMES, api_began=70, api_ready=72),
            "the API began 70 s after this container was created, and may have been started again since then",
            id="an API on volumes that were kept, and later than the budget",
        ),
        pytest.param(
            replace(FIRST_START, started=300, database_began=301, api_began=302, migrated=303, api_ready=304),
            "the API began 302 s after this container was created, and may have been started again since then",
            id="a container that was started again",
        ),
        pytest.param(
            replace(FIRST_START, api_began=-1),
            "the API was up before this container was created: it was not the same command",
            id="a container that was made anew",
        ),
        pytest.param(
            replace(FIRST_START, database_began=-1),
            "PostgreSQL was up before this container was created: it was not the same command",
            id="a database that was up already",
        ),
        pytest.param(
            replace(FIRST_START, api_began=200, migrated=201, api_ready=202),
            "the API began 200 s after this container was created, and may have been started again since then",
            id="an API that was brought up by a command of its own",
        ),
    ],
)
def test_what_was_not_brought_up_by_one_command_is_not_shown_here_and_says_why(
    programs: pd.DataFrame, start: ComposeStart, reason: str
) -> None:
    evidence = startup_time.command_is_within_budget(programs, start)

    assert evidence.result == "NOT SHOWN HERE"
    assert evidence.summary == f"{reason}; run: {startup_time.FROM_THE_COMMAND}"
    assert evidence.picture is not None


@pytest.mark.parametrize(
    ("seconds", "start", "result", "others"),
    [
        pytest.param(
            7.0, FIRST_START, "PASS", "; 6.0 s from the creation of this container to the API ready", id="both"
        ),
        pytest.param(7.0, None, "PASS", "", id="where no file tells the creation"),
        pytest.param(7.0, replace(FIRST_START, api_began=-1), "PASS", "", id="where the creation tells nothing"),
        pytest.param(
            60.0, FIRST_START, "FAIL", "; 6.0 s from the creation of this container to the API ready", id="late"
        ),
    ],
)
def test_what_the_host_saw_is_judged_as_well(
    programs: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    start: ComposeStart | None,
    result: str,
    others: str,
) -> None:
    monkeypatch.setattr(RunContext, "current", lambda: RunContext(seconds_from_command=seconds))

    evidence = startup_time.command_is_within_budget(programs, start)

    by_the_host = (
        f"{seconds:.1f} s from `docker compose up` to the API ready, by the clock of the host that gave the command"
    )
    assert (evidence.result, evidence.summary) == (result, by_the_host + others)


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    """An API that has just migrated an empty database, as if a compose file had brought it up."""
    with ScratchDatabase() as database, start_api(database.url) as api:
        yield RunningService(api.url, api.url, database.url, COMPOSE)


def test_without_the_file_that_docker_writes_nothing_is_measured(
    service: RunningService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compose_start, "WRITTEN_AT_CREATION", tmp_path / "none")  # as in Podman

    assert startup_time.measure_compose_start(service) is None


def test_the_moments_are_those_of_the_container_the_database_and_the_api(
    service: RunningService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(compose_start, "WRITTEN_AT_CREATION", tmp_path / "file")
    os.utime(tmp_path / "file", (1000, 2000))

    start = startup_time.measure_compose_start(service)

    assert start is not None
    assert start.created == 2000
    assert start.created < start.started < start.api_began
    assert start.database_began < start.api_began < start.migrated < start.api_ready < time.time()
    assert start.is_first
    assert startup_time.measure_compose_start(replace(service, way=UP)) is None


def test_a_service_that_does_not_tell_its_phases_fails_with_the_reason() -> None:
    programs = startup_time.measure_programs(UpService(database_began=2, phases=None))  # type: ignore[arg-type]
    evidence = startup_time.command_is_within_budget(programs, None)

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
        startup_time.stop_watches_agree(crash, [start(0.99, 1)]),
        startup_time.every_start_is_within_budget(crash, 2),  # type: ignore[arg-type]
    ]

    assert [each.result for each in evidence] == ["FAIL"] * 3
    assert all(each.summary.startswith("The API ended with status 1.") for each in evidence)
    assert "Crash" in repr(startup_time.phases_in_numbers(crash))
