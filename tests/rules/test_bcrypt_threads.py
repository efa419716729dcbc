"""How many threads hash, and at which priority."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from beefirst.passwords import NICENESS, BcryptPasswords
from tests.conftest import SECRET

only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is of whole processes")


@pytest.fixture
def passwords() -> Iterator[BcryptPasswords]:
    """As the service makes them."""
    made = BcryptPasswords(10)
    yield made
    made.close()


def bcrypt_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("bcrypt")}


def test_as_many_threads_hash_as_there_are_cores(passwords: BcryptPasswords) -> None:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    others = bcrypt_threads()  # of an application before that is still about to end

    async def hash_many() -> int:
        await asyncio.gather(*(passwords.hash(SECRET) for _ in range(12)))
        return len(bcrypt_threads() - others)

    assert asyncio.run(hash_many()) == cores


def test_making_it_hashes_nothing() -> None:
    started = time.perf_counter()

    BcryptPasswords(20).close()  # one hash of this cost takes about a minute

    assert time.perf_counter() - started < 10


def test_the_seventy_second_byte_counts(passwords: BcryptPasswords) -> None:
    async def match_last_byte() -> tuple[bool, bool]:
        password_hash = await passwords.hash("x" * 71 + "y")
        return await passwords.match("x" * 71 + "y", password_hash), await passwords.match("x" * 72, password_hash)

    assert asyncio.run(match_last_byte()) == (True, False)


@pytest.mark.parametrize("password", ["", SECRET])
def test_no_password_matches_where_there_is_no_hash(passwords: BcryptPasswords, password: str) -> None:
    assert asyncio.run(passwords.match(password, None)) is False


def test_the_same_password_has_another_hash_each_time(passwords: BcryptPasswords) -> None:
    async def hash_twice() -> set[str]:
        return {await passwords.hash(SECRET), await passwords.hash(SECRET)}

    assert len(asyncio.run(hash_twice())) == 2


@only_on_linux
def test_hashing_lets_everything_else_go_first(passwords: BcryptPasswords) -> None:
    asyncio.run(passwords.hash(SECRET))

    niceness = {os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) for thread in bcrypt_threads()}

    assert niceness == {max(NICENESS, os.getpriority(os.PRIO_PROCESS, os.getpid()))}


NICER = """
import asyncio, os
from beefirst.passwords import BcryptPasswords
os.setpriority(os.PRIO_PROCESS, 0, 15)
if os.geteuid() == 0:  # who may do anything
    os.setuid(65534)
print(asyncio.run(BcryptPasswords(10).hash("correct horse")))
"""


@only_on_linux
def test_a_service_that_runs_at_a_lower_priority_still_hashes() -> None:
    run = subprocess.run([sys.executable, "-c", NICER], capture_output=True, text=True, timeout=60, check=False)

    assert run.stdout.startswith("$2b$10$"), run.stderr
