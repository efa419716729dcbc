"""Answers, mails and rows as plain data, which a record may hold: no code, no hash."""

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pandas as pd

from beefirst.laboratory.mail_server import Taken, text_of
from beefirst.laboratory.raw_http import Answer


def record_answer(response: httpx.Response) -> dict[str, Any]:
    """Return an answer of the API as it came: its status, reason, headers (by lower-case name) and body."""
    return {
        "status": response.status_code,
        "reason": response.reason_phrase,
        "headers": {name.lower(): value for name, value in response.headers.items()},
        "body": response.text,
    }


def record_answers(answers: Sequence[Answer], **beside: Sequence[object]) -> pd.DataFrame:
    """Return answers as they came, one a line.

    Args:
        answers: to requests that were sent at once.
        beside: what else is known of each, by the name of a column.
    """
    columns = ["status", "body", "seconds", "began"]
    rows = [(answer.status, answer.body.decode(errors="replace"), answer.seconds, answer.began) for answer in answers]
    return pd.DataFrame({**beside, **pd.DataFrame(rows, columns=columns)})


def record_mail(taken: Taken, code: str) -> dict[str, Any]:
    """Return a mail as it was taken: what the client called itself, sender, recipients, headers, kind and text.

    Args:
        taken: by the mail server.
        code: instead of which every digit is a 9.
    """
    return {
        "client": taken.client,
        "sender": taken.sender,
        "recipients": [*taken.recipients],
        "headers": {name: without(code, str(value)) for name, value in taken.message.items()},
        "kind": taken.message.get_content_type(),
        "text": without(code, text_of(taken.message)),
    }


def without(code: str, text: str) -> str:
    """Return a text in which a code keeps its shape only: every digit of it is a 9."""
    return re.sub(rf"(?<!\d){re.escape(code)}(?!\d)", "9" * len(code), text) if code else text


def digester() -> Callable[[object], str]:
    """Return what tells whether two things are equal, and nothing else of them.

    Its salt is never told: of a digest without one, a code of four digits can be found by trying all of them.
    """
    salt = secrets.token_bytes(16)
    return lambda thing: hashlib.sha256(salt + repr(thing).encode()).hexdigest()
