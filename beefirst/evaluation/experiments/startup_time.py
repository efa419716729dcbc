"""Notebook 04: how long a start takes, by the API's own stop-watch and by one outside, and how everything came up."""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pandas as pd

from beefirst.evaluation.display import charts, timelines
from beefirst.evaluation.display.progress import Progress
from beefirst.evaluation.display.tables import Shown, table
from beefirst.evaluation.evidence import Evidence, experiment, measurement, not_shown_here
from beefirst.evaluation.promises import START_BUDGET_SECONDS
from beefirst.evaluation.run_context import RunContext
from beefirst.laboratory.api_process import fetch, start_api
from beefirst.laboratory.compose_start import ComposeStart, look_at_start
from beefirst.laboratory.running_service import OWN, RunningService, jupyterlab_url_from_here
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.stopwatch import process_age

CLOSE_SECONDS, CLOSE_SHARE = 0.1, 0.1
"""How far apart the two stop-watches may be, as seconds or as a share of the start, whichever is more.

A busy machine keeps the one outside waiting, but not in every start: this binds the start in which they agree best.
"""

ROUGH_SECONDS, ROUGH_SHARE = 0.3, 0.5
"""The same for the first start: there is but one, so that a busy machine can keep the stop-watch outside waiting."""

FROM_THE_COMMAND = "python -m beefirst report --compose, in a checkout with Docker"
"""What measures from the command itself, containers included."""


HOST_CLOCK = "{:.1f} s from `docker compose up` to the API ready, by the clock of the host that gave the command"
OWN_CLOCK = "{:.1f} s from the creation of this container to the API ready"


@dataclass(frozen=True)
class Start:
    """One start of an API, measured twice.

    Attributes:
        phases: by the API's own stop-watch: phase, begins at, seconds.
        outside: seconds from the start of the process to the first answer that says ready, by this process's clock.
    """

    phases: pd.DataFrame
    outside: float

    @property
    def inside(self) -> float:
        """Seconds until ready by the API's own stop-watch."""
        return float(self.phases["seconds"].sum())

    @property
    def gap(self) -> float:
        """Seconds that the stop-watch outside shows more."""
        return self.outside - self.inside


@measurement
def measure_start(database: ScratchDatabase, code: Path | None = None) -> Start:
    """Start an API as a new process, and end it again.

    Args:
        database: an empty one is migrated by the start.
        code: as for ApiProcess.
    """
    return _start_once(database, code)


def _start_once(database: ScratchDatabase, code: Path | None = None) -> Start:
    with start_api(database.url, code=code) as api:
        return Start(api.startup(), api.seconds_until_ready)


@measurement
def measure_starts(count: int, database: ScratchDatabase) -> Sequence[Start]:
    """Start an API again and again on one database, each time as a new process.

    Args:
        count: how many times.
        database: a migrated one.
    """
    progress, starts = Progress(count, "start"), list[Start]()
    for number in range(1, count + 1):
        starts.append(_start_once(database))
        progress.show(number)
    return starts


@experiment
def first_start_is_within_budget(start: Start) -> Evidence:
    """Judge the start on an empty database, and draw where its time went."""
    summary = f"first start, with an empty database: {start.outside:.2f} s"
    picture = timelines.start_phases(start.phases)
    return Evidence(start.outside < START_BUDGET_SECONDS, summary, as_text(start.phases, 3), picture)


@measurement
def phases_in_numbers(start: Start) -> Shown:
    """Return the phases of a start as a table."""
    return table(as_text(start.phases, 3))


@experiment
def every_start_is_within_budget(starts: Sequence[Start]) -> Evidence:
    """Judge every one of many starts, and draw them all; the rows are those that took longer."""
    seconds = [start.outside for start in starts]
    late = [(number, second) for number, second in enumerate(seconds, 1) if second >= START_BUDGET_SECONDS]
    summary = f"{len(seconds) - len(late)} of {len(seconds)} within budget, slowest {max(seconds):.2f} s"
    rows = pd.DataFrame(late, columns=["start", "until ready, from outside (s)"])
    return Evidence(not late, summary, rows, charts.start_spread(seconds))


@experiment
def stop_watches_agree(first: Start, starts: Sequence[Start]) -> Evidence:
    """Hold the API's own stop-watch to the one outside: roughly in the first start, closely where they agree best."""
    gap = min(abs(start.gap) for start in starts)
    quickest = min(start.outside for start in starts)
    roughly = abs(first.gap) < max(ROUGH_SECONDS, ROUGH_SHARE * first.outside)
    closely = gap < max(CLOSE_SECONDS, CLOSE_SHARE * quickest)
    summary = (
        f"{first.inside:.2f} s inside and {first.outside:.2f} s outside at first; "
        f"{1000 * gap:.0f} ms apart where they agree best"
    )
    return Evidence(roughly and closely, summary, spread(starts))


