"""One copy of the project, in which notebooks and tests are run to see what they say of it."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nbformat

from beefirst.evaluation.records import Check
from beefirst.evaluation.report.runner import NotebookRun, run_notebook
from beefirst.evaluation.sabotage.slices import slice_notebook
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.cleanup import Owned
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.project_copy import CheckoutCopy
from beefirst.laboratory.scratch_database import ScratchDatabase, server_url
from beefirst.machine.waiting import wait_for

SLICE_SECONDS = 240
"""How long a slice may take before it counts as hanging, on a busy machine too."""

REAPER_SECONDS = 60
"""What the reapers of its processes need at most (`reaper.LIMIT_SECONDS`)."""

Watch = Callable[[], None]
"""Is called again and again while something runs; what it raises ends the run."""


class TooSlowError(Exception):
    """What was run took so long that it counts as hanging."""


class Trial(Owned):
    """A copy of the project with an environment of its own; gone with the `with` block.

    Args:
        watch: is called again and again while something runs in it; what it raises ends that.

    Attributes:
        copy: may be changed before something is run.
    """

    def __init__(self, watch: Watch = lambda: None) -> None:
        self._watch, self._slices = watch, 0
        with self._making() as parts:
            self.copy = parts.enter_context(CheckoutCopy())
            self._temporary = self.copy.code / "tmp"
            self._temporary.mkdir(mode=0o711)
            parts.callback(_wait_for_reapers, self._temporary)

    @property
    def folder(self) -> Path:
        """Of the copy."""
        return self.copy.code

    def environment(self, **settings: str) -> dict[str, str]:
        """Return what lets a process run the copy, on the server of this process's experiments, and keep no trace."""
        inherited = {name: text for name, text in clean_environment().items() if not name.startswith("PYTEST_")}
        return {
            **inherited,
            "DATABASE_URL": server_url(),
            "PYTHONPATH": str(self.folder),
            "TMPDIR": str(self._temporary),
            "BEEFIRST_DATA": str(self.folder / "data"),
            "BEEFIRST_ARTIFACTS": str(self.folder / "artifacts"),
            **settings,
        }

    def make_checks(self, notebook: str, checks: Collection[str], **settings: str) -> dict[str, Check]:
        """Run the cells of a notebook that these checks need, and return all checks of it by id.

        Args:
            notebook: its name without the suffix.
            checks: by id.
            settings: for the environment.

        Raises:
            TooSlowError: it took longer than SLICE_SECONDS.
        """
        self._slices += 1
        folder = self.folder / "slices" / str(self._slices)
        folder.mkdir(parents=True)
        path = folder / f"{notebook}.ipynb"
        nbformat.write(slice_notebook(self.folder / "notebooks" / path.name, checks, self.folder), path)
        run = self.run(path, SLICE_SECONDS, **settings)
        return {check.key: check for check in run.record.checks}

    def run(self, path: Path, seconds: float, **settings: str) -> NotebookRun:
        """Run a notebook on the copy's code; errors as for `make_checks`.

        Args:
            path: of the notebook.
            seconds: that it may take.
            settings: for the environment.
        """
        watch = self.watch(seconds)
        return run_notebook(path, self.environment(**settings), lambda *_: watch(), path.parent / "records")

    def watch(self, seconds: float) -> Watch:
        """Return what is to be called while something runs, and raises TooSlowError after so many seconds."""
        deadline = time.monotonic() + seconds

        def look() -> None:
            self._watch()
            if time.monotonic() > deadline:
                raise TooSlowError(f"took longer than {seconds:g} s")

        return look

    @contextmanager
    def changed_service(self, sql: str) -> Iterator[Mapping[str, str]]:
        """Start the copy's API on a database of its own, change that by raw SQL, and return what leads there.

        Args:
            sql: what is done to the database once the service has migrated it.
        """
        with ScratchDatabase(server_url()) as database, start_api(database.url, code=self.folder) as api:
            with database.connect() as connection:
                connection.execute(sql.encode())
            yield {"API_URL": api.url, "DATABASE_URL": database.url}


def _wait_for_reapers(temporary: Path) -> None:
    """Let the copy stay until whoever clears up after its processes, with its code, has done so."""
    wait_for(lambda: not any(temporary.glob("beefirst-evaluation-*")), REAPER_SECONDS)
