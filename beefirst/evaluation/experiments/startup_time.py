"""Notebook 04: how long a start takes, by the API's own stop-watch and by one outside, and how everything came up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pandas as pd

from beefirst.evaluation.display import charts, timelines
from beefirst.evaluation.display.progress import Progress
from beefirst.evaluation.display.tables import Shown, table
from beefirst.evaluation.evidence import Evidence, not_shown_here
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.evaluation.promises import START_BUDGET_SECONDS
from beefirst.evaluation.run_context import RunContext
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.compose_start import ComposeStart, look_at_start
from beefirst.laboratory.program_starts import look_at_programs
from beefirst.laboratory.running_service import RunningService
from beefirst.laboratory.scratch_database import ScratchDatabase

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

ONE_CLOCK_SECONDS = 1e-6
"""Two stop-watches do not agree as closely as this: one is given out as both."""


@dataclass(frozen=True)
class Start:
    """One start of an API, measured twice.

    Attributes:
        phases: by the API's own stop-watch: phase, begins at, seconds.
        began: when its process was started, by this process's clock.
        ready: when its first answer came that says ready, by the same clock.
    """

    phases: pd.DataFrame
    began: float
    ready: float

    @property
    def outside(self) -> float:
        """Seconds until ready by this process's clock."""
        return self.ready - self.began

    @property
    def inside(self) -> float:
        """Seconds until ready by the API's own stop-watch."""
        return float(self.phases["seconds"].sum())

    @property
    def gap(self) -> float:
        """Seconds that the stop-watch outside shows more."""
        return self.outside - self.inside

    @property
    def is_in_time(self) -> bool:
        """Whether it was ready within the budget by both of them."""
        return 0 < self.outside < START_BUDGET_SECONDS and 0 < self.inside < START_BUDGET_SECONDS


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
        return Start(api.startup(), api.began, api.ready)


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


def _judge_first_start(moments: pd.DataFrame, phases: pd.DataFrame) -> Evidence:
    (start,) = starts = _starts(moments, phases)
    summary, doubts = f"first start, with an empty database: {start.outside:.2f} s", _doubts(starts)
    picture = timelines.start_phases(start.phases)
    return Evidence(start.is_in_time and not doubts, "; ".join([summary, *doubts]), as_text(start.phases, 3), picture)


@experiment(_judge_first_start, measure_start)
def first_start_is_within_budget(start: Start) -> Observed:
    """Judge the start on an empty database, and draw where its time went."""
    return _observed([start])


def _observed(starts: Sequence[Start]) -> Observed:
    moments = [(number, start.began, start.ready) for number, start in enumerate(starts, 1)]
    phases = [start.phases.assign(start=number) for number, start in enumerate(starts, 1)]
    return {"moments": pd.DataFrame(moments, columns=["start", "began", "ready"]), "phases": pd.concat(phases)}


def _starts(moments: pd.DataFrame, phases: pd.DataFrame) -> list[Start]:
    return [
        Start(phases[phases["start"] == it.start].drop(columns="start"), float(it.began), float(it.ready))
        for it in moments.itertuples()
    ]


def _doubts(starts: Sequence[Start]) -> list[str]:
    """Return why the times are not those of two stop-watches, and of one start after another."""
    copied = [str(number) for number, start in enumerate(starts, start=1) if abs(start.gap) < ONE_CLOCK_SECONDS]
    found = [f"one stop-watch is given out as both in start {', '.join(copied)}"] if copied else []
    if any(later.began < earlier.ready for earlier, later in pairwise(starts)):
        found.append("the starts are not one after another on one clock")
    return found


@measurement
def phases_in_numbers(start: Start) -> Shown:
    """Return the phases of a start as a table."""
    return table(as_text(start.phases, 3))


def _judge_starts(due: int, moments: pd.DataFrame, phases: pd.DataFrame) -> Evidence:
    starts = _starts(moments, phases)
    seconds, doubts = [start.outside for start in starts], _doubts(starts)
    doubts += [] if len(starts) == due else [f"{due} starts were due, and {len(starts)} made"]
    late = [(number, start.outside) for number, start in enumerate(starts, 1) if not start.is_in_time]
    summary = f"{len(seconds) - len(late)} of {len(seconds)} within budget, slowest {max(seconds):.2f} s"
    rows = pd.DataFrame(late, columns=["start", "until ready, from outside (s)"])
    holds, words = len(starts) > 1 and not late and not doubts, "; ".join([summary, *doubts])
    return Evidence(holds, words, rows, charts.start_spread(seconds))


