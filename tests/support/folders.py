"""Temporary folders that every account can reach, which pytest's own are not when root runs the tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 2**30
"""Bytes that must be free there."""


@contextmanager
def open_folder(prefix: str = "beefirst-test-") -> Iterator[Path]:
    """Make a folder as below /var/lib, and remove it; in memory where there is room.

    A folder with the data of a PostgreSQL has 1,300 files, which some disks take seconds to remove.
    """
    where = MEMORY if _may_be_used(MEMORY) else None
    with tempfile.TemporaryDirectory(prefix=prefix, dir=where, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _may_be_used(folder: Path) -> bool:
    return (
        os.access(folder, os.W_OK)
        and not os.statvfs(folder).f_flag & os.ST_NOEXEC  # as in a container
        and shutil.disk_usage(folder).free > ROOM
    )
