"""Addresses, passwords and codes: what is taken, what is refused, and that a refusal repeats nothing."""

import random

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beefirst.errors import AddressRefusedError, PasswordRefusedError
from beefirst.registration.credentials import (
    check_password,
    draw_code,
    normalise_address,
)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM\t\n", "ada@example.com"),
        ("\u2003ada@example.com\u00a0", "ada@example.com"),
        ("Ada+Work@example.com", "ada+work@example.com"),
        ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
        ("Ada@Bücher.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@XN--BCHER-KVA.Example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@bu\u0308cher.example.com", "ada@xn--bcher-kva.example.com"),
        (f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.com", f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.com"),
    ],
)
def test_every_spelling_of_an_address_is_stored_as_one(typed: str, stored: str) -> None:
    assert normalise_address(typed) == stored


NO_ADDRESS = "must be an e-mail address such as ada@example.com, in ASCII before the @"
NO_DOMAIN = "must have a domain in ASCII, or an international one that has an xn-- form"
TOO_LONG = "must have at most 254 characters"
ENCODED = "must not hold an encoded word such as =?utf-8?q?…?= before the @"

RULES = {
    "=?utf-8?q?zoe?=@example.com": ENCODED,
    "zoe@\uff45xample.com": NO_DOMAIN,
    "zoe@example\u3002com": NO_DOMAIN,
    f"{'zoe' * 200}@example.com": TOO_LONG,
    "\u212azoe@example.com": NO_ADDRESS,
    "zoe@example.com\ud800": NO_ADDRESS,
}
"""Why an address is refused; NO_ADDRESS where it is not named here."""


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?zoe?=@example.com",
        f"{'zoe' * 200}@example.com",
        "",
        "   ",
        "zoe",
        "@example.com",
        "zoe@",
        "zoe@localhost",
        "zoe@@example.com",
        "zoe@example.com,bob@example.com",
        "zoe@example.com\nBcc: bob@example.com",
        "zoe\0@example.com",
        "zoe z@example.com",
        ".zoe@example.com",
        "zoe@-example.com",
        "zoe@[127.0.0.1]",
        '"zoe"@example.com',
        "Ada <zoe@example.com>",
        "zoë@example.com",
        "\u212azoe@example.com",
        "zoe@\uff45xample.com",
        "zoe@example\u3002com",
        "zoe@example.com\ud800",
        "zoe@xn--a.com",
        f"zoe{'a' * 61}@{'b' * 63}.{'c' * 63}.{'d' * 58}.com",
        f"zoe@{'ü.' * 80}com",
    ],
)
def test_what_cannot_be_stored_in_one_spelling_is_refused_without_being_repeated(address: str) -> None:
    with pytest.raises(AddressRefusedError) as refusal:
        normalise_address(address)

    assert str(refusal.value) == RULES.get(address, NO_ADDRESS)


def is_accepted(text: str) -> bool:
    try:
        return bool(normalise_address(text))
    except AddressRefusedError:
        return False


typed = st.emails() | st.builds(
    "{}@{}.com".format, st.text("aB1+-_.=?", min_size=1), st.text("bA1-ü.ßı٣\u00ad\uff41", min_size=1)
)


@settings(deadline=None)
@given(typed | st.text("a@.ü\0 ", max_size=20) | st.text(max_size=20).map("{}@example.com".format))
def test_any_text_is_either_an_address_or_refused(text: str) -> None:
    assert is_accepted(text) in (True, False)


@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(typed.filter(is_accepted))
def test_a_stored_address_is_its_own_spelling_and_fits_the_schema(text: str) -> None:
    stored = normalise_address(text)

    assert normalise_address(f" {stored.upper()} ") == stored
    assert stored.isascii()
    assert stored.isprintable()
    assert stored == stored.lower().strip()
    assert len(stored) <= 254


@pytest.mark.parametrize(
    "password",
    ["8 chars.", "a" * 72, "ü" * 36, "𝄞" * 18, "        ", " kept as typed ", "line\nbreak", "correct horse"],
)
def test_a_password_of_8_characters_to_72_bytes_is_used_as_it_is(password: str) -> None:
    assert check_password(password) == password


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("", "at least 8 characters"),
        ("7 chars", "at least 8 characters"),
        ("𝄞" * 7, "at least 8 characters"),
        ("a" * 73, "at most 72 bytes"),
        ("ü" * 36 + "a", "at most 72 bytes"),
        ("𝄞" * 19, "at most 72 bytes"),
        ("long enough\0", "^must not hold the character NUL or half of a surrogate pair$"),
        ("long enough\ud800", "surrogate"),
        ("\udfff long enough", "surrogate"),
        ("PassWord1", "must not be one of the most common passwords"),
        ("1234567890", "must not be one of the most common passwords"),
    ],
)
def test_any_other_password_is_refused_by_its_rule_without_being_repeated(password: str, rule: str) -> None:
    with pytest.raises(PasswordRefusedError, match=rule) as refusal:
        check_password(password)

    assert password == "" or password not in str(refusal.value)


def test_a_code_is_four_digits_with_its_leading_zeros() -> None:
    codes = [draw_code() for _ in range(3000)]

    assert {len(code) for code in codes} == {4}
    assert set("".join(codes)) == set("0123456789")
    assert {code[0] for code in codes} == set("0123456789")


def test_codes_are_spread_and_no_seed_foretells_them() -> None:
    random.seed(1)
    first = [draw_code() for _ in range(1000)]
    random.seed(1)
    second = [draw_code() for _ in range(1000)]

    assert first != second
    assert len(set(first)) > 800


TOP_LEVELS = st.sampled_from(["com", "Example", "test", "LOCAL", "arpa", "onion", "localhost", "invalid", "c", "c1"])
words = st.text("aB19", min_size=1, max_size=6)
ordinary = st.builds(
    "{}{}@{}.{}.{}".format,
    words,
    st.sampled_from(["", ".b", "_1", "+C", "-d"]),
    words,
    words | st.just("x-1"),
    TOP_LEVELS,
)


@settings(deadline=None)
@given(ordinary)
def test_an_ordinary_address_is_what_the_library_makes_of_it(text: str) -> None:
    assert is_accepted(text) is by_the_library(text)
    assert not is_accepted(text) or normalise_address(text) == text.lower()


def by_the_library(text: str) -> bool:
    try:
        return bool(validate_email(text, check_deliverability=False, allow_smtputf8=False))
    except EmailNotValidError:
        return False
