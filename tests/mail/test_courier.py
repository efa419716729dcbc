"""One mail on its way to a server: what it holds, over which connection, and how often it is tried."""

import asyncio
import base64
import logging
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from beefirst.errors import ConfigurationError, MailError
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from beefirst.mail.courier import NOTICES, Courier, create_courier
from beefirst.registration.states import State
from beefirst.settings import Settings
from tests.conftest import SECRET
from tests.mail.conftest import MakeCertificate
from tests.support.http_client import register
from tests.support.mail_servers import (
    Step,
    WatchedMailbox,
    asking_in_the_clear,
    refusing,
    speaking_tls,
    stalling,
    taking_one_mail,
    vanishing,
)

pytestmark = pytest.mark.usefixtures("late_replies")

ADA, GRACE = "ada@example.com", "grace@example.com"
STALLED = "stalled@example.com"
USER = "mailer@example.org"
PASSWORD = f"{SECRET}@:/%"
CODE_MAIL = "Your code for beefirst"
NOTICE = "An attempt to register your address"


def courier(url: str) -> Courier:
    """Return a courier that delivers to a server."""
    return create_courier(Settings.load(mail_url=url, mail_from="noreply@beefirst.example", ttl_seconds=90))


def send_code(url: str, email: str = ADA) -> None:
    """Deliver a code to a server."""
    asyncio.run(courier(url).send_code(email, "0412"))


def with_credentials(url: str) -> str:
    """Return the URL of a server with a user and a password that hold what must be percent-encoded."""
    return url.replace("://", f"://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@")


class LateReplies(NamedTuple):
    """Mails that take their time, which passes during the tests of this module.

    Attributes:
        confirmed: taken at once, and confirmed after 7 seconds.
        refused: told to come later, at the recipient and once all of it has come, whenever they come.
        absent: has no server.
    """

    confirmed: tuple[WatchedMailbox, Future[None]]
    refused: list[tuple[WatchedMailbox, Future[None]]]
    absent: Future[None]


@pytest.fixture(scope="module")
def late_replies() -> Iterator[LateReplies]:
    """Begins with the first test of the module."""
    with (
        stalling(at="DATA", seconds=7) as late,
        refusing("451 4.7.1 later", at="RCPT") as first,
        refusing("451 4.7.1 later", at="DATA") as second,
        ThreadPoolExecutor(4) as thread,
    ):
        yield LateReplies(
            (late, thread.submit(send_code, late.url)),
            [(mailbox, thread.submit(send_code, mailbox.url)) for mailbox in (first, second)],
            thread.submit(send_code, f"smtp://127.0.0.1:{free_port()}"),
        )


def test_a_code_arrives_as_plain_text_with_the_headers_that_mail_should_have() -> None:
    with WatchedMailbox() as mailbox:
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
    with WatchedMailbox() as mailbox:
        asyncio.run(courier(mailbox.url).send_notice(ADA, state))
        [message] = mailbox.wait_for(ADA)

    assert message["Subject"] == NOTICE
    assert word in message.get_content()
    assert not re.search(r"\d{4}", message.get_content())


def test_a_server_without_tls_gets_mail_in_the_clear() -> None:
    with WatchedMailbox() as mailbox:
        send_code(mailbox.url)

    assert mailbox.encrypted == [False]


def test_starttls_is_used_where_it_is_offered_whoever_signed_the_certificate(certificate: Path) -> None:
    with speaking_tls(certificate, required=True) as mailbox:
        send_code(mailbox.url)

    assert mailbox.encrypted == [True]
    assert len(mailbox.messages) == 1


def test_credentials_are_never_sent_without_tls() -> None:
    with asking_in_the_clear((USER, PASSWORD)) as mailbox, pytest.raises(MailError):
        send_code(with_credentials(mailbox.url))

    assert (mailbox.logins, mailbox.offered) == ([], [])


def test_credentials_are_never_sent_to_a_server_whose_certificate_nobody_vouches_for(certificate: Path) -> None:
    with speaking_tls(certificate, credentials=(USER, PASSWORD)) as mailbox, pytest.raises(MailError):
        send_code(with_credentials(mailbox.url))

    assert (mailbox.logins, mailbox.offered) == ([], [])


