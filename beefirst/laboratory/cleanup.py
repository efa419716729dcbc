"""How long what a notebook makes lives: until nothing refers to it, and at most as long as the notebook's process.

A name that is bound anew lets go of what it named before; an orderly end of the process closes what is left; and of a
process that is killed, the reaper clears up (see `reaper`).
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Self

from beefirst.laboratory.environment import clean_environment
from beefirst.machine.processes import stop_signals

DISMISSAL_SECONDS = 5


class Owned:
    """What is closed by `close`, by the end of its `with` block, or when nothing refers to it; but only once.

    A subclass makes its parts in a block of its `__init__`, and says at each how it ends:

        with self._making() as parts, uninterrupted():
            parts.callback(server.end)
            server.start()
    """

    _end: Callable[[], object]

    @contextmanager
    def _making(self) -> Iterator[ExitStack]:
        """Give the stack of all parts; what is in it is closed at once where the block fails or is interrupted.

        No part may refer to the object, which would then never go. Add `uninterrupted()` where a part could be made
        without being on the stack.
        """
        parts = ExitStack()
        self._end = close_with(self, parts.close)
        try:
            yield parts
        except BaseException:  # an interrupt, too
            self._end()
            raise

    def close(self) -> None:
        """End it and all that belongs to it; doing so again does nothing."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let what interrupts wait until the block is over, so that nothing is made without being noted, or closed by half.

    Those are the signals that ask to stop and for which this process has a function; others do what they always do.
    """
    if threading.current_thread() is not threading.main_thread():  # interrupts reach the main thread alone
        yield
        return
    before = {number: handler for number in stop_signals() if callable(handler := signal.getsignal(number))}
    waiting, is_over = list[int](), False

    def wait(number: int, frame: FrameType | None) -> None:
        if is_over:  # one of two signals came while the function of the other was put back
            before[signal.Signals(number)](number, frame)
        else:
            waiting.append(number)

    try:
        for number in before:
            signal.signal(number, wait)
        yield
    finally:
        is_over = True
        for number, handler in before.items():
            signal.signal(number, handler)
        for came in waiting:
            signal.raise_signal(came)


def close_with(owner: object, close: Callable[[], object]) -> Callable[[], object]:
    """Return what calls `close` when it is called itself, when `owner` goes, or at the end of this process: only once.

    What was made last is closed first. An object is better an `Owned`.

    Args:
        owner: whose end it is.
        close: must not refer to `owner`, which would then never go.
    """
    _forget_last_error()
    return weakref.finalize(owner, partial(_undisturbed, close))


def _undisturbed(close: Callable[[], object]) -> None:
    with uninterrupted():
        close()


def _forget_last_error() -> None:
    """Let go of what the functions in the last traceback were working on; IPython keeps it for its debugger."""
    error: BaseException | None = getattr(sys, "last_value", None)
    while error:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def register(kind: str, *what: object) -> None:
    """Tell the reaper of something that must not outlive this process; kinds as in `reaper.Thing`."""
    _reaper().tell("register", kind, *what)


def release(kind: str, *what: object) -> None:
    """Tell the reaper that it is gone again; the arguments as for `register`."""
    _reaper().tell("release", kind, *what)


def new_folder(prefix: str, parent: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """Return a new temporary folder that goes with the process at the latest.

    Args:
        prefix: how its name begins.
        parent: where it is made; in the folder of all temporary folders where left out.
    """
    with uninterrupted():
        return tempfile.TemporaryDirectory(prefix=prefix, dir=parent or _reaper().folder, ignore_cleanup_errors=True)


def common_folder() -> Path:
    """Return the folder of all temporary folders."""
    return _reaper().folder


class _Reaper:
    """The reaper of this process: started with the first thing that is made, dismissed at an orderly end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.gettempdir(), f"beefirst-evaluation-{secrets.token_hex(8)}")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "beefirst.laboratory.reaper"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # else whoever reads this process's output would wait for the reaper, too
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=clean_environment(),
            start_new_session=True,  # Jupyter kills a kernel together with its process group
        )
        weakref.finalize(self, _dismiss, self._process, self.folder)
        self.tell("register", "folder", self.folder)  # first, for a process may be killed between two lines
        self.folder.mkdir(0o700)
        if os.geteuid() == 0:  # an embedded server runs under another account, and must be able to reach its folder
            self.folder.chmod(0o711)

    def tell(self, *words: object) -> None:
        """Send a line, which holds what must not show in the arguments or the environment of a process."""
        with suppress(OSError, ValueError):  # a reaper that somebody has killed, or that is dismissed, is done without
            if self._process.stdin:
                self._process.stdin.write(json.dumps([str(word) for word in words]).encode() + b"\n")


_first_use = threading.RLock()  # what a finalizer releases may come in the midst of it


def _reaper() -> _Reaper:
    with uninterrupted(), _first_use:  # of two that threads make at once, one would go, and take its folder along
        return _only_reaper()


@cache
def _only_reaper() -> _Reaper:
    return _Reaper()


def _dismiss(process: subprocess.Popen[bytes], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if process.stdin:
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(DISMISSAL_SECONDS)
