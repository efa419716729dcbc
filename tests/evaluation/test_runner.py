"""Running notebooks, and what becomes of those that stop."""

import errno
import gc
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import zmq
from jupyter_client.channels import HBChannel

from beefirst.evaluation.records import load_record
from beefirst.evaluation.report import runner
from beefirst.evaluation.report.runner import NotebookRun, run_notebook
from beefirst.machine.waiting import wait_until
from tests.support.sample_notebooks import all_in_one, begin, write_notebook


@pytest.fixture(autouse=True, scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a reader's data."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BEEFIRST_DATA", str(folder))
        yield folder


def found(run: NotebookRun) -> list[tuple[str, str]]:
    return [(check.key, check.result) for check in run.record.checks]


class Passed(NamedTuple):
    """A notebook that was run to its end."""

    run: NotebookRun
    steps: list[tuple[int, int]]
    path: Path
    before: bytes


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Passed:
    """One run of a notebook in which all is well."""
    path = write_notebook(tmp_path_factory.mktemp("passed"), "6 * 7", "", "2", all_in_one())
    steps: list[tuple[int, int]] = []
    before = path.read_bytes()
    return Passed(run_notebook(path, progress=lambda *step: steps.append(step)), steps, path, before)


def test_a_run_gives_the_verdict_and_the_outputs_and_leaves_the_file_alone(passed: Passed) -> None:
    assert (passed.run.record.verdict, passed.run.record.holds) == ("PASS", True)
    assert passed.run.executed.cells[0].outputs[0].data["text/plain"] == "42"
    assert passed.path.read_bytes() == passed.before


def test_progress_counts_the_cells_that_are_done(passed: Passed) -> None:
    assert passed.steps[0] == (0, 3)
    assert passed.steps[-1] == (3, 3)


def test_a_failed_check_is_a_fail(tmp_path: Path) -> None:
    run = run_notebook(write_notebook(tmp_path, all_in_one(holds=False)))

    assert run.record.verdict == "FAIL"
    assert found(run) == [("A.1", "FAIL")]


def test_a_notebook_that_stops_is_a_fail_that_says_why_and_keeps_what_was_seen_before(
    data: Path, tmp_path: Path
) -> None:
    begun = f'{begin("stops", "A.1", "A.2")}\nverdict.show("A.1", Evidence(True, "seen"))'

    run = run_notebook(write_notebook(tmp_path, begun, "1 / 0", "verdict.conclude()", name="stops"))

    assert run.record.verdict == "FAIL"
    assert "ZeroDivisionError: division by zero" in run.record.sentence
    assert found(run) == [("A.1", "PASS"), ("A.2", "NOT MADE")]
    assert load_record("stops", data / "verdicts") == run.record


def test_an_error_after_the_last_check_fails_a_check_of_its_own(tmp_path: Path) -> None:
    run = run_notebook(write_notebook(tmp_path, all_in_one(), "1 / 0"))

    assert run.record.verdict == "FAIL"
    assert found(run) == [("A.1", "PASS"), ("RUN", "FAIL")]


def test_two_runs_of_one_notebook_at_once_do_not_mix_up_what_they_found(tmp_path: Path) -> None:
    for folder in ("good", "bad"):
        (tmp_path / folder).mkdir()
    meet = f"""
import os, time
open(f"{tmp_path}/{{os.getpid()}}.here", "w").close()
while len([name for name in os.listdir({str(tmp_path)!r}) if name.endswith(".here")]) < 2:
    time.sleep(0.02)"""
    paths = [
        write_notebook(tmp_path / "good", meet, all_in_one()),
        write_notebook(tmp_path / "bad", meet, all_in_one(holds=False)),
    ]

    with ThreadPoolExecutor(2) as threads:
        verdicts = [run.record.verdict for run in threads.map(run_notebook, paths)]

    assert verdicts == ["PASS", "FAIL"]


def test_a_notebook_without_a_verdict_is_a_fail_also_where_an_earlier_run_passed(
    data: Path, passed: Passed, tmp_path: Path
) -> None:
    runner.save_record(passed.run.record, data / "verdicts")

    run = run_notebook(write_notebook(tmp_path, "1 + 1"))

    assert run.record.verdict == "FAIL"
    assert "it came to no verdict" in run.record.sentence
    assert load_record("sample", data / "verdicts") == run.record


def test_a_cell_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "CELL_SECONDS", 1)

    run = run_notebook(write_notebook(tmp_path, "import time; time.sleep(600)"))

    assert "a cell took longer than 1 s" in run.record.sentence


