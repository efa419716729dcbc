"""Migrations that run by themselves, and exactly once, however many start at once; the running service's, too."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from beefirst.database.migration_files import read_migrations
from beefirst.errors import ProcessError
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import catalog, counted_runs
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.running_service import RunningService, find_service
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS

Start: TypeAlias = Callable[[str], ApiProcess]

FIRST = "001_create_registrations.sql"


def _judge_first_start(
    before: Sequence[str], shipped: Sequence[str], history: pd.DataFrame, tables: Sequence[str]
) -> Evidence:
    names = [*history["name"]]
    holds = not before and names == shipped and names[:1] == [FIRST] and "registrations" in tables
    found = f"; the database was not empty, it had {', '.join(before)}" if before else ""
    applied = f"{names[0]} applied by the start, and the {len(names) - 1} after it" if names else "nothing was applied"
    return Evidence(holds, f"{applied}{found}", history)


@experiment(_judge_first_start)
def applied_by_a_start(database: ScratchDatabase, start: Start = start_api) -> Observed:
    """Start an API on an empty database, and look at what that has applied: nobody runs a migration by hand.

    Args:
        database: an empty one.
        start: what starts an API on a database's URL and returns it once it is ready.
    """
    with database.connect() as connection:
        before = catalog.tables(connection)
        start(database.url).stop()
        history, tables = catalog.history(connection), catalog.tables(connection)
    return {"before": before, "shipped": _shipped(), "history": history, "tables": tables}


def _shipped() -> list[str]:
    return [file.name for file in read_migrations(MIGRATIONS)]


def _judge_second_start(
    before: pd.DataFrame,
    after: pd.DataFrame,
    made_before: pd.DataFrame,
    made_after: pd.DataFrame,
    history: pd.DataFrame,
) -> Evidence:
    same, kept = _count_same(before, after), _count_same(made_before, made_after)
    summary = (
        f"{same} of {len(before)} rows of the history are as before, times of applying included; "
        f"{len(made_before) - kept} of {len(made_before)} constraints, functions and triggers were made anew"
    )
    holds = len(before) > 0 and len(made_before) > 0 and after.equals(before) and made_after.equals(made_before)
    return Evidence(holds, summary, history)


@experiment(_judge_second_start)
def nothing_is_applied_again(database: ScratchDatabase, start: Start = start_api) -> Observed:
    """Start an API on a database that has every migration: the history must stay, and all that the files made.

    Args:
        database: one that an API has been started on.
        start: as for `applied_by_a_start`.
    """
    with database.connect() as connection:
        before, made_before = catalog.applied(connection), catalog.made(connection)
        start(database.url).stop()
        after, made_after = catalog.applied(connection), catalog.made(connection)
        history = catalog.history(connection)
    return {
        "before": before,
        "after": after,
        "made_before": made_before,
        "made_after": made_after,
        "history": history,
    }


def _count_same(before: pd.DataFrame, after: pd.DataFrame) -> int:
    return len(set(before.itertuples(index=False, name=None)) & set(after.itertuples(index=False, name=None)))


def _judge_second_run(said: Sequence[str], before: pd.DataFrame, after: pd.DataFrame) -> Evidence:
    rows = pd.DataFrame(list(enumerate(said, start=1)), columns=["run", "notice"])
    unchanged = len(before) > 0 and after.equals(before)
    left = "the table as it was" if unchanged else "another table than before"
    return Evidence(unchanged and len(said) == 2, f"ran twice and left {left}: {'; '.join(said)}", rows)


@experiment(_judge_second_run)
def file_runs_again_by_hand(database: ScratchDatabase, folder: Path = MIGRATIONS) -> Observed:
    """Run the first file of a folder twice, past the runner, where it was applied; the table must stay as it is."""
    said: list[str] = []
    with database.connect() as connection:
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        before = catalog.columns(connection)
        for _ in range(2):
            connection.execute((folder / FIRST).read_bytes())
        return {"said": said, "before": before, "after": catalog.columns(connection)}


def _judge_replicas(
    count: int, shipped: Sequence[str], replicas: pd.DataFrame, history: Sequence[str], runs: Mapping[str, int]
) -> Evidence:
    ready = int((replicas["result"] == "ready").sum())
    each = ", ".join(f"{name[:3]}: {times}" for name, times in runs.items())
    summary = f"{ready} of {count} ready; times that each file was run: {each}; {len(history)} rows of history"
    holds = ready == count == len(replicas) and history == shipped and runs == dict.fromkeys(shipped, 1)
    return Evidence(holds, summary, replicas)


@experiment(_judge_replicas)
def many_replicas(count: int = 8, copies: type[ProjectCopy] = ProjectCopy) -> Observed:
    """Start several APIs at once on one empty database: each must become ready, and each file be run once.

    They run a copy whose files count their own runs, and whose first file waits until all replicas have come to it.

    Args:
        count: how many.
        copies: makes the copy.
    """
    with ScratchDatabase() as database, copies() as copy, database.connect() as connection:
        counted_runs.count_runs(copy, connection)
        counted_runs.close_gate(connection)
        with ExitStack() as running:
            replicas = [running.enter_context(copy.start(database)) for _ in range(count)]
            counted_runs.open_gate_for(connection, replicas)
            rows = [(number, *_came_up(replica)) for number, replica in enumerate(replicas, start=1)]
        history = catalog.applied(connection)["name"].tolist()
        runs = counted_runs.counted_runs(connection)
    frame = pd.DataFrame(rows, columns=["replica", "ready after (s)", "in migrate (ms)", "result"])
    return {"count": count, "shipped": _shipped(), "replicas": frame, "history": history, "runs": runs}


def _came_up(replica: ApiProcess) -> tuple[float, float, str]:
    """Return the seconds until it was ready, the milliseconds of those in `migrate`, and `ready`, or why it is not."""
    try:
        seconds = replica.wait_until_ready().startup().set_index("phase")["seconds"]
    except ProcessError as error:
        return float("nan"), float("nan"), str(error)
    return round(seconds.sum(), 2), round(1000 * seconds["migrate"]), "ready"


def _judge_service(history: pd.DataFrame, shipped: Mapping[str, str]) -> Evidence:
    applied = dict(zip(history["name"], history["sha256"], strict=True))
    same = len(applied.items() & shipped.items())
    summary = f"{same} of {len(shipped)} migrations, with the same checksums; {len(applied) - same} others"
    return Evidence(len(shipped) > 0 and applied == shipped, summary, history)


@experiment(_judge_service)
def service_has_every_migration(service: RunningService | None = None) -> Observed:
    """Read the history of the running service's own database, and hold it against the files that were shipped.

    Args:
        service: see `find_service` where left out.
    """
    with (service or find_service()).connect() as connection:
        history = catalog.history(connection)
    return {"history": history, "shipped": {file.name: file.sha256[:12] for file in read_migrations(MIGRATIONS)}}
