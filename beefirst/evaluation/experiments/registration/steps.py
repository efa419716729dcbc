"""How an account comes to be, step by step, with a real mail."""

import json
import re
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for_any
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pandas as pd

from beefirst.evaluation.display.tables import Shown, answer, mail, terminal
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.recording import record_answer, record_mail
from beefirst.laboratory.running_service import find_named
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong

ADA = "ada@example.com"

REGISTER = """curl -i -H 'Content-Type: application/json' \\
  -d '{{"email": "ada@example.com", "password": "correct horse"}}' \\
  {url}/v1/register"""
ACTIVATE = """curl -i -H 'Content-Type: application/json' \\
  -u 'ada@example.com:correct horse' -d '{{"code": "{code}"}}' \\
  {url}/v1/activate"""
LOGS = {
    "docker compose up": "docker compose logs --no-log-prefix api | grep 'DEMO MAIL'",
    "python -m beefirst up": "# look for the line with DEMO MAIL in the terminal in which `python -m beefirst up` runs",
}

NO_STORE = "no-store"
"""RFC 9111, 5.2.2.5: no cache keeps such an answer."""

CHALLENGE = 'Basic realm="beefirst", charset="UTF-8"'
"""RFC 7617, 2 and 2.1: what a 401 asks for, and in which encoding."""

Recorded = Mapping[str, Any]


def _judge_registration(answered: Recorded, ttl_seconds: int) -> Evidence:
    rows = [
        ("status", answered["status"], 202),
        ("expires_in_seconds", _field(answered["body"], "expires_in_seconds"), ttl_seconds),
        ("cache-control", answered["headers"].get("cache-control", "none"), NO_STORE),
    ]
    return replace(compare(answered["body"], rows), picture=answer(answered))


def _field(body: str, name: str) -> object:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found.get(name) if isinstance(found, dict) else None


@experiment(_judge_registration)
def registration_is_answered(testbed: Testbed) -> Observed:
    """Register an address that is typed with a capital letter and a space too many, and look at the answer."""
    return {"answered": record_answer(testbed.register(" Ada@example.com")), "ttl_seconds": testbed.ttl_seconds}


def _judge_mail(mailed: Recorded) -> Evidence:
    codes = re.findall(r"\bcode is (\d+)", mailed["text"])
    digits = "yes" if codes == ["9999"] else "no"
    rows = [
        ("for", ", ".join(mailed["recipients"]), ADA),
        ("kind of text", mailed["kind"], "text/plain"),
        ("a code of four digits", digits, "yes"),
    ]
    summary = f"{mailed['headers'].get('Subject')}: {mailed['kind']}, four digits: {digits}"
    return replace(compare(summary, rows), picture=mail(mailed))


@experiment(_judge_mail)
def code_comes_by_mail(testbed: Testbed) -> Observed:
    """Look at the mail as the mail server took it in; only of its code, every digit is shown as a 9."""
    taken = testbed.mailbox.wait_for_taken(ADA)[0]
    return {"mailed": record_mail(taken, testbed.stored_code(ADA))}


def _judge_order(answered: float | None, replied: float | None, status: int | None) -> Evidence:
    first = answered is not None and replied is not None and answered < replied
    rows = [("status", status, 202), ("the answer", "comes first" if first else "WAITS FOR THE MAIL", "comes first")]
    words = f"answered after {_seconds(answered)}, the mail server's reply after {_seconds(replied)}"
    return compare(words, rows)


def _seconds(moment: float | None) -> str:
    return "no time" if moment is None else f"{moment:.2f} s"


@experiment(_judge_order)
def answer_waits_for_no_mail(testbed: Testbed, patience_seconds: float = 5) -> Observed:
    """Register while the mail server keeps its reply back until the answer has come, or for too long.

    Args:
        testbed: whose mail server it is.
        patience_seconds: for how long at most.
    """
    email, mails, sent = _new_address("waiting"), testbed.mailbox, datetime.now(UTC)
    with ThreadPoolExecutor(1) as thread:
        with mails.holding():
            registering = thread.submit(_register_and_look_at_the_clock, testbed, email)
            wait_for_any([registering], patience_seconds)
        response, answered = registering.result()
    (taken,) = mails.wait_for_taken(email)
    return {
        "answered": (answered - sent).total_seconds(),
        "replied": (taken.at - sent).total_seconds(),
        "status": response.status_code,
    }


def _register_and_look_at_the_clock(testbed: Testbed, email: str) -> tuple[httpx.Response, datetime]:
    return testbed.register(email), datetime.now(UTC)


def _judge_dormancy(claims: pd.DataFrame, bcrypt_cost: int) -> Evidence:
    if len(claims) != 1:
        return Evidence(False, f"{len(claims)} rows", claims)
    row = claims.iloc[0]
    seen = (row["state"], row["password hash"], row["activated at"])
    holds = seen == ("CLAIMED", f"bcrypt, cost {bcrypt_cost}", "")
    words = f"{seen[0]}, {seen[1]}, {f'activated at {seen[2]}' if seen[2] else 'not activated'}"
    return Evidence(holds, words, claims)


