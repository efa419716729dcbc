"""Free ports, which nobody else may be given before somebody listens on them."""

import socket
from collections import deque
from pathlib import Path

import pytest

from beefirst.machine import ports


def test_a_free_port_is_none_that_the_system_gives_to_whoever_asks_for_any() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert {ports.free_port() < first for _ in range(20)} == {True}


def test_a_port_is_not_free_where_a_program_listens_or_that_was_just_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    start = ports.free_port() + 1
    with socket.create_server(("127.0.0.1", start)):
        monkeypatch.setattr(ports, "_recent", deque())
        monkeypatch.setattr(ports, "OUT_OF_THE_WAY", range(start, start + 3))

        found = {ports.free_port(), ports.free_port()}

    assert found == {start + 1, start + 2}
