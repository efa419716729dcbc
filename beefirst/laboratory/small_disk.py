"""A disk of one's own that can be full: a file system in memory, in a process's own mounts, and gone with it."""

import errno
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from beefirst.embedded_postgres.programs import choose_account
from beefirst.errors import ProcessError
from beefirst.laboratory.cleanup import Owned, new_folder, register, release, uninterrupted
from beefirst.machine.processes import end_with_parent

MOUNTED = "mounted"
MOUNT = f'mount -t tmpfs -o "size=$1m,mode=0755" tmpfs "$0" && echo {MOUNTED} && shift && exec "$@"'

BLOCK = bytes(64 * 1024)


class SmallDisk(Owned):
    """A small file system, which can be filled to the last byte; gone with its `with` block.

    It is mounted for one process alone, which holds it and does nothing, and is reached through that process's root
    in /proc. Nothing is mounted on the machine itself, and whatever is killed, nothing is left.

    Args:
        megabytes: how much it holds.

    Attributes:
        folder: where it is reached.

    Raises:
        ProcessError: this user may not mount.
    """

    def __init__(self, megabytes: int) -> None:
        with self._making() as parts, uninterrupted():
            place = Path(parts.enter_context(new_folder("beefirst-small-disk-")))
            holder = _hold(place, megabytes)
            register("process", holder.pid)
            parts.callback(release, "process", holder.pid)
            parts.callback(_end, holder)
            said = holder.stdout.readline().strip() if holder.stdout else ""
            if said != MOUNTED:
                raise ProcessError(
                    f"A disk of one's own needs the right to mount ({said or 'no reason'}): run as root."
                )
        self.folder = Path(f"/proc/{holder.pid}/root{place}")

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let not a byte be free in this block."""
        ballast = self.folder / "ballast"
        try:
            _fill(ballast)
            yield
        finally:
            ballast.unlink()


def _hold(place: Path, megabytes: int) -> subprocess.Popen[str]:
    # Through /proc only those reach a process's root who are what it is: the account of the server is.
    user, group = choose_account(place / "data")
    become = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    own = ["--user", "--map-root-user"] if user is None else []
    return subprocess.Popen(
        [
            which("unshare") or "/usr/bin/unshare",
            "--mount",
            *own,
            "sh",
            "-c",
            MOUNT,
            place,
            str(megabytes),
            *become,
            "sleep",
            "infinity",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_parent(signal.SIGKILL),
    )


def _end(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    if holder.stdout:
        holder.stdout.close()


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(BLOCK):  # the last one takes what is left
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