def spread(starts: Sequence[Start]) -> pd.DataFrame:
    """Return the quickest, the median and the slowest of many starts, by phase.

    Returns:
        The columns phase, quickest (s), median (s), slowest (s), as text with three decimals; the last two rows are
        what a client saw and how much longer that is.
    """
    rows = []
    for start in starts:
        seconds = start.phases.set_index("phase")["seconds"]
        seconds["until ready, from outside"] = start.outside
        seconds["between the two stop-watches"] = start.gap
        rows.append(seconds)
    each = pd.DataFrame(rows)
    columns = {"quickest (s)": each.min(), "median (s)": each.median(), "slowest (s)": each.max()}
    return as_text(pd.DataFrame(columns), 3).rename_axis("phase").reset_index()


def as_text(seconds: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """Return a table with all of its numbers as text of so many decimals."""
    numbers = seconds.select_dtypes("number")
    return seconds.assign(**{name: numbers[name].map(f"{{:.{decimals}f}}".format) for name in numbers})


PYTHON = re.compile(rb".*python[0-9.]*")

ONE_START_SECONDS = 120
"""Programs that began further apart than this did not start together."""


@measurement
def measure_programs(service: RunningService) -> pd.DataFrame:
    """Ask each program of the running service when it began and was ready.

    Returns:
        The columns program, began, ready: seconds since the first of them began. PostgreSQL counts as ready
        when the API is connected. A program that had been running for ONE_START_SECONDS when the API began is
        left out: it did not start with it.
    """
    startup = service.get("/health/startup")
    api_began = datetime.fromisoformat(startup["started_at"]).timestamp()
    programs = [("API", api_began, api_began + startup["seconds"])]
    if service.way != OWN:  # a server on which a notebook makes scratch databases was up long before
        connected = api_began + sum(phase["seconds"] for phase in startup["phases"][:2])
        programs = [("PostgreSQL", _database_began(service), connected), *programs, *_jupyterlab()]
    frame = pd.DataFrame(programs, columns=["program", "began", "ready"])
    frame = frame[abs(frame["began"] - api_began) < ONE_START_SECONDS].reset_index(drop=True)
    first = frame["began"].min()
    return frame.assign(began=frame["began"] - first, ready=frame["ready"] - first)


def _database_began(service: RunningService) -> float:
    with service.connect() as connection:
        (began,) = connection.execute("SELECT extract(epoch FROM pg_postmaster_start_time())::float8").fetchall()[0]
    return float(began)


def _jupyterlab() -> list[tuple[str, float, float]]:
    url = jupyterlab_url_from_here()
    if url is None or (process := _notebooks_process()) is None:
        return []
    started = fetch(url + "/api/status", os.environ.get("JUPYTER_TOKEN", "")).json()["started"]
    began = time.time() - process_age(process)
    return [("JupyterLab", began, datetime.fromisoformat(started).timestamp())]


def _notebooks_process() -> int | None:
    """Return the process that serves JupyterLab: this kernel's parent, or the container's only one."""
    candidates = [os.getppid(), *(int(path.name) for path in Path("/proc").glob("[0-9]*"))]
    for pid in candidates:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"notebooks" in words and b"beefirst" in words and PYTHON.fullmatch(words[0]):
            return pid
    return None


@measurement
def measure_compose_start(service: RunningService) -> ComposeStart | None:
    """Ask this container's own files and the programs beside it how `docker compose up` brought them up, if it did."""
    return look_at_start(service)


@experiment
def command_is_within_budget(programs: pd.DataFrame, start: ComposeStart | None) -> Evidence:
    """Judge the time to the API ready, and draw how the programs of the running service came up.

    It counts from the creation of this container, and by the clock of the host from the command itself where the host
    runs the notebooks and tells.

    Args:
        programs: as measured.
        start: as measured; None where this is no container of Docker's.
    """
    shown, from_command = timelines.timeline(programs), RunContext.current().seconds_from_command
    doubt = start.doubt(START_BUDGET_SECONDS) if start else ""
    seconds, said = ([from_command], [HOST_CLOCK.format(from_command)]) if from_command else ([], [])
    if start and not doubt:
        seconds, said = [*seconds, start.seconds], [*said, OWN_CLOCK.format(start.seconds)]
    if not seconds:
        return replace(not_shown_here(FROM_THE_COMMAND, doubt), picture=shown)
    return Evidence(max(seconds) < START_BUDGET_SECONDS, "; ".join(said), picture=shown)


@measurement
def programs_in_numbers(programs: pd.DataFrame) -> Shown:
    """Return when each program began and was ready, as a table."""
    return table(as_text(programs, 2))
