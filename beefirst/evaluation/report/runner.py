"""Running notebooks one after another, each in a kernel of its own, and keeping what came of it."""

import asyncio
import atexit
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Self

import nbformat
from jupyter_client.channels import HBChannel
from jupyter_core.utils import ensure_async
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode
from traitlets.config import Config

from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.records import NOT_FINISHED, Check, Record, load_record, make_record, save_record
from beefirst.evaluation.run_context import RunContext, kernel_arguments
from beefirst.evaluation.verdict import NOT_RUN, conclude_from
from beefirst.laboratory.cleanup import uninterrupted

CELL_SECONDS = 1200
"""How long one cell may take: that of notebook 00 runs all others, also on a machine that is busy."""

START_SECONDS = 180
"""How long a kernel may take to start."""

END_SECONDS = 30
"""How long an interrupt waits for the kernel to end."""

ANSI = re.compile(r"\x1b\[[0-9;]*m")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class NotebookRun:
    """One notebook after its run.

    Attributes:
        record: what it found; where it stopped before its verdict, a FAIL that says why.
        seconds: from the start of its kernel to the end of it.
        executed: the notebook with its outputs, up to the cell that failed.
    """

    record: Record
    seconds: float
    executed: NotebookNode


def run_notebook(
    path: Path,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    records: Path | None = None,
    *,
    others: Sequence[str] = (),
    seconds_from_command: float = 0,
) -> NotebookRun:
    """Run a notebook from its own folder, as nbmake does; the file stays as it is.

    The kernel ends in any case, also where this call is interrupted.

    Args:
        path: of the notebook.
        environment: of the kernel; this process's where left out.
        progress: called in this thread with the number of code cells that are done, and of all.
        records: where its record goes, and where it finds those of others; those of this process where left out.
        others: the names of those that the same run has run already.
        seconds_from_command: see `RunContext`.
    """
    records = records or RunContext.current().records_folder
    notebook, started = nbformat.read(path, as_version=4), time.monotonic()
    with ExitStack() as left:
        with uninterrupted():
            folder = Path(left.enter_context(TemporaryDirectory(prefix="beefirst-run-")))
            told = kernel_arguments(records, folder, others, seconds_from_command)
            own = os.environ if environment is None else environment
            execution = left.enter_context(_Execution(notebook, path.parent, own, told, folder / "kernel.log"))
        error = execution.wait(progress or (lambda *_: None))
        record, seconds = load_record(path.stem, folder), time.monotonic() - started
    if error or record is None or record.verdict == NOT_FINISHED:
        record = _stopped(path.stem, record, error or "it came to no verdict", seconds)
    record = record.model_copy(update={"seconds": round(seconds, 1)})  # the kernel's start included
    save_record(record, records)
    return NotebookRun(record, seconds, notebook)


def _stopped(notebook: str, record: Record | None, error: str, seconds: float) -> Record:
    """Return the FAIL of a notebook that an error ended: its own, or else one that says so."""
    if record and record.verdict == "FAIL":
        return record
    evidence = f"the notebook stopped before: {error}"
    checks = [
        check.model_copy(update={"evidence": evidence}) if check.result == "NOT MADE" else check
        for check in (record.checks if record else _promised(notebook))
    ]
    if all(check.result in ("PASS", "NOT SHOWN HERE") for check in checks):
        checks.append(Check(key="RUN", requirement="The notebook runs to its end", result="FAIL", evidence=error))
    _, sentence = conclude_from(checks)
    return make_record(notebook, "FAIL", f"It stopped: {error}. {sentence}", seconds, checks)


def _promised(notebook: str) -> list[Check]:
    return [
        Check(key=key, requirement=requirement, result="NOT MADE", evidence=NOT_RUN)
        for key, requirement in CHECKS.get(notebook, {}).items()
    ]


