"""What is left of a notebook that was stopped half-way: nothing, however it was stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.laboratory.environment import clean_environment
from beefirst.machine.waiting import wait_until
from tests.support.kernels import API, POSTGRES, REAPER, TESTBED, Kernel, running_kernel

pytestmark = pytest.mark.usefixtures("killed_beside_a_stopped_api")

NOTHING: list[object] = []
ADA = "testbed.activate('ada@example.com', PASSWORD, testbed.claim('ada@example.com')).status_code"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server on which only the kernels of these tests make databases, one at a time."""
    with EmbeddedServer.start_ephemeral() as server:
        yield server


@pytest.fixture
def kernel(server: EmbeddedServer) -> Iterator[Kernel]:
    """A kernel that the test may end."""
    with running_kernel(server.url) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def shared_kernel(server: EmbeddedServer) -> Iterator[Kernel]:
    with running_kernel(server.url) as kernel:
        yield kernel


@pytest.fixture
def lasting_kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    """A kernel that outlives the test, and in which nothing has been made yet."""
    yield shared_kernel
    shared_kernel.clear()
    wait_until(lambda: shared_kernel.experiment() == NOTHING)


@pytest.fixture(scope="module")
def killed_beside_a_stopped_api() -> Iterator[Kernel]:
    """A busy kernel on a server of its own, killed while one of its APIs heeds no signal.

    The seconds that the reaper gives each signal pass during the other tests.
    """
    with running_kernel() as kernel:
        kernel.make_testbed()
        kernel.be_busy()
        assert kernel.processes(POSTGRES) != NOTHING
        os.kill(kernel.processes(API)[0], signal.SIGSTOP)
        kernel.kill()
        yield kernel


def seen(kernel: Kernel) -> tuple[int, ...]:
    """Return how many APIs, open addresses, databases, reapers and folders of all folders there are."""
    things = (kernel.processes(API), kernel.open_addresses(), kernel.databases())
    return (*map(len, things), len(kernel.processes(REAPER)), len(kernel.folders()))


def test_a_kernel_that_is_killed_amid_an_experiment_leaves_nothing(kernel: Kernel) -> None:
    kernel.make_testbed(replicas=2)
    kernel.be_busy()
    before = seen(kernel)

    kernel.kill()

    assert before == (2, 3, 1, 1, 1)
    wait_until(lambda: kernel.leftovers() == NOTHING)


def test_a_kernel_that_is_killed_while_it_makes_a_testbed_leaves_nothing(kernel: Kernel) -> None:
    kernel.send(TESTBED.format(2))
    wait_until(lambda: len(kernel.processes(API)) >= 1)

    kernel.kill()

    wait_until(lambda: kernel.leftovers() == NOTHING)


def test_a_kernel_that_ends_in_order_leaves_nothing(kernel: Kernel) -> None:
    kernel.make_testbed()
    before = seen(kernel)

    kernel.manager.shutdown_kernel(now=False)

    assert before == (1, 2, 1, 1, 1)
    wait_until(lambda: kernel.leftovers() == NOTHING)


def test_a_cell_that_is_interrupted_while_apis_start_leaves_nothing_and_works_when_run_again(
    lasting_kernel: Kernel,
) -> None:
    request = lasting_kernel.send(TESTBED.format(2))
    wait_until(lambda: len(lasting_kernel.processes(API)) == 2)

    lasting_kernel.manager.interrupt_kernel()

    assert lasting_kernel.answer(request) == "KeyboardInterrupt"
    assert lasting_kernel.experiment() == NOTHING
    lasting_kernel.make_testbed()
    assert lasting_kernel.run("", ADA) == 200


def test_many_replicas_that_are_interrupted_while_they_start_leave_nothing(lasting_kernel: Kernel) -> None:
    assert lasting_kernel.run("from beefirst.evaluation.experiments.migrations import automatic") is None
    request = lasting_kernel.send("automatic.many_replicas(4)")
    wait_until(lambda: len(lasting_kernel.processes(API)) == 4)

    lasting_kernel.manager.interrupt_kernel()

    assert lasting_kernel.answer(request) == "KeyboardInterrupt"
    assert lasting_kernel.experiment() == NOTHING
    assert lasting_kernel.run("again = automatic.many_replicas(2)", "again.holds") is True


def test_a_cell_that_is_run_twice_has_what_it_made_the_second_time_alone(lasting_kernel: Kernel) -> None:
    lasting_kernel.make_testbed()
    first = set(lasting_kernel.addresses)
    lasting_kernel.make_testbed()

    assert seen(lasting_kernel) == (1, 2, 1, 1, 1)
    assert first.isdisjoint(lasting_kernel.open_addresses())