def test_a_kernel_that_dies_is_a_fail(tmp_path: Path) -> None:
    run = run_notebook(write_notebook(tmp_path, "import os; os.kill(os.getpid(), 9)"))

    assert "its kernel died" in run.record.sentence


def test_a_kernel_that_never_lives_is_a_fail_that_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit('no kernel today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    run = run_notebook(write_notebook(tmp_path, "1 + 1"))

    assert "its kernel died; the last that it wrote was: no kernel today" in run.record.sentence


def test_a_kernel_that_is_slow_to_start_is_not_called_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ipykernel_launcher.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(runner, "START_SECONDS", 1)

    run = run_notebook(write_notebook(tmp_path, "1 + 1"))

    assert "Kernel didn't respond in 1 seconds" in run.record.sentence
    assert "died" not in run.record.sentence


def own_kernels() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "ipykernel_launcher" in child.cmdline()]


def test_an_interrupt_leaves_no_kernel(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "import time; time.sleep(600)")
    kernels: list[psutil.Process] = []

    def interrupt(*_: int) -> None:
        kernels.extend(own_kernels())
        if kernels:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_notebook(path, progress=interrupt)

    wait_until(lambda: not any(kernel.is_running() for kernel in kernels))
    assert threading.active_count() < 20


def interrupted_at_its_end(function: Callable[..., object]) -> Callable[..., object]:
    """Return a function that is interrupted once it has done its work, and before it returns."""

    def interrupt(*arguments: object, **named: object) -> object:
        made = function(*arguments, **named)
        signal.raise_signal(signal.SIGINT)
        return made

    return interrupt


def test_an_interrupt_amid_the_making_of_its_folder_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_notebook(tmp_path, "1 + 1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", interrupted_at_its_end(tempfile.mkdtemp))

    with pytest.raises(KeyboardInterrupt):
        run_notebook(path)

    gc.collect()
    assert [*tmp_path.glob("beefirst-*")] == []


@pytest.mark.parametrize("moment", ["first", "last"])
def test_an_interrupt_while_the_run_begins_leaves_nothing_pending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, moment: str
) -> None:
    class Interrupting(threading.Thread):
        def start(self) -> None:
            if moment == "first":
                signal.raise_signal(signal.SIGINT)
            super().start()
            if moment == "last":
                signal.raise_signal(signal.SIGINT)

    path = write_notebook(tmp_path, "1 + 1")
    monkeypatch.setattr(runner, "Thread", Interrupting)

    with pytest.raises(KeyboardInterrupt):
        run_notebook(path)

    gc.collect()
    assert own_kernels() == []
    assert caplog.messages == []  # where asyncio says that a task was destroyed


def test_of_threads_that_an_interrupt_cuts_off_a_heartbeat_alone_is_no_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, interrupted, written = threading.Event(), threading.Event(), list[threading.ExceptHookArgs]()

    def fail_late(_: HBChannel) -> None:
        begun.set()
        interrupted.wait(60)
        time.sleep(0.2)
        other = threading.Thread(target=divmod, args=(1, 0))
        other.start()
        other.join()
        raise zmq.ZMQError(errno.EMFILE)

    def interrupt(*_: int) -> None:
        if begun.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    monkeypatch.setattr(HBChannel, "run", fail_late)
    monkeypatch.setattr(threading, "excepthook", written.append)

    with pytest.raises(KeyboardInterrupt):
        run_notebook(write_notebook(tmp_path, "1 + 1"), progress=interrupt)

    assert [ended.exc_type for ended in written] == [ZeroDivisionError]
    assert threading.excepthook == written.append


def test_an_interrupt_amid_the_wait_for_a_cell_is_not_passed_on_before_the_kernel_has_ended(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "import time; time.sleep(600)")
    kernels: list[psutil.Process] = []

    def interrupt_soon(*_: int) -> None:
        if not kernels:
            kernels.extend(own_kernels())
            signal.setitimer(signal.ITIMER_REAL, 0.03 if kernels else 0)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_notebook(path, progress=interrupt_soon)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert [kernel.pid for kernel in kernels if kernel.is_running()] == []
