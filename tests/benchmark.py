"""How fast it is: figures beside a reference that is measured in the same run.

python tests/benchmark.py start | up | compose | images
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from beefirst.evaluation.launch import RunningApi, clean_environment
from beefirst.evaluation.scratch import ScratchDatabase
from beefirst.folders import CHECKOUT
from beefirst.ports import free_port
from beefirst.processes import answers

BARE = "import fastapi, uvicorn, psycopg, psycopg_pool, pydantic_settings, bcrypt"
STORY = """
services:
  db:
    image: postgres:16
    environment: {POSTGRES_USER: beefirst, POSTGRES_PASSWORD: beefirst, POSTGRES_DB: beefirst}
    ports: ["127.0.0.1:${DB_PORT}:5432"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U beefirst"], interval: 5s, timeout: 5s, retries: 5}
  api:
    image: ${API_IMAGE}
    ports: ["127.0.0.1:${API_PORT}:8000"]
    environment: {DATABASE_URL: "postgresql://beefirst:beefirst@db:5432/beefirst"}
    depends_on: {db: {condition: service_healthy}}
"""


def wait_for(*urls: str, started: float) -> list[float]:
    """Return for each address the seconds from `started` until it answered with 200."""
    seconds: dict[str, float] = {}
    while len(seconds) < len(urls):
        for url in urls:
            if url not in seconds and answers(url, 1):
                seconds[url] = time.perf_counter() - started
        if time.perf_counter() - started > 300:
            raise TimeoutError(f"not within 300 s: {set(urls) - set(seconds)}")
        time.sleep(0.01)
    return [seconds[url] for url in urls]


def show(what: str, seconds: Iterable[float], reference: tuple[str, float] | None = None) -> None:
    runs = list(seconds)
    line = f"{what:58} median {statistics.median(runs):6.2f} s   {min(runs):5.2f} to {max(runs):5.2f}, {len(runs)} runs"
    if reference:
        line += f"   {statistics.median(runs) / reference[1]:.2f} of {reference[0]}"
    print(line, flush=True)


def start(rounds: int) -> None:
    """From the start of the API's process to ready, beside a bare process that imports its libraries."""
    bare, api, own = [], [], []
    with ScratchDatabase() as database:
        for number in range(rounds + 1):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", BARE], check=True)
            bare.append(time.perf_counter() - started)
            started = time.perf_counter()
            with RunningApi(database.url) as running:
                running.wait_until_ready()
                api.append(time.perf_counter() - started)
                own.append(running.startup()["seconds"].sum())
            if number == 0:  # the first round fills the caches and applies the migrations
                bare, api, own = [], [], []
    show("bare process that imports the six libraries", bare)
    show("API, process to ready, as a client sees it", api, ("the bare process", statistics.median(bare)))
    show("API, process to ready, by its own stop-watch", own, ("the bare process", statistics.median(bare)))
    extra = statistics.median(ready - importing for ready, importing in zip(own, bare, strict=True))
    print(f"median difference of each pair: {1000 * extra:.0f} ms (goal: at most 60 ms)")


def up(rounds: int) -> None:
    """From `python -m beefirst up` with an existing data folder to the API ready and JupyterLab answering."""
    api, lab = [], []
    with tempfile.TemporaryDirectory(prefix="beefirst-benchmark-") as folder:
        Path(folder).chmod(0o755)
        for number in range(rounds + 1):
            ports = {name: str(free_port()) for name in ("DB_PORT", "API_PORT", "NOTEBOOK_PORT")}
            environment = clean_environment() | ports | {"BEEFIRST_DATA": folder}
            started = time.perf_counter()
            command = [sys.executable, "-m", "beefirst", "up"]
            with subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL) as process:
                urls = (
                    f"http://localhost:{ports['API_PORT']}/health/ready",
                    f"http://localhost:{ports['NOTEBOOK_PORT']}/api",
                )
                times = wait_for(*urls, started=started)
                process.terminate()
            if number:
                api.append(times[0])
                lab.append(times[1])
    show("up, existing data folder, to API ready", api, ("the goal of 1.5 s", 1.5))
    show("up, existing data folder, to JupyterLab answering", lab, ("the goal of 4 s", 4.0))


def compose(rounds: int) -> None:
    """From `docker compose up` with built images and empty volumes, beside the story's own compose file."""
    api, everything, story = [], [], []
    project = f"beefirstbenchmark{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "docker-compose.yml").write_text(STORY)
        first = _compose(project, CHECKOUT, "up", "--detach", "--build")
        print(f"{'first build and up, to API ready':58} {first[0]:13.2f} s   (whatever layers were cached counts)")
        for _ in range(rounds):
            times = _compose(project, CHECKOUT, "up", "--detach", "--no-build")
            api.append(times[0])
            everything.append(max(times))
            story.append(_compose(f"{project}story", Path(folder), "up", "--detach", image=f"{project}-api")[0])
        _docker("image", "rm", f"{project}-api", f"{project}-notebook")
    show("the story's compose file, to API ready", story)
    show("docker compose up, to API ready", api, ("the story's", statistics.median(story)))
    show("docker compose up, until all three ports answer", everything, ("the goal of 7 s", 7.0))


def _compose(project: str, folder: Path, *words: str, image: str = "") -> list[float]:
    ports = {name: str(free_port()) for name in ("DB_PORT", "API_PORT", "NOTEBOOK_PORT")}
    environment = clean_environment() | ports | {"COMPOSE_PROJECT_NAME": project, "API_IMAGE": image}
    run: Callable[..., object] = lambda *more: subprocess.run(  # noqa: E731
        ["docker", "compose", *more], cwd=folder, env=environment, check=True, capture_output=True
    )
    urls = [f"http://localhost:{ports['API_PORT']}/health/ready"]
    if not image:
        urls.append(f"http://localhost:{ports['NOTEBOOK_PORT']}/api")
    try:
        started = time.perf_counter()
        run(*words)
        return wait_for(*urls, started=started)
    finally:
        run("down", "--volumes", "--timeout", "5")


def images(_: int) -> None:
    """The size of each image over its base."""
    project = f"beefirstbenchmark{os.getpid()}"
    environment = os.environ | {"COMPOSE_PROJECT_NAME": project}
    subprocess.run(["docker", "compose", "build"], cwd=CHECKOUT, env=environment, check=True, capture_output=True)
    base = _size("python:3.11-slim")
    for name, goal in (("api", 110), ("notebook", 480)):
        added = (_size(f"{project}-{name}") - base) / 1e6
        print(f"{name:10} adds {added:6.0f} MB to python:3.11-slim   {added / goal:.2f} of the goal of {goal} MB")
        _docker("image", "rm", f"{project}-{name}")


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


def _size(image: str) -> int:
    return int(json.loads(_docker("image", "inspect", image))[0]["Size"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    benchmarks = {function.__name__: function for function in (start, up, compose, images)}
    parser.add_argument("benchmark", choices=benchmarks)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    benchmarks[options.benchmark](options.rounds)
