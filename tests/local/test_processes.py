"""Signals that ask to stop, and whether a process answers."""

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from beefirst.machine import processes


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_second_signal_does_not_disturb_what_the_first_began() -> None:
    processes.interrupt_once()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        pytest.fail("the clean-up was disturbed")


def test_a_signal_that_python_lost_can_be_repeated() -> None:
    processes.interrupt_once(clean_up_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_server_that_speaks_something_else_does_not_answer() -> None:
    def greet() -> None:
        with other.accept()[0] as client:
            client.sendall(b"220 localhost SMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as thread:
        thread.submit(greet)

        assert not processes.answers(f"http://127.0.0.1:{other.getsockname()[1]}")
