"""The passwords that everybody tries first: OWASP ASVS 5.0, 6.2.4, asks that the 3,000 most common be refused."""

from functools import cache
from pathlib import Path

LIST = Path(__file__).with_name("common_passwords.txt")
"""As `python -m tests.tools.list_common_passwords` writes it: where they are from, a blank line, and one a line."""


@cache
def common_passwords() -> frozenset[str]:
    """Return all of the list, in lower case; it is read once."""
    return frozenset(LIST.read_text(encoding="ascii").partition("\n\n")[2].splitlines())


def is_common(password: str) -> bool:
    """Tell whether a password is one of the list, in capitals or not.

    Lists of what was found are kept in lower case, and who guesses tries a capital at once: compared as it is typed,
    `Password1` would pass.
    """
    return password.lower() in common_passwords()
