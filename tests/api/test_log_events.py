"""What the log tells of registrations, whose request it names, and what it never holds."""

import re
from collections.abc import Iterator

import pytest

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.mailbox import Mailbox
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET
from tests.support.http_client import activate, change, fetch_row, register, send, wrong
from tests.support.mail_servers import refusing, stalling

ADA = "ada@example.com"
TWENTY_MAILS = """
    INSERT INTO address_budgets (email, mailed_at)
    SELECT %(email)s, array_agg(clock_timestamp()) FROM generate_series(1, 20)
"""


@pytest.fixture(scope="module")
def database() -> Iterator[ScratchDatabase]:
    """One database for every API here."""
    with ScratchDatabase() as scratch:
        yield scratch


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    """Takes every mail, so that the log holds none."""
    with Mailbox() as running:
        yield running


@pytest.fixture(scope="module")
def api(database: ScratchDatabase, mailbox: Mailbox) -> Iterator[ApiProcess]:
    """Says as much as it can."""
    with start_api(database.url, MAIL_URL=mailbox.url, LOG_LEVEL="DEBUG", MAX_ATTEMPTS=1) as running:
        yield running


def lines_of(api: ApiProcess, request: str) -> list[str]:
    """Return what was logged on behalf of a request, without the time."""
    lines = [line for line in api.log().splitlines() if f'request="{request}"' in line]
    return [line[len("2026-01-01 00:00:00,000 ") :] for line in lines]


def event_of(api: ApiProcess, request: str) -> str:
    """Return the one event of a request."""
    [event] = [line for line in lines_of(api, request) if "beefirst.registration:" in line]
    return event.removeprefix("INFO    beefirst.registration: ").removesuffix(f' request="{request}"')


def test_each_step_of_a_registration_is_an_event_with_its_request_and_its_row(
    api: ApiProcess, mailbox: Mailbox, database: ScratchDatabase
) -> None:
    claimed = register(api, ADA).headers["X-Request-ID"]
    taken = register(api, ADA).headers["X-Request-ID"]
    stranger = activate(api, ADA, "0000", "another password").headers["X-Request-ID"]
    activated = activate(api, ADA, mailbox.code_for(ADA)).headers["X-Request-ID"]
    replayed = activate(api, ADA, mailbox.code_for(ADA)).headers["X-Request-ID"]
    row = fetch_row(database, ADA)

    assert event_of(api, claimed) == f'claimed registration="{row.id}"'
    assert event_of(api, taken) == 'refused reason="address not free"'
    assert event_of(api, stranger) == f'refused registration="{row.id}" reason="wrong password"'
    assert event_of(api, activated) == f'activated registration="{row.id}"'
    assert event_of(api, replayed) == 'refused reason="no claim"'


def test_a_lock_and_missing_credentials_are_events(
    api: ApiProcess, mailbox: Mailbox, database: ScratchDatabase
) -> None:
    email = "locked@example.com"
    register(api, email)
    locked = activate(api, email, wrong(mailbox.code_for(email))).headers["X-Request-ID"]
    nobody = send(api, "/v1/activate", json={"code": "0000"}).headers["X-Request-ID"]

    assert event_of(api, locked).startswith(f'locked registration="{fetch_row(database, email).id}"')
    assert event_of(api, nobody) == 'refused reason="no credentials"'


def test_a_claim_that_gets_no_mail_ends_as_an_event_that_says_why(database: ScratchDatabase) -> None:
    refused, spent = "refused@example.com", "spent@example.com"
    with (
        refusing("550 no such user") as mail_server,
        start_api(database.url, MAIL_URL=mail_server.url) as api,
    ):
        change(database, TWENTY_MAILS, email=spent)
        requests = [register(api, email).headers["X-Request-ID"] for email in (refused, spent)]
        wait_until(lambda: api.log().count(" expired ") == 2)
        events = [[line for line in lines_of(api, request) if " expired " in line] for request in requests]
    rows = [fetch_row(database, email).id for email in (refused, spent)]

    event = 'INFO    beefirst.registration: expired registration="{}" reason="{}" request="{}"'
    assert events == [
        [event.format(rows[0], "mail not delivered", requests[0])],
        [event.format(rows[1], "mails of the day spent", requests[1])],
    ]


