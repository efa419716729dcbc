"""What a notebook is told by whoever runs it along with others. A reader's notebook is told nothing of the kind.

It is passed as configuration of the notebook's kernel, on its command line (`--RunContext.records=…`), and not through
the environment, which the processes that a notebook starts would inherit.
"""

from pathlib import Path

from IPython import get_ipython
from traitlets import Bool, Unicode
from traitlets.config import Configurable

from beefirst.machine.folders import data_folder


class RunContext(Configurable):
    """The parameters of a run of notebooks; each has the value that suits a reader where nobody sets it."""

    records = Unicode(help="The folder of the records of all notebooks; the reader's where empty.").tag(config=True)
    own_record = Unicode(help="The folder for this notebook's own record; `records` where empty.").tag(config=True)
    others_have_run = Bool(help="Whether the same run has run all other notebooks already.").tag(config=True)

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


def kernel_arguments(records: Path, own_record: Path, *, others_have_run: bool) -> list[str]:
    """Return what to add to a kernel's command line so that `RunContext.current` tells it; arguments as its traits."""
    return [  # absolute, for the kernel works in the folder of its notebook
        f"--RunContext.records={records.absolute()}",
        f"--RunContext.own_record={own_record.absolute()}",
        f"--RunContext.others_have_run={others_have_run}",
    ]
