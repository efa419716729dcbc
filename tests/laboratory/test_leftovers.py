"""What is left of a notebook that was stopped half-way: nothing, however it was stopped."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.machine.waiting import wait_until
from tests.support.kernels import API, GUARD, POSTGRES, STAGE, Kernel, running_kernel

NOTHING: list[object] = []
ADA = "testbed.activate('ada@example.com', PASSWORD, testbed.claim('ada@example.com')).status_code"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server on which only the kernels of these tests make databases."""
    with EmbeddedServer.start_ephemeral() as server:
        yield server


@pytest.fixture
def kernel(server: EmbeddedServer) -> Iterator[Kernel]:
    with running_kernel(server.url) as kernel:
        yield kernel


@pytest.fixture
def kernel_alone() -> Iterator[Kernel]:
    """A kernel that is told of no server, and so starts one."""
    with running_kernel() as kernel:
        yield kernel


def seen(kernel: Kernel) -> tuple[int, ...]:
    """Return how many APIs, open addresses, databases, guards and folders of all folders there are."""
    things = (kernel.processes(API), kernel.open_addresses(), kernel.databases())
    return (*map(len, things), len(kernel.processes(GUARD)), len(kernel.folders()))


def test_a_kernel_that_is_killed_amid_an_experiment_leaves_nothing(kernel: Kernel) -> None:
    kernel.set_stage()
    kernel.be_busy()
    before = seen(kernel)

    kernel.kill()

    assert before == (2, 3, 1, 1, 1)
    wait_until(lambda: kernel.leftovers() == NOTHING)


def test_a_kernel_that_is_killed_while_it_sets_the_stage_leaves_nothing(kernel: Kernel) -> None:
    kernel.send(STAGE)
    wait_until(lambda: len(kernel.processes(API)) >= 1)

    kernel.kill()

    wait_until(lambda: kernel.leftovers() == NOTHING)


def test_an_api_that_heeds_no_signal_ends_too(kernel: Kernel) -> None:
    kernel.set_stage()
    os.kill(kernel.processes(API)[0], signal.SIGSTOP)

    kernel.kill()

    wait_until(lambda: kernel.leftovers() == NOTHING, 40)


@pytest.mark.parametrize("now", [False, True], ids=["in order", "at once"])
def test_a_busy_kernel_that_is_restarted_begins_with_nothing_and_works(kernel: Kernel, now: bool) -> None:
    kernel.set_stage()
    kernel.be_busy()

    kernel.manager.restart_kernel(now=now)

    wait_until(lambda: kernel.leftovers() == NOTHING)
    kernel.set_stage()
    assert kernel.run("", ADA) == 200


def test_a_kernel_that_ends_in_order_leaves_nothing(kernel: Kernel) -> None:
    kernel.set_stage()
    before = seen(kernel)

    kernel.manager.shutdown_kernel(now=False)

    assert before == (2, 3, 1, 1, 1)
    wait_until(lambda: kernel.leftovers() == NOTHING)


def test_a_cell_that_is_interrupted_while_apis_start_leaves_nothing_and_works_when_run_again(kernel: Kernel) -> None:
    request = kernel.send(STAGE)
    wait_until(lambda: len(kernel.processes(API)) == 2)

    kernel.manager.interrupt_kernel()

    assert kernel.answer(request) == "KeyboardInterrupt"
    assert kernel.experiment() == NOTHING
    kernel.set_stage()
    assert kernel.run("", ADA) == 200


def test_many_replicas_that_are_interrupted_while_they_start_leave_nothing(kernel: Kernel) -> None:
    kernel.run("from beefirst.evaluation import releases, scratch; crowded = scratch.ScratchDatabase()")
    request = kernel.send("releases.start_replicas(crowded)")
    wait_until(lambda: len(kernel.processes(API)) == 8)

    kernel.manager.interrupt_kernel()

    assert kernel.answer(request) == "KeyboardInterrupt"
    assert kernel.processes(API) == NOTHING
    assert kernel.run("replicas = releases.start_replicas(crowded, count=2)", "len(replicas)") == 2


def test_a_cell_that_is_run_twice_has_what_it_made_the_second_time_alone(kernel: Kernel) -> None:
    kernel.set_stage()
    first = set(kernel.addresses)
    kernel.set_stage()

    assert seen(kernel) == (2, 3, 1, 1, 1)
    assert first.isdisjoint(kernel.open_addresses())


def test_an_error_keeps_nothing_of_the_run_before(kernel: Kernel) -> None:
    kernel.set_stage()
    error = kernel.run("testbed.claim_when_free('nobody@example.com', seconds=0)")
    kernel.set_stage()

    assert error == "MailError"
    assert seen(kernel) == (2, 3, 1, 1, 1)


def test_a_kernel_on_a_server_of_its_own_leaves_nothing_when_killed(kernel_alone: Kernel) -> None:
    kernel_alone.set_stage()
    kernel_alone.be_busy()
    server = kernel_alone.processes(POSTGRES)

    kernel_alone.kill()

    assert server != NOTHING
    wait_until(lambda: kernel_alone.leftovers() == NOTHING)


def test_a_kernel_on_a_server_of_its_own_leaves_nothing_when_it_ends_in_order(kernel_alone: Kernel) -> None:
    kernel_alone.set_stage()

    kernel_alone.manager.shutdown_kernel(now=False)

    wait_until(lambda: kernel_alone.leftovers() == NOTHING)


def test_a_server_that_is_gone_keeps_nobody_waiting() -> None:
    with EmbeddedServer.start_ephemeral() as server, running_kernel(server.url) as kernel:
        kernel.set_stage()
        server.stop()

        kernel.kill()

        wait_until(lambda: [*kernel.processes(), *kernel.open_addresses(), *kernel.folders()] == NOTHING)


def test_the_guard_is_not_told_the_password_where_others_can_read_it(kernel: Kernel, server: EmbeddedServer) -> None:
    kernel.set_stage()
    (guard,) = kernel.processes(GUARD)

    shown = Path(f"/proc/{guard}/cmdline").read_bytes() + Path(f"/proc/{guard}/environ").read_bytes()

    assert server.url.encode() not in shown
