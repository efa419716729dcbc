"""Mail to a mail server that is not ours: what a real Postfix takes and refuses, and what the log says of it."""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from beefirst.errors import MailError
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from beefirst.mail.courier import create_courier
from beefirst.settings import Settings
from tests.support.http_client import fetch_row, register
from tests.support.postfix import DOMAIN, PASSWORD, USER, Postfix, needs_postfix, running_postfix

pytestmark = needs_postfix

CREDENTIALS = f"{USER}%40{DOMAIN}:{PASSWORD}@"


@pytest.fixture(scope="module")
def postfix(certificate: Path) -> Iterator[Postfix]:
    """One Postfix for every test here, each with recipients of its own."""
    with running_postfix(certificate) as running:
        yield running


def send_codes(url: str, recipients: Sequence[str], **settings: Any) -> None:
    """Deliver a code to each recipient at once, and take leave of the server.

    Raises:
        MailError: one of them could not be delivered.
    """

    async def send() -> None:
        settings.setdefault("mail_from", "noreply@beefirst.example")
        courier = create_courier(Settings.load(mail_url=url, **settings))
        try:
            await asyncio.gather(*(courier.send_code(recipient, "0412") for recipient in recipients))
        finally:
            await courier.close(1)

    asyncio.run(send())


def test_a_postfix_takes_a_mail_once(postfix: Postfix) -> None:
    send_codes(postfix.url("plain"), ["ada@example.com"])

    wait_until(lambda: postfix.sent("ada@example.com"))
    assert postfix.policy.asked["ada@example.com"] == 1


