"""Whether the API's mail follows its settings: where it goes, whom it is from, and on how many connections."""

from collections.abc import Callable, Mapping
from typing import Any

LATE_SECONDS = 5.0
"""What a mail has to wait, from its registration on, for a connection beyond MAIL_CONNECTIONS."""

Seen = Mapping[str, Any]
Finding = tuple[str, bool]


def _judge_mail_url(_: str, seen: Seen) -> Finding:
    mail = seen["mail"]
    return f"this mail server took a mail for {', '.join(mail['recipients'])}", mail["recipients"] == [seen["email"]]


def _judge_mail_from(value: str, seen: Seen) -> Finding:
    mail = seen["mail"]
    senders = [mail["sender"], mail["headers"].get("From")]
    return f"the mail is from {' and '.join(map(str, senders))}", senders == [value, value]


def _judge_mail_helo(value: str, seen: Seen) -> Finding:
    return f"to the mail server it is {seen['mail']['client']}", seen["mail"]["client"] == value


def _judge_mail_connections(value: str, seen: Seen) -> Finding:
    held = seen["held"]
    count = held.loc[held["seconds"] < LATE_SECONDS, "connection"].nunique()
    return f"{count} connections to a mail server that does not reply", count == int(value)


JUDGES: Mapping[str, Callable[[str, Seen], Finding]] = {
    "MAIL_URL": _judge_mail_url,
    "MAIL_FROM": _judge_mail_from,
    "MAIL_HELO": _judge_mail_helo,
    "MAIL_CONNECTIONS": _judge_mail_connections,
}
"""What tells of each setting, by what was observed of the API, whether it is in effect."""
