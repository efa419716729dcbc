"""Mail as it arrives at a real server: what it holds, over which connections, and what follows when it cannot."""

import asyncio
import base64
import logging
import re
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

import pytest

from beefirst.errors import ConfigurationError, MailError
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.mailbox import Mailbox
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from beefirst.mail.courier import NOTICES, create_courier
from beefirst.registration.interfaces import Courier
from beefirst.registration.states import State
from beefirst.settings import Settings
from tests.conftest import SECRET
from tests.support.http_client import activate, change, fetch_row, register

ADA = "ada@example.com"
STALLED = "stalled@example.com"
USER = "mailer@example.org"
PASSWORD = f"{SECRET}@:/%"
CODE_MAIL = "Your code for beefirst"
NOTICE = "An attempt to register your address"


class Service(NamedTuple):
    """An API that delivers to a mailbox."""

    api: ApiProcess
    mailbox: Mailbox
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
def service() -> Iterator[Service]:
    """An API whose mail server takes everything, except for one recipient, for whom it is silent."""
    with (
        Mailbox(stall_seconds=60, only=STALLED) as mailbox,
        ScratchDatabase() as database,
        start_api(database.url, MAIL_URL=mailbox.url) as api,
    ):
        yield Service(api, mailbox, database)


class Begun(NamedTuple):
    """Mails that stall: one will be given up after 15 seconds, one 8 after SIGTERM, and two were taken before."""

    request: str
    seconds_to_answer: float
    doomed: Service
    signalled_at: datetime
    unanswered: Service


@pytest.fixture(scope="module")
def begun(service: Service) -> Iterator[Begun]:
    """Begins with the first test that asks for it, so that the time passes during the tests between."""
    answer = register(service.api, STALLED)
    wait_until(lambda: STALLED in service.mailbox.offered)
    with (
        Mailbox(stall_seconds=60) as mailbox,
        ScratchDatabase() as database,
        start_api(database.url, MAIL_URL=mailbox.url, TTL_SECONDS=1, SWEEP_INTERVAL_SECONDS=3600) as api,
        Mailbox(stall_at="DATA", stall_seconds=60) as taking,
        ScratchDatabase() as other,
        start_api(other.url, MAIL_URL=taking.url, TTL_SECONDS=3600) as unanswered,
    ):
        register(unanswered, ADA)
        taking.wait_for(ADA)
        register(unanswered, ADA)
        register(api, ADA)
        wait_until(lambda: mailbox.offered == [ADA])
        signalled_at = datetime.now()
        api.send_signal(signal.SIGTERM)
        doomed = Service(api, mailbox, database)
        silent = Service(unanswered, taking, other)
        yield Begun(answer.headers["X-Request-ID"], answer.elapsed.total_seconds(), doomed, signalled_at, silent)


def logged_at(api: ApiProcess, words: str, request: str = "") -> datetime:
    """Return when an API logged some words on behalf of a request."""
    line = next(line for line in api.log().splitlines() if words in line and request in line)
    return datetime.fromisoformat(line[: len("2026-01-01 00:00:00,000")])


def test_the_answer_does_not_wait_for_the_mail(begun: Begun) -> None:
    assert begun.seconds_to_answer < 3


@pytest.mark.usefixtures("begun")
def test_a_recipient_whose_server_stalls_delays_nobody_else(service: Service) -> None:
    started = time.monotonic()

    for number in range(5):
        register(service.api, f"other-{number}@example.com")
    for number in range(5):
        service.mailbox.wait_for(f"other-{number}@example.com")

    assert time.monotonic() - started < 5


def test_sixty_recipients_whose_server_stalls_delay_nobody_else() -> None:
    async def send_beside(url: str) -> None:
        post = courier(url)
        stalled = [asyncio.create_task(post.send_code(STALLED, "0000")) for _ in range(60)]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await post.send_code(ADA, "0412")
        for task in stalled:
            task.cancel()
        await asyncio.gather(*stalled, return_exceptions=True)

    with Mailbox(stall_seconds=60, only=STALLED) as mailbox:
        asyncio.run(send_beside(mailbox.url))

    assert [message["To"] for message in mailbox.messages] == [ADA]


