"""What /metrics tells of the parts that a request waits for: threads that hash, the pool, the mail server."""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.held_row import held_row
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from tests.support.http_client import register
from tests.support.mail_servers import refusing

ADA = "ada@example.com"
FREE, LENT, WAITING = (
    'beefirst_pool_connections{use="free"}',
    'beefirst_pool_connections{use="lent"}',
    "beefirst_pool_waiting",
)
TAKEN = "beefirst_mail_taken"


def figures(api: ApiProcess) -> dict[str, float]:
    """Return each figure, by its name and labels."""
    lines = (line.rpartition(" ") for line in api.get("/metrics").text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_they_tell_how_long_passwords_wait_for_a_thread(database: ScratchDatabase) -> None:
    with start_api(database.url, BCRYPT_COST=12) as api, ThreadPoolExecutor(5) as clients:
        register(api, ADA)
        alone = figures(api)
        list(clients.map(partial(register, api), (f"{number}@example.com" for number in range(5))))
        together = figures(api)

    wait, many = "beefirst_password_wait_seconds_sum", "beefirst_password_wait_seconds_count"
    assert (alone[many], together[many]) == (1, 6)
    assert together[wait] > 5 * alone[wait]


def test_they_tell_who_has_the_connections_and_who_waits_for_one(database: ScratchDatabase) -> None:
    settings = {"POOL_MIN_SIZE": 2, "POOL_MAX_SIZE": 2, "SWEEP_INTERVAL_SECONDS": 60}
    with start_api(database.url, **settings) as api, ThreadPoolExecutor(4) as clients:
        wait_until(lambda: figures(api)[FREE] == 2)
        with held_row(database, ADA) as row:
            asked = [clients.submit(register, api, ADA) for _ in range(3)]
            row.wait_for(2)
            wait_until(lambda: (figures(api)[LENT], figures(api)[WAITING]) == (2, 1))
        for each in asked:
            each.result()
        wait_until(lambda: [figures(api)[name] for name in (FREE, LENT, WAITING)] == [2, 0, 0])


def test_they_tell_whether_the_mail_server_takes_mail(database: ScratchDatabase) -> None:
    with refusing("550 5.1.1 unknown", times=1) as mailbox, start_api(database.url, MAIL_URL=mailbox.url) as api:
        before = figures(api)[TAKEN]
        register(api, ADA)
        wait_until(lambda: figures(api)[TAKEN] == 0)
        register(api, "bob@example.com")
        wait_until(lambda: figures(api)[TAKEN] == 1)

    assert math.isnan(before)