def test_an_error_keeps_nothing_of_the_run_before(lasting_kernel: Kernel) -> None:
    lasting_kernel.make_testbed()
    error = lasting_kernel.run("testbed.claim_when_free('no address', seconds=0)")
    lasting_kernel.make_testbed()

    assert error == "MailError"
    assert seen(lasting_kernel) == (1, 2, 1, 1, 1)


def test_the_reaper_is_not_told_the_password_where_others_can_read_it(
    lasting_kernel: Kernel, server: EmbeddedServer
) -> None:
    lasting_kernel.make_testbed()
    (reaper,) = lasting_kernel.processes(REAPER)

    shown = Path(f"/proc/{reaper}/cmdline").read_bytes() + Path(f"/proc/{reaper}/environ").read_bytes()

    assert server.url.encode() not in shown


@pytest.mark.parametrize("now", [False, True], ids=["in order", "at once"])
def test_a_busy_kernel_that_is_restarted_begins_with_nothing_and_works(lasting_kernel: Kernel, now: bool) -> None:
    lasting_kernel.make_testbed()
    lasting_kernel.be_busy()

    lasting_kernel.manager.restart_kernel(now=now)

    wait_until(lambda: lasting_kernel.leftovers() == NOTHING)
    lasting_kernel.make_testbed()
    assert lasting_kernel.run("", ADA) == 200


def test_a_kernel_on_a_server_of_its_own_leaves_nothing_when_it_ends_in_order() -> None:
    with running_kernel() as kernel:
        kernel.make_testbed()
        server = kernel.processes(POSTGRES)

        kernel.manager.shutdown_kernel(now=False)

        assert server != NOTHING
        wait_until(lambda: kernel.leftovers() == NOTHING)


def test_a_server_that_is_gone_keeps_nobody_waiting() -> None:
    with EmbeddedServer.start_ephemeral() as server, running_kernel(server.url) as kernel:
        kernel.make_testbed()
        server.stop()

        kernel.kill()

        wait_until(lambda: [*kernel.processes(), *kernel.open_addresses(), *kernel.folders()] == NOTHING)


def test_a_kernel_on_a_server_of_its_own_leaves_no_server_when_killed(killed_beside_a_stopped_api: Kernel) -> None:
    wait_until(lambda: killed_beside_a_stopped_api.processes(POSTGRES) == NOTHING)


def test_an_api_that_heeds_no_signal_ends_too(killed_beside_a_stopped_api: Kernel) -> None:
    wait_until(lambda: killed_beside_a_stopped_api.leftovers() == NOTHING, 40)


FIRST_FOLDERS = """
from pathlib import Path
from threading import Barrier, Thread
from beefirst.laboratory.cleanup import new_folder
together, folders = Barrier(8), []
def make():
    together.wait()
    folders.append(new_folder("first-"))
threads = [Thread(target=make) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len({Path(folder.name).parent for folder in folders}), sum(Path(folder.name).exists() for folder in folders))
"""


def test_what_threads_make_first_at_once_lies_in_one_folder_and_stays() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FOLDERS], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout, done.stderr) == ("1 8\n", "")


KILLED = """
import os, signal, subprocess
from beefirst.laboratory.cleanup import new_folder
class Killing(subprocess.Popen):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
subprocess.Popen = Killing
new_folder("first-")
"""


def test_who_is_killed_while_its_reaper_starts_leaves_no_folder(tmp_path: Path) -> None:
    environment = clean_environment() | {"TMPDIR": str(tmp_path)}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=environment, timeout=60, check=False)

    assert killed.returncode == -signal.SIGKILL
    wait_until(lambda: [*tmp_path.iterdir()] == NOTHING)


MAKING = """
import signal, sys
from beefirst.laboratory.cleanup import uninterrupted
from beefirst.machine.processes import interrupt_once
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which is ignored under nohup
interrupt_once()
try:
    with uninterrupted(), uninterrupted():
        signal.raise_signal(int(sys.argv[1]))
        print("made")
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted")
try:
    signal.raise_signal(int(sys.argv[1]))  # so soon after the first it is not heeded
finally:
    print("over")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_asks_to_stop_waits_until_a_thing_is_made(number: signal.Signals) -> None:
    made = subprocess.run(
        [sys.executable, "-c", MAKING, str(int(number))], capture_output=True, text=True, timeout=60, check=False
    )

    assert (made.stdout.split(), made.stderr, made.returncode) == (["made", "interrupted", "over"], "", 0)
