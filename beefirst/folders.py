"""Where beefirst finds its own files, and where it keeps what must survive a restart."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder that holds the package: the checkout, or /app in the images."""

MIGRATIONS = CHECKOUT / "migrations"
NOTEBOOKS = CHECKOUT / "notebooks"


def data_folder() -> Path:
    """Return the folder for the embedded database, the reader's notebooks and their verdicts.

    Returns:
        BEEFIRST_DATA where that is set; for root /var/lib/beefirst, which the account that runs
        PostgreSQL can reach while root's home is closed to it; for anybody else `beefirst` in
        XDG_DATA_HOME (by default ~/.local/share), as the XDG Base Directory Specification has it.
    """
    if chosen := os.environ.get("BEEFIRST_DATA"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/beefirst")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "beefirst"
