"""What replicas leave that are killed amid their work: truth 10."""

import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pandas as pd

from beefirst.errors import MailError
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.testbed import PASSWORD, Testbed
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

CODE_CAME, NO_CODE = "a code came", "no code"
COLUMNS = ["killed after", "claims left", "in a half state", "all free after", "then"]


def _judge_kills(kills: pd.DataFrame, left: pd.DataFrame, anew: pd.DataFrame, rounds: Sequence[int]) -> Evidence:
    rows = [
        _row(kill, left[left["replica"] == kill["replica"]], anew[anew["replica"] == kill["replica"]])
        for _, kill in kills.iterrows()
    ]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    whole = (frame["in a half state"] == 0).all() and (frame["then"] == "claimed anew, with a code").all()
    amid = frame["claims left"].between(1, REGISTRATIONS_IN_FLIGHT - 1).any()
    complete = bool(rounds) and [*kills["killed after"]] == [*rounds]
    summary = f"{len(rows)} kills left claims that free themselves, and no half state"
    return Evidence(bool(whole and amid and complete), summary, frame)


def _row(kill: pd.Series, left: pd.DataFrame, anew: pd.DataFrame) -> tuple[object, ...]:
    count = kill["killed after"]
    due = min(len(left), CLAIMED_ANEW)
    free = kill["still claimed"] == 0 and due > 0 and [*anew["what came"]] == [CODE_CAME] * due
    return (
        f"{count} claim{'s' if count > 1 else ''}",
        len(left),
        kill["half states"],
        f"{kill['seconds']:.1f} s",
        "claimed anew, with a code" if free else "held",
    )


@experiment(_judge_kills)
def killed_between_steps(rounds: Sequence[int] = (1, 6), **settings: Any) -> Observed:
    """Truth 10: kill replicas with SIGKILL amid registrations, and look at what they leave to the one that lives.

    Args:
        rounds: after how many claims to kill; a replica dies for each.
        settings: of the replicas.
    """
    with Testbed(len(rounds) + 1, ttl_seconds=2, sweep_interval_seconds=0.2, **settings) as testbed:
        killed = [_kill_amid(testbed, replica, claims) for replica, claims in enumerate(rounds)]
        looked = [_look_after(testbed, replica, *kill) for replica, kill in enumerate(killed)]
    kills = [
        (replica, claims, half, *found[:2])
        for replica, (claims, (_, _, half), found) in enumerate(zip(rounds, killed, looked, strict=True))
    ]
    return {
        "kills": pd.DataFrame(kills, columns=["replica", "killed after", "half states", "seconds", "still claimed"]),
        "left": pd.concat([left.assign(replica=replica) for replica, (_, left, _) in enumerate(killed)]),
        "anew": pd.DataFrame([row for *_, rows in looked for row in rows], columns=["replica", "address", "what came"]),
        "rounds": rounds,
    }


def _addresses(replica: int, number: object = "%") -> str:
    """Return an address that is sent to a replica; the pattern of all of them where its number is left out."""
    return f"{replica}-{number}@example.com"


def _kill_amid(testbed: Testbed, replica: int, claims: int) -> tuple[float, pd.DataFrame, int]:
    """Kill a replica once it has made so many claims.

    Returns:
        When that was, by time.monotonic; the rows of what it has left; what HALF_STATES says of them.
    """
    emails, api = _addresses(replica), testbed.apis[replica]
    requests = [
        raw_http.registering(_addresses(replica, number), PASSWORD) for number in range(REGISTRATIONS_IN_FLIGHT)
    ]
    sender = threading.Thread(target=_send_until_cut_off, args=(api.url, requests))
    sender.start()
    wait_for(lambda: len(testbed.rows(emails)) >= claims, pause=0.01)
    api.send_signal(signal.SIGKILL)
    moment = time.monotonic()
    sender.join()
    ((half,),) = testbed.execute(HALF_STATES, email=emails)
    return moment, testbed.rows(emails), half


def _look_after(
    testbed: Testbed, replica: int, moment: float, left: pd.DataFrame, _: int
) -> tuple[float, int, list[tuple[int, str, str]]]:
    """Wait until what a kill left is free, and claim some of it anew at the replica that lives.

    Returns:
        The seconds since the kill; how much is not free by then; what became of each that was claimed anew.
    """
    emails = _addresses(replica)
    wait_for(lambda: "CLAIMED" not in set(testbed.rows(emails)["state"]))
    seconds = time.monotonic() - moment
    still = int((testbed.rows(emails)["state"] == "CLAIMED").sum())
    return seconds, still, [(replica, it, _claim_anew(testbed, it)) for it in left["email"][:CLAIMED_ANEW]]


def _claim_anew(testbed: Testbed, email: str) -> str:
    with suppress(MailError):
        testbed.claim(email, replica=-1)
        return CODE_CAME
    return NO_CODE


def _send_until_cut_off(url: str, requests: list[bytes]) -> None:
    with suppress(OSError):
        raw_http.send_at_once(url, requests)
