"""Which cell of a notebook is running."""

import traceback
from types import TracebackType
from typing import Any, NamedTuple

from IPython import get_ipython


class CellRun(NamedTuple):
    """One run of a cell.

    Attributes:
        cell: its id in the notebook; None where that is unknown: JupyterLab tells it to the kernel, nbmake does not.
        number: counts the cells that this kernel has run.
    """

    cell: str | None
    number: int

    def replaces(self, other: "CellRun") -> bool:
        """Tell whether `other` is an earlier run of the same cell."""
        return self.cell is not None and self.cell == other.cell and self.number != other.number


def current_run() -> CellRun:
    """Return the run that calls this."""
    shell = get_ipython()
    kernel = getattr(shell, "kernel", None)
    metadata = kernel.get_parent("shell").get("metadata", {}) if kernel else {}
    return CellRun(metadata.get("cellId"), shell.execution_count if shell else 0)


def say_when_stopped() -> None:
    """Let a cell that the reader stops say so in one sentence, rather than in the frames of whatever it was amid."""
    if shell := get_ipython():
        shell.set_custom_exc((KeyboardInterrupt,), _say_stopped)


def _say_stopped(
    shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, **_: object
) -> list[str]:
    said = ["Stopped. Run this cell again, or go on with another."]
    traceback.clear_frames(trace)  # lets go of what they were working on
    shell._showtraceback(kind, error, said)
    return said