def test_a_recipient_that_does_not_exist_is_offered_once_and_logged_by_the_codes_of_the_reply(
    postfix: Postfix, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    postfix.policy.refuse("nobody@example.com", "550 5.1.1 no such user", 99)

    with pytest.raises(MailError) as refusal:
        send_codes(postfix.url("plain"), ["nobody@example.com"])

    assert str(refusal.value) == "A mail was not delivered in 1 tries: the server refused the recipient: 550 5.1.1."
    assert "mail not delivered, try 1 of 6: the server refused the recipient: 550 5.1.1" in caplog.text
    assert postfix.policy.asked["nobody@example.com"] == 1
    assert "nobody" not in caplog.text
    assert "no such user" not in caplog.text


def test_a_greylisted_mail_arrives_when_the_server_has_said_later_for_seconds(
    postfix: Postfix, caplog: pytest.LogCaptureFixture
) -> None:
    postfix.policy.refuse("grey@example.com", "451 4.7.1 greylisted", 3)

    send_codes(postfix.url("plain"), ["grey@example.com"])

    wait_until(lambda: postfix.sent("grey@example.com"))
    assert "mail not delivered, try 3 of 6: the server refused the recipient: 451 4.7.1" in caplog.text


def test_starttls_is_used_with_a_certificate_that_signed_itself_where_there_are_no_credentials(
    postfix: Postfix,
) -> None:
    send_codes(postfix.url("encrypted"), ["encrypted@example.com"])

    wait_until(lambda: postfix.sent("encrypted@example.com"))
    wait_until(lambda: "starttls=1" in postfix.log("encrypted"))


def test_a_login_over_verified_tls_lets_the_mail_in(
    postfix: Postfix, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    send_codes(postfix.url("asking", CREDENTIALS), ["login@example.com"])

    wait_until(lambda: postfix.sent("login@example.com"))
    assert f"sasl_username={USER}@{DOMAIN}" in postfix.log("asking")


CERTIFICATE = (
    "the server's certificate is not verified (self-signed certificate): name its CA in SSL_CERT_FILE, "
    "or the host in MAIL_URL as the certificate has it"
)
LOGIN = "the server refused the login: 535 5.7.8 (put the right user and password into MAIL_URL)"
NO_TLS = (
    "the server offers no TLS, without which the user and password in MAIL_URL are not sent: "
    "name a port where it offers TLS, or use smtps://"
)
NO_LOGIN = (
    "the server offers no login that is known here: leave the user and password out of MAIL_URL, or name its port"
)
NAME = "set MAIL_HELO to the full name of this host"
NO_TLS_SPOKEN = "the server does not speak TLS from the start: name a port where it does, or use smtp://"


@pytest.mark.parametrize(
    ("service", "credentials", "trusted", "said"),
    [
        ("asking", CREDENTIALS, False, CERTIFICATE),
        ("asking", f"{USER}%40{DOMAIN}:another@", True, LOGIN),
        ("asking", "", False, "the server refused the recipient: 554 5.7.1"),
        ("plain", CREDENTIALS, True, NO_TLS),
        ("encrypted", CREDENTIALS, True, NO_LOGIN),
    ],
)
def test_what_is_ours_to_mend_is_said_at_the_first_try_and_holds_no_secret(
    postfix: Postfix,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    service: str,
    credentials: str,
    trusted: bool,
    said: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with pytest.raises(MailError) as refusal:
        send_codes(postfix.url(service, credentials), ["never@example.com"])

    assert str(refusal.value) == f"A mail was not delivered in 1 tries: {said}."
    assert f"try 1 of 6: {said}" in caplog.text
    assert not [secret for secret in (PASSWORD, "another", USER, "never@", "0412") if secret in caplog.text]
    assert postfix.policy.asked["never@example.com"] == 0


@pytest.mark.parametrize(("service", "refused"), [("naming", "504 5.5.2"), ("naming-at-once", "504 5.5.2")])
def test_a_name_that_the_server_refuses_is_told_with_the_setting_that_mends_it(
    postfix: Postfix, service: str, refused: str
) -> None:
    with pytest.raises(MailError) as refusal:
        send_codes(postfix.url(service), ["unnamed@example.com"], mail_helo="localhost")

    assert str(refusal.value) == (
        f"A mail was not delivered in 1 tries: the server refused the name in EHLO: {refused} ({NAME})."
    )


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "beefirst.example"),
        ({"mail_helo": "mx.example.org"}, "mx.example.org"),
        ({"mail_helo": "[192.0.2.1]"}, "[192.0.2.1]"),
    ],
)
def test_a_server_that_asks_for_a_full_name_gets_one(postfix: Postfix, settings: dict[str, str], name: str) -> None:
    recipient = f"named-{name.strip('[]')}@example.com"

    send_codes(postfix.url("naming-at-once"), [recipient], **settings)

    wait_until(lambda: postfix.sent(recipient))
    assert postfix.policy.names[recipient] == name


def test_without_a_domain_in_the_sender_the_name_is_that_of_this_host(postfix: Postfix) -> None:
    send_codes(postfix.url("plain"), ["host@example.com"], mail_from="beefirst@localhost")

    assert postfix.policy.names["host@example.com"] == socket.getfqdn()


def test_a_port_that_speaks_no_tls_from_the_start_is_told(postfix: Postfix) -> None:
    with pytest.raises(MailError, match=f"in 1 tries: {NO_TLS_SPOKEN}"):
        send_codes(postfix.url("plain").replace("smtp:", "smtps:"), ["tls@example.com"])


@pytest.fixture
def slow(postfix: Postfix) -> Iterator[Postfix]:
    """Postfix, whose judgement of each recipient takes half a second."""
    postfix.policy.seconds = 0.5
    yield postfix
    postfix.policy.seconds = 0.0


