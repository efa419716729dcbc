"""Where beefirst finds its own files, and where it keeps what must survive a restart."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from beefirst.errors import ConfigurationError

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that holds the package: the checkout, or /app in the images."""

MIGRATIONS = CHECKOUT / "migrations"
NOTEBOOKS = CHECKOUT / "notebooks"


def data_folder() -> Path:
    """Return the folder for the embedded database, the reader's notebooks and their verdicts.

    Returns:
        BEEFIRST_DATA where that is set; for root /var/lib/beefirst, which the account that runs
        PostgreSQL can reach while root's home is closed to it; for anybody else `beefirst` in
        XDG_DATA_HOME (by default ~/.local/share), as the XDG Base Directory Specification has it.

    Raises:
        ConfigurationError: it would be in a home, and there is none.
    """
    try:
        return _data_folder()
    except RuntimeError:  # of pathlib
        raise ConfigurationError(
            "There is no home to keep data in: set BEEFIRST_DATA to a folder of your own."
        ) from None


def _data_folder() -> Path:
    if chosen := os.environ.get("BEEFIRST_DATA"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/beefirst")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "beefirst"


@contextmanager
def explain_unwritable() -> Iterator[None]:
    """Turn the operating system's refusal to read or write a file of ours into the one line that helps.

    Raises:
        ConfigurationError: a file or folder could not be read or written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"Cannot use {error.filename} ({error.strerror}): {_advice()}.") from None


def _advice() -> str:
    if not os.environ.get("BEEFIRST_CONTAINER"):
        return "set BEEFIRST_DATA to a folder of your own"
    user = f"user {os.geteuid()}, as whom this container runs"
    return f"let what is mounted at {data_folder()} belong to {user} (chown -R), or mount another volume there"


def refuse_unusable(folder: Path) -> None:
    """Raise PermissionError, as whoever reads or writes there would, where something in a folder is another user's."""
    if not os.access(folder, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    for path in (Path(parent, name) for parent, folders, files in os.walk(folder) for name in (*folders, *files)):
        with suppress(FileNotFoundError):  # it has gone meanwhile, or is a link that leads nowhere
            needed = os.R_OK if path.stat().st_uid == os.geteuid() else os.R_OK | os.W_OK
            if not os.access(path, needed):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def replace_file(path: Path, content: bytes) -> None:
    """Write under a passing name first: whoever reads `path` finds the old file or the new one, never a part."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as passing:
        passing.write(content)
    Path(passing.name).chmod(0o644)
    Path(passing.name).replace(path)
