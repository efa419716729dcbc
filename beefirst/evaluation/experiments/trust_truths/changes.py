"""Changes of state that are whole or not at all, and that nothing repeats: truths 10 and 11."""

import asyncio
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.waiting import wait_for

HALF_STATES = """
    SELECT count(*)
      FROM registrations
     WHERE (state = 'CLAIMED' AND (password_hash IS NULL OR activated_at IS NOT NULL))
        OR (state = 'ACTIVE' AND (password_hash IS NULL OR activated_at IS NULL))
        OR (state IN ('EXPIRED', 'LOCKED') AND password_hash IS NOT NULL)
"""

REGISTRATIONS_IN_FLIGHT = 100
"""So many that a busy machine, too, is killed amid them."""


@experiment
def killed_between_steps(rounds: Sequence[int] = (1, 6), **settings: Any) -> Evidence:
    """Truth 10: kill one of two replicas with SIGKILL amid registrations, and look at what it leaves to the other.

    Args:
        rounds: after how many claims to kill, for each round.
        settings: of the replicas.
    """
    rows = [_kill_after(claims, settings) for claims in rounds]
    frame = pd.DataFrame(rows, columns=["killed after", "claims left", "in a half state", "all free after", "then"])
    whole = (frame["in a half state"] == 0).all() and (frame["then"] == "claimed anew, with a code").all()
    amid = frame["claims left"].between(1, REGISTRATIONS_IN_FLIGHT - 1).any()
    return Evidence(
        bool(whole and amid), f"{len(rows)} kills left claims that free themselves, and no half state", frame
    )


def _kill_after(claims: int, settings: Mapping[str, Any]) -> tuple[object, ...]:
    with Testbed(replicas=2, ttl_seconds=2, sweep_interval_seconds=0.2, **settings) as testbed:
        requests = [
            raw_http.registering(f"p{number}@example.com", PASSWORD) for number in range(REGISTRATIONS_IN_FLIGHT)
        ]
        sender = threading.Thread(target=_send_until_cut_off, args=(testbed.apis[0].url, requests))
        sender.start()
        wait_for(lambda: len(testbed.rows()) >= claims)
        testbed.apis[0].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        sender.join()
        left, ((half,),) = len(testbed.rows()), testbed.execute(HALF_STATES)
        wait_for(lambda: "CLAIMED" not in set(testbed.rows()["state"]))
        seconds = time.monotonic() - killed
        codes = [testbed.claim(f"p{number}@example.com", replica=1) for number in range(3)]
        then = "claimed anew, with a code" if len(codes) == 3 else "held"
        return f"{claims} claim{'s' if claims > 1 else ''}", left, half, f"{seconds:.1f} s", then


def _send_until_cut_off(url: str, requests: list[bytes]) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        raw_http.send_at_once(url, requests)


@experiment
def replicas_as_one(testbed: Testbed) -> Evidence:
    """Truth 10: claim at one replica and go on at the other."""
    code = testbed.claim("both@example.com", replica=0)
    crossed = testbed.activate("both@example.com", PASSWORD, code, replica=1).status_code
    testbed.register("both@example.com", "another horse", replica=1)
    code = testbed.claim("locked@example.com", replica=1)
    testbed.lock("locked@example.com", PASSWORD, code)
    rows = [
        (
            "claimed at the first, activated at the second",
            f"{crossed}, {testbed.state('both@example.com')}",
            "200, ACTIVE",
        ),
        (
            f"{testbed.max_attempts} wrong codes, in turns at all replicas",
            testbed.state("locked@example.com"),
            "LOCKED",
        ),
    ]
    return compare(f"{len(testbed.apis)} replicas behave as one", rows)


@experiment
def replays(testbed: Testbed) -> Evidence:
    """Truth 11: repeat what has worked before, and look at the row."""
    email = "again@example.com"
    code = testbed.claim(email)
    testbed.activate(email, PASSWORD, code)
    before = _whole_row(testbed, email)
    attempts = [
        ("the same activation once more", testbed.activate(email, PASSWORD, code).status_code, 401),
        ("with a wrong code", testbed.activate(email, PASSWORD, wrong(code)).status_code, 401),
        ("the same registration once more", testbed.register(email).status_code, 202),
        ("with another password", testbed.register(email, "another horse").status_code, 202),
        ("the activation with that password", testbed.activate(email, "another horse", code).status_code, 401),
    ]
    unchanged = "unchanged" if _whole_row(testbed, email) == before else "CHANGED"
    rows = [(what, f"{status}, {unchanged}", f"{expected}, unchanged") for what, status, expected in attempts]
    summary = f"{len(rows)} replays, and the ACTIVE row is {unchanged}"
    return compare(summary, rows, ["replay", "answer, and the ACTIVE row", "expected"])


def _whole_row(testbed: Testbed, email: str) -> list[tuple[object, ...]]:
    return testbed.execute("SELECT * FROM registrations WHERE email = %(email)s", email=email)


@experiment
def fresh_start(testbed: Testbed) -> Evidence:
    """Truth 11: end a claim in each way, claim anew, and try what belonged to the claim before."""
    rows = []
    for end in ("CLAIMED", "EXPIRED", "LOCKED"):
        email, old, new = f"{end.lower()}@example.org", "the old horse", "the new horse"
        old_code = testbed.claim(email, old)
        ended = _end(testbed, email, old, old_code, end)
        new_code = testbed.claim(email, new)
        replayed = [
            testbed.activate(email, old, old_code).status_code,
            testbed.activate(email, old, new_code).status_code,
            testbed.activate(email, new, old_code if old_code != new_code else wrong(new_code)).status_code,
        ]
        answer = testbed.activate(email, new, new_code).status_code
        rows.append((f"{ended}, past its time", *replayed, answer))
    columns = ["the claim before was", "old password, old code", "old password, new code", "new password, old code"]
    frame = pd.DataFrame(rows, columns=[*columns, "new password, new code"])
    holds = all(row[1:] == (401, 401, 401, 200) for row in rows) and len(rows) == 3
    return Evidence(holds, "after each way to end, the old code and the old password are worthless", frame)


def _end(testbed: Testbed, email: str, password: str, code: str, end: str) -> str:
    if end == "LOCKED":
        testbed.lock(email, password, code)
    else:
        testbed.let_pass(email, 3600)
    if end == "EXPIRED":
        wait_for(lambda: testbed.state(email) == end)
    ended = testbed.state(email)
    testbed.let_pass(email, 3600)
    return ended
