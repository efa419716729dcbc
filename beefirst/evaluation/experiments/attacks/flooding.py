"""Mail to those who did not ask for it, and one password tried on everybody."""

import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import pandas as pd

from beefirst.evaluation.display import charts
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.attacks.people import ATTACKERS, SPRAYED, fresh
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.recording import digester
from beefirst.laboratory.testbed import Testbed
from beefirst.machine.waiting import wait_for
from beefirst.registration.common_passwords import common_passwords
from beefirst.registration.credentials import PASSWORD_MIN_CHARACTERS

MAILS_A_DAY = 20
"""What an address gets at most within 24 hours, as the README promises."""

MAILED = ["hours", "registrations", "mails"]


def _judge_bombing(rounds: pd.DataFrame, addresses: int, mails_of_many: int) -> Evidence:
    mails, sent, hours = int(rounds["mails"].max()), int(rounds["registrations"].max()), float(rounds["hours"].max())
    rows = [
        (f"mails to one address for {sent} registrations within {hours:.1f} hours", mails, MAILS_A_DAY),
        (f"mails to {addresses} addresses, each registered twice", mails_of_many, 2 * addresses),
    ]
    words = f"{sent} registrations of one address, {mails} mails; {addresses} others twice each, {mails_of_many} mails"
    evidence = compare(words, rows)
    holds = evidence.holds and sent > 2 * MAILS_A_DAY and hours < 24
    return replace(evidence, holds=holds, picture=charts.mails_in_a_day(rounds, MAILS_A_DAY))


@experiment(_judge_bombing)
def mail_is_bombed(testbed: Testbed, rounds: int = 12, at_once: int = 4, addresses: int = 6) -> Observed:
    """Register one address again and again, all replicas at once, each time that a claim has ended; and many, twice.

    A claim brings a code, and the next registration a notice to whoever holds it. Waiting is not real: what the
    database remembers of the address becomes older by it.

    Args:
        testbed: with several replicas.
        rounds: how often the attacker waits for the TTL to end.
        at_once: how many registrations are sent in each round.
        addresses: how many others are registered, each twice at once.
    """
    email, seen, hours = fresh("bombed"), [(0.0, 0, 0)], 0.0
    for number in range(1, rounds + 1):
        due = min(seen[-1][2] + 2, MAILS_A_DAY)
        raw_http.send_at_once(testbed.urls, [raw_http.registering(email, ATTACKERS)] * at_once)
        wait_for(partial(_has_come, testbed, email, due), 10, 0.01)
        seen.append((hours, number * at_once, _mails_to(testbed, email)))
        testbed.let_pass(email, testbed.ttl_seconds + 1)
        hours += (testbed.ttl_seconds + 1) / 3600
    others = [fresh("bombed") for _ in range(addresses)]
    raw_http.send_at_once(testbed.urls, [raw_http.registering(other, ATTACKERS) for other in others for _ in range(2)])
    wait_for(lambda: _mails_to(testbed, *others) >= 2 * addresses, 10, 0.01)
    for replica in range(len(testbed.apis)):  # whatever else there might be has time to come
        testbed.claim(fresh("last"), ATTACKERS, replica)
    seen.append((hours, seen[-1][1], _mails_to(testbed, email)))
    return {
        "rounds": pd.DataFrame(seen, columns=MAILED),
        "addresses": addresses,
        "mails_of_many": _mails_to(testbed, *others),
    }


def _has_come(testbed: Testbed, email: str, due: int) -> bool:
    return _mails_to(testbed, email) >= due


def _mails_to(testbed: Testbed, *emails: str) -> int:
    return sum(len(testbed.mailbox.wait_for(email, 0)) for email in emails)


ACCOUNTS = 3
"""How many accounts have the very password that is sprayed."""

LIMIT = 12
FORGED = ("198.51.100.7", "198.51.100.8, 198.51.100.9", "127.0.0.1", "::1")
"""What an attacker may write into X-Forwarded-For, so as to look like another client."""

MINUTES = 3
"""In one of so many there is time enough, on a busy machine too."""

Batch: TypeAlias = Sequence[tuple[str, str, bytes]]
"""Requests: what is asked, for which address, and as it goes over the wire."""

WITHIN, BEYOND, AS_ANOTHER = "within the limit", "beyond it", "beyond it, as another client"
SENT = ["when", "request", "to", "status", "retry after", "body"]


def _judge_spraying(sent: pd.DataFrame, changed: int, limit: int) -> Evidence:
    within, beyond = sent[sent["when"] == WITHIN], sent[sent["when"] != WITHIN]
    forged = sent[sent["when"] == AS_ANOTHER]
    waits = [int(seconds) if str(seconds).isdecimal() else 0 for seconds in beyond["retry after"]]
    told = "a minute or less" if waits and min(waits) > 0 and max(waits) <= 60 else f"NO: {sorted(set(waits))}"
    rows = [
        ("tries, also at accounts with this password", f"{len(within)}: {_kinds(within)}", f"{limit}: 401"),
        ("different answers to them", _different(within), 1),
        ("more tries, and registrations", f"{len(beyond) - len(forged)}: {_kinds(beyond)}", f"{limit}: 429"),
        ("… under a forged X-Forwarded-For", f"{len(forged)}: {_kinds(forged)}", f"{len(FORGED)}: 429"),
        ("different answers, but for the seconds to wait", _different(beyond), 1),
        ("the seconds to wait are told", told, "a minute or less"),
        ("accounts that changed", changed, 0),
    ]
    return compare(f"one password on many addresses: from the {limit + 1}th on the client has to wait", rows)