def test_credentials_are_never_sent_to_a_server_that_shows_the_certificate_of_another(
    make_certificate: MakeCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_another = make_certificate("DNS:mail.example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(of_another))

    with speaking_tls(of_another, credentials=(USER, PASSWORD)) as mailbox, pytest.raises(MailError):
        send_code(with_credentials(mailbox.url))

    assert (mailbox.logins, mailbox.offered) == ([], [])


@pytest.mark.parametrize("implicit", [False, True], ids=["smtp", "smtps"])
def test_credentials_are_sent_over_tls_to_a_server_whose_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, implicit: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with speaking_tls(certificate, implicit=implicit, credentials=(USER, PASSWORD)) as mailbox:
        send_code(with_credentials(mailbox.url))

    assert (mailbox.logins, mailbox.encrypted) == ([USER], [True])
    assert len(mailbox.messages) == 1


def test_wrong_credentials_are_tried_once_and_no_mail_goes_out(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with speaking_tls(certificate, credentials=(USER, "another")) as mailbox, pytest.raises(MailError):
        send_code(with_credentials(mailbox.url))

    assert set(mailbox.logins) == {USER}
    assert mailbox.offered == []


def test_smtps_delivers_to_a_server_whose_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with speaking_tls(certificate, implicit=True) as mailbox:
        send_code(mailbox.url)

    assert mailbox.url.startswith("smtps://")
    assert mailbox.encrypted == [True]


def test_smtps_delivers_to_no_server_whose_certificate_nobody_vouches_for(certificate: Path) -> None:
    with speaking_tls(certificate, implicit=True) as mailbox, pytest.raises(MailError):
        send_code(mailbox.url)

    assert mailbox.offered == []


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r"])
def test_a_line_break_never_reaches_a_header(line_break: str) -> None:
    with WatchedMailbox() as mailbox, pytest.raises(ValueError, match="may not contain linefeed"):
        send_code(mailbox.url, f"ada@example.com{line_break}Bcc: eve@example.com")

    assert mailbox.offered == []


def test_sixty_recipients_whose_server_stalls_delay_nobody_else() -> None:
    async def send_beside(url: str) -> None:
        post = courier(url)
        stalled = [asyncio.create_task(post.send_code(STALLED, "0000")) for _ in range(60)]
        await asyncio.sleep(0)
        async with asyncio.timeout(14):
            await post.send_code(ADA, "0412")
        for task in stalled:
            task.cancel()
        await asyncio.gather(*stalled, return_exceptions=True)

    with stalling(only=STALLED) as mailbox:
        asyncio.run(send_beside(mailbox.url))

    assert [message["To"] for message in mailbox.messages] == [ADA]


def test_a_server_that_says_later_is_tried_as_long_as_a_mail_has_time(late_replies: LateReplies) -> None:
    errors = [str(delivery.exception()) for _, delivery in late_replies.refused]

    assert errors == [
        f"A mail was not delivered in 6 tries: the server refused the {what}: 451 4.7.1."
        for what in ("recipient", "mail")
    ]
    assert [mailbox.offered for mailbox, _ in late_replies.refused] == [[ADA] * 6] * 2


def test_a_server_that_says_later_twice_gets_the_mail_once() -> None:
    with refusing("451 later", times=2) as mailbox:
        send_code(mailbox.url)

    assert mailbox.offered == [ADA] * 3
    assert len(mailbox.messages) == 1


def test_a_server_that_has_the_mail_and_hangs_up_may_have_sent_it(caplog: pytest.LogCaptureFixture) -> None:
    with vanishing() as mailbox:
        send_code(mailbox.url)

    assert mailbox.offered == [ADA]
    assert len(mailbox.messages) == 1
    assert "a mail counts as sent, though the server has not said what became of it: the server hung up" in caplog.text
    assert ADA not in caplog.text


@pytest.mark.parametrize("reply", [None, "421 4.7.0 enough of you", "452 4.5.3 enough of you", "550 enough of you"])
def test_a_server_that_takes_one_mail_on_a_connection_gets_the_next_on_another(
    caplog: pytest.LogCaptureFixture, reply: str | None
) -> None:
    async def send_two(url: str) -> None:
        post = courier(url)
        await post.send_code(ADA, "0412")
        await post.send_code(GRACE, "0413")
        await post.close(1)

    with taking_one_mail(reply) as mailbox:
        asyncio.run(send_two(mailbox.url))

    assert [message["To"] for message in mailbox.messages] == [ADA, GRACE]
    assert not re.search("the sender|hung up", caplog.text)  # beside what late_replies logs meanwhile


def test_a_connection_that_is_left_open_by_one_mail_takes_the_next_once_even_where_that_gets_no_reply(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def send_two(url: str) -> None:
        post = courier(url)
        await post.send_code(GRACE, "0412")
        await post.send_code(ADA, "0413")
        await post.close(1)

    with vanishing(only=ADA) as mailbox:
        asyncio.run(send_two(mailbox.url))

    assert [message["To"] for message in mailbox.messages] == [GRACE, ADA]
    assert len(mailbox.connections) == 1
    assert "a mail counts as sent" in caplog.text


def test_a_line_that_begins_with_a_dot_arrives_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NOTICES, State.ACTIVE, ".\n..two\n")

    with WatchedMailbox() as mailbox:
        asyncio.run(courier(mailbox.url).send_notice(ADA, State.ACTIVE))

    assert mailbox.messages[0].get_content().split() == ["Hello,", ".", "..two"]


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
def test_a_server_that_says_never_is_tried_once(step: Step) -> None:
    with refusing("550 no such user", at=step) as mailbox, pytest.raises(MailError):
        send_code(mailbox.url)

    assert mailbox.offered == [ADA]


def test_a_server_that_does_not_listen_is_a_mail_error_that_says_so(late_replies: LateReplies) -> None:
    reason = "no connection to the server (Connection refused): put its host and port into MAIL_URL"

    assert str(late_replies.absent.exception()) == f"A mail was not delivered in 6 tries: {reason}."


def test_what_a_server_quotes_is_not_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with (
        refusing(f"550 no such user {ADA}, for you sent 0412") as mailbox,
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
    with speaking_tls(certificate, credentials=(USER, PASSWORD)) as mailbox:
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


def test_a_server_that_has_the_mail_and_answers_late_is_waited_for(late_replies: LateReplies) -> None:
    mailbox, delivery = late_replies.confirmed
    delivery.result()  # the 7 seconds are longer than the courier waits for any other reply

    assert mailbox.offered == [ADA]