@experiment(_judge_starts, measure_starts)
def every_start_is_within_budget(starts: Sequence[Start], due: int) -> Observed:
    """Judge every one of the starts that were due, and draw them all; the rows are those that took longer."""
    return {"due": due, **_observed(starts)}


def _judge_stop_watches(first: dict[str, pd.DataFrame], others: dict[str, pd.DataFrame]) -> Evidence:
    (start,) = alone = _starts(**first)
    starts = _starts(**others)
    gap = min(abs(start.gap) for start in starts)
    roughly = abs(start.gap) < max(ROUGH_SECONDS, ROUGH_SHARE * start.outside)
    closely = gap < max(CLOSE_SECONDS, CLOSE_SHARE * min(start.outside for start in starts))
    summary = (
        f"{start.inside:.2f} s inside and {start.outside:.2f} s outside at first; "
        f"{1000 * gap:.0f} ms apart where they agree best"
    )
    doubts = [*_doubts(alone), *_doubts(starts)]
    return Evidence(roughly and closely and not doubts, "; ".join([summary, *doubts]), spread(starts))


@experiment(_judge_stop_watches, measure_start, measure_starts)
def stop_watches_agree(first: Start, starts: Sequence[Start]) -> Observed:
    """Hold the API's own stop-watch to the one outside: roughly in the first start, closely where they agree best."""
    return {"first": _observed([first]), "others": _observed(starts)}


def spread(starts: Sequence[Start]) -> pd.DataFrame:
    """Return the quickest, the median and the slowest of many starts, by phase.

    Returns:
        The columns phase, quickest (s), median (s), slowest (s), as text with three decimals; the last two rows are
        what a client saw and how much longer that is.
    """
    rows = []
    for start in starts:
        seconds = start.phases.set_index("phase")["seconds"]
        seconds["until ready, from outside"], seconds["between the two stop-watches"] = start.outside, start.gap
        rows.append(seconds)
    each = pd.DataFrame(rows)
    columns = {"quickest (s)": each.min(), "median (s)": each.median(), "slowest (s)": each.max()}
    return as_text(pd.DataFrame(columns), 3).rename_axis("phase").reset_index()


def as_text(seconds: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """Return a table with all of its numbers as text of so many decimals."""
    numbers = seconds.select_dtypes("number")
    return seconds.assign(**{name: numbers[name].map(f"{{:.{decimals}f}}".format) for name in numbers})


@measurement
def measure_programs(service: RunningService) -> pd.DataFrame:
    """Ask each program of the running service when it began and was ready; see `look_at_programs`."""
    return look_at_programs(service)


@measurement
def measure_compose_start(service: RunningService) -> ComposeStart | None:
    """Ask this container's own files and the programs beside it how `docker compose up` brought them up, if it did."""
    return look_at_start(service)


def _judge_command(programs: pd.DataFrame, moments: dict[str, float] | None, from_command: float) -> Evidence:
    shown, start = timelines.timeline(programs), ComposeStart(**moments) if moments else None
    doubt = start.doubt(START_BUDGET_SECONDS) if start else ""
    seconds, said = ([from_command], [HOST_CLOCK.format(from_command)]) if from_command else ([], [])
    if start and not doubt:
        seconds, said = [*seconds, start.seconds], [*said, OWN_CLOCK.format(start.seconds)]
    if not seconds:
        return replace(not_shown_here(FROM_THE_COMMAND, doubt), picture=shown)
    return Evidence(max(seconds) < START_BUDGET_SECONDS, "; ".join(said), picture=shown)


@experiment(_judge_command, measure_programs, measure_compose_start)
def command_is_within_budget(programs: pd.DataFrame, start: ComposeStart | None) -> Observed:
    """Judge the time to the API ready, and draw how the programs of the running service came up.

    It counts from the creation of this container, and by the clock of the host from the command itself where the host
    runs the notebooks and tells.

    Args:
        programs: as measured.
        start: as measured; None where this is no container of Docker's.
    """
    from_command = RunContext.current().seconds_from_command
    return {"programs": programs, "moments": vars(start) if start else None, "from_command": from_command}


@measurement
def programs_in_numbers(programs: pd.DataFrame) -> Shown:
    """Return when each program began and was ready, as a table."""
    return table(as_text(programs, 2))
