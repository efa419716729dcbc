"""Lines that an attacker would like to write: headers into somebody's mail, events into the log."""

import base64
import json
import re
from collections.abc import Sequence

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.attacks.people import INJECTED, VICTIMS, fresh
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import hostile_requests, raw_http
from beefirst.laboratory.api_process import fetch
from beefirst.laboratory.testbed import Testbed
from beefirst.machine.waiting import wait_for

ADDRESSES = (
    # an address as it is typed; whether it is one
    ("line@attacks.example\r\nBcc: all@attacks.example", "no"),
    ("line\r\nBcc: all@attacks.example", "no"),
    ("line\nSubject: injected@attacks.example", "no"),
    ("line\u2028bcc@attacks.example", "no"),
    ('"line\r\nBcc: all"@attacks.example', "no"),
    ('"quoted name"@attacks.example', "no"),
    ("line@attacks.example>\r\nRCPT TO:<all@attacks.example", "no"),
    ("line@attacks.example,all@attacks.example", "no"),
    ("Line <line@attacks.example>", "no"),
    ("=?utf-8?q?line=0d=0abcc=3a_all?=@attacks.example", "no"),
    ("\x1b[31mline@attacks.example", "no"),
    ("line%0d%0abcc:all@attacks.example", "no"),
    ("line%0d%0abcc=all@attacks.example", "yes"),
    ("{line}$`id`'|#!@attacks.example", "yes"),
)


def _judge_mails(
    typed: pd.DataFrame, headers: Sequence[str], usual: Sequence[str], strangers: Sequence[str]
) -> Evidence:
    rows = [(repr(address), seen, due) for address, seen, due in typed.itertuples(index=False, name=None)]
    rows += [
        ("headers of any mail that others have not", ", ".join(sorted({*headers} - {*usual})) or "none", "none"),
        ("mails for somebody else than its one To", ", ".join(strangers) or "none", "none"),
    ]
    known = [*typed["address"]] == [address for address, _ in ADDRESSES] and len(usual) > 0
    evidence = compare(f"{len(typed)} addresses that hold more than an address: no mail has a line too many", rows)
    return Evidence(evidence.holds and known, evidence.claim, evidence.rows)


@experiment(_judge_mails)
def no_header_is_injected(testbed: Testbed) -> Observed:
    """Register addresses that would add lines to a mail or to the talk with its server, and look at every mail."""
    testbed.claim(plain := fresh("plain"), VICTIMS)
    usual = [name for mail in testbed.mailbox.wait_for(plain) for name in mail.keys()]  # noqa: SIM118
    typed = [(address, _type(testbed, address), _due(fit)) for address, fit in ADDRESSES]
    taken = testbed.mailbox.taken
    return {
        "typed": pd.DataFrame(typed, columns=["address", "seen", "due"]),
        "headers": sorted({name for it in taken for name in it.message.keys()}),  # noqa: SIM118
        "usual": usual,
        "strangers": [repr(it.recipients) for it in taken if [*it.recipients] != [str(it.message["To"])]],
    }


MAIL_SECONDS = 10
"""How long a mail may take, on a busy machine too."""


def _due(fit: str) -> str:
    return "202, 1 mail" if fit == "yes" else "422, 0 mails"


def _type(testbed: Testbed, address: str) -> str:
    testbed.let_pass(address, 3600)
    before = len(testbed.mailbox.messages)
    status = testbed.register(address, VICTIMS).status_code
    if status == 202:
        wait_for(lambda: len(testbed.mailbox.messages) > before, MAIL_SECONDS)
    came = len(testbed.mailbox.messages) - before
    return f"{status}, {came} mail{'' if came == 1 else 's'}"


FORGED = "FORGED"
LINE = f"\n2026-01-01 00:00:00,000 INFO    beefirst.registration: activated {FORGED}"
"""What an attacker would have an operator read."""

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG  |INFO   |WARNING|ERROR  ) [\w.]+: .*")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def _judge_lines(
    lines: int, odd: Sequence[str], control: Sequence[str], forged: Sequence[str], own: int, sent: int
) -> Evidence:
    rows = [
        ("lines that are no line of this log", _few(odd), "none"),
        ("lines that hold a control character", _few(control), "none"),
        ("lines that look as if they were the attacker's", _few(forged), "none"),
        ("answers whose X-Request-ID is the attacker's", own, 0),
    ]
    evidence = compare(f"{sent} requests that would forge a line, {lines} lines in the log: none is forged", rows)
    return Evidence(evidence.holds and lines > sent > 0, evidence.claim, evidence.rows)


def _few(lines: Sequence[str]) -> str:
    return f"{len(lines)}, such as {lines[0]}" if lines else "none"


@experiment(_judge_lines)
def no_line_is_forged(testbed: Testbed) -> Observed:
    """Send line breaks and terminals' escapes wherever a request has room, and look at every line of the log."""
    contents = _forging()
    heard = raw_http.converse(testbed.urls, [(content, False) for content in contents])
    testbed.claim(fresh("after"), INJECTED)
    echoed = fetch(f"{testbed.apis[0].url}/health/live", **{"X-Request-ID": FORGED})
    lines = [line for api in testbed.apis for line in api.log().split("\n") if line]
    return {
        "lines": len(lines),
        "odd": [repr(line[:100]) for line in lines if not LOG_LINE.fullmatch(line)],
        "control": [repr(line[:100]) for line in lines if CONTROL.search(line)],
        "forged": [repr(line[:200]) for line in lines if f" activated {FORGED}" in line],
        "own": int(FORGED in str(echoed.headers.get("x-request-id"))),
        "sent": len(heard),
    }


def _forging() -> list[bytes]:
    escape, encoded = "\x1b[2J\x1b[31m", LINE.replace("\n", "%0a").replace(" ", "%20")
    credentials = base64.b64encode(f"line{LINE.replace(':', '.')}:{INJECTED}".encode()).decode()
    names = ("User-Agent", "Referer", "X-Request-ID", "X-Forwarded-For", "Origin", "Cookie")
    live = "GET /health/nothing HTTP/1.1"
    return [
        hostile_requests.request(f"GET /nothing{encoded} HTTP/1.1"),
        hostile_requests.request(f"GET /nothing?line={encoded} HTTP/1.1"),
        hostile_requests.request("GET /nothing%1b%5b31m%0d%0a HTTP/1.1"),
        hostile_requests.request(f"GET /nothing{escape} HTTP/1.1"),
        hostile_requests.request("GET /nothing\x85\x9b31m HTTP/1.1"),
        hostile_requests.request("GET /nothing%e2%80%a8%c2%85 HTTP/1.1"),
        *(hostile_requests.request(live, f"{name}: {escape}{LINE[1:]}") for name in names),
        *(hostile_requests.request(live, f"{name}: a{LINE}") for name in names),
        hostile_requests.request(live, host=f"Host: localhost{escape}"),
        hostile_requests.activating("1234", f"Authorization: Basic {credentials}"),
        hostile_requests.activating(f"1234{LINE}"),
        hostile_requests.registering(email=f"line@attacks.example{LINE}"),
        hostile_requests.post(json.dumps({LINE: LINE}).encode()),
    ]
