"""Changes of state that are whole or not at all, and that nothing repeats: truths 10 and 11."""

import asyncio
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from beefirst.errors import MailError
from beefirst.evaluation.evidence import Evidence, compare, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.waiting import wait_for

HALF_STATES = """
    SELECT count(*)
      FROM registrations
     WHERE email LIKE %(email)s
       AND (   (state = 'CLAIMED' AND (password_hash IS NULL OR activated_at IS NOT NULL))
            OR (state = 'ACTIVE' AND (password_hash IS NULL OR activated_at IS NULL))
            OR (state IN ('EXPIRED', 'LOCKED') AND password_hash IS NOT NULL))
"""

REGISTRATIONS_IN_FLIGHT = 100
"""So many that a busy machine, too, is killed amid them."""

CLAIMED_ANEW = 3
"""How many of the addresses that a kill left are claimed anew."""

ENDS = ("CLAIMED", "EXPIRED", "LOCKED")
"""The states in which an address can be claimed anew, the first of them past its time only."""


@dataclass(frozen=True)
class Kill:
    """What the end of a replica has left.

    Attributes:
        claims: how many there were when it was sent.
        moment: when that was, by time.monotonic.
        emails: the addresses that were sent to it, as a pattern of LIKE.
        left: those of them that are registered.
        half: how many of these are in a half state.
    """

    claims: int
    moment: float
    emails: str
    left: list[str]
    half: int


@experiment
def killed_between_steps(rounds: Sequence[int] = (1, 6), **settings: Any) -> Evidence:
    """Truth 10: kill replicas with SIGKILL amid registrations, and look at what they leave to the one that lives.

    Args:
        rounds: after how many claims to kill; a replica dies for each.
        settings: of the replicas.
    """
    with Testbed(len(rounds) + 1, ttl_seconds=2, sweep_interval_seconds=0.2, **settings) as testbed:
        kills = [_kill_amid(testbed, replica, claims) for replica, claims in enumerate(rounds)]
        rows = [_look_after(testbed, kill) for kill in kills]
    frame = pd.DataFrame(rows, columns=["killed after", "claims left", "in a half state", "all free after", "then"])
    whole = (frame["in a half state"] == 0).all() and (frame["then"] == "claimed anew, with a code").all()
    amid = frame["claims left"].between(1, REGISTRATIONS_IN_FLIGHT - 1).any()
    return Evidence(
        bool(whole and amid), f"{len(rows)} kills left claims that free themselves, and no half state", frame
    )


def _kill_amid(testbed: Testbed, replica: int, claims: int) -> Kill:
    """Kill a replica once it has made so many claims; the addresses begin with its number."""
    emails, api = f"{replica}-%@example.com", testbed.apis[replica]
    requests = [
        raw_http.registering(emails.replace("%", str(number)), PASSWORD) for number in range(REGISTRATIONS_IN_FLIGHT)
    ]
    sender = threading.Thread(target=_send_until_cut_off, args=(api.url, requests))
    sender.start()
    wait_for(lambda: len(testbed.rows(emails)) >= claims, pause=0.01)
    api.send_signal(signal.SIGKILL)
    moment = time.monotonic()
    sender.join()
    ((half,),) = testbed.execute(HALF_STATES, email=emails)
    return Kill(claims, moment, emails, [*testbed.rows(emails)["email"]], half)


def _look_after(testbed: Testbed, kill: Kill) -> tuple[object, ...]:
    """Wait until what a kill left is free, and claim some of it anew at the replica that lives."""
    wait_for(lambda: "CLAIMED" not in set(testbed.rows(kill.emails)["state"]))
    free = f"{time.monotonic() - kill.moment:.1f} s"
    anew = kill.left and all(_is_claimed_anew(testbed, email) for email in kill.left[:CLAIMED_ANEW])
    then = "claimed anew, with a code" if anew else "held"
    return f"{kill.claims} claim{'s' if kill.claims > 1 else ''}", len(kill.left), kill.half, free, then


def _is_claimed_anew(testbed: Testbed, email: str) -> bool:
    with suppress(MailError):
        testbed.claim(email, replica=-1)
        return True
    return False


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
    with ThreadPoolExecutor(len(ENDS)) as threads:
        rows = list(threads.map(partial(_try_old_on_new, testbed), ENDS))
    columns = ["the claim before was", "old password, old code", "old password, new code", "new password, old code"]
    frame = pd.DataFrame(rows, columns=[*columns, "new password, new code"])
    holds = all(row[1:] == (401, 401, 401, 200) for row in rows)
    return Evidence(holds, "after each way to end, the old code and the old password are worthless", frame)


def _try_old_on_new(testbed: Testbed, end: str) -> tuple[object, ...]:
    email, old, new = f"{end.lower()}@example.org", "the old horse", "the new horse"
    old_code = testbed.claim(email, old)
    ended = _end(testbed, email, old, old_code, end)
    new_code = testbed.claim(email, new)
    other_code = old_code if old_code != new_code else wrong(new_code)
    attempts = [(old, old_code), (old, new_code), (new, other_code), (new, new_code)]
    answers = [testbed.activate(email, password, code).status_code for password, code in attempts]
    return f"{ended}, past its time", *answers


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