def test_the_mailed_code_opens_the_account(service: Service) -> None:
    register(service.api, "open@example.com")

    answer = activate(service.api, "open@example.com", service.mailbox.code_for("open@example.com"))

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("=?iso-8859-1?q?=62=6f=62?=@example.com", "bob@example.com"),
        ("=?utf-8?q?bob=40example.org=2c?=@example.com", '"bob@example.org,"@example.com'),
    ],
)
def test_mail_goes_to_no_other_mailbox_than_the_address_that_is_claimed(
    service: Service, address: str, mailbox: str
) -> None:
    register(service.api, address)
    service.settle()

    assert mailbox not in service.mailbox.offered


def test_a_pending_claim_gets_one_notice_however_often_its_address_is_registered(service: Service) -> None:
    email = "pending@example.com"

    register(service.api, email)
    register(service.api, email)
    register(service.api, email)

    assert sorted(service.subjects(email)) == [NOTICE, CODE_MAIL]


def test_the_next_claim_gets_a_notice_of_its_own(service: Service) -> None:
    email = "next@example.com"
    register(service.api, email)
    service.mailbox.wait_for(email)
    register(service.api, email)
    service.mailbox.wait_for(email, 2)

    service.let_pass(120, email)
    register(service.api, email)
    service.mailbox.wait_for(email, 3)
    register(service.api, email)

    assert service.subjects(email) == [CODE_MAIL, NOTICE, CODE_MAIL, NOTICE]


def test_an_active_account_gets_one_notice_a_day(service: Service) -> None:
    email = "active@example.com"
    register(service.api, email)
    activate(service.api, email, service.mailbox.code_for(email))

    register(service.api, email)
    register(service.api, email)
    on_the_first_day = service.subjects(email)
    service.let_pass(25 * 3600, email)
    register(service.api, email)
    register(service.api, email)

    assert on_the_first_day == [CODE_MAIL, NOTICE]
    assert service.subjects(email) == [CODE_MAIL, NOTICE, NOTICE]
    assert "active account" in service.mailbox.wait_for(email)[-1].get_content()


MAILED = """
    INSERT INTO address_budgets (email, mailed_at)
    SELECT %(email)s, array_agg(clock_timestamp() - n * %(apart)s::interval)
      FROM generate_series(1, %(count)s) AS n
"""


def test_the_twenty_first_mail_of_a_day_is_not_sent_and_its_claim_holds_no_address(service: Service) -> None:
    email = "flooded@example.com"
    change(service.database, MAILED, email=email, count=20, apart="1 hour")

    answer = register(service.api, email)
    wait_until(lambda: fetch_row(service.database, email).state == "EXPIRED")

    assert answer.status_code == 202
    assert service.subjects(email) == []
    assert fetch_row(service.database, email).password_hash is None


def test_a_notice_counts_towards_the_twenty_mails_of_a_day(service: Service) -> None:
    email = "nineteen@example.com"
    change(service.database, MAILED, email=email, count=19, apart="1 hour")

    register(service.api, email)
    service.mailbox.wait_for(email)
    register(service.api, email)

    assert service.subjects(email) == [CODE_MAIL]


def test_mails_of_yesterday_do_not_count(service: Service) -> None:
    email = "yesterday@example.com"
    change(service.database, MAILED, email=email, count=20, apart="75 minutes")  # the first was 25 hours ago

    register(service.api, email)

    assert service.subjects(email) == [CODE_MAIL]


def test_an_address_whose_mail_is_refused_can_be_claimed_again_at_once(database: ScratchDatabase) -> None:
    with (
        Mailbox(refuse="550 no such user", refuse_times=1) as mailbox,
        start_api(database.url, MAIL_URL=mailbox.url) as api,
    ):
        register(api, ADA)
        seconds = wait_until(lambda: fetch_row(database, ADA).state == "EXPIRED")
        released = fetch_row(database, ADA)
        again = register(api, ADA)
        activated = activate(api, ADA, mailbox.code_for(ADA))

    assert seconds < 3
    assert released.password_hash is None
    assert (again.status_code, activated.status_code) == (202, 200)
    assert "A mail was not delivered in 1 tries" in api.log()
    with database.connect() as connection:
        assert connection.execute("SELECT cardinality(mailed_at) FROM address_budgets").fetchone() == (1,)


