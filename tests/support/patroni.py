"""Patroni over two PostgreSQL 16, each of which a test may kill with all that belongs to it."""

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from beefirst.embedded_postgres.programs import Account, choose_account, find_package, provide_programs
from beefirst.laboratory.scratch_database import connect
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.ports import free_port
from beefirst.machine.processes import end_with_parent
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET
from tests.support.etcd import etcd, missing_etcd
from tests.support.folders import open_folder

missing_patroni = "" if shutil.which("patroni") else "no Patroni: see tests/real_parts/README.md"

needs_patroni = pytest.mark.skipif(bool(missing_etcd or missing_patroni), reason=missing_etcd or missing_patroni)

RECIPE = CHECKOUT / "tests" / "real_parts"

HANGS_SECONDS = 120
"""For hanging: how long anything here may take on a busy machine."""


class Node:
    """One machine of the cluster: a Patroni and its PostgreSQL, on ports of their own.

    Args:
        name: of the node.
        folder: takes its data and its log.
        programs: those of PostgreSQL.
        account: who runs them.
        etcd_at: host and port of etcd.
    """

    def __init__(self, name: str, folder: Path, programs: Path, account: Account, etcd_at: str) -> None:
        self.name, self.port, api = name, free_port(), f"127.0.0.1:{free_port()}"
        self.url, self._account, self._data = f"http://{api}", account, folder / name / "data"
        self._own = folder / name
        self._own.mkdir()
        database = f"127.0.0.1:{self.port}"
        settings = {
            "NAME": name,
            "ETCD3_HOSTS": etcd_at,
            "RESTAPI_LISTEN": api,
            "RESTAPI_CONNECT_ADDRESS": api,
            "POSTGRESQL_LISTEN": database,
            "POSTGRESQL_CONNECT_ADDRESS": database,
            "POSTGRESQL_DATA_DIR": str(self._data),
            "POSTGRESQL_BIN_DIR": str(programs),
            "POSTGRESQL_PGPASS": str(self._own / "pgpass"),
            "SUPERUSER_PASSWORD": SECRET,
            "REPLICATION_PASSWORD": SECRET,
        }
        self._environment = {f"PATRONI_{key}": value for key, value in settings.items()} | {
            "BEEFIRST_PASSWORD": "beefirst",
            "BEEFIRST_ROLE": str(folder / "patroni.sql"),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
        }
        if account.user is not None:
            shutil.chown(self._own, account.user, account.group)

    def start(self) -> None:
        """Start Patroni, which starts PostgreSQL."""
        with (self._own / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["patroni", str(self._own.parent / "patroni.yml")],
                env=self._environment,
                cwd=self._own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._account.user,
                group=self._account.group,
                extra_groups=None if self._account.user is None else [],
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGTERM),
            )

    def kill(self) -> None:
        """Kill Patroni and PostgreSQL at once, as when the machine is gone."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError, ValueError):  # there is none
            os.kill(int((self._data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)

    def leads(self) -> bool:
        """Tell whether Patroni says that this node has the lock, and PostgreSQL that it takes writes."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/leader", timeout=10, trust_env=False).status_code == 200
        return False

    def members(self) -> list[dict[str, Any]]:
        """Return what this node knows of the cluster's members."""
        members: list[dict[str, Any]] = httpx.get(f"{self.url}/cluster", timeout=10, trust_env=False).json()["members"]
        return members

    def log(self) -> str:
        """Return what Patroni and PostgreSQL have written."""
        return (self._own / "log").read_text(errors="replace")


class PatroniCluster:
    """An etcd and two nodes, the second of which follows the first synchronously; gone with the `with` block."""

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            folder = parts.enter_context(open_folder("beefirst-patroni-"))
            for name in ("patroni.yml", "patroni.sql"):
                shutil.copy(RECIPE / name, folder)  # the checkout may be closed to the account
            account = choose_account(folder / "data")
            programs = provide_programs(find_package(), folder, account)
            at = parts.enter_context(etcd(folder))
            self.nodes = [Node(name, folder, programs, account, at) for name in ("first", "second")]
            for node in self.nodes:
                node.start()
                parts.callback(node.kill)
                wait_until(lambda: self.leader(), HANGS_SECONDS)
            self._let_create_databases()
            self.wait_for_standby()
            self._resources = parts.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._resources.close()

    @property
    def url(self) -> str:
        """Leads to whichever node takes writes, as the recipe's DATABASE_URL."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://beefirst:beefirst@{hosts}/beefirst?target_session_attrs=read-write"

    def leader(self) -> Node | None:
        """Return the node that leads; None while none does."""
        return next((node for node in self.nodes if node.leads()), None)

    def wait_for_leader(self, but: Node | None = None) -> Node:
        """Return the node that leads once one does.

        Args:
            but: does not count.
        """
        wait_until(lambda: self.leader() not in (None, but), HANGS_SECONDS)
        leader = self.leader()
        assert leader
        return leader

    def wait_for_standby(self) -> None:
        """Return once what is acknowledged is on both nodes."""
        wait_until(lambda: "sync_standby" in self._roles(), HANGS_SECONDS)

    def _let_create_databases(self) -> None:
        with connect(self.url.replace("beefirst:beefirst@", f"postgres:{SECRET}@")) as connection:
            connection.execute("ALTER ROLE beefirst CREATEDB")

    def _roles(self) -> list[str]:
        members = self.wait_for_leader().members()
        return [str(member["role"]) for member in members if member["state"] in ("running", "streaming")]

    def switch_over(self) -> None:
        """Ask the leader to hand over to the other, and return once that one leads."""
        leader = self.wait_for_leader()
        answer = httpx.post(
            f"{leader.url}/switchover", json={"leader": leader.name}, timeout=HANGS_SECONDS, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        self.wait_for_leader(but=leader)
