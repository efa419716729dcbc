"""Who holds an address, and for how long: truths 1, 3, 7 and 9."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.forbidden_sql import REFUSED, attempt
from beefirst.laboratory.recording import record_answers
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


def _judge_unique_claim(answers: pd.DataFrame, claims: pd.DataFrame, mails: pd.DataFrame, count: int) -> Evidence:
    bodies = len(answers[["status", "body"]].drop_duplicates())
    codes = int(mails["subject"].str.contains("code").sum())
    rows = [
        ("registrations sent at once, each spelled differently", answers["spelling"].nunique(), count),
        ("answers of status 202 among them", int((answers["status"] == 202).sum()), count),
        ("different answers", bodies, 1),
        ("rows in the table", len(claims), 1),
        ("codes mailed", codes, 1),
        ("notices that a registration is pending", len(mails) - codes, 1),
    ]
    return compare(f"{count} at once: {len(claims)} claim, {codes} code mailed, {bodies} kind of answer", rows)


@experiment(_judge_unique_claim)
def unique_claim(testbed: Testbed, count: int = 50) -> Observed:
    """Truth 1: register one address many times at once, each time spelled differently, over all replicas."""
    email, spelled = "crowd@example.com", spellings("crowd", "example.com", count)
    requests = [raw_http.registering(spelling, PASSWORD) for spelling in spelled]
    answers = raw_http.send_at_once(testbed.urls, requests)
    testbed.mailbox.wait_for(email, 2)
    _let_mail_come(testbed)  # a second code too, if there were one
    came = [(*taken.recipients, str(taken.message["Subject"])) for taken in testbed.mailbox.wait_for_taken(email)]
    return {
        "answers": record_answers(answers, spelling=spelled),
        "claims": testbed.rows(email),
        "mails": pd.DataFrame(came, columns=["recipient", "subject"]),
        "count": count,
    }


def _let_mail_come(testbed: Testbed) -> None:
    """Return once every replica has mailed what it was told to mail later than all before."""
    for replica in range(len(testbed.apis)):
        testbed.claim(f"last{replica}@example.com", replica=replica)


def _judge_time_bound(claims: pd.DataFrame, ttl_seconds: float) -> Evidence:
    aged = claims.set_index("age")
    rows = [
        (f"{age:g} s", aged["state"].get(age), aged["answer"].get(age), 200 if age < ttl_seconds else 401)
        for age in _ages(ttl_seconds)
    ]
    summary = f"accepted up to {ttl_seconds - TOLERANCE_SECONDS:g} s, refused from {ttl_seconds:g} s on"
    return compare(summary, rows, ["age of the claim", "state", "answer", "expected"])


def _ages(ttl_seconds: float) -> Sequence[float]:
    return 0, ttl_seconds / 2, ttl_seconds - TOLERANCE_SECONDS, ttl_seconds, 2 * ttl_seconds


@experiment(_judge_time_bound)
def time_bound(testbed: Testbed) -> Observed:
    """Truth 3: activate claims of different age with everything right; the age is set by the database's clock."""
    rows = []
    for number, age in enumerate(_ages(testbed.ttl_seconds)):
        email = f"age{number}@example.com"
        code = testbed.claim(email)
        testbed.let_pass(email, age)
        answer = testbed.activate(email, PASSWORD, code)
        rows.append((float(age), testbed.state(email), answer.status_code))
    return {"claims": pd.DataFrame(rows, columns=["age", "state", "answer"]), "ttl_seconds": testbed.ttl_seconds}


LAST_CHANGE = "SELECT coalesce(activated_at, created_at) FROM registrations WHERE email = %(email)s"

FREED = ("claimed by the first person", "claimed by the second person", "activated")


def _judge_freedom(steps: pd.DataFrame, status: int, ttl_seconds: float) -> Evidence:
    seconds = dict(zip(steps["what"], steps["second"], strict=True)).get(FREED[1], 0.0)
    seen = [*steps["what"]] == [*FREED] and [*steps["codes mailed"]] == [1, 2, 2]
    summary = f"with a TTL of {ttl_seconds:g} s the address was claimed anew after {seconds:.1f} s"
    return Evidence(seen and status == 200 and seconds >= ttl_seconds, summary, steps.round({"second": 1}))


