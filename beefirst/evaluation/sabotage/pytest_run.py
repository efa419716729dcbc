"""Running some tests of a copy with pytest, and reading what it says of each."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from beefirst.evaluation.sabotage.trial import Trial, Watch
from beefirst.laboratory.cleanup import register, release
from beefirst.machine.processes import end_with_parent

TEST_SECONDS = 240
"""How long the tests of one run may take before they count as hanging."""

END_SECONDS = 30
"""How long pytest has to tidy up when it is interrupted."""

POLL_SECONDS = 0.1

ALONE = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis")
"""Without the plugins that one test by itself does not need: the last takes half of its time to be imported."""

ASSERTION = re.compile(r"AssertionError|assert |Failed: |ExceptionGroup")
"""How the message begins of a failure that a test has found: whatever else ends a test has crashed it."""

BARE = "AssertionError"
"""All that is said of an `assert` in a module that pytest does not rewrite, or of values that it does not show."""

Said = Literal["passed", "failed", "crashed", "skipped"]


@dataclass(frozen=True)
class Case:
    """What pytest says of one test.

    Attributes:
        test: its node id, without its parameters.
        said: `failed` where an assertion of the test's did not hold; `crashed` where anything else ended it.
        message: the first line of the reason and what explains it.
    """

    test: str
    said: Said
    message: str


def run_tests(trial: Trial, tests: Collection[str]) -> list[Case]:
    """Run tests of a copy in one process and return what became of each; none where pytest did not get as far.

    Args:
        trial: the copy.
        tests: by node id.

    Raises:
        TooSlowError: it took longer than TEST_SECONDS.
    """
    junit = trial.folder / "junit.xml"
    junit.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", *ALONE, f"--junit-xml={junit}", *tests]
    _run(command, trial, trial.watch(TEST_SECONDS))
    return read_cases(junit) if junit.exists() else []


def _run(command: Sequence[str], trial: Trial, watch: Watch) -> None:
    process = subprocess.Popen(
        command,
        env=trial.environment(),
        cwd=trial.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=end_with_parent(signal.SIGINT),
    )
    register("process", process.pid)
    try:
        while process.poll() is None:
            watch()
            time.sleep(POLL_SECONDS)
    finally:
        _end(process)
        release("process", process.pid)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def read_cases(junit: Path) -> list[Case]:
    """Return what a JUnit file of pytest's says of each test."""
    return [_read_case(case) for case in ElementTree.parse(junit).iter("testcase")]  # noqa: S314  # pytest wrote it


def _read_case(case: Element) -> Case:
    file = case.get("classname", "").replace(".", "/") + ".py"
    test = f"{file}::{case.get('name', '').partition('[')[0]}"
    for kind in ("failure", "error", "skipped"):
        if (found := case.find(kind)) is not None:
            message = found.get("message", "")
            return Case(test, _said(kind, message), message if message != BARE else f"{BARE}: {_failing_line(found)}")
    return Case(test, "passed", "")


def _failing_line(found: Element) -> str:
    """Return the last line of the source that pytest points to."""
    return ([line[1:].strip() for line in (found.text or "").splitlines() if line.startswith(">")] or [""])[-1]


def _said(kind: str, message: str) -> Said:
    if kind == "skipped":
        return "skipped"
    return "failed" if kind == "failure" and ASSERTION.match(message) else "crashed"
