"""PostgreSQL of a version that is not ours, for what must be the same in each."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg

from beefirst.embedded_postgres.programs import choose_account, find_package
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until

OPTIONS = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")


@contextmanager
def newest_server() -> Iterator[str]:
    """Run the PostgreSQL 18 that comes along in the package of the embedded one, and give its URL."""
    programs, port = find_package() / "pginstall18" / "bin", free_port()
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    with tempfile.TemporaryDirectory(prefix="beefirst-server-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o777)
        account, data = choose_account(Path(folder)), Path(folder, "data")
        status, output = account.run(programs / "initdb", *OPTIONS, f"--pgdata={data}")
        assert status == 0, output
        settings = (f"--port={port}", "--listen_addresses=127.0.0.1", "--unix_socket_directories=", "--fsync=off")
        with Path(folder, "log").open("wb") as log:
            server = account.start([programs / "postgres", *settings, "-D", data], log)
        try:
            wait_until(lambda: _answers(url), 60)
            yield url
        finally:
            server.terminate()
            server.wait()


def _answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), closing(psycopg.connect(url)):
        return True
    return False
