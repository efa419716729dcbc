"""Running a command as an ordinary user, also where root runs the tests."""

import os
import re
from pathlib import Path

NOBODY = 65534
BOUNDING_SET = int(re.findall(r"CapBnd:\s+(\w+)", Path("/proc/self/status").read_text())[0], 16)
READ_EVERYWHERE = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # The interpreter may live in a home that is closed to others; a container may not have the right to give.
    *(READ_EVERYWHERE if BOUNDING_SET >> 2 & 1 else []),
]


def as_nobody(*folders: Path) -> tuple[str, ...]:
    """Return what runs a command as an ordinary user, to whom the folders then belong.

    That is the user who runs the tests, unless that is root.
    """
    if os.geteuid() != 0:
        return ()
    for folder in folders:
        os.chown(folder, NOBODY, NOBODY)
    return tuple(AS_NOBODY)
