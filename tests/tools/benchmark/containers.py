"""`docker compose up` beside the story's own compose file, and what each image adds to its base."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.ports import free_port
from tests.tools.benchmark.figures import Figure, measured
from tests.tools.benchmark.starts import seconds_until_answered

STORY = """
services:
  db:
    image: postgres:16
    environment: {POSTGRES_USER: beefirst, POSTGRES_PASSWORD: beefirst, POSTGRES_DB: beefirst}
    ports: ["127.0.0.1:${DB_PORT}:5432"]
    volumes: ["database:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U beefirst"], interval: 5s, timeout: 5s, retries: 5}
  api:
    image: ${API_IMAGE}
    ports: ["127.0.0.1:${API_PORT}:8000"]
    environment: {DATABASE_URL: "postgresql://beefirst:beefirst@db:5432/beefirst"}
    depends_on: {db: {condition: service_healthy}}
"""
# Where ext4 looks for a free inode it passes by each that was deleted in the last minutes, up to six: beside a volume
# that was just deleted, initdb takes half as long again. So each start has volumes of its own, deleted at the end.
VOLUMES = """
volumes:
  database: {name: "${VOLUMES}-database"}
  notebooks: {name: "${VOLUMES}-notebooks"}
"""
GOALS = {"api": 110, "notebook": 480}
"""Megabytes over the base."""


def compose(rounds: int) -> list[Figure]:
    """From `docker compose up` with built images and empty volumes, beside the story's own compose file."""
    api, everything, story = [], [], []
    project = f"beefirstbenchmark{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs, volumes = CHECKOUT / "docker-compose.yml", Path(folder, "story.yml"), Path(folder, "volumes.yml")
        theirs.write_text(STORY)
        volumes.write_text(VOLUMES)
        try:
            _compose(project, 0, ours, volumes, "--build")
            for number in range(1, rounds + 1):
                times = _compose(project, number, ours, volumes, "--no-build")
                api.append(times[0])
                everything.append(max(times))
                story += _compose(f"{project}story", number, theirs, volumes, image=f"{project}-api")
        finally:
            for volume in _docker("volume", "ls", "--quiet", "--filter", f"name=^{project}(story)?-").split():
                _docker("volume", "rm", volume)
            for image in _docker("image", "ls", "--quiet", "--filter", f"reference={project}-*").split():
                _docker("image", "rm", image)
    return [
        measured("docker compose up, to API ready", "s", api, ("the story's compose file", story)),
        measured("docker compose up, until all three ports answer", "s", everything, goal="7 s"),
    ]


def _compose(project: str, number: int, file: Path, volumes: Path, *words: str, image: str = "") -> list[float]:
    ports = {name: str(free_port()) for name in ("DB_PORT", "API_PORT", "NOTEBOOK_PORT")}
    names = {"COMPOSE_PROJECT_NAME": project, "VOLUMES": f"{project}-{number}", "API_IMAGE": image}
    run: Callable[..., object] = lambda *more: subprocess.run(  # noqa: E731
        ["docker", "compose", "--file", file, "--file", volumes, *more],
        env=clean_environment() | ports | names,
        check=True,
        capture_output=True,
    )
    urls = [f"http://localhost:{ports['API_PORT']}/health/ready"]
    if not image:
        urls.append(f"http://localhost:{ports['NOTEBOOK_PORT']}/api")
    try:
        started = time.perf_counter()
        run("up", "--detach", *words)
        return seconds_until_answered(*urls, started=started)
    finally:
        run("down", "--timeout", "5")


def images(_: int) -> list[Figure]:
    """The size of each image over its base."""
    project = f"beefirstbenchmark{os.getpid()}"
    environment = os.environ | {"COMPOSE_PROJECT_NAME": project}
    subprocess.run(["docker", "compose", "build"], cwd=CHECKOUT, env=environment, check=True, capture_output=True)
    base, figures = _megabytes("python:3.11-slim"), []
    for name, goal in GOALS.items():
        added = _megabytes(f"{project}-{name}") - base
        figures.append(measured(f"image {name}, over its base", "MB", [added], ("its base", [base]), f"{goal} MB"))
        _docker("image", "rm", f"{project}-{name}")
    return figures


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


def _megabytes(image: str) -> float:
    return int(json.loads(_docker("image", "inspect", image))[0]["Size"]) / 1e6
