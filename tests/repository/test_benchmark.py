"""The benchmark's own parts: what it keeps, what it prints, and that its measures measure."""

import threading
import time
from pathlib import Path

import pytest

from tests.tools.benchmark import readme
from tests.tools.benchmark.__main__ import PARTS
from tests.tools.benchmark.cpu import process_seconds, thread_seconds
from tests.tools.benchmark.figures import keep, measured, read_last_run

HOST = {"commit": "abc of 2026-01-01", "machine": "two cores"}


def test_a_figure_is_a_median_and_its_ratio_that_of_the_pairs() -> None:
    figure = measured("speed", "a second", [9.0, 30.0, 10.0], ("the limit", [10.0, 60.0, 10.0]))

    assert (figure.value, figure.least, figure.most, figure.reference_value, figure.ratio) == (10, 9, 30, 10, 0.9)


def test_the_figures_of_a_part_take_the_place_of_its_last_ones_and_leave_those_of_others(tmp_path: Path) -> None:
    file = tmp_path / "last_run.json"
    keep({"start": [measured("a", "s", [1])], "up": [measured("b", "s", [2])]}, HOST, file)
    keep({"start": [measured("c", "s", [3])]}, HOST, file)

    run = read_last_run(file)

    assert [(part, kept["figures"][0]["name"]) for part, kept in run.items()] == [("start", "c"), ("up", "b")]
    assert all(HOST.items() <= kept.items() and kept["date"] for kept in run.values())


def test_what_the_readme_shows_is_measured_by_a_part() -> None:
    assert set(readme.SHOWN) <= set(PARTS)


def test_a_readme_without_the_section_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# beefirst\n")

    with pytest.raises(ValueError, match="How fast it is"):
        readme.write({}, tmp_path / "README.md")


def test_cpu_time_is_that_of_the_thread_and_of_the_process() -> None:
    task = Path(f"/proc/self/task/{threading.get_native_id()}")
    before, own, whole = thread_seconds(task), time.thread_time(), process_seconds(0)
    while time.thread_time() - own < 0.3:
        pass

    assert 0.25 <= thread_seconds(task) - before <= 1
    assert process_seconds(0) - whole >= 0.25
