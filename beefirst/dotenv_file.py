"""What the reader of `.env` would pass over in silence, and with it a value that somebody has chosen."""

import re
from collections.abc import Set
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from beefirst.errors import ConfigurationError

DOTENV = ".env"
NOT_TEXT = "The file .env is not UTF-8 text: save it as UTF-8."


def refuse_unreadable_lines(names: Set[str]) -> None:
    """Refuse a line from which a setting is not read as whoever wrote it would expect.

    Args:
        names: of the settings, in lower case.

    Raises:
        ConfigurationError: names the line, and shows nothing of it.
        UnicodeDecodeError: the file is no text.
        OSError: the file cannot be read.
    """
    dotenv = Path(DOTENV)
    if not dotenv.is_file():
        return
    text = dotenv.read_text(encoding="utf-8-sig")
    if "\0" in text:  # UTF-16 without its mark
        raise ConfigurationError(NOT_TEXT)
    for statement in parse_stream(StringIO(text)):
        if statement.error or _is_misread(statement, names):
            where = f"Line {statement.original.line} of the file .env"
            raise ConfigurationError(f"{where} cannot be read: write it as NAME=value, on one line.")


def _is_misread(statement: Binding, names: Set[str]) -> bool:
    key, value = (statement.key or "").lower(), (statement.value or "").lower()
    if key in names:
        return "\n" in value or "\r" in value  # no setting has lines: what follows an open quote is taken for its own
    swallowed = [line.partition("=")[0] for line in value.splitlines()[1:] if "=" in line]
    return any(names & set(re.split(r"[^\w.-]+", part)) for part in (key, *swallowed))
