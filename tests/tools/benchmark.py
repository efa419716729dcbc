"""How fast it is: figures beside a reference that is measured in the same run.

python tests/tools/benchmark.py start | up | compose | images | register | overload | sweep
"""

import argparse
import itertools
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import bcrypt

from beefirst.laboratory import open_load, paced_load, raw_http
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until

BARE = "import fastapi, uvicorn, psycopg, psycopg_pool, pydantic_settings, bcrypt"
CORES = len(os.sched_getaffinity(0))
CONNECTIONS = 4 * CORES
ROUND_SECONDS = 3.0
LIVE = raw_http.request("GET", "/health/live")
READY = raw_http.request("GET", "/health/ready")
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
            with ApiProcess(database.url) as running:
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
    api, jupyterlab = [], []
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
                times = seconds_until_answered(*urls, started=started)
                process.terminate()
            if number:
                api.append(times[0])
                jupyterlab.append(times[1])
    show("up, existing data folder, to API ready", api, ("the goal of 1.5 s", 1.5))
    show("up, existing data folder, to JupyterLab answering", jupyterlab, ("the goal of 4 s", 4.0))


def compose(rounds: int) -> None:
    """From `docker compose up` with built images and empty volumes, beside the story's own compose file."""
    api, everything, story = [], [], []
    project = f"beefirstbenchmark{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs, volumes = CHECKOUT / "docker-compose.yml", Path(folder, "story.yml"), Path(folder, "volumes.yml")
        theirs.write_text(STORY)
        volumes.write_text(VOLUMES)
        try:
            first = _compose(project, 0, ours, volumes, "--build")
            print(f"{'first build and up, to API ready':58} {first[0]:13.2f} s   (whatever layers were cached counts)")
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
    show("the story's compose file, to API ready", story)
    show("docker compose up, to API ready", api, ("the story's", statistics.median(story)))
    show("docker compose up, until all three ports answer", everything, ("the goal of 7 s", 7.0))


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


def register(rounds: int) -> None:
    """Registrations, beside bcrypt alone on as many threads, in turns; and how soon a probe is answered meanwhile."""
    sink_port = free_port()
    sink = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{sink_port}", "-c", "aiosmtpd.handlers.Sink"]
    with ScratchDatabase() as database, subprocess.Popen(sink) as smtp:
        try:
            with start_api(database.url) as api:
                _registrations_beside_bcrypt("console mailer", 0.94, api, rounds)
            with start_api(database.url, mail_url=f"smtp://127.0.0.1:{sink_port}") as api:
                _registrations_beside_bcrypt("SMTP to a sink", 0.85, api, rounds)
        finally:
            smtp.terminate()


def _registrations_beside_bcrypt(mailer: str, goal: float, api: ApiProcess, rounds: int) -> None:
    addresses = _registrations()
    paced_load.send_for(api.url, 1, CONNECTIONS, addresses)
    bare, served = [], []
    for _ in range(rounds):
        bare.append(_hashes_per_second(ROUND_SECONDS))
        started = time.perf_counter()
        answers = paced_load.send_for(api.url, ROUND_SECONDS, CONNECTIONS, addresses)
        served.append(len(answers) / (time.perf_counter() - started))
        _check_status(answers, 202)
    ratio = statistics.median(ours / alone for ours, alone in zip(served, bare, strict=True))
    print(f"bcrypt alone on {CORES} threads: median {statistics.median(bare):.1f} hashes a second, {rounds} rounds")
    print(f"{mailer}: median {statistics.median(served):.1f} registrations a second: {ratio:.1%} (goal {goal:.0%})")
    with ThreadPoolExecutor(1) as thread:
        seconds = rounds * ROUND_SECONDS
        probing = thread.submit(paced_load.send_paced, api.url, seconds, 0.05, itertools.repeat(READY))
        paced_load.send_for(api.url, seconds, CONNECTIONS, addresses)
        probes = probing.result()
    _check_status(probes, 200)
    print(
        f"/health/ready meanwhile, {len(probes)} probes: median {1000 * paced_load.percentile(probes, 0.5):.1f} ms, "
        f"p99 {1000 * paced_load.percentile(probes, 0.99):.1f} ms (goal 15 ms)",
        flush=True,
    )


def _hashes_per_second(seconds: float) -> float:
    deadline = time.perf_counter() + seconds

    def hash_until_then() -> int:
        count = 0
        while time.perf_counter() < deadline:
            bcrypt.hashpw(b"correct horse", bcrypt.gensalt(10))
            count += 1
        return count

    started = time.perf_counter()
    with ThreadPoolExecutor(CORES) as threads:
        hashes = sum(threads.map(lambda _: hash_until_then(), range(CORES)))
    return hashes / (time.perf_counter() - started)


def _check_status(answers: list[raw_http.Answer], status: int) -> None:
    strange = {answer.status for answer in answers} - {status}
    if strange:
        raise RuntimeError(f"answered with {strange} rather than {status}")


def _registrations() -> Iterator[bytes]:
    return (raw_http.registering(f"{secrets.token_hex(8)}@example.com", "correct horse") for _ in itertools.count())


OVERLOAD_SECONDS = 10.0
RECOVERY_SECONDS = 3.0


