"""The data of an embedded server, which PostgreSQL calls a cluster: where they lie, who reaches them, how they come."""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

from beefirst.embedded_postgres.programs import Account
from beefirst.errors import EmbeddedServerError

MAJOR = "16"

CLUSTER = ("--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale")

CREATE_ROLE = b"CREATE ROLE beefirst LOGIN CREATEDB CREATEROLE PASSWORD 'beefirst'\n"

GRAVE = ("error:", "FATAL:", "PANIC:")

ELSEWHERE = "choose another folder with BEEFIRST_DATA, or use --ephemeral (which uses TMPDIR)"


def make_folder(folder: Path) -> None:
    """Make a folder for data, and what is missing above it, so that the server's account can reach it."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700)
        missing.chmod(folder_mode())


def folder_mode() -> int:
    """Return the mode of a folder that holds data: where root runs this, the server's account must pass through it."""
    return 0o755 if os.geteuid() == 0 else 0o700


def check_reachable(folder: Path, account: Account) -> None:
    """Raise EmbeddedServerError where the account cannot enter the folder."""
    if account.user is not None and account.run("/bin/sh", "-c", 'cd "$0"', folder)[0] != 0:
        who = f"user {account.user}, for PostgreSQL refuses root"
        raise EmbeddedServerError(f"The embedded PostgreSQL runs as {who}, and cannot reach {folder}: {ELSEWHERE}.")


def check_version(data: Path) -> None:
    """Raise EmbeddedServerError where the data are those of another major version."""
    found = (data / "PG_VERSION").read_text(errors="replace").strip()
    if found != MAJOR:
        advice = "move the folder away, or use --ephemeral"
        raise EmbeddedServerError(f"{data} holds data of PostgreSQL {found}, and this is PostgreSQL {MAJOR}: {advice}.")


def create_data(data: Path, binaries: Path, account: Account, options: tuple[str, ...]) -> None:
    """Make the data of a server that has none yet: a cluster in which the role `beefirst` may log in.

    Args:
        data: their folder, which does not exist.
        binaries: the folder of PostgreSQL's programs.
        account: is to run the server, and so to own the data.
        options: for `initdb`, beside those that every cluster here is made with.

    Raises:
        EmbeddedServerError: one of the programs failed; the message quotes it.
    """
    # Made elsewhere and renamed at the end, so that half a folder is never taken for data; under a new name
    # each time, for an initdb whose parent was killed may still be clearing up its own.
    prefix = f"{data.name}.new-"
    for left_behind in data.parent.glob(f"{prefix}*"):
        shutil.rmtree(left_behind, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=data.parent, ignore_cleanup_errors=True) as workshop:
        _initdb(Path(workshop), binaries, account, options).rename(data)


def _initdb(workshop: Path, binaries: Path, account: Account, options: tuple[str, ...]) -> Path:
    data, password = workshop / "data", workshop / "password"
    password.touch(mode=0o600)
    # Nobody knows the superuser's password: who is a superuser can run programs as the server's account.
    password.write_text(secrets.token_hex())
    if account.user is not None:
        for path in (workshop, password):
            shutil.chown(path, account.user, account.group)
    status, output = account.run(binaries / "initdb", *CLUSTER, f"--pgdata={data}", f"--pwfile={password}", *options)
    if status != 0:
        raise EmbeddedServerError(f"initdb could not make {data}: {complaint(output)}")
    status, output = account.run(binaries / "postgres", "--single", "-D", data, "postgres", standard_input=CREATE_ROLE)
    if status != 0:
        raise EmbeddedServerError(f"PostgreSQL could not make its role in {data}: {complaint(output)}")
    return data


def complaint(output: bytes) -> str:
    """Return the line of a program's output that says why it failed: the last grave one, or the last."""
    lines = output.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return next((line for line in reversed(lines) if any(mark in line for mark in GRAVE)), lines[-1])