def _kinds(sent: pd.DataFrame) -> str:
    return ", ".join(sorted({str(status) for status in sent["status"]}))


def _different(sent: pd.DataFrame) -> int:
    return len(sent[["status", "body"]].drop_duplicates())


@experiment(_judge_spraying)
def password_is_sprayed(testbed: Testbed, limit: int = LIMIT) -> Observed:
    """Try one password on many addresses, at a replica that limits its clients; go on beyond the limit, and forge.

    Args:
        testbed: whose database and mail server the replica uses.
        limit: how many requests a minute a client may make of it; an even number.
    """
    accounts = [fresh("sprayed") for _ in range(ACCOUNTS)]
    for email in accounts:
        testbed.activate(email, SPRAYED, testbed.claim(email, SPRAYED))
    digest, rows_of = digester(), "SELECT * FROM registrations WHERE email = ANY (%(emails)s) ORDER BY id"
    before = digest(testbed.execute(rows_of, emails=accounts))
    targets = [*accounts, *(fresh("nobody") for _ in range(limit - ACCOUNTS))]
    tries = [("activate", email, raw_http.activating(email, SPRAYED, "0000")) for email in targets]
    claims = [("register", email, raw_http.registering(email, SPRAYED)) for email in targets]
    more = [*tries[: limit // 2], *claims[: limit // 2]]
    forged = [(*tries[0][:2], _forwarded(tries[0][2], value)) for value in FORGED]
    rows = _send_within_a_minute(testbed, limit, {WITHIN: tries, BEYOND: more, AS_ANOTHER: forged})
    changed = int(digest(testbed.execute(rows_of, emails=accounts)) != before)
    return {"sent": pd.DataFrame(rows, columns=SENT), "changed": changed, "limit": limit}


def _send_within_a_minute(testbed: Testbed, limit: int, batches: Mapping[str, Batch]) -> list[tuple[object, ...]]:
    """Send one batch after the other to a replica; where the clock's minute ends meanwhile, all of them to another.

    A replica counts by the minutes of the clock: early in the next one it serves the first of a few more.
    """
    rows = list[tuple[object, ...]]()
    for _ in range(MINUTES):
        with testbed.another_replica(client_limit=limit) as api:
            minute, rows = time.time() // 60, []
            for when, sent in batches.items():
                answers = raw_http.send_at_once(api.url, [content for *_, content in sent])
                rows += [(when, *it[:2], *_record(answer)) for it, answer in zip(sent, answers, strict=True)]
            if time.time() // 60 == minute:
                break
    return rows


def _forwarded(content: bytes, value: str) -> bytes:
    return content.replace(b"\r\n", b"\r\nX-Forwarded-For: %s\r\n" % value.encode(), 1)


def _record(answer: raw_http.Answer) -> tuple[int, str, str]:
    waits = re.findall(rb"(?im)^retry-after: (\d+)", answer.head)
    return answer.status, waits[0].decode() if waits else "", answer.body.decode(errors="replace")


MOST_COMMON = 3_000
"""OWASP ASVS 5.0, 6.2.4: as many are to be refused."""


def _judge_common(tried: pd.DataFrame, known: int) -> Evidence:
    rows = [
        ("passwords on the list", "3,000 or more" if known >= MOST_COMMON else str(known), "3,000 or more"),
        *(
            (f"registering with one of them, {what}", status, due)
            for what, status, due in tried.itertuples(index=False)
        ),
    ]
    return compare(f"{known:,} common passwords are refused, so that spraying finds none of them", rows)


@experiment(_judge_common)
def common_password_is_refused(testbed: Testbed, count: int = 20, seed: int = 8) -> Observed:
    """Register with some of the most common passwords, in small letters and in capitals, and with one that is not.

    Args:
        testbed: where to register.
        count: how many, taken by lot.
        seed: of that lot.
    """
    usable = sorted(word for word in common_passwords() if len(word) >= PASSWORD_MIN_CHARACTERS)
    chosen = random.Random(seed).sample(usable, count)  # noqa: S311
    spelled = {"as it is": chosen, "in capitals": [word.upper() for word in chosen]}
    rows = [(what, _statuses(testbed, words), "422") for what, words in spelled.items()]
    rows.append(("with something added", _statuses(testbed, [f"{chosen[0]} and a horse"]), "202"))
    return {"tried": pd.DataFrame(rows, columns=["what", "status", "due"]), "known": len(common_passwords())}


def _statuses(testbed: Testbed, passwords: Sequence[str]) -> str:
    email = fresh("common")
    answers = raw_http.send_at_once(testbed.urls, [raw_http.registering(email, word) for word in passwords])
    return ", ".join(sorted({str(answer.status) for answer in answers}))
