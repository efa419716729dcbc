"""A mail server of one's own: real SMTP on a free port of this machine, and every mail that came, to look at."""

import re
from email.message import EmailMessage

import pandas as pd

from beefirst.errors import MailError
from beefirst.laboratory.cleanup import Owned, uninterrupted
from beefirst.laboratory.mail_server import Handler, MailServer

CODE = re.compile(r"\bcode is ([0-9]{4})\b")


class Mailbox(Owned):
    """A mail server in this process that takes every mail; it ends with its `with` block, or when nothing refers to it.

    Attributes:
        url: what MAIL_URL is to be.
    """

    def __init__(self) -> None:
        # The server's thread knows its handler and not the mailbox, which so can go while it runs.
        self._server = server = self._make_server()
        self._mails, self._arrival = server.handler.mails, server.handler.arrival
        with self._making() as parts, uninterrupted():
            parts.callback(server.end)
            server.start()
        self.url = server.url

    def _make_server(self) -> MailServer:
        return MailServer(Handler())

    @property
    def messages(self) -> list[EmailMessage]:
        """Every mail that was taken, in order of arrival."""
        return [message for _, _, message in self._mails]

    def wait_for(self, address: str, count: int = 1, seconds: float = 10) -> list[EmailMessage]:
        """Return the mails to an address once there are `count` of them.

        Raises:
            MailError: there were fewer after `seconds`.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._to(address)) >= count, seconds):
                raise MailError(f"{len(self._to(address))} of {count} mails to {address} came within {seconds:g} s.")
            return self._to(address)

    def code_for(self, address: str, count: int = 1, seconds: float = 10) -> str:
        """Return the newest code that was mailed to an address, once there are `count` of them.

        Raises:
            MailError: there were fewer after `seconds`.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._codes(address)) >= count, seconds):
                raise MailError(
                    f"{len(self._codes(address))} of {count} codes for {address} came within {seconds:g} s."
                )
            return self._codes(address)[-1]

    def table(self) -> pd.DataFrame:
        """Return the mails as a table with the columns when, to, subject and text, which is the first line of it."""
        rows = [(at, ", ".join(to), mail["Subject"], _text(mail).split("\n")[0]) for at, to, mail in self._mails]
        return pd.DataFrame(rows, columns=["when", "to", "subject", "text"])

    def _to(self, address: str) -> list[EmailMessage]:
        return [message for _, to, message in self._mails if address in to]

    def _codes(self, address: str) -> list[str]:
        return [code for message in self._to(address) for code in CODE.findall(_text(message))]


def _text(message: EmailMessage) -> str:
    body = message.get_body(("plain", "html"))  # what is no plain text is for experiments to judge
    return str(body.get_content()).replace("\r\n", "\n") if body else ""
