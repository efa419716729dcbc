"""A real PgBouncer in transaction mode before a database, with the recipe's configuration but for where things are."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from tests.support.folders import open_folder

needs_pgbouncer = pytest.mark.skipif(not shutil.which("pgbouncer"), reason="no PgBouncer: apt-get install pgbouncer")

RECIPE = CHECKOUT / "tests" / "real_parts" / "pgbouncer.ini"


@contextmanager
def pgbouncer(database: ScratchDatabase, more: str = "") -> Iterator[str]:
    """Run a PgBouncer and return the URL of the database through it.

    Args:
        database: on a server that is reached over TCP.
        more: lines of its configuration.
    """
    parts, port = urlsplit(database.url), free_port()
    through = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
    with open_folder() as folder:
        command = ["pgbouncer", "--quiet", str(_configure(folder, database, port, more))]
        as_nobody = ["--user", "nobody"] if os.geteuid() == 0 else []  # it refuses to run as root
        with subprocess.Popen([*command, *as_nobody], stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: _answers(through))
                yield through
            finally:
                process.terminate()


def _configure(folder: Path, database: ScratchDatabase, port: int, more: str) -> Path:
    parts = urlsplit(database.url)
    users, configuration, log = (folder / name for name in ("users.txt", "pgbouncer.ini", "pgbouncer.log"))
    users.write_text(f'"{parts.username}" "{parts.password}"\n')
    places = {
        "*": f"host={parts.hostname} port={parts.port or 5432}",
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "auth_file": users,
        "logfile": log,
    }
    text = RECIPE.read_text()
    for key, value in places.items():
        text, count = re.subn(rf"^{re.escape(key)} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1, key
    text += f"{more}\n"
    configuration.write_text(text)
    if os.geteuid() == 0:
        for path in (folder, users, configuration):
            shutil.chown(path, "nobody")
    return configuration


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
