"""Mail as the API sends it: which mails follow a registration, and what follows when a mail cannot be delivered."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_for, wait_until
from tests.support.http_client import activate, change, fetch_row, register
from tests.support.mail_servers import WatchedMailbox, refusing, stalling

ADA = "ada@example.com"
STALLED = "stalled@example.com"
CODE_MAIL = "Your code for beefirst"
NOTICE = "An attempt to register your address"


class MailingApi(NamedTuple):
    """An API, and the mailbox that it delivers to."""

    api: ApiProcess
    mailbox: WatchedMailbox
    database: ScratchDatabase

    def settle(self) -> None:
        """Return when whatever was to be mailed before this moment has been."""
        sentinel = f"sentinel-{time.monotonic_ns()}@example.com"
        register(self.api, sentinel)
        self.mailbox.wait_for(sentinel)

    def let_pass(self, seconds: float, email: str) -> None:
        """Let time pass for an address."""
        with self.database.connect() as connection:
            let_pass(connection, seconds, email)

    def subjects(self, email: str) -> list[str]:
        """Return the subjects of all mails to an address."""
        self.settle()
        return [message["Subject"] for message in self.mailbox.messages if message["To"] == email]


@pytest.fixture(scope="module")
def mailing() -> Iterator[MailingApi]:
    """An API whose mail server takes everything, except for one recipient, for whom it is silent."""
    with (
        stalling(only=STALLED) as mailbox,
        ScratchDatabase() as database,
        start_api(database.url, MAIL_URL=mailbox.url) as api,
    ):
        yield MailingApi(api, mailbox, database)


class StallingMails(NamedTuple):
    """Mails that stall: one will be given up after 15 seconds, one 8 after SIGTERM, and two were taken before."""

    answer: httpx.Response
    doomed: MailingApi
    signalled_at: datetime
    unanswered: MailingApi


@pytest.fixture(scope="module")
def stalling_mails(mailing: MailingApi) -> Iterator[StallingMails]:
    """Begins with the first test that asks for it, so that the time passes during the tests between."""
    with (
        stalling() as mailbox,
        ScratchDatabase() as database,
        start_api(database.url, MAIL_URL=mailbox.url, TTL_SECONDS=1, SWEEP_INTERVAL_SECONDS=3600) as api,
        stalling(at="DATA") as taking,
        ScratchDatabase() as other,
        start_api(other.url, MAIL_URL=taking.url, TTL_SECONDS=3600) as unanswered,
    ):
        register(unanswered, ADA)
        taking.wait_for(ADA)
        register(unanswered, ADA)
        register(api, ADA)
        wait_until(lambda: ADA in mailbox.offered)
        signalled_at = datetime.now()
        api.send_signal(signal.SIGTERM)
        doomed = MailingApi(api, mailbox, database)
        silent = MailingApi(unanswered, taking, other)
        answer = register(mailing.api, STALLED)
        wait_until(lambda: STALLED in mailing.mailbox.offered)
        yield StallingMails(answer, doomed, signalled_at, silent)


def logged_at(api: ApiProcess, words: str, request: str = "") -> datetime:
    """Return when an API logged some words on behalf of a request, which may be after what they tell of."""
    lines = wait_for(lambda: [line for line in api.log().splitlines() if words in line and request in line])
    assert lines, f"not logged: {words}"
    return datetime.fromisoformat(lines[0][: len("2026-01-01 00:00:00,000")])


def test_the_answer_does_not_wait_for_the_mail(stalling_mails: StallingMails) -> None:
    assert stalling_mails.answer.elapsed < timedelta(seconds=10), "it would have waited for 15"


@pytest.mark.usefixtures("stalling_mails")
def test_a_recipient_whose_server_stalls_delays_nobody_else(mailing: MailingApi) -> None:
    for number in range(5):
        register(mailing.api, f"other-{number}@example.com")
    for number in range(5):
        mailing.mailbox.wait_for(f"other-{number}@example.com")

    assert "A mail was not delivered" not in mailing.api.log()
    assert fetch_row(mailing.database, STALLED).state == "CLAIMED"


def test_the_mailed_code_opens_the_account(mailing: MailingApi) -> None:
    register(mailing.api, "open@example.com")

    answer = activate(mailing.api, "open@example.com", mailing.mailbox.code_for("open@example.com"))

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("=?iso-8859-1?q?=62=6f=62?=@example.com", "bob@example.com"),
        ("=?utf-8?q?bob=40example.org=2c?=@example.com", '"bob@example.org,"@example.com'),
    ],
)
def test_mail_goes_to_no_other_mailbox_than_the_address_that_is_claimed(
    mailing: MailingApi, address: str, mailbox: str
) -> None:
    register(mailing.api, address)
    mailing.settle()

    assert mailbox not in mailing.mailbox.offered


def test_a_pending_claim_gets_one_notice_however_often_its_address_is_registered(mailing: MailingApi) -> None:
    email = "pending@example.com"

    register(mailing.api, email)
    register(mailing.api, email)
    register(mailing.api, email)

    assert sorted(mailing.subjects(email)) == [NOTICE, CODE_MAIL]


def test_the_next_claim_gets_a_notice_of_its_own(mailing: MailingApi) -> None:
    email = "next@example.com"
    register(mailing.api, email)
    mailing.mailbox.wait_for(email)
    register(mailing.api, email)
    mailing.mailbox.wait_for(email, 2)

    mailing.let_pass(120, email)
    register(mailing.api, email)
    mailing.mailbox.wait_for(email, 3)
    register(mailing.api, email)

    assert mailing.subjects(email) == [CODE_MAIL, NOTICE, CODE_MAIL, NOTICE]


def test_an_active_account_gets_one_notice_a_day(mailing: MailingApi) -> None:
    email = "active@example.com"
    register(mailing.api, email)
    activate(mailing.api, email, mailing.mailbox.code_for(email))

    register(mailing.api, email)
    register(mailing.api, email)
    on_the_first_day = mailing.subjects(email)
    mailing.let_pass(25 * 3600, email)
    register(mailing.api, email)
    register(mailing.api, email)

    assert on_the_first_day == [CODE_MAIL, NOTICE]
    assert mailing.subjects(email) == [CODE_MAIL, NOTICE, NOTICE]
    assert "active account" in mailing.mailbox.wait_for(email)[-1].get_content()


MAILED = """
    INSERT INTO address_budgets (email, mailed_at)
    SELECT %(email)s, array_agg(clock_timestamp() - n * %(apart)s::interval)
      FROM generate_series(1, %(count)s) AS n
