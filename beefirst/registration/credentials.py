"""What a registration is made with: the one spelling of an address, a password that may be used, a code.

As all of `registration`, it knows no framework and no driver.
"""

import re
import secrets

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from beefirst.errors import AddressRefusedError, PasswordRefusedError
from beefirst.registration.common_passwords import is_common

ADDRESS_MAX_LENGTH = 254
"""RFC 5321, 4.5.3.1.3: a path has at most 256 characters, two of them the angle brackets."""

TOO_LONG = f"must have at most {ADDRESS_MAX_LENGTH} characters"

ORDINARY = re.compile(
    r"[A-Za-z0-9]+(?:[._+-][A-Za-z0-9]+)*@(?:[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\.)+"
    rf"(?!(?:{'|'.join(SPECIAL_USE_DOMAIN_NAMES)})\Z)[A-Za-z]{{2,}}",
    re.IGNORECASE | re.ASCII,
)
"""Most addresses by far, of which nothing needs to be worked out: the library is slow, and takes them as they are."""

ORDINARY_MAX_LENGTH = 64
"""Within it no part of an address can be too long."""

TYPED_MAX_LENGTH = 2 * ADDRESS_MAX_LENGTH
"""What is longer, however its letters are composed, is not worked out: that would hold up all other requests."""

ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?", re.IGNORECASE)

PASSWORD_MIN_CHARACTERS = 8
"""OWASP ASVS 5.0, 6.2.1."""

UNUSABLE = re.compile("[\0\ud800-\udfff]")
"""What bcrypt stops at, and what has no bytes in UTF-8."""

PASSWORD_MAX_BYTES = 72
"""bcrypt reads no more; a longer password is refused rather than cut short (OWASP ASVS 5.0, 6.2.8)."""

CODE_DIGITS = 4
"""The specification: verification_code CHAR(4)."""


def normalise_address(text: str) -> str:
    """Return the one spelling under which an address is stored and looked up.

    Args:
        text: as somebody typed it. Space around it and upper case do not matter; an international domain
            becomes its xn-- form.

    Returns:
        ASCII, lower-case, at most ADDRESS_MAX_LENGTH characters.

    Raises:
        AddressRefusedError: it is no address, or holds other characters beyond ASCII; the message repeats none of it.
    """
    if len(text) > TYPED_MAX_LENGTH:
        raise AddressRefusedError(TOO_LONG)
    text = text.strip()
    if len(text) <= ORDINARY_MAX_LENGTH and ORDINARY.fullmatch(text):
        return text.lower()
    try:
        address = validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise AddressRefusedError("must be an e-mail address such as ada@example.com, in ASCII before the @") from None
    if ENCODED_WORD.search(address.local_part):  # forbidden by RFC 2047, 5; some mail programs would decode it
        raise AddressRefusedError("must not hold an encoded word such as =?utf-8?q?…?= before the @")
    if not text.isascii() and address.domain.isascii():  # a look-alike, such as a full-width letter
        raise AddressRefusedError("must have a domain in ASCII, or an international one that has an xn-- form")
    email = str(address.ascii_email).lower()  # there is one, for ASCII is asked for before the @
    if len(email) > ADDRESS_MAX_LENGTH:
        raise AddressRefusedError(TOO_LONG)
    return email


def check_password(password: str) -> str:
    """Return a password that may be used.

    Raises:
        PasswordRefusedError: it is too short, too long, a common one, or holds NUL; the message repeats none of it.
    """
    if len(password) < PASSWORD_MIN_CHARACTERS:
        raise PasswordRefusedError(f"must have at least {PASSWORD_MIN_CHARACTERS} characters")
    if len(password.encode(errors="replace")) > PASSWORD_MAX_BYTES:
        raise PasswordRefusedError(f"must have at most {PASSWORD_MAX_BYTES} bytes in UTF-8")
    if UNUSABLE.search(password):
        raise PasswordRefusedError("must not hold the character NUL or half of a surrogate pair")
    if is_common(password):
        raise PasswordRefusedError("must not be one of the most common passwords")
    return password


def draw_code() -> str:
    """Return four digits from the system's cryptographic generator (OWASP ASVS 5.0, 6.5.3)."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
