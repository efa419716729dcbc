"""Child processes that end with their parent, become ready within a time limit, and leave nothing behind."""

import ctypes
import http.client
import math
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from beefirst.errors import ProcessError, RefusedError
from beefirst.machine.waiting import wait_for

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.01
CLEAN_UP_SECONDS = 30.0
"""How long it may take to leave nothing behind."""


def end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child runs before its program, so that the kernel signals it when its parent dies.

    Linux ties this to the thread that starts the child: start children from the main thread.

    Args:
        number: the signal; also sent when the parent was killed with SIGKILL.

    Returns:
        The function for subprocess's preexec_fn, or None where the system has nothing of the kind.
    """
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died before it could be told of
            os._exit(1)

    return tie


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask to stop: SIGINT, SIGTERM, and SIGHUP unless it is ignored, as under nohup."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hung_up]


def interrupt_once(clean_up_seconds: float = CLEAN_UP_SECONDS) -> None:
    """Let a signal that asks to stop raise KeyboardInterrupt; those soon after it must not disturb the clean-up.

    Args:
        clean_up_seconds: how long after a signal another one is not heeded.
    """
    last = -math.inf

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        # Not ignored for ever: Python loses an exception that is raised in a finalizer.
        if time.monotonic() - last > clean_up_seconds:
            last = time.monotonic()
            signal.default_int_handler(number, frame)

    for number in stop_signals():
        signal.signal(number, interrupt)


class ServerProcess:
    """A beefirst command that runs as a process of its own, answering HTTP.

    Args:
        name: what messages call it.
        command: the words after `python -m beefirst`.
        environment: the whole environment of the process.
        url: answers with 200 once the process is ready.
        folder: the working directory, where the process looks for `.env`.
        log: takes what the process writes; this process's own output where left out.
        errors_only: leave out what it writes to standard output.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        url: str,
        folder: Path,
        log: IO[bytes] | None = None,
        *,
        errors_only: bool = False,
    ) -> None:
        self.name = name
        self.url = url
        self._is_shown = log is None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "beefirst", *command],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if errors_only else log,
            stderr=log and subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C is for the parent, which stops its children in order
            preexec_fn=end_with_parent(signal.SIGTERM),
        )

    def check_alive(self) -> None:
        """Raise ProcessError if the process has ended."""
        if self.process.poll() is not None:
            raise ProcessError(f"{self.name} ended with status {self.process.returncode}.")

    def wait_until_ready(self, seconds: float) -> None:
        """Return once the process answers.

        Raises:
            ProcessError: the process has ended, or did not answer within `seconds`.
            RefusedError: it refused to start, and has shown why.
        """
        if not wait_for(self._answers, seconds, POLL_SECONDS):
            raise ProcessError(f"{self.name} was not ready within {seconds:g} seconds.")
        self.check_alive()  # else it was another program that answered

    def _answers(self) -> bool:
        if self.process.poll() == 1 and self._is_shown:
            raise RefusedError(f"{self.name} refused to start.")
        self.check_alive()
        return answers(self.url)

    def stop(self, seconds: float = 10) -> int:
        """End the process, by SIGKILL if it takes longer than `seconds`, and return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A proxy in the environment is for other machines."""


def answers(url: str, seconds: float = 2) -> bool:
    """Tell whether a GET of `url` is answered with 200 within `seconds`."""
    try:
        with DIRECTLY.open(url, timeout=seconds) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):  # the latter of a server that speaks something else
        return False