"""


def test_the_twenty_first_mail_of_a_day_is_not_sent_and_its_claim_holds_no_address(mailing: MailingApi) -> None:
    email = "flooded@example.com"
    change(mailing.database, MAILED, email=email, count=20, apart="1 hour")

    answer = register(mailing.api, email)
    wait_until(lambda: fetch_row(mailing.database, email).state == "EXPIRED")

    assert answer.status_code == 202
    assert mailing.subjects(email) == []
    assert fetch_row(mailing.database, email).password_hash is None


def test_a_notice_counts_towards_the_twenty_mails_of_a_day(mailing: MailingApi) -> None:
    email = "nineteen@example.com"
    change(mailing.database, MAILED, email=email, count=19, apart="1 hour")

    register(mailing.api, email)
    mailing.mailbox.wait_for(email)
    register(mailing.api, email)

    assert mailing.subjects(email) == [CODE_MAIL]


def test_mails_of_yesterday_do_not_count(mailing: MailingApi) -> None:
    email = "yesterday@example.com"
    change(mailing.database, MAILED, email=email, count=20, apart="75 minutes")  # the first was 25 hours ago

    register(mailing.api, email)

    assert mailing.subjects(email) == [CODE_MAIL]


REFUSE_ENDINGS = """
    CREATE FUNCTION refuse_endings() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no claim ends here'; END $$;
    CREATE TRIGGER refuse_endings BEFORE UPDATE ON registrations
        FOR EACH ROW WHEN (NEW.state = 'EXPIRED') EXECUTE FUNCTION refuse_endings();
