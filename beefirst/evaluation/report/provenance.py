"""What a report was made on: machine, versions, commit and date."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from beefirst.laboratory.scratch_database import connect
from beefirst.machine.folders import CHECKOUT

PACKAGES = ("fastapi", "uvicorn", "psycopg", "pydantic-settings", "bcrypt", "jupyterlab", "pandas", "nbmake")


NO_CHECKOUT = "not known: this is no git checkout"


def gather_provenance(database_url: str) -> dict[str, str]:
    """Return what was used and when, by name.

    Args:
        database_url: of the server that the notebooks use, password included.
    """
    with connect(database_url) as connection:
        row = connection.execute("SHOW server_version").fetchone() or ("unknown",)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": find_commit(),
        "machine": _machine(),
        "system": platform.platform(terse=True),
        "Python": platform.python_version(),
        "PostgreSQL": str(row[0]),
        "packages": ", ".join(f"{package} {version(package)}" for package in PACKAGES),
    }


def describe_host() -> dict[str, str]:
    """Return what the host of a container knows better than the container, or alone, by name."""
    host = f"{platform.platform(terse=True)}, Python {platform.python_version()}"
    return {"commit": find_commit(), "machine": _machine(), "host": host}


def _machine() -> str:
    return f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB memory"


def find_commit() -> str:
    """Return the commit of this checkout and its date in words, or why it is not known."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")) != CHECKOUT:
            return NO_CHECKOUT
        commit = _git("log", "-1", "--format=%h of %cs")
        return f"{commit} (with changes that are not committed)" if _git("status", "--porcelain") else commit
    except FileNotFoundError:
        return "not known: git is not installed"
    except subprocess.CalledProcessError as error:
        said = str(error.stderr).strip().splitlines()
        return NO_CHECKOUT if not said or "not a git repository" in said[0] else f"not known: git says {said[0]!r}"
    except (OSError, subprocess.SubprocessError) as error:
        return f"not known: git does not answer ({type(error).__name__})"


def _git(*words: str) -> str:
    command = ["git", "-C", str(CHECKOUT), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
