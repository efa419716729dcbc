"""A real etcd of one member, where Patroni keeps who leads."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beefirst.laboratory.environment import clean_environment
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until

missing_etcd = "" if shutil.which("etcd") else "no etcd: apt-get install etcd-server"


@contextmanager
def etcd(folder: Path) -> Iterator[str]:
    """Run an etcd, and give host and port at which clients reach it.

    Args:
        folder: takes its data and its log.
    """
    clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    settings = {
        "DATA_DIR": str(folder / "etcd"),
        "LISTEN_CLIENT_URLS": clients,
        "ADVERTISE_CLIENT_URLS": clients,
        "LISTEN_PEER_URLS": peers,
        "INITIAL_ADVERTISE_PEER_URLS": peers,
        "INITIAL_CLUSTER": f"default={peers}",
    }
    environment = clean_environment() | {f"ETCD_{name}": value for name, value in settings.items()}
    with (
        (folder / "etcd.log").open("wb") as log,
        subprocess.Popen(["etcd"], env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            wait_until(lambda: answers(f"{clients}/health"), 60)
            yield clients.removeprefix("http://")
        finally:
            process.kill()
