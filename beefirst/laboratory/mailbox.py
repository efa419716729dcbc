"""A mail server of one's own: real SMTP on a free port of this machine, and every mail that came, to look at."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage

import pandas as pd

from beefirst.errors import MailError
from beefirst.laboratory.cleanup import Owned, uninterrupted
from beefirst.laboratory.mail_server import Handler, Held, MailServer, Taken, text_of

CODE = re.compile(r"\bcode is ([0-9]{4})\b")


class Mailbox(Owned):
    """A mail server in this process that takes every mail; it ends with its `with` block, or when nothing refers to it.

    Attributes:
        url: what MAIL_URL is to be.
    """

    def __init__(self) -> None:
        # The server's thread knows its handler and not the mailbox, which so can go while it runs.
        self._server = server = self._make_server()
        self._mails, self._held, self._arrival = server.handler.mails, server.handler.held, server.handler.arrival
        with self._making() as parts, uninterrupted():
            parts.callback(server.end)
            server.start()
        self.url = server.url

    def _make_server(self) -> MailServer:
        return MailServer(Handler())

    @property
    def messages(self) -> list[EmailMessage]:
        """Every mail that was taken, in order of arrival."""
        return [taken.message for taken in self._mails]

    @property
    def taken(self) -> Sequence[Taken]:
        """Every mail that was taken, in order of arrival, and how it came."""
        return [*self._mails]

    def wait_for(self, address: str, count: int = 1, seconds: float = 10) -> list[EmailMessage]:
        """Return the mails to an address once there are `count` of them.

        Raises:
            MailError: there were fewer after `seconds`.
        """
        return [taken.message for taken in self.wait_for_taken(address, count, seconds)]

    def wait_for_taken(self, address: str, count: int = 1, seconds: float = 10) -> list[Taken]:
        """Do as `wait_for`, and return with each mail how it came."""
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._to(address)) >= count, seconds):
                raise MailError(f"{len(self._to(address))} of {count} mails to {address} came within {seconds:g} s.")
            return self._to(address)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let every mail that comes in this block wait for the server's reply until the end of it."""
        self._server.let_wait(True)
        try:
            yield
        finally:
            self._server.let_wait(False)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let the mail server be gone in this block: it hangs up, and nothing listens on its port."""
        self._server.go_away()
        try:
            yield
        finally:
            self._server.come_back()

    def wait_for_held(self, count: int, seconds: float = 10) -> Sequence[Held]:
        """Return the mails that have had to wait, once there are `count` of them or `seconds` are over."""
        with self._arrival:
            self._arrival.wait_for(lambda: len(self._held) >= count, seconds)
            return [*self._held]

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
        rows = [
            (taken.at, ", ".join(taken.recipients), taken.message["Subject"], text_of(taken.message).split("\n")[0])
            for taken in self._mails
        ]
        return pd.DataFrame(rows, columns=["when", "to", "subject", "text"])

    def _to(self, address: str) -> list[Taken]:
        return [taken for taken in self._mails if address in taken.recipients]

    def _codes(self, address: str) -> list[str]:
        return [code for taken in self._to(address) for code in CODE.findall(text_of(taken.message))]