def test_the_access_line_names_the_request_too_and_no_two_requests_share_an_id(api: ApiProcess) -> None:
    given = {"X-Request-ID": "chosen-by-the-client"}

    numbers = [send(api, "/v1/activate", json={}, headers=given).headers["X-Request-ID"] for _ in range(3)]

    assert [sum("uvicorn.access" in line for line in lines_of(api, number)) for number in numbers] == [1, 1, 1]
    assert len(set(numbers)) == 3
    assert "chosen-by-the-client" not in api.log()


def test_the_most_talkative_log_holds_no_address_password_hash_or_code(
    api: ApiProcess, mailbox: Mailbox, database: ScratchDatabase
) -> None:
    email = "secretive@example.com"
    answers = [register(api, email), register(api, email)]
    code = mailbox.code_for(email)
    password_hash = str(fetch_row(database, email).password_hash)
    answers += [activate(api, email, code, "another password"), activate(api, email, code), activate(api, email, code)]
    mailbox.wait_for(email, 2)

    log = api.log()
    own = [line for answer in answers for line in lines_of(api, answer.headers["X-Request-ID"])]
    assert len(own) >= 2 * len(answers)
    assert "DEBUG" in log
    assert not re.search(rf"\b{code}\b", "\n".join(own))
    assert [
        secret for secret in ("secretive", SECRET, "another password", password_hash, "$2b$") if secret in log
    ] == []


def test_what_cannot_be_read_is_not_logged_either(api: ApiProcess) -> None:
    bodies = [f'{{"email": "{SECRET}"}}', f'{{"password": "{SECRET}"', f'["{SECRET}"]', f'"\\ud800{SECRET}"']

    statuses = [
        send(api, "/v1/register", content=body, headers={"Content-Type": "application/json"}).status_code
        for body in bodies
    ]

    assert statuses == [422] * 4
    assert SECRET not in api.log()


def test_what_somebody_puts_into_a_query_is_not_logged(api: ApiProcess) -> None:
    number = send(api, f"/v1/activate?password={SECRET}&code=4711", json={}).headers["X-Request-ID"]

    assert any('"POST /v1/activate HTTP/1.1" 4' in line for line in lines_of(api, number))
    assert SECRET not in api.log()


@pytest.fixture(scope="module")
def demo(database: ScratchDatabase) -> Iterator[ApiProcess]:
    """Mails to its log, and is silent otherwise."""
    with start_api(database.url, LOG_LEVEL="ERROR") as running:
        yield running


def test_the_demos_mail_is_the_only_line_at_the_quietest_level(demo: ApiProcess, database: ScratchDatabase) -> None:
    register(demo, "demo@example.com")
    wait_until(lambda: "DEMO MAIL" in demo.log())

    [line] = demo.log().splitlines()
    assert f"DEMO MAIL to demo@example.com: your code is {fetch_row(database, 'demo@example.com').code} " in line


def test_of_what_the_demo_logs_only_its_mail_holds_address_and_code(database: ScratchDatabase) -> None:
    email = "console@example.com"
    with start_api(database.url, LOG_LEVEL="DEBUG") as api:
        register(api, email)
        wait_until(lambda: "DEMO MAIL" in api.log())
        code = fetch_row(database, email).code
        activate(api, email, code)
        register(api, email)
        wait_until(lambda: api.log().count("DEMO MAIL") == 2)

    others = [line for line in api.log().splitlines() if "beefirst.mail.console: DEMO MAIL to" not in line]
    assert others
    assert email not in "\n".join(others)
    assert f"code is {code}" not in "\n".join(others)


def test_mail_that_fails_while_the_database_is_away_is_told_in_lines_and_not_in_a_traceback() -> None:
    with (
        stalling(reply="550 no such user") as mail_server,
        ScratchDatabase() as doomed,
        start_api(doomed.url, MAIL_URL=mail_server.url) as api,
    ):
        request = register(api, ADA).headers["X-Request-ID"]
        wait_until(lambda: mail_server.offered == [ADA])
        doomed.drop()
        mail_server.go_on()
        wait_until(lambda: api.log().count(f'request="{request}"') >= 4)

    assert "The database does not answer" in "\n".join(lines_of(api, request))
    assert "Traceback" not in api.log()
