"""How many files, connections among them, this process may have open."""

import resource
from contextlib import suppress


def raise_file_limit() -> None:
    """Let this process have as many as the system lets it ask for; many a system presets no more than 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says that there is no limit, and refuses to be asked for that.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
