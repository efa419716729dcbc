"""A PostgreSQL of one's own, to be harmed: killed, made silent, started again, followed by a standby."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from beefirst.embedded_postgres.cluster import MAJOR, create_data, folder_mode
from beefirst.embedded_postgres.programs import Account, choose_account, find_package, provide_programs
from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import EmbeddedServerError
from beefirst.laboratory.cleanup import Owned, new_folder, register, release, uninterrupted
from beefirst.laboratory.scratch_database import connect
from beefirst.machine.ports import free_port, local_name
from beefirst.machine.waiting import wait_until

# The data of a server of one's own hold nothing worth keeping from anybody on this machine.
ROLES = b"CREATE ROLE standby LOGIN REPLICATION PASSWORD 'standby'\nGRANT pg_monitor TO beefirst\n"

SETTINGS = {
    "max_connections": "60",
    # What a process has written outlives it: only a machine that loses its power would need this.
    "fsync": "off",
    # What is acknowledged before it is written stays unwritten for long: whoever does so is seen to lose it.
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
}

IN_SYNC = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
PROMOTION_SECONDS = 60


class OwnServer(Owned):
    """A durable server that a test or an experiment makes for itself on a free port; gone with its `with` block.

    Make it in the main thread, and harm it there.

    Args:
        parent: the folder in which its own is made; a temporary one where left out.
        initdb: options of `initdb`.
        settings: of PostgreSQL, beside SETTINGS or in their place.

    Attributes:
        folder: its own, with all that it writes.
        port: where it listens on 127.0.0.1, also after it was started again.
        url: leads to its database `beefirst`, password included.

    Raises:
        EmbeddedServerError: there is no embedded PostgreSQL here, or it does not start.
    """

    def __init__(self, parent: Path | None = None, initdb: tuple[str, ...] = (), **settings: str) -> None:
        self._initdb = initdb
        self.port = free_port()
        self.url = f"postgresql://beefirst:beefirst@{local_name('127.0.0.1')}:{self.port}/beefirst"
        with self._making() as parts, uninterrupted():
            self.folder = Path(parts.enter_context(new_folder("beefirst-own-server-", parent)))
            self.folder.chmod(folder_mode())
            self._cluster = _Cluster(self.folder, self.port)
            parts.callback(self._cluster.stop)
            self._make_data()
            self.configure(**SETTINGS | settings)
            self._cluster.start()

    def _make_data(self) -> None:
        cluster = self._cluster
        create_data(cluster.data, cluster.programs, cluster.account, ("--no-sync", *self._initdb))
        cluster.run("postgres", "--single", "-D", cluster.data, "postgres", standard_input=ROLES)

    def url_with(self, other: "OwnServer") -> str:
        """Return the URL that leads to this server or to another, whichever does."""
        return self.url.replace(f":{self.port}/", f":{self.port},{local_name('127.0.0.1')}:{other.port}/")

    def configure(self, **settings: str) -> None:
        """Set settings of PostgreSQL: at once where they need no new start and the server runs, else from the next."""
        with (self._cluster.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        if self._cluster.server:
            os.kill(self.process.pid, signal.SIGHUP)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The postmaster."""
        if self._cluster.server is None:
            raise EmbeddedServerError("This server does not run: start it again.")
        return self._cluster.server.process

    def kill(self) -> None:
        """Kill the postmaster with SIGKILL; its children notice, and end."""
        self.process.kill()
        self.process.wait()
        self._cluster.stop()

    def start(self) -> None:
        """Start it again where it was, on the data that are left; returns once it takes connections."""
        with uninterrupted():
            self._cluster.start()

    def silence(self) -> AbstractContextManager[None]:
        """Return a block in which it is there and says nothing; see `silence`."""
        return silence(self.process.pid)


class Standby(OwnServer):
    """A server that follows another, which answers nothing before this one has it on its disk.

    Args:
        primary: the other.
    """

    def __init__(self, primary: OwnServer) -> None:
        self._primary_port = primary.port
        super().__init__()
        primary.configure(synchronous_standby_names="*")
        with connect(primary.url) as connection:
            wait_until(lambda: connection.execute(IN_SYNC).fetchone())

    def _make_data(self) -> None:
        data = self._cluster.data
        data.mkdir(mode=0o700)
        if (account := self._cluster.account).user is not None:
            shutil.chown(data, account.user, account.group)
        source = f"host=127.0.0.1 port={self._primary_port} user=standby password=standby"
        words = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync", f"--pgdata={data}")
        self._cluster.run("pg_basebackup", f"--dbname={source}", *words)

    def promote(self) -> None:
        """Let it take over; returns once it takes writes.

        Raises:
            EmbeddedServerError: it did not.
        """
        self._cluster.run("pg_ctl", "promote", "-D", self._cluster.data, "-w", "-t", str(PROMOTION_SECONDS))


class _Cluster:
    """The data of a server, and the server while one runs on them: what its owner's end must still be able to reach."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self.data = folder / f"postgresql-{MAJOR}"
        self.account: Account = choose_account(self.data)
        self.programs = provide_programs(find_package(), folder, self.account)
        self.server: EmbeddedServer | None = None

    def start(self) -> None:
        self.server = EmbeddedServer.start(self._folder, self._port)
        register("process", self.server.process.pid)

    def stop(self) -> None:
        if self.server:
            self.server.stop()
            release("process", self.server.process.pid)
            self.server = None

    def run(self, program: str, *words: str | Path, standard_input: bytes = b"") -> None:
        status, output = self.account.run(self.programs / program, *words, standard_input=standard_input)
        if status != 0:
            last = output.decode(errors="replace").strip().rpartition("\n")[2]
            raise EmbeddedServerError(f"{program} failed: {last}")


@contextmanager
def silence(postmaster: int) -> Iterator[None]:
    """Stop a server where it stands, as in a machine that hangs, and let it go on at the end of the block.

    Args:
        postmaster: the number of its first process.
    """
    stopped = list[int]()
    try:
        os.kill(postmaster, signal.SIGSTOP)  # first, so that it has no more children afterwards
        stopped += _children_of(postmaster)
        _signal_all(stopped, signal.SIGSTOP)
        yield
    finally:
        _signal_all([*stopped, postmaster], signal.SIGCONT)


def _signal_all(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):  # one that was ending anyway
            os.kill(process, number)


def _children_of(parent: int) -> list[int]:
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if _parent_in(path) == parent]


def _parent_in(path: Path) -> int | None:
    with suppress(OSError):  # a process that has ended meanwhile
        return int(path.read_text().rpartition(")")[2].split()[1])  # the name before it may hold anything
    return None
