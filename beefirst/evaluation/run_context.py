"""What a notebook is told by whoever runs it along with others. A reader's notebook is told nothing of the kind.

It is passed as configuration of the notebook's kernel, on its command line (`--RunContext.records=…`), and not through
the environment, which the processes that a notebook starts would inherit.
"""

from collections.abc import Sequence
from pathlib import Path

from IPython import get_ipython
from traitlets import Float, Unicode
from traitlets.config import Configurable

from beefirst.machine.folders import data_folder


class RunContext(Configurable):
    """The parameters of a run of notebooks; each has the value that suits a reader where nobody sets it."""

    records = Unicode(help="The folder of the records of all notebooks; the reader's where empty.").tag(config=True)
    own_record = Unicode(help="The folder for this notebook's own record; `records` where empty.").tag(config=True)
    others = Unicode(help="Which notebooks the same run has run already, a comma between them.").tag(config=True)
    seconds_from_command = Float(
        help="From `docker compose up` to the API ready by the clock of the host; 0 where it did not tell."
    ).tag(config=True)

    @classmethod
    def current(cls) -> "RunContext":
        """Return what this process was told."""
        shell = get_ipython()
        return cls(config=shell.config) if shell else cls()

    @property
    def records_folder(self) -> Path:
        """Where the records of past runs are kept, those of a report apart from the reader's."""
        return Path(self.records) if self.records else data_folder() / "verdicts"

    @property
    def own_folder(self) -> Path:
        """Where this notebook keeps its record: others may run the same notebook meanwhile."""
        return Path(self.own_record) if self.own_record else self.records_folder

    @property
    def others_run(self) -> list[str]:
        """The names of the notebooks that the same run has run already."""
        return self.others.split(",") if self.others else []


def kernel_arguments(
    records: Path, own_record: Path, others: Sequence[str] = (), seconds_from_command: float = 0
) -> list[str]:
    """Return what to add to a kernel's command line so that `RunContext.current` tells it; arguments as its traits."""
    return [  # absolute, for the kernel works in the folder of its notebook
        f"--RunContext.records={records.absolute()}",
        f"--RunContext.own_record={own_record.absolute()}",
        f"--RunContext.others={','.join(others)}",
        f"--RunContext.seconds_from_command={seconds_from_command}",
    ]
