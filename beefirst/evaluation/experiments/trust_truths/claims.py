"""Who holds an address, and for how long: truths 1, 3, 7 and 9."""

import time
from typing import Any

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.forbidden_sql import REFUSED, attempt
from beefirst.laboratory.testbed import ASKED_EVERY_SECONDS, PASSWORD, Testbed
from beefirst.machine.waiting import wait_for

TOLERANCE_SECONDS = 3
"""How far an experiment stays from a boundary, so that a slow machine does not decide it."""


def spellings(local: str, domain: str, count: int) -> list[str]:
    """Return `count` ways to write one address: upper and lower case in every mixture, and space around it."""
    letters = f"{local}@{domain}"
    return [
        " " * (number % 3)
        + "".join(c.upper() if number >> i & 1 else c for i, c in enumerate(letters))
        + "\t" * (number % 2)
        for number in range(count)
    ]


@experiment
def unique_claim(testbed: Testbed, count: int = 50) -> Evidence:
    """Truth 1: register one address many times at once, each time spelled differently, over all replicas."""
    email = "crowd@example.com"
    requests = [raw_http.registering(spelling, PASSWORD) for spelling in spellings("crowd", "example.com", count)]
    answers = raw_http.send_at_once(testbed.urls, requests)
    bodies = {(answer.status, answer.body) for answer in answers}
    testbed.mailbox.wait_for(email, 2)
    _let_mail_come(testbed)  # a second code too, if there were one
    codes, mails = testbed.codes_mailed(email), len(testbed.mailbox.wait_for(email))
    claims = len(testbed.rows(email))
    rows = [
        ("registrations sent at once, each spelled differently", len(answers), count),
        ("answers of status 202 among them", sum(answer.status == 202 for answer in answers), count),
        ("different answers", len(bodies), 1),
        ("rows in the table", claims, 1),
        ("codes mailed", codes, 1),
        ("notices that a registration is pending", mails - codes, 1),
    ]
    return compare(f"{count} at once: {claims} claim, {codes} code mailed, {len(bodies)} kind of answer", rows)


def _let_mail_come(testbed: Testbed) -> None:
    """Return once every replica has mailed what it was told to mail later than all before."""
    for replica in range(len(testbed.apis)):
        testbed.claim(f"last{replica}@example.com", replica=replica)


@experiment
def time_bound(testbed: Testbed) -> Evidence:
    """Truth 3: activate claims of different age with everything right; the age is set by the database's clock."""
    rows, ttl_seconds = [], testbed.ttl_seconds
    for number, age in enumerate((0, ttl_seconds / 2, ttl_seconds - TOLERANCE_SECONDS, ttl_seconds, 2 * ttl_seconds)):
        email = f"age{number}@example.com"
        code = testbed.claim(email)
        testbed.let_pass(email, age)
        answer = testbed.activate(email, PASSWORD, code)
        expected = 200 if age < ttl_seconds else 401
        rows.append((f"{age:g} s", testbed.state(email), answer.status_code, expected))
    summary = f"accepted up to {ttl_seconds - TOLERANCE_SECONDS:g} s, refused from {ttl_seconds:g} s on"
    return compare(summary, rows, ["age of the claim", "state", "answer", "expected"])


@experiment
def free_by_itself(ttl_seconds: int = 2, patience_seconds: float = 20, **settings: Any) -> Evidence:
    """Truth 7: on a service whose sweeper sleeps, watch an unproven claim free its address in real time.

    Args:
        ttl_seconds: how long a claim lives.
        patience_seconds: how long the second person asks for the address.
        settings: of the service.
    """
    email, second = "held@example.com", "the second person"
    with Testbed(ttl_seconds=ttl_seconds, sweep_interval_seconds=3600, **settings) as testbed:
        testbed.claim(email, "the first person")
        claimed, rows = time.monotonic(), list[tuple[float, str, str, int]]()

        def note(what: str) -> float:
            seconds = time.monotonic() - claimed
            rows.append((seconds, what, testbed.state(email), testbed.codes_mailed(email)))
            return seconds

        note("claimed by the first person")
        wait_for(lambda: _ask_for(testbed, email, second), patience_seconds, ASKED_EVERY_SECONDS)
        seconds = note("claimed by the second person")
        answer = testbed.activate(email, second, testbed.mailbox.code_for(email))
        note("activated")
    frame = pd.DataFrame(rows, columns=["second", "what", "state", "codes mailed"]).round({"second": 1})
    holds = answer.status_code == 200 and [*frame["codes mailed"]] == [1, 2, 2] and seconds >= ttl_seconds
    return Evidence(holds, f"with a TTL of {ttl_seconds} s the address was claimed anew after {seconds:.1f} s", frame)


def _ask_for(testbed: Testbed, email: str, password: str) -> bool:
    if testbed.codes_mailed(email) < 2:
        testbed.register(email, password)
    return testbed.codes_mailed(email) == 2


MISSPELLED = (
    "Upper@example.com",
    " spaced@example.com",
    "trailing@example.com ",
    "ünicode@example.com",
    "tab\t@example.com",
)


INSERT = "INSERT INTO registrations (email, verification_code) VALUES (%(email)s, '0000')"


@experiment
def one_spelling(testbed: Testbed) -> Evidence:
    """Truth 9: claim and activate under different spellings, and offer misspelled ones to the table itself."""
    claimed, activated = " Grace@Example.COM", "gRACE@eXAMPLE.com"
    testbed.register(claimed)
    answer = testbed.activate(activated, PASSWORD, testbed.mailbox.code_for("grace@example.com"))
    seen = f"{answer.status_code}, {testbed.state('grace@example.com')}"
    stored = _stored(testbed, "grace@bücher.example")
    rows = [
        (f"claimed as {claimed!r}, activated as {activated!r}", seen, "200, ACTIVE"),
        ("claimed under a domain with an umlaut", stored, "grace@xn--bcher-kva.example"),
    ]
    with testbed.database.connect() as connection:
        rows += [
            (f"{address!r} by raw SQL", attempt(connection, INSERT, {"email": address}).result, REFUSED)
            for address in MISSPELLED
        ]
    summary = f"one row for all spellings; the table refuses {len(MISSPELLED)} misspelled addresses"
    return compare(summary, rows, ["attempt", "seen", "expected"])


def _stored(testbed: Testbed, email: str) -> str:
    testbed.register(email)
    rows = testbed.rows("grace@xn--%")["email"]
    return str(rows.iloc[0]) if len(rows) == 1 else f"{len(rows)} rows"
