"""How long each phase of this process's start took, counted from the moment the operating system started it."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Phase:
    """One stretch of a start: what was done, and for how many seconds."""

    name: str
    seconds: float


def process_age(pid: int | None = None) -> float:
    """Return the seconds since a process (this one by default) began, to Linux's 10 ms; 0 where unknown."""
    try:
        fields = Path(f"/proc/{pid or 'self'}/stat").read_text().rpartition(")")[2].split()
        # proc(5): field 22 is the start in clock ticks after boot; the text after the name begins with field 3.
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError):
        return 0.0


@dataclass
class StartupTimeline:
    """The phases of one start, in order and without gaps, the first of them from the start of the process.

    Attributes:
        started_at: when the process started, in seconds since the epoch.
        phases: those that have ended.
    """

    started_at: float = field(default_factory=lambda: time.time() - process_age())
    phases: list[Phase] = field(default_factory=list)
    _began: float = field(default_factory=lambda: time.monotonic() - process_age(), repr=False)

    def finish(self, name: str) -> None:
        """End the current phase under this name; the next one begins."""
        self.phases.append(Phase(name, time.monotonic() - self._began - self.seconds))

    @property
    def seconds(self) -> float:
        """How long the phases took together."""
        return sum(phase.seconds for phase in self.phases)
