"""How long it takes to start: the API beside a bare process, `up` with a data folder, migrations up to date."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from psycopg import AsyncConnection

from beefirst.database.migration_files import read_migrations
from beefirst.database.migrations import migrate
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until
from tests.tools.benchmark.figures import Figure, measured

BARE = "import fastapi, uvicorn, psycopg, psycopg_pool, pydantic_settings, bcrypt"
FILES = (1, 10, 100, 999)
"""Their numbers have three digits: there can be no more than 999."""


def seconds_until_answered(*urls: str, started: float) -> list[float]:
    """Return for each address the seconds from `started` until it answered with 200."""
    seconds: dict[str, float] = {}

    def have_all_answered() -> bool:
        for url in urls:
            if url not in seconds and answers(url, 1):
                seconds[url] = time.perf_counter() - started
        return len(seconds) == len(urls)

    wait_until(have_all_answered, 300, pause=0.01)
    return [seconds[url] for url in urls]


def start(rounds: int) -> list[Figure]:
    """From the start of the API's process to ready, and each phase, beside one that imports its libraries."""
    bare, seen, phases = [], [], dict[str, list[float]]()
    with ScratchDatabase() as database:
        for number in range(rounds + 1):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", BARE], check=True)
            importing = time.perf_counter() - started
            with ApiProcess(database.url) as running:
                table = running.wait_until_ready().startup()
                if number:  # the first round fills the caches and applies the migrations
                    bare.append(importing)
                    seen.append(running.seconds_until_ready)
                    for phase, seconds in zip(table["phase"], table["seconds"], strict=True):
                        phases.setdefault(phase, []).append(seconds)
    beside = ("a bare process that imports the libraries", bare)
    own = [sum(one) for one in zip(*phases.values(), strict=True)]
    return [
        measured("API, process to ready, as a client sees it", "s", seen, beside),
        measured("API, process to ready, by its own stop-watch", "s", own, beside, "60 ms over it"),
        *(measured(f"phase: {phase}", "s", seconds, beside) for phase, seconds in phases.items()),
    ]


def up(rounds: int) -> list[Figure]:
    """From `python -m beefirst up` with an existing data folder to the API ready and JupyterLab answering."""
    api, jupyterlab = [], []
    with tempfile.TemporaryDirectory(prefix="beefirst-benchmark-") as folder:
        Path(folder).chmod(0o755)
        for number in range(rounds + 1):
            times = _up_once(folder)
            if number:
                api.append(times[0])
                jupyterlab.append(times[1])
    return [
        measured("up, existing data folder, to API ready", "s", api, goal="1.5 s"),
        measured("up, existing data folder, to JupyterLab answering", "s", jupyterlab, goal="4 s"),
    ]


def _up_once(folder: str) -> Sequence[float]:
    ports = {name: str(free_port()) for name in ("DB_PORT", "API_PORT", "NOTEBOOK_PORT")}
    environment = clean_environment() | ports | {"BEEFIRST_DATA": folder}
    started = time.perf_counter()
    command = [sys.executable, "-m", "beefirst", "up"]
    with subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            return seconds_until_answered(
                f"http://localhost:{ports['API_PORT']}/health/ready",
                f"http://localhost:{ports['NOTEBOOK_PORT']}/api",
                started=started,
            )
        finally:
            process.terminate()


def migrations(rounds: int) -> list[Figure]:
    """What a start spends on so many migrations that are applied already, beside one SELECT."""
    figures = []
    for count in FILES:
        with ScratchDatabase() as database, tempfile.TemporaryDirectory(prefix="beefirst-benchmark-") as folder:
            for number in range(1, count + 1):
                Path(folder, f"{number:03}_do_nothing.sql").write_text("SELECT 1;\n")
            taken, asked = asyncio.run(_migrate_again(database.url, Path(folder), rounds))
            name = f"migrations up to date, {count} file{'s' * (count > 1)}"
            figures.append(measured(name, "ms", taken, ("one SELECT", asked)))
    return figures


async def _migrate_again(url: str, folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    taken, asked = [], []
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await migrate(connection, read_migrations(folder), 60)
        for _ in range(rounds):
            started = time.perf_counter()
            await connection.execute("SELECT 1")
            asked.append(1000 * (time.perf_counter() - started))
            started = time.perf_counter()
            await migrate(connection, read_migrations(folder), 60)
            taken.append(1000 * (time.perf_counter() - started))
    return taken, asked
