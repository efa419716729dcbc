"""A mailbox keeps its reply back for as long as it is told to, and tells what waited and how each mail came."""

import smtplib
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from urllib.parse import urlsplit

from beefirst.laboratory.mailbox import Mailbox
from beefirst.laboratory.recording import record_mail, without


def send(mailbox: Mailbox, text: str) -> str:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "A code"
    message.set_content(text)
    where = urlsplit(mailbox.url)
    with smtplib.SMTP(where.hostname or "", where.port or 0, local_hostname="client.example") as client:
        client.send_message(message)
    return "sent"


def test_a_mail_that_is_held_is_taken_at_the_end_of_the_block() -> None:
    with Mailbox() as mailbox, ThreadPoolExecutor(1) as thread:
        with mailbox.holding():
            sending = thread.submit(send, mailbox, "It waits.")
            held = mailbox.wait_for_held(1)
            while_held = (sending.done(), mailbox.messages)
        (taken,) = mailbox.wait_for_taken("b@example.com")

        assert while_held == (False, [])
        assert sending.result() == "sent"
        assert [it.at <= taken.at for it in held] == [True]


def test_a_mail_is_recorded_as_it_came_but_for_its_code() -> None:
    with Mailbox() as mailbox:
        send(mailbox, "The code is 0402, and 10402 is none.")
        recorded = record_mail(mailbox.wait_for_taken("b@example.com")[0], "0402")

    assert recorded["text"] == "The code is 9999, and 10402 is none.\n"
    assert (recorded["client"], recorded["sender"], recorded["recipients"], recorded["kind"]) == (
        "client.example",
        "a@example.com",
        ["b@example.com"],
        "text/plain",
    )


def test_a_text_without_a_code_stays_as_it_is() -> None:
    assert without("", "within 60 seconds") == "within 60 seconds"
