"""Changes of state that are the same at every replica, and that nothing repeats: truths 10 and 11."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import httpx
import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.recording import digester
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.waiting import wait_for

ENDS = ("CLAIMED", "EXPIRED", "LOCKED")
"""The states in which an address can be claimed anew, the first of them past its time only."""


def _judge_replicas(crossed: int, both: str, guesses: Sequence[int], locked: str, replicas: int) -> Evidence:
    rows = [
        ("claimed at the first, activated at the second", f"{crossed}, {both}", "200, ACTIVE"),
        (f"{len(guesses)} wrong codes, in turns at all replicas", locked, "LOCKED"),
    ]
    evidence = compare(f"{replicas} replicas behave as one", rows)
    return replace(evidence, holds=evidence.holds and replicas > 1)


@experiment(_judge_replicas)
def replicas_as_one(testbed: Testbed) -> Observed:
    """Truth 10: claim at one replica and go on at the other."""
    code = testbed.claim("both@example.com", replica=0)
    crossed = testbed.activate("both@example.com", PASSWORD, code, replica=1).status_code
    testbed.register("both@example.com", "another horse", replica=1)
    code = testbed.claim("locked@example.com", replica=1)
    guesses = testbed.lock("locked@example.com", PASSWORD, code)
    return {
        "crossed": crossed,
        "both": testbed.state("both@example.com"),
        "guesses": guesses,
        "locked": testbed.state("locked@example.com"),
        "replicas": len(testbed.apis),
    }


REPLAYS = (
    ("the same activation once more", 401),
    ("with a wrong code", 401),
    ("the same registration once more", 202),
    ("with another password", 202),
    ("the activation with that password", 401),
)
"""What is sent again once an account is ACTIVE, and the answer to it."""


def _judge_replays(replayed: pd.DataFrame, before: str, state: str) -> Evidence:
    seen = {what: (status, row) for what, status, row in replayed.itertuples(index=False, name=None)}
    rows = [(what, _say(before, *seen.get(what, (None, None))), f"{due}, unchanged") for what, due in REPLAYS]
    unchanged = "unchanged" if {row for _, row in seen.values()} == {before} else "CHANGED"
    evidence = compare(
        f"{len(seen)} replays, and the {state} row is {unchanged}",
        rows,
        ["replay", "answer, and the ACTIVE row", "expected"],
    )
    return replace(evidence, holds=evidence.holds and state == "ACTIVE")


def _say(before: str, status: int | None, row: str | None) -> str:
    return f"{status or 'not sent'}, {'unchanged' if row == before else 'CHANGED'}"


@experiment(_judge_replays)
def replays(testbed: Testbed) -> Observed:
    """Truth 11: repeat what has worked before, and look at the row after each: a digest of all that it holds."""
    email, other, digest = "again@example.com", "another horse", digester()
    code = testbed.claim(email)
    testbed.activate(email, PASSWORD, code)
    state, before = testbed.state(email), digest(_whole_row(testbed, email))
    sent: list[Callable[[], httpx.Response]] = [
        lambda: testbed.activate(email, PASSWORD, code),
        lambda: testbed.activate(email, PASSWORD, wrong(code)),
        lambda: testbed.register(email),
        lambda: testbed.register(email, other),
        lambda: testbed.activate(email, other, code),
    ]
    rows = [
        (what, send().status_code, digest(_whole_row(testbed, email)))
        for (what, _), send in zip(REPLAYS, sent, strict=True)
    ]
    return {"replayed": pd.DataFrame(rows, columns=["replay", "answer", "row"]), "before": before, "state": state}


def _whole_row(testbed: Testbed, email: str) -> list[tuple[object, ...]]:
    return testbed.execute("SELECT * FROM registrations WHERE email = %(email)s", email=email)


TRIED = ["old password, old code", "old password, new code", "new password, old code", "new password, new code"]


def _judge_fresh_start(claims: pd.DataFrame) -> Evidence:
    holds = [*claims["way"]] == [*ENDS] and (claims[TRIED] == [401, 401, 401, 200]).all(axis=None)
    frame = claims.drop(columns="way")
    return Evidence(bool(holds), "after each way to end, the old code and the old password are worthless", frame)


@experiment(_judge_fresh_start)
def fresh_start(testbed: Testbed) -> Observed:
    """Truth 11: end a claim in each way, claim anew, and try what belonged to the claim before."""
    with ThreadPoolExecutor(len(ENDS)) as threads:
        rows = list(threads.map(partial(_try_old_on_new, testbed), ENDS))
    return {"claims": pd.DataFrame(rows, columns=["way", "the claim before was", *TRIED])}


def _try_old_on_new(testbed: Testbed, end: str) -> tuple[object, ...]:
    email, old, new = f"{end.lower()}@example.org", "the old horse", "the new horse"
    old_code = testbed.claim(email, old)
    ended = _end(testbed, email, old, old_code, end)
    new_code = testbed.claim(email, new)
    other_code = old_code if old_code != new_code else wrong(new_code)
    attempts = [(old, old_code), (old, new_code), (new, other_code), (new, new_code)]
    answers = [testbed.activate(email, password, code).status_code for password, code in attempts]
    return end, f"{ended}, past its time", *answers


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