class _Execution:
    """A notebook at work on a thread of its own, for a kernel that runs another has an event loop already.

    It works while its `with` block lasts, and no kernel is left behind by a block that is interrupted.
    """

    POLL_SECONDS = 0.1

    _task: asyncio.Task[None]

    def __init__(
        self,
        notebook: NotebookNode,
        folder: Path,
        environment: Mapping[str, str],
        told: list[str],
        log: Path,
    ) -> None:
        self._total, self._done = sum(cell.cell_type == "code" and bool(cell.source) for cell in notebook.cells), 0
        self._environment, self._log = dict(environment), log
        self._client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            startup_timeout=START_SECONDS,
            kernel_name="python3",
            extra_arguments=told,
            resources={"metadata": {"path": str(folder)}},
            on_cell_executed=self._count,
            config=Config({"KernelManager": {"transport_encryption": "auto"}}),
        )
        self._loop = asyncio.new_event_loop()
        self._result: Future[str] = Future()
        self._thread = Thread(target=self._run, daemon=True)
        self._over = Event()  # a join that is interrupted takes the thread for ended, before Python 3.13

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._over.is_set():
            return
        # nbclient goes on looking whether the kernel lives, on a thread of its own, too, and its look then fails: that
        # is no news.
        self._loop.set_exception_handler(lambda *_: None)
        with _failing_heartbeats_unseen(), suppress(RuntimeError):  # the loop is closed: it has ended just now
            self._loop.call_soon_threadsafe(lambda: self._task.cancel())
            self._over.wait(END_SECONDS)

    def wait(self, progress: Progress) -> str:
        """Return the error that ended the notebook as one line, or nothing."""
        while not self._over.wait(self.POLL_SECONDS):
            progress(self._done, self._total)
        progress(self._done, self._total)
        return self._result.result()

    def _run(self) -> None:
        try:
            self._task = self._loop.create_task(self._execute())
            self._loop.run_until_complete(self._task)
            self._result.set_result("")
        except CellExecutionError as error:
            self._result.set_result(f"{error.ename}: {ANSI.sub('', error.evalue)}".partition("\n")[0])
        except CellTimeoutError:
            self._result.set_result(f"a cell took longer than {CELL_SECONDS} s")
        except RuntimeError as error:  # how nbclient tells of a kernel's death, also of one that never lived
            self._result.set_result(self._what_became_of_the_kernel(str(error)))
        except asyncio.CancelledError:
            self._result.set_result("it was interrupted")
        except BaseException as error:
            self._result.set_exception(error)
        finally:
            self._loop.run_until_complete(_end_what_is_left())
            self._loop.close()
            self._over.set()

    async def _execute(self) -> None:
        manager = self._client.create_kernel_manager()
        try:
            with self._log.open("wb") as log:  # a kernel's own chatter is for nobody, but for its last words
                await self._client.async_execute(env=self._environment, stdout=DEVNULL, stderr=log)
        finally:  # nbclient leaves things behind where a start failed or was interrupted
            atexit.unregister(self._client._cleanup_kernel)
            if self._client.kc:
                self._client.kc.stop_channels()
            if await ensure_async(manager.is_alive()):
                await ensure_async(manager.shutdown_kernel(now=True))

    def _what_became_of_the_kernel(self, error: str) -> str:
        if "died" not in error:  # one that was slow to start, and was ended for it
            return error.strip().partition("\n")[0] or "its kernel failed"
        written = self._log.read_text(errors="replace").split("\n") if self._log.exists() else []
        return "; the last that it wrote was: ".join(["its kernel died", *written[-2:-1]])

    def _count(self, **_: object) -> None:
        self._done += 1


@contextmanager
def _failing_heartbeats_unseen() -> Iterator[None]:
    """Let nothing be written of the threads that listen for a kernel, where they end in an error within the block."""
    write = threading.excepthook

    def write_of_others(ended: threading.ExceptHookArgs) -> None:
        if not isinstance(ended.thread, HBChannel):
            write(ended)

    threading.excepthook = write_of_others
    try:
        yield
    finally:
        threading.excepthook = write


async def _end_what_is_left() -> None:
    """End the tasks that nbclient leaves where it was interrupted: Python complains of what is pending at the end."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
