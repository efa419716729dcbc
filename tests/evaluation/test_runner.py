"""Running notebooks from a notebook, and what becomes of those that stop."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from beefirst.evaluation.experiments import start_here
from beefirst.evaluation.records import load_record
from beefirst.evaluation.report import runner
from beefirst.evaluation.report.runner import run_notebook
from beefirst.laboratory.environment import PART_OF_A_RUN
from beefirst.machine.waiting import wait_until
from tests.evaluation.test_notebooks import write_notebook

GOOD = """
from beefirst.evaluation.verdict import Verdict
verdict = Verdict("{name}", {{"A.1": "It holds"}})
verdict.check("A.1", {holds}, "seen")
verdict.conclude()"""


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEEFIRST_DATA", str(tmp_path / "data"))


def good(name: str) -> str:
    return GOOD.format(name=name, holds=True)


def test_a_run_gives_the_verdict_and_the_outputs_and_leaves_the_file_alone(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "6 * 7", good("sample"))
    before = path.read_bytes()

    run = run_notebook(path)

    assert (run.record.verdict, run.record.holds) == ("PASS", True)
    assert run.executed.cells[0].outputs[0].data["text/plain"] == "42"
    assert path.read_bytes() == before


def test_progress_counts_the_cells_that_are_done(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []

    run_notebook(write_notebook(tmp_path, "1", "2", good("sample")), progress=lambda *step: steps.append(step))

    assert steps[0] == (0, 3)
    assert steps[-1] == (3, 3)


def test_a_failed_check_is_a_fail(tmp_path: Path) -> None:
    run = run_notebook(write_notebook(tmp_path, GOOD.format(name="sample", holds=False)))

    assert run.record.verdict == "FAIL"
    assert [(check.key, check.result) for check in run.record.checks] == [("A.1", "FAIL")]


def test_a_notebook_that_stops_is_a_fail_that_says_why_and_keeps_what_was_seen_before(tmp_path: Path) -> None:
    begun = (
        'from beefirst.evaluation.verdict import Verdict\nverdict = Verdict("sample", {"A.1": "One", "A.2": "Two"})\n'
        'verdict.check("A.1", True, "seen")'
    )

    run = run_notebook(write_notebook(tmp_path, begun, "1 / 0", "verdict.conclude()"))

    assert run.record.verdict == "FAIL"
    assert "ZeroDivisionError: division by zero" in run.record.sentence
    assert [(check.key, check.result) for check in run.record.checks] == [("A.1", "PASS"), ("A.2", "NOT MADE")]
    assert load_record("sample") == run.record


def test_an_error_after_the_last_check_fails_a_check_of_its_own(tmp_path: Path) -> None:
    run = run_notebook(write_notebook(tmp_path, good("sample"), "1 / 0"))

    assert run.record.verdict == "FAIL"
    assert [(check.key, check.result) for check in run.record.checks] == [("A.1", "PASS"), ("RUN", "FAIL")]


def test_two_runs_of_one_name_at_once_do_not_mix_up_their_verdicts(tmp_path: Path) -> None:
    for folder in ("good", "bad"):
        (tmp_path / folder).mkdir()
    paths = [
        write_notebook(tmp_path / "good", "import time; time.sleep(1)", good("sample")),
        write_notebook(tmp_path / "bad", "import time; time.sleep(1)", "1 / 0"),
    ]

    with ThreadPoolExecutor(2) as threads:
        verdicts = [run.record.verdict for run in threads.map(run_notebook, paths)]

    assert verdicts == ["PASS", "FAIL"]


def test_a_notebook_without_a_verdict_is_a_fail_also_where_an_earlier_run_passed(tmp_path: Path) -> None:
    run_notebook(write_notebook(tmp_path, good("sample")))

    run = run_notebook(write_notebook(tmp_path, "1 + 1"))

    assert run.record.verdict == "FAIL"
    assert "it came to no verdict" in run.record.sentence


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


def test_an_interrupt_leaves_no_kernel(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "import time; time.sleep(600)")
    kernels: list[psutil.Process] = []

    def interrupt(*_: int) -> None:
        kernels.extend(child for child in psutil.Process().children() if "ipykernel_launcher" in child.cmdline())
        if kernels:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_notebook(path, progress=interrupt)

    wait_until(lambda: not any(kernel.is_running() for kernel in kernels))
    assert threading.active_count() < 20


@pytest.fixture
def three_notebooks(tmp_path: Path) -> Path:
    for name, seconds in (("00_start_here", 2), ("01_slow", 30), ("02_quick", 3)):
        path = write_notebook(tmp_path, good(name), name=f"{name}.ipynb")
        opening = f"# Is it {name}?\\n\\n**Criterion AC1.** It is.\\n\\n**Takes** about {seconds} seconds."
        path.write_text(
            path.read_text().replace(
                '"cells": [',
                f'"cells": [{{"cell_type": "markdown", "id": "a", "metadata": {{}}, "source": ["{opening}"]}},',
                1,
            )
        )
    return tmp_path


def test_all_notebooks_but_the_first_are_run_in_order(three_notebooks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PART_OF_A_RUN)

    found = start_here.run_all(three_notebooks)

    assert [(record.notebook, record.verdict) for record in found] == [("01_slow", "PASS"), ("02_quick", "PASS")]
    assert start_here.notebooks(three_notebooks)["verdict"].tolist() == ["not run", "PASS", "PASS"]


def test_as_part_of_another_run_the_quickest_stands_for_all(
    three_notebooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PART_OF_A_RUN, "1")

    assert [record.notebook for record in start_here.run_all(three_notebooks)] == ["02_quick"]


def test_one_that_fails_does_not_keep_the_others_from_running(
    three_notebooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PART_OF_A_RUN)
    slow = three_notebooks / "01_slow.ipynb"
    slow.write_text(slow.read_text().replace("True", "False"))

    assert [record.verdict for record in start_here.run_all(three_notebooks)] == ["FAIL", "PASS"]