@experiment(_judge_dormancy)
def claim_is_dormant(testbed: Testbed, bcrypt_cost: int) -> Observed:
    """Look at the row of the claim, without its secrets.

    Args:
        testbed: where the address is claimed.
        bcrypt_cost: at which its password must be hashed.
    """
    testbed.code_in_time(ADA, testbed.mailbox.code_for(ADA))
    return {"claims": testbed.rows(ADA), "bcrypt_cost": bcrypt_cost}


def _judge_wrong_code(answered: Recorded, state: str) -> Evidence:
    rows = [
        ("status", str(answered["status"]), "401"),
        ("state after it", state, "CLAIMED"),
        ("cache-control", answered["headers"].get("cache-control", "none"), NO_STORE),
        ("www-authenticate", answered["headers"].get("www-authenticate", "none"), CHALLENGE),
    ]
    return replace(compare(f"wrong code: {answered['status']}", rows), picture=answer(answered))


@experiment(_judge_wrong_code)
def wrong_code_is_refused(testbed: Testbed) -> Observed:
    """Try to activate with the right password and a wrong code."""
    code = testbed.code_in_time(ADA, testbed.mailbox.code_for(ADA))
    answered = record_answer(testbed.activate(ADA, PASSWORD, wrong(code)))
    return {"answered": answered, "state": testbed.state(ADA)}


def _judge_right_code(answered: Recorded, state: str) -> Evidence:
    rows = [
        ("status", str(answered["status"]), "200"),
        ("state after it", state, "ACTIVE"),
        ("cache-control", answered["headers"].get("cache-control", "none"), NO_STORE),
    ]
    return replace(compare(f"right code: {answered['status']}, then {state}", rows), picture=answer(answered))


@experiment(_judge_right_code)
def right_code_activates(testbed: Testbed) -> Observed:
    """Activate with address, password and code, the address in another spelling."""
    code = testbed.code_in_time(ADA, testbed.mailbox.code_for(ADA))
    answered = record_answer(testbed.activate("Ada@Example.com", PASSWORD, code))
    return {"answered": answered, "state": testbed.state(ADA)}


ROUNDS = 4
UNKNOWN, ACTIVE, CLAIMED = "an unknown address", "an ACTIVE account", "a claim, wrong password"
LEAST_SHARE = 0.5
"""Of the time that the dearest takes: without the hash work it is a third or less."""


def _judge_costs(attempts: pd.DataFrame, rounds: int) -> Evidence:
    rows = attempts.groupby("activating", sort=False)["seconds"].agg(attempts="count", fastest="min").reset_index()
    complete = set(rows["activating"]) == {UNKNOWN, ACTIVE, CLAIMED} and (rows["attempts"] == rounds).all()
    refused = set(attempts["status"]) == {401}
    share = rows["fastest"].min() / rows["fastest"].max() if len(rows) else 0
    summary = f"401 all, the fastest of each kind within {share:.0%} of the other" if refused else "not all are 401"
    return Evidence(bool(rounds > 0 and complete and refused and share >= LEAST_SHARE), summary, rows.round(3))


@experiment(_judge_costs)
def every_refusal_costs_the_same(testbed: Testbed, rounds: int = ROUNDS) -> Observed:
    """Activate in turns what is unknown, what is ACTIVE, and a claim under a wrong password, and take the times.

    Args:
        testbed: where an account and a claim are made for it.
        rounds: how often each; the fastest tells what the work is, however busy the machine.
    """
    account, claimed, other = _new_address("account"), _new_address("claim"), "another horse"
    testbed.activate(account, PASSWORD, testbed.claim(account))
    code, rows = testbed.claim(claimed), list[tuple[object, ...]]()
    for _ in range(rounds):
        code = testbed.code_in_time(claimed, code)
        for kind, email in ((UNKNOWN, "nobody@example.com"), (ACTIVE, account), (CLAIMED, claimed)):
            began = time.perf_counter()
            status = testbed.activate(email, other, code).status_code
            rows.append((kind, status, time.perf_counter() - began))
    return {"attempts": pd.DataFrame(rows, columns=["activating", "status", "seconds"]), "rounds": rounds}


def _new_address(name: str) -> str:
    """Return an address that is free also where a cell is run anew."""
    return f"{name}-{secrets.token_hex(4)}@example.com"


def commands_by_hand() -> Shown:
    """Return the three commands for the running service, ready to be copied."""
    service = find_named()
    if not service:
        return terminal(["# start the service first: docker compose up, or python -m beefirst up"])
    url = service.browser_url
    return terminal([REGISTER.format(url=url), LOGS[service.way], ACTIVATE.format(url=url, code="1234")])