def test_sigterm_waits_for_the_mail_in_flight(database: ScratchDatabase) -> None:
    with Mailbox(stall_seconds=2) as mailbox, start_api(database.url, MAIL_URL=mailbox.url) as api:
        register(api, ADA)
        api.send_signal(signal.SIGTERM)
        status = api.wait_for_end(15)

        assert status == 0
        assert [message["To"] for message in mailbox.messages] == [ADA]
        assert "Traceback" not in api.log()


MakeCertificate = Callable[[str], Path]


@pytest.fixture(scope="module")
def make_certificate(tmp_path_factory: pytest.TempPathFactory) -> MakeCertificate:
    """Make a certificate that signs itself, in one file with its key, for a name such as IP:127.0.0.1."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp("certificate")
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=mailbox"
        extensions = ("-addext", f"subjectAltName={name}", "-addext", "keyUsage=critical,digitalSignature,keyCertSign")
        files = ("-keyout", "key.pem", "-out", "certificate.pem")
        subprocess.run([*command.split(), *extensions, *files], cwd=folder, check=True, capture_output=True, timeout=60)
        both = folder / "both.pem"
        both.write_text((folder / "certificate.pem").read_text() + (folder / "key.pem").read_text())
        return both

    return make


@pytest.fixture(scope="module")
def certificate(make_certificate: MakeCertificate) -> Path:
    """A certificate for the address at which every mailbox listens."""
    return make_certificate("IP:127.0.0.1")


def tls(certificate: Path) -> ssl.SSLContext:
    """Return what makes a server show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def courier(url: str) -> Courier:
    """Return a courier that delivers to a server."""
    return create_courier(Settings.load(mail_url=url, mail_from="noreply@beefirst.example", ttl_seconds=90))


def send_code(url: str, email: str = ADA) -> None:
    """Deliver a code to a server."""
    asyncio.run(courier(url).send_code(email, "0412"))


def with_credentials(url: str) -> str:
    """Return the URL of a server with a user and a password that hold what must be percent-encoded."""
    return url.replace("://", f"://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@")