def test_ten_claims_at_once_get_their_codes_from_a_server_that_allows_three_connections(
    slow: Postfix, database: ScratchDatabase
) -> None:
    recipients = [f"claim-{number}@example.com" for number in range(10)]

    with start_api(database.url, MAIL_URL=slow.url("three-at-once"), MAIL_FROM="noreply@beefirst.example") as api:
        with ThreadPoolExecutor(10) as threads:
            answers = list(threads.map(lambda recipient: register(api, recipient).status_code, recipients))
        wait_until(lambda: all(slow.sent(recipient) for recipient in recipients), 40)
        states = {fetch_row(database, recipient).state for recipient in recipients}
        api.send_signal(signal.SIGTERM)
        status = api.wait_for_end()

    assert answers == [202] * 10
    assert [slow.sent(recipient) for recipient in recipients] == [1] * 10
    assert states == {"CLAIMED"}
    assert "not delivered" not in api.log()
    assert status == 0
    wait_until(lambda: slow.log("three-at-once").count(" quit=1") == slow.log("three-at-once").count(": connect from "))


def test_ten_mails_over_more_connections_than_the_server_allows_arrive_as_well(
    slow: Postfix, caplog: pytest.LogCaptureFixture
) -> None:
    recipients = [f"many-{number}@example.com" for number in range(10)]

    send_codes(slow.url("three-at-once"), recipients, mail_connections=10)

    wait_until(lambda: all(slow.sent(recipient) for recipient in recipients))
    assert [slow.sent(recipient) for recipient in recipients] == [1] * 10
    assert "the server refused the connection: 421 4.7.0 (set MAIL_CONNECTIONS to as many as it allows" in caplog.text


def test_a_server_that_allows_no_more_connections_than_are_shared_costs_no_mail_a_try(
    slow: Postfix, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("beefirst.mail.connections.LINE_SECONDS", 0.25)  # each mail holds its connection for longer
    before = slow.log("three-at-once")
    recipients = [f"held-{number}@example.com" for number in range(12)]

    send_codes(slow.url("three-at-once"), recipients, mail_connections=3)

    wait_until(lambda: all(slow.sent(recipient) for recipient in recipients))
    assert [slow.sent(recipient) for recipient in recipients] == [1] * 12
    assert "Connection concurrency limit exceeded" in slow.log("three-at-once").removeprefix(before)
    assert "MAIL_CONNECTIONS" not in caplog.text


def test_twenty_mails_share_two_connections_which_end_politely(
    postfix: Postfix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beefirst.mail.connections.LINE_SECONDS", 60)
    before = postfix.log("plain")
    recipients = [f"shared-{number}@example.com" for number in range(20)]

    send_codes(postfix.url("plain"), recipients, mail_connections=2)

    wait_until(lambda: all(postfix.sent(recipient) for recipient in recipients))
    wait_until(lambda: postfix.log("plain").count(" quit=1") - before.count(" quit=1") == 2)
    assert postfix.log("plain").count(": connect from ") - before.count(": connect from ") == 2


def test_a_connection_that_nobody_uses_ends_after_a_while(postfix: Postfix) -> None:
    async def send_and_wait() -> None:
        before = postfix.log("plain").count(" quit=1")
        courier = create_courier(Settings.load(mail_url=postfix.url("plain"), mail_from="noreply@beefirst.example"))
        await courier.send_code("idle@example.com", "0412")
        await asyncio.to_thread(wait_until, lambda: postfix.log("plain").count(" quit=1") > before)

    asyncio.run(send_and_wait())


def test_a_connection_on_which_the_server_has_hung_up_costs_no_mail(
    postfix: Postfix, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("beefirst.mail.connections.IDLE_SECONDS", 60)

    async def send_twice() -> None:
        url = postfix.url("hanging-up")
        courier = create_courier(Settings.load(mail_url=url, mail_from="noreply@beefirst.example"))
        await courier.send_code("first@example.com", "0412")
        await asyncio.to_thread(wait_until, lambda: "timeout after" in postfix.log("hanging-up"))
        await courier.send_code("second@example.com", "0412")
        await courier.close(1)

    asyncio.run(send_twice())

    wait_until(lambda: postfix.sent("second@example.com"))
    assert (postfix.sent("first@example.com"), postfix.sent("second@example.com")) == (1, 1)
    assert caplog.text == ""