"""


def test_an_address_whose_mail_is_refused_can_be_claimed_again_at_once(database: ScratchDatabase) -> None:
    with (
        refusing("550 no such user", times=1) as mailbox,
        start_api(database.url, MAIL_URL=mailbox.url) as api,
    ):
        register(api, ADA)
        wait_until(lambda: fetch_row(database, ADA).state == "EXPIRED")  # and not only after the claim's 60 seconds
        released = fetch_row(database, ADA)
        again = register(api, ADA)
        activated = activate(api, ADA, mailbox.code_for(ADA))

    assert released.password_hash is None
    assert (again.status_code, activated.status_code) == (202, 200)
    assert "A mail was not delivered in 1 tries" in api.log()
    with database.connect() as connection:
        assert connection.execute("SELECT cardinality(mailed_at) FROM address_budgets").fetchone() == (1,)


def test_a_database_that_refuses_what_follows_a_mail_is_one_line_of_the_log(database: ScratchDatabase) -> None:
    with refusing("550 no such user") as mailbox, start_api(database.url, MAIL_URL=mailbox.url) as api:
        with database.connect() as connection:
            connection.execute(REFUSE_ENDINGS)
        register(api, ADA)
        wait_until(lambda: "A claim without its mail frees itself" in api.log())
        log = api.log()

    assert "no claim ends here" in log
    assert "Traceback" not in log
    assert "never retrieved" not in log


def listens(api: ApiProcess) -> bool:
    """Tell whether an API still takes connections."""
    parts = urlsplit(api.url)
    with socket.socket() as client:
        return client.connect_ex((parts.hostname, parts.port)) == 0


def test_sigterm_waits_for_the_mail_in_flight(database: ScratchDatabase) -> None:
    with stalling() as mailbox, start_api(database.url, MAIL_URL=mailbox.url) as api:
        register(api, ADA)
        wait_until(lambda: ADA in mailbox.offered)
        api.send_signal(signal.SIGTERM)
        wait_until(lambda: not listens(api))
        with pytest.raises(subprocess.TimeoutExpired):  # it has nothing else to wait for
            api.wait_for_end(1)
        mailbox.go_on()
        status = api.wait_for_end()

        assert status == 0
        assert [message["To"] for message in mailbox.messages] == [ADA]
        assert "Traceback" not in api.log()


def test_sigterm_gives_mail_up_after_eight_seconds(stalling_mails: StallingMails) -> None:
    status = stalling_mails.doomed.api.wait_for_end(40)

    assert status == 0
    assert "1 mails were given up" in stalling_mails.doomed.api.log()
    assert "Traceback" not in stalling_mails.doomed.api.log()
    ended = logged_at(stalling_mails.doomed.api, "stopped")
    assert ended - stalling_mails.signalled_at > timedelta(seconds=6)
    assert ended - stalling_mails.signalled_at < timedelta(seconds=10), "Docker kills 10 seconds after SIGTERM"


def test_a_claim_whose_mail_was_given_up_frees_itself(stalling_mails: StallingMails) -> None:
    stalling_mails.doomed.api.wait_for_end(40)
    database = stalling_mails.doomed.database
    left_behind = fetch_row(database, ADA)

    with start_api(database.url, TTL_SECONDS=1, SWEEP_INTERVAL_SECONDS=3600) as next_api:
        register(next_api, ADA)

    assert left_behind.state == "CLAIMED"
    assert "beefirst.registration: claimed" in next_api.log()
    assert fetch_row(database, ADA).password_hash != left_behind.password_hash


def test_code_and_notice_that_a_server_took_without_a_reply_count_as_sent_once(stalling_mails: StallingMails) -> None:
    api, mailbox, database = stalling_mails.unanswered
    wait_until(lambda: api.log().count("a mail counts as sent, though") == 2, 40)
    budget = "SELECT cardinality(mailed_at), noticed_at IS NOT NULL FROM address_budgets"
    with database.connect() as connection:
        booked = connection.execute(budget).fetchone()
    row = fetch_row(database, ADA)

    assert [message["Subject"] for message in mailbox.messages] == [CODE_MAIL, NOTICE]
    assert (row.state, booked) == ("CLAIMED", (2, True))
    assert activate(api, ADA, mailbox.code_for(ADA)).status_code == 200
    assert "not delivered" not in api.log()
    assert ADA not in api.log()


def test_a_claim_whose_mail_stalls_is_released_within_fifteen_seconds(
    mailing: MailingApi, stalling_mails: StallingMails
) -> None:
    wait_until(lambda: fetch_row(mailing.database, STALLED).state == "EXPIRED", 40)

    request = stalling_mails.answer.headers["X-Request-ID"]
    claimed = logged_at(mailing.api, "claimed", request)
    given_up = logged_at(mailing.api, "A mail was not delivered within 15 s.", request)
    assert given_up - claimed < timedelta(seconds=20)
    assert fetch_row(mailing.database, STALLED).password_hash is None