def test_a_code_arrives_as_plain_text_with_the_headers_that_mail_should_have() -> None:
    with Mailbox() as mailbox:
        send_code(mailbox.url)
        [message] = mailbox.wait_for(ADA)

    assert (message["From"], message["To"], message["Subject"]) == ("noreply@beefirst.example", ADA, CODE_MAIL)
    assert abs(message["Date"].datetime.replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert re.fullmatch(r"<[^@\s]+@beefirst\.example>", message["Message-ID"])
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert "Your code is 0412." in message.get_content()
    assert "within 90 seconds" in message.get_content()


@pytest.mark.parametrize(("state", "word"), [(State.ACTIVE, "active account"), (State.CLAIMED, "pending")])
def test_a_notice_says_why_it_comes_and_holds_no_code(state: State, word: str) -> None:
    with Mailbox() as mailbox:
        asyncio.run(courier(mailbox.url).send_notice(ADA, state))
        [message] = mailbox.wait_for(ADA)

    assert message["Subject"] == NOTICE
    assert word in message.get_content()
    assert not re.search(r"\d{4}", message.get_content())


def test_a_server_without_tls_gets_mail_in_the_clear() -> None:
    with Mailbox() as mailbox:
        send_code(mailbox.url)

    assert mailbox.encrypted == [False]


def test_starttls_is_used_where_it_is_offered_whoever_signed_the_certificate(certificate: Path) -> None:
    with Mailbox(tls_context=tls(certificate), require_starttls=True) as mailbox:
        send_code(mailbox.url)

    assert mailbox.encrypted == [True]
    assert len(mailbox.messages) == 1


def test_credentials_are_never_sent_without_tls() -> None:
    with Mailbox(credentials=(USER, PASSWORD)) as mailbox, pytest.raises(MailError):
        send_code(with_credentials(mailbox.url))

    assert (mailbox.logins, mailbox.offered) == ([], [])


def test_credentials_are_never_sent_to_a_server_whose_certificate_nobody_vouches_for(certificate: Path) -> None:
    with Mailbox(tls_context=tls(certificate), credentials=(USER, PASSWORD)) as mailbox, pytest.raises(MailError):
        send_code(with_credentials(mailbox.url))

    assert (mailbox.logins, mailbox.offered) == ([], [])


def test_credentials_are_never_sent_to_a_server_that_shows_the_certificate_of_another(
    make_certificate: MakeCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_another = make_certificate("DNS:mail.example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(of_another))

    with Mailbox(tls_context=tls(of_another), credentials=(USER, PASSWORD)) as mailbox, pytest.raises(MailError):
        send_code(with_credentials(mailbox.url))

    assert (mailbox.logins, mailbox.offered) == ([], [])


@pytest.mark.parametrize("implicit_tls", [False, True], ids=["smtp", "smtps"])
def test_credentials_are_sent_over_tls_to_a_server_whose_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, implicit_tls: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with Mailbox(tls_context=tls(certificate), implicit_tls=implicit_tls, credentials=(USER, PASSWORD)) as mailbox:
        send_code(with_credentials(mailbox.url))

    assert (mailbox.logins, mailbox.encrypted) == ([USER], [True])
    assert len(mailbox.messages) == 1


def test_wrong_credentials_are_tried_once_and_no_mail_goes_out(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with Mailbox(tls_context=tls(certificate), credentials=(USER, "another")) as mailbox, pytest.raises(MailError):
        send_code(with_credentials(mailbox.url))

    assert set(mailbox.logins) == {USER}
    assert mailbox.offered == []


def test_smtps_delivers_to_a_server_whose_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with Mailbox(tls_context=tls(certificate), implicit_tls=True) as mailbox:
        send_code(mailbox.url)

    assert mailbox.url.startswith("smtps://")
    assert mailbox.encrypted == [True]


def test_smtps_delivers_to_no_server_whose_certificate_nobody_vouches_for(certificate: Path) -> None:
    with Mailbox(tls_context=tls(certificate), implicit_tls=True) as mailbox, pytest.raises(MailError):
        send_code(mailbox.url)

    assert mailbox.offered == []


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r"])
def test_a_line_break_never_reaches_a_header(line_break: str) -> None:
    with Mailbox() as mailbox, pytest.raises(ValueError, match="may not contain linefeed"):
        send_code(mailbox.url, f"ada@example.com{line_break}Bcc: eve@example.com")

    assert mailbox.offered == []


@pytest.mark.parametrize("refuse_at", ["RCPT", "DATA"])
def test_a_server_that_says_later_is_tried_three_times(refuse_at: Literal["RCPT", "DATA"]) -> None:
    with Mailbox(refuse="451 later", refuse_at=refuse_at) as mailbox, pytest.raises(MailError, match="in 3 tries"):
        send_code(mailbox.url)

    assert mailbox.offered == [ADA] * 3


def test_a_server_that_says_later_twice_gets_the_mail_once() -> None:
    with Mailbox(refuse="451 later", refuse_times=2) as mailbox:
        send_code(mailbox.url)

    assert mailbox.offered == [ADA] * 3
    assert len(mailbox.messages) == 1


def test_a_server_that_has_the_mail_and_answers_late_is_waited_for() -> None:
    with Mailbox(stall_at="DATA", stall_seconds=7) as mailbox:  # longer than for any other reply
        send_code(mailbox.url)

    assert mailbox.offered == [ADA]


def test_a_server_that_has_the_mail_and_hangs_up_may_have_sent_it(caplog: pytest.LogCaptureFixture) -> None:
    with Mailbox(vanish=True) as mailbox:
        send_code(mailbox.url)

    assert mailbox.offered == [ADA]
    assert len(mailbox.messages) == 1
    assert "a mail counts as sent, though the server has not said what became of it: SMTPServer" in caplog.text
    assert ADA not in caplog.text


def test_a_line_that_begins_with_a_dot_arrives_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NOTICES, State.ACTIVE, ".\n..two\n")

    with Mailbox() as mailbox:
        asyncio.run(courier(mailbox.url).send_notice(ADA, State.ACTIVE))

    assert mailbox.messages[0].get_content().split() == ["Hello,", ".", "..two"]


@pytest.mark.parametrize("refuse_at", ["RCPT", "DATA"])
def test_a_server_that_says_never_is_tried_once(refuse_at: Literal["RCPT", "DATA"]) -> None:
    with Mailbox(refuse="550 no such user", refuse_at=refuse_at) as mailbox, pytest.raises(MailError):
        send_code(mailbox.url)

    assert mailbox.offered == [ADA]


def test_a_server_that_does_not_listen_is_a_mail_error() -> None:
    with pytest.raises(MailError, match="in 3 tries"):
        send_code(f"smtp://127.0.0.1:{free_port()}")


def test_what_a_server_quotes_is_not_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with (
        Mailbox(refuse=f"550 no such user {ADA}, for you sent 0412") as mailbox,
        pytest.raises(MailError) as refusal,
    ):
        send_code(mailbox.url)

    assert "not delivered" in caplog.text
    assert ADA not in str(refusal.value) + caplog.text
    assert "0412" not in str(refusal.value) + caplog.text


def test_the_password_of_the_mail_server_shows_nowhere() -> None:
    settings = Settings.load(mail_url=with_credentials("smtp://mail.example.org:587"))

    shown = repr(settings) + str(settings) + settings.model_dump_json() + repr(create_courier(settings))

    assert "smtp://mail.example.org:587" in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "url",
    ["ftp://u:{}@h", "smtp://u:{}@h:0", "smtp://u:{}@", "smtp://u:{}@h/x", "smtp://u:{}@h:x", "smtp://{}@h", "u:{}@h"],
)
def test_a_mail_url_that_cannot_be_used_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^MAIL_URL must be console:, or an SMTP server such as ") as refusal:
        Settings.load(mail_url=url.format(SECRET))

    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("sender", ["a@b.example\r\nBcc: eve@example.com", "a@b.example\nX: y", "nobody"])
def test_a_sender_that_is_no_address_is_refused(sender: str) -> None:
    with pytest.raises(ConfigurationError, match="MAIL_FROM must be an e-mail address"):
        Settings.load(mail_from=sender)


def test_no_log_holds_the_password_of_the_mail_server_or_what_is_mailed(
    database: ScratchDatabase, certificate: Path
) -> None:
    with Mailbox(tls_context=tls(certificate), credentials=(USER, PASSWORD)) as mailbox:
        settings = {"MAIL_URL": with_credentials(mailbox.url), "LOG_LEVEL": "DEBUG"}
        with start_api(database.url, **settings) as untrusting:
            register(untrusting, ADA)
            wait_until(lambda: "A mail was not delivered" in untrusting.log())
        with start_api(database.url, SSL_CERT_FILE=certificate, **settings) as trusting:
            register(trusting, ADA)
            code = mailbox.code_for(ADA)
    log = untrusting.log() + trusting.log()

    assert mailbox.logins == [USER]
    assert SECRET not in log
    assert base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode() not in log
    assert ADA not in log
    assert f"code is {code}" not in log


def test_sigterm_gives_mail_up_after_eight_seconds(begun: Begun) -> None:
    status = begun.doomed.api.wait_for_end(40)

    assert status == 0
    assert "1 mails were given up" in begun.doomed.api.log()
    assert "Traceback" not in begun.doomed.api.log()
    ended = logged_at(begun.doomed.api, "stopped")
    assert ended - begun.signalled_at > timedelta(seconds=6)
    assert ended - begun.signalled_at < timedelta(seconds=9.5), "Docker kills 10 seconds after SIGTERM"


def test_a_claim_whose_mail_was_given_up_frees_itself(begun: Begun) -> None:
    begun.doomed.api.wait_for_end(40)
    database = begun.doomed.database
    left_behind = fetch_row(database, ADA)

    with start_api(database.url, TTL_SECONDS=1, SWEEP_INTERVAL_SECONDS=3600) as next_api:
        register(next_api, ADA)

    assert left_behind.state == "CLAIMED"
    assert "beefirst.registration: claimed" in next_api.log()
    assert fetch_row(database, ADA).password_hash != left_behind.password_hash


def test_code_and_notice_that_a_server_took_without_a_reply_count_as_sent_once(begun: Begun) -> None:
    api, mailbox, database = begun.unanswered
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


def test_a_claim_whose_mail_stalls_is_released_within_fifteen_seconds(service: Service, begun: Begun) -> None:
    wait_until(lambda: fetch_row(service.database, STALLED).state == "EXPIRED", 40)

    claimed = logged_at(service.api, "claimed", begun.request)
    given_up = logged_at(service.api, "A mail was not delivered within 15 s.", begun.request)
    assert given_up - claimed < timedelta(seconds=16)
    assert fetch_row(service.database, STALLED).password_hash is None
