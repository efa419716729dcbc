"""What an API makes of its settings: each is given at another value than its default, and its effect watched."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.configuration import client_limits, mails
from beefirst.evaluation.experiments.configuration.refusals import time_failing_start
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import catalog
from beefirst.laboratory.recording import record_answer, record_mail
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.waiting import wait_for

CHANGED = {
    "TTL_SECONDS": "600",
    "BCRYPT_COST": "11",
    "MAX_ATTEMPTS": "2",
    "POOL_MIN_SIZE": "12",
    "POOL_MAX_SIZE": "12",
    "STARTUP_TIMEOUT_SECONDS": "1.5",
    "SWEEP_INTERVAL_SECONDS": "0.1",
    "MAIL_FROM": "sender@beefirst.example",
    "MAIL_HELO": "helo.beefirst.example",
    "MAIL_CONNECTIONS": "5",
    **client_limits.CHANGED,
    "LOG_LEVEL": "DEBUG",
    "LOG_FORMAT": "json",
}
"""None is its default; MAIL_CONNECTIONS is more than that, and so are both sizes of the pool."""

ELSEWHERE = {
    "DATABASE_URL": "a new database",
    "MAIL_URL": "a mail server of this process",
    "LIMITS_URL": "a port of this process",
}

PATIENCE_SECONDS = 30
"""What is to come by then, on a busy machine too; where a setting is heeded, all of it comes at once."""

LATE = {"STARTUP_TIMEOUT_SECONDS": 30.0, "SWEEP_INTERVAL_SECONDS": 0.5}
"""So many seconds are too many: half of the default."""

SWEPT = 4
"""How many claims are aged, one after the other, each once the one before has been ended."""

AGE_SECONDS = 300
"""Of the claim that is activated: over at the default of TTL_SECONDS."""

IN_EFFECT, NOT_IN_EFFECT = "in effect", "NOT IN EFFECT"
COLUMNS = ("setting", "set to", "what was seen", "result", "expected")

Seen = Mapping[str, Any]
Finding = tuple[str, bool]


def _judge_effect(settings: Mapping[str, str], **seen: Any) -> Evidence:
    rows = [_row(name, settings.get(name, "not set"), judge, seen) for name, judge in JUDGES.items()]
    effective = sum(result == IN_EFFECT for *_, result, _ in rows)
    return compare(f"{effective} of {len(rows)} settings are in effect", rows, COLUMNS)


def _row(name: str, value: str, judge: Callable[[str, Seen], Finding], seen: Seen) -> tuple[str, ...]:
    words, holds = judge(value, seen)
    return name, value, words, IN_EFFECT if holds else NOT_IN_EFFECT, IN_EFFECT


def _judge_database_url(_: str, seen: Seen) -> Finding:
    count = _connections(seen)
    return f"{count} connections of the API in the database {seen['database']}", count > 0


def _judge_pool(value: str, seen: Seen) -> Finding:
    count = _connections(seen)
    return f"PostgreSQL counts {count} connections", count == int(value)


def _connections(seen: Seen) -> int:
    frame = seen["connections"]
    return int(frame.loc[frame["application_name"] == "beefirst-api", "connections"].sum())


def _judge_ttl(value: str, seen: Seen) -> Finding:
    aged, answers = seen["aged"], [json.loads(answer["body"]) for answer in seen["registrations"]]
    told = {answer.get("expires_in_seconds") for answer in answers}
    words = f"expires_in_seconds {', '.join(map(str, told))}; activated {aged['seconds']} s later: {aged['status']}"
    return words, told == {int(value)} and aged["status"] == 200 and int(value) / 2 <= aged["seconds"] < int(value)


def _judge_cost(value: str, seen: Seen) -> Finding:
    hashes = sorted(set(seen["claims"]["password hash"]))
    return f"stored: {'; '.join(hashes) or 'nothing'}", hashes == [f"bcrypt, cost {value}"]


def _judge_attempts(value: str, seen: Seen) -> Finding:
    states = [*seen["guesses"]["state after it"]]
    expected = ["CLAIMED"] * (int(value) - 1) + ["LOCKED"]
    return f"after each wrong code: {', '.join(states)}", states == expected


def _judge_sweeps(value: str, seen: Seen) -> Finding:
    sweeps, late = seen["sweeps"], LATE["SWEEP_INTERVAL_SECONDS"]
    ended = len(sweeps) == SWEPT and set(sweeps["state"]) == {"EXPIRED"}
    usual = float(sweeps["second"].diff().median())  # of which one sweep that the machine holds up is no part
    words = f"{len(sweeps)} claims past their time are {' and '.join(set(sweeps['state']))} every {usual:.2f} s"
    return words, ended and float(value) / 2 < usual < late


def _judge_startup_timeout(value: str, seen: Seen) -> Finding:
    status, seconds = seen["failing_start"]["status"], seen["failing_start"]["seconds"]
    words = f"without a database it ends after {seconds:.1f} s, status {status}"
    return words, status == 1 and float(value) <= seconds < LATE["STARTUP_TIMEOUT_SECONDS"]


def _judge_log_format(value: str, seen: Seen) -> Finding:
    first = seen["log"][0] if seen["log"] else "nothing"
    return f"the log begins {first[:9]}", value == "json" and bool(_levels(seen["log"][:1]))


def _judge_log_level(value: str, seen: Seen) -> Finding:
    levels = _levels(seen["log"])
    return f"levels in the log: {', '.join(sorted(levels)) or 'none'}", value in levels


def _levels(lines: Sequence[str]) -> set[str]:
    return {str(json.loads(line).get("level")) for line in lines if line.startswith("{")}


JUDGES: Mapping[str, Callable[[str, Seen], Finding]] = {
    "DATABASE_URL": _judge_database_url,
    "TTL_SECONDS": _judge_ttl,
    "BCRYPT_COST": _judge_cost,
    "MAX_ATTEMPTS": _judge_attempts,
    "POOL_MIN_SIZE": _judge_pool,
    "POOL_MAX_SIZE": _judge_pool,
    "STARTUP_TIMEOUT_SECONDS": _judge_startup_timeout,
    "SWEEP_INTERVAL_SECONDS": _judge_sweeps,
    **mails.JUDGES,
    **client_limits.JUDGES,
    "LOG_LEVEL": _judge_log_level,
    "LOG_FORMAT": _judge_log_format,
}
"""What tells of each setting, by what was observed of the API, whether it is in effect."""


@experiment(_judge_effect)
def environment_changes_the_api(code: Path | None = None, seconds: float = PATIENCE_SECONDS) -> Observed:
    """Start an API with every setting at another value than its default, and watch what it does.

    Args:
        code: as for ApiProcess.
        seconds: how long to wait for each thing that is to come.
    """
    given: dict[str, Any] = {name.lower(): value for name, value in CHANGED.items()}
    with ThreadPoolExecutor(1) as thread, ExitStack() as parts:
        given["limits_url"], beginnings = parts.enter_context(client_limits.listening())
        testbed = parts.enter_context(Testbed(code=code, **given))
        start = thread.submit(time_failing_start, CHANGED["STARTUP_TIMEOUT_SECONDS"], code, seconds)
        emails = [f"person{number}@example.com" for number in range(2 + SWEPT)]
        registered = _register(testbed, emails, seconds)
        locked, activated, *swept = emails
        return {
            "settings": CHANGED | ELSEWHERE,
            "database": testbed.database.name,
            "connections": _count_connections(testbed, seconds),
            **registered,
            "guesses": _guess(testbed, locked),
            "aged": _activate_late(testbed, activated),
            "sweeps": _wait_for_sweeps(testbed, swept, seconds),
            "limited": client_limits.spend(testbed.apis[0]),
            "redis": beginnings,
            "log": testbed.apis[0].log().splitlines()[:20],
            "failing_start": start.result(),
        }


def _count_connections(testbed: Testbed, seconds: float) -> pd.DataFrame:
    with testbed.database.connect() as connection:
        catalog.wait_for_connections(connection, "beefirst-api", int(CHANGED["POOL_MIN_SIZE"]), seconds)
        return catalog.connections(connection)


def _register(testbed: Testbed, emails: Sequence[str], seconds: float) -> Observed:
    """Register addresses while the mail server does not reply, and look at what came once it does."""
    answers, sent = [], []
    with testbed.mailbox.holding():
        for email in emails:
            sent.append(datetime.now(UTC))
            answers.append(testbed.register(email))
        held = testbed.mailbox.wait_for_held(int(CHANGED["MAIL_CONNECTIONS"]), seconds)
    for email in emails:
        testbed.mailbox.code_for(email)
    (mail,) = testbed.mailbox.wait_for_taken(emails[0])
    return {
        "email": emails[0],
        "registrations": [record_answer(answer) for answer in answers],
        "claims": testbed.rows(),
        "held": pd.DataFrame(
            [(it.port, (it.at - then).total_seconds()) for it, then in zip(held, sent, strict=False)],
            columns=["connection", "seconds"],
        ),
        "mail": record_mail(mail, testbed.mailbox.code_for(emails[0])),
    }


def _guess(testbed: Testbed, email: str) -> pd.DataFrame:
    code, tried = wrong(testbed.mailbox.code_for(email)), []
    for _ in range(testbed.max_attempts):
        status = testbed.activate(email, PASSWORD, code).status_code
        tried.append((status, testbed.state(email)))
    return pd.DataFrame(tried, columns=["answer", "state after it"])


def _activate_late(testbed: Testbed, email: str) -> dict[str, int]:
    testbed.let_pass(email, AGE_SECONDS)
    answer = testbed.activate(email, PASSWORD, testbed.mailbox.code_for(email))
    return {"seconds": AGE_SECONDS, "status": answer.status_code}


def _wait_for_sweeps(testbed: Testbed, emails: Sequence[str], patience: float) -> pd.DataFrame:
    """Let the time of claims run out, one after the other, each once the sweeper has ended the one before."""
    began = time.monotonic()
    sweeps = [(_age_until_ended(testbed, email, patience), time.monotonic() - began) for email in emails]
    return pd.DataFrame(sweeps, columns=["state", "second"])


def _age_until_ended(testbed: Testbed, email: str, patience: float) -> str:
    testbed.let_pass(email, testbed.ttl_seconds)
    wait_for(lambda: testbed.state(email) == "EXPIRED", patience)
    return testbed.state(email)