@experiment(_judge_freedom)
def free_by_itself(ttl_seconds: int = 2, patience_seconds: float = 20, **settings: Any) -> Observed:
    """Truth 7: on a service whose sweeper sleeps, watch an unproven claim free its address in real time.

    Args:
        ttl_seconds: how long a claim lives.
        patience_seconds: how long the second person asks for the address.
        settings: of the service.
    """
    email, second = "held@example.com", "the second person"
    with Testbed(ttl_seconds=ttl_seconds, sweep_interval_seconds=3600, **settings) as testbed:
        testbed.claim(email, "the first person")
        claimed, rows = _last_change(testbed, email), list[tuple[float, str, str, int]]()

        def note(what: str) -> None:
            second = (_last_change(testbed, email) - claimed).total_seconds()
            rows.append((second, what, testbed.state(email), testbed.codes_mailed(email)))

        note(FREED[0])
        wait_for(lambda: _ask_for(testbed, email, second), patience_seconds, ASKED_EVERY_SECONDS)
        note(FREED[1])
        answer = testbed.activate(email, second, testbed.mailbox.code_for(email))
        note(FREED[2])
    frame = pd.DataFrame(rows, columns=["second", "what", "state", "codes mailed"])
    return {"steps": frame, "status": answer.status_code, "ttl_seconds": ttl_seconds}


def _last_change(testbed: Testbed, email: str) -> datetime:
    """Return when an address was claimed, or else activated, by the database's clock, which decides of it."""
    ((changed,),) = testbed.execute(LAST_CHANGE, email=email)
    return cast(datetime, changed)


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


CLAIMED_AS, ACTIVATED_AS, STORED_AS = " Grace@Example.COM", "gRACE@eXAMPLE.com", "grace@example.com"
WITH_UMLAUT, STORED_WITH_UMLAUT = "grace@bücher.example", "grace@xn--bcher-kva.example"


def _judge_spelling(registered: int, activated: int, state: str, stored: pd.DataFrame, tried: pd.DataFrame) -> Evidence:
    seen = f"{activated}, {state}" if registered == 202 else f"{registered} to {CLAIMED_AS!r}"
    umlauts = [*stored["email"]]
    results = dict(zip(tried["address"], tried["result"], strict=True))
    rows = [
        (f"claimed as {CLAIMED_AS!r}, activated as {ACTIVATED_AS!r}", seen, "200, ACTIVE"),
        (
            "claimed under a domain with an umlaut",
            umlauts[0] if len(umlauts) == 1 else f"{len(umlauts)} rows",
            STORED_WITH_UMLAUT,
        ),
        *((f"{address!r} by raw SQL", results.get(address, "not tried"), REFUSED) for address in MISSPELLED),
    ]
    summary = f"one row for all spellings; the table refuses {len(MISSPELLED)} misspelled addresses"
    return compare(summary, rows, ["attempt", "seen", "expected"])


@experiment(_judge_spelling)
def one_spelling(testbed: Testbed) -> Observed:
    """Truth 9: claim and activate under different spellings, and offer misspelled ones to the table itself."""
    registered = testbed.register(CLAIMED_AS).status_code
    code = testbed.mailbox.code_for(STORED_AS) if registered == 202 else "0000"
    activated = testbed.activate(ACTIVATED_AS, PASSWORD, code).status_code
    testbed.register(WITH_UMLAUT)
    with testbed.database.connect() as connection:
        tried = [(address, attempt(connection, INSERT, {"email": address})) for address in MISSPELLED]
    return {
        "registered": registered,
        "activated": activated,
        "state": testbed.state(STORED_AS),
        "stored": testbed.rows("grace@xn--%"),
        "tried": pd.DataFrame(
            [(address, seen.result, seen.by) for address, seen in tried], columns=["address", "result", "refused by"]
        ),
    }
