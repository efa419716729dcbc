"""The embedded server: its start, its end, and the lines that say why it could not start."""

import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Self

import psycopg

from beefirst.database.session import session_options
from beefirst.embedded_postgres.cluster import (
    ELSEWHERE,
    MAJOR,
    check_reachable,
    check_version,
    complaint,
    create_data,
    folder_mode,
    make_folder,
)
from beefirst.embedded_postgres.programs import Account, choose_account, find_package, provide_programs
from beefirst.errors import EmbeddedServerError
from beefirst.machine.ports import free_port, local_name, refuse_taken_port
from beefirst.machine.waiting import wait_for

READY_SECONDS = 30
"""How long a server may take to start, and how long one before it to leave its data."""

# The server kills its own children 5 seconds after SIGQUIT: one more second, and none is left behind.
STOP_STEPS = ((signal.SIGINT, 10), (signal.SIGQUIT, 6), (signal.SIGKILL, 5))

SETTINGS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "log_line_prefix=%m [%p] %e ",
    # The DETAIL of a refused row would put an address and its hash into the log.
    "log_error_verbosity=terse",
)

FORGETFUL_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")

LOCK_FILE_EXISTS = "F0001"
"""PostgreSQL's code for data that another server uses."""


class EmbeddedServer:
    """A running PostgreSQL on 127.0.0.1; it ends with `stop`, with its `with` block, or with this process.

    Attributes:
        url: leads to the database `beefirst` in it, password included.
        psql: the client that comes with it.
        log: the file it writes to.
        process: the server; when `process.poll()` is not None, it has died.
    """

    def __init__(self, url: str, psql: Path, log: Path, process: subprocess.Popen[bytes], resources: ExitStack):
        self.url, self.psql, self.log, self.process = url, psql, log, process
        self._resources = resources

    @classmethod
    def start(cls, folder: Path, port: int) -> Self:
        """Start a server whose data stay in `folder` between runs. Call it from the main thread.

        Args:
            folder: made if missing. When root runs this, a system account must be able to reach it.
            port: where to listen on 127.0.0.1.

        Raises:
            PortTakenError: another program listens on `port`.
            ConfigurationError: this user may not listen on `port`.
            EmbeddedServerError: the package is missing, `folder` cannot be used, or the server does not start.
        """
        with _one_line_complaints(), ExitStack() as resources:
            return cls._start(folder.absolute(), port, resources, keep=True)

    @classmethod
    def start_ephemeral(cls, port: int | None = None, parent: Path | None = None) -> Self:
        """Start a server that never waits for the disk and leaves nothing behind; otherwise the same as `start`.

        Args:
            port: where to listen on 127.0.0.1; any free port where left out.
            parent: the folder that its temporary folder is made in; the system's where left out.
        """
        with _one_line_complaints(), ExitStack() as resources:
            folder = tempfile.TemporaryDirectory(prefix="beefirst-postgresql-", dir=parent, ignore_cleanup_errors=True)
            Path(resources.enter_context(folder)).chmod(folder_mode())
            return cls._start(Path(folder.name), port or free_port(), resources, keep=False)

    @classmethod
    def _start(cls, folder: Path, port: int, resources: ExitStack, *, keep: bool) -> Self:
        refuse_taken_port("127.0.0.1", port, "DB_PORT")
        package, data, log = find_package(), folder / f"postgresql-{MAJOR}", folder / f"postgresql-{MAJOR}.log"
        make_folder(folder)
        resources.enter_context(_lock(folder))
        account = choose_account(data)
        check_reachable(folder, account)
        binaries = provide_programs(package, folder, account)
        if data.exists():
            check_version(data)
        else:
            create_data(data, binaries, account, () if keep else ("--no-sync",))
        settings = (*SETTINGS, f"port={port}", *(() if keep else FORGETFUL_SETTINGS))
        process = _serve([binaries / "postgres", *(f"--{setting}" for setting in settings)], data, log, account)
        resources.callback(_end, process)
        _create_database(port)
        return cls(_url(port, "beefirst"), binaries / "psql", log, process, resources.pop_all())

    def stop(self) -> None:
        """End the server and wait until it is gone; on a stopped one this does nothing."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def _one_line_complaints() -> Iterator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError, psycopg.Error) as error:
        reason = str(error).partition("\n")[0]
        raise EmbeddedServerError(f"The embedded PostgreSQL cannot be used: {reason}: {ELSEWHERE}.") from error


def _open(path: Path, flags: int) -> IO[bytes]:
    return os.fdopen(os.open(path, flags | os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "ab")


def _lock(folder: Path) -> IO[bytes]:
    lock = _open(folder / f"postgresql-{MAJOR}.lock", 0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise EmbeddedServerError(f"beefirst already uses {folder}: stop it first, or {ELSEWHERE}.") from None
    return lock


def _serve(command: list[str | Path], data: Path, log: Path, account: Account) -> subprocess.Popen[bytes]:
    # A server whose parent was killed a moment ago may still be on its way out, and writing to the log.
    process = wait_for(lambda: _serve_unless_in_use(command, data, log, account), READY_SECONDS, pause=0.1)
    if process is None:
        raise _did_not_start(data, log, log.read_bytes())
    return process


def _serve_unless_in_use(
    command: list[str | Path], data: Path, log: Path, account: Account
) -> subprocess.Popen[bytes] | None:
    _forget_other_program(data / "postmaster.pid")
    with _open(log, os.O_APPEND) as output:
        start = output.tell()
        process = account.start([*command, "-D", data], output)
    if _becomes_ready(process, data / "postmaster.pid"):
        return process
    said = log.read_bytes()[start:]
    if f"[{process.pid}] {LOCK_FILE_EXISTS} ".encode() in said:
        return None
    raise _did_not_start(data, log, said)


def _did_not_start(data: Path, log: Path, said: bytes) -> EmbeddedServerError:
    return EmbeddedServerError(f"PostgreSQL did not start in {data}: {complaint(said)} (more in {log})")


def _forget_other_program(pid_file: Path) -> None:
    # After a crash the number in this file may belong to any program by now, and PostgreSQL would not start.
    with suppress(FileNotFoundError, ProcessLookupError):
        words = pid_file.read_text().split()
        if not words or Path("/proc", words[0], "comm").read_text() != "postgres\n":
            pid_file.unlink()


def _becomes_ready(process: subprocess.Popen[bytes], pid_file: Path) -> bool:
    with ExitStack() as unless_ready:
        unless_ready.callback(_end, process)
        wait_for(lambda: process.poll() is not None or _is_ready(pid_file, process.pid), READY_SECONDS, pause=0.01)
        if process.poll() is None and _is_ready(pid_file, process.pid):
            unless_ready.pop_all()
            return True
    return False


def _is_ready(pid_file: Path, pid: int) -> bool:
    with suppress(FileNotFoundError):
        lines = pid_file.read_text().split("\n")
        return lines[:1] == [str(pid)] and lines[7:8] in (["ready   "], ["standby "])
    return False


def _url(port: int, database: str) -> str:
    return f"postgresql://beefirst:beefirst@{local_name('127.0.0.1')}:{port}/{database}"


def _create_database(port: int) -> None:
    url = _url(port, "postgres")
    options = session_options(url)
    with psycopg.connect(url, autocommit=True, connect_timeout=READY_SECONDS, options=options) as connection:
        if not connection.execute("SELECT FROM pg_database WHERE datname = 'beefirst'").rowcount:
            connection.execute("CREATE DATABASE beefirst")


def _end(process: subprocess.Popen[bytes]) -> None:
    for step, seconds in STOP_STEPS:
        process.send_signal(step)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
