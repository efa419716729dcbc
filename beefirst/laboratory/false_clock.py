"""Processes whose clock is wrong, as on a host that nobody keeps in time: by libfaketime, which Debian has."""

from pathlib import Path

from beefirst.errors import ProcessError

PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime")
LIBRARY = "libfaketimeMT.so.1"


def clock_wrong_by(seconds: int) -> dict[str, str]:
    """Return what a program's environment must hold, so that all that it asks for the time is told a wrong one.

    Args:
        seconds: how much later than it is; earlier where below 0. Time passes as fast as ever.

    Raises:
        ProcessError: libfaketime is not installed.
    """
    for place in PLACES:
        for library in Path("/").glob(f"{place[1:]}/{LIBRARY}"):
            return {"LD_PRELOAD": str(library), "FAKETIME": f"{seconds:+}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    raise ProcessError("A wrong clock needs libfaketime, which is not installed: run `apt install faketime`.")