def overload(rounds: int) -> None:
    """Ten times what can be served, beside what is served without more than that; each measured again each round."""
    with ScratchDatabase() as database, start_api(database.url) as api:
        paced_load.send_for(api.url, 2, CONNECTIONS, _registrations())
        for _ in range(rounds):
            _overload_once(api)


def _overload_once(api: ApiProcess) -> None:
    alone = paced_load.send_paced(api.url, RECOVERY_SECONDS, 0.05, _registrations())
    started = time.perf_counter()
    answers = paced_load.send_for(api.url, OVERLOAD_SECONDS / 2, CONNECTIONS, _registrations())
    capacity, memory = len(answers) / (time.perf_counter() - started), _resident_mib(api)
    with ThreadPoolExecutor(1) as thread:
        probing = thread.submit(paced_load.send_paced, api.url, OVERLOAD_SECONDS, 0.05, itertools.repeat(LIVE))
        load = open_load.send_openly(api.url, 10 * capacity, OVERLOAD_SECONDS)
        probes = probing.result()
    after = paced_load.send_paced(api.url, RECOVERY_SECONDS, 0.05, _registrations())
    served, refused = load.with_status(202), load.with_status(503)
    seconds = max(answer.began + answer.seconds for answer in served) - min(answer.began for answer in load.answers)
    left = 1 - load.cpu_seconds / (seconds * CORES)
    ratio = len(served) / seconds / capacity
    print(f"capacity {capacity:.1f} a second; {len(load.answers)} in {OVERLOAD_SECONDS:g} s: {len(served)} served")
    print(
        f"served: {ratio:.0%} of the capacity, {ratio / left:.0%} of what the load's own process leaves (goal 95 %); "
        f"median {paced_load.percentile(served, 0.5):.2f} s, p99 {paced_load.percentile(served, 0.99):.2f} s (goal 3 s)"
    )
    print(f"refused: {_milliseconds(refused)}")
    print(f"/health/live meanwhile: {_milliseconds(probes)} (goal 50 ms)")
    print(f"registrations before: {_milliseconds(alone)}; in the {RECOVERY_SECONDS:g} s after: {_milliseconds(after)}")
    print(f"memory: {memory:.1f} MiB before, {_resident_mib(api):.1f} MiB after", flush=True)


def _milliseconds(answers: list[raw_http.Answer]) -> str:
    median, p99 = (1000 * paced_load.percentile(answers, share) for share in (0.5, 0.99))
    return f"median {median:.1f} ms, p99 {p99:.1f} ms"


def _resident_mib(api: ApiProcess) -> float:
    lines = Path(f"/proc/{api.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


DUE, ROWS = 10_000, 1_000_000
FILL = f"""
    INSERT INTO registrations (email, verification_code, state, password_hash, activated_at, created_at)
    SELECT n || '@example.com', '0000', CASE WHEN n <= {DUE} THEN 'CLAIMED' ELSE 'ACTIVE' END,
           repeat('x', 60), CASE WHEN n > {DUE} THEN now() END,
           now() - CASE WHEN n <= {DUE} THEN INTERVAL '2 minutes' ELSE INTERVAL '2 days' END
      FROM generate_series(1, {ROWS}) AS n
"""


def sweep(rounds: int) -> None:
    """A sweep of many due claims in a large table, and what other requests notice of it."""
    seconds, before, during = [], [], []
    for _ in range(rounds):
        with ScratchDatabase() as database:
            start_api(database.url).stop()
            with database.connect() as connection:
                connection.execute(FILL)
                connection.execute("VACUUM ANALYZE registrations")
                with start_api(database.url, sweep_interval_seconds=3) as api:
                    answers = paced_load.send_paced(api.url, 6, 0.01, itertools.repeat(READY))
                    seconds.append(_sum_of_sweeps(api))
                    first, last = _first_and_last_expiry(api)
                    before += [answer for answer in answers if answer.began < first - answer.seconds]
                    during += [answer for answer in answers if first < answer.began < last]
                    left = connection.execute("SELECT count(*) FROM registrations WHERE state = 'CLAIMED'").fetchone()
        if left != (0,):
            raise RuntimeError(f"{left} claims were not swept")
    show(f"a sweep of {DUE:,} due claims among {ROWS:,} rows", seconds, ("the goal of 1 s", 1.0))
    ratio = paced_load.percentile(during, 0.99) / paced_load.percentile(before, 0.99)
    print(
        f"p99 of other requests: {1000 * paced_load.percentile(before, 0.99):.1f} ms before, "
        f"{1000 * paced_load.percentile(during, 0.99):.1f} ms during, {ratio:.1f} times (goal: at most 2)"
    )


def _first_and_last_expiry(api: ApiProcess) -> tuple[float, float]:
    times = [line[:23] for line in api.log().splitlines() if " expired " in line]
    first, last = (datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f").timestamp() for at in (times[0], times[-1]))
    return first, last


def _sum_of_sweeps(api: ApiProcess) -> float:
    lines = api.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("beefirst_sweep_seconds_sum"))


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
    benchmarks = {function.__name__: function for function in (start, up, compose, images, register, overload, sweep)}
    parser.add_argument("benchmark", choices=benchmarks)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    benchmarks[options.benchmark](options.rounds)
