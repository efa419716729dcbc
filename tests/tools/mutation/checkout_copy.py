"""A copy of the checkout, for mutants to be run in, beside a PostgreSQL of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.machine.folders import CHECKOUT


@contextmanager
def checkout_copy() -> Iterator[tuple[Path, dict[str, str]]]:
    """Give a copy of what git knows or would add, and the environment in which Python takes the package from there."""
    with TemporaryDirectory(prefix="beefirst-mutation-") as name, EmbeddedServer.start_ephemeral() as server:
        copy = Path(name) / "copy"
        _copy_to(copy)
        own = {"DATABASE_URL": server.url, "BEEFIRST_DATA": f"{name}/data"}
        yield copy, os.environ | own


def _copy_to(copy: Path) -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for path in filter(None, names.split("\0")):
        if (CHECKOUT / path).is_file():  # git still lists what was deleted a moment ago
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / path, copy / path)
