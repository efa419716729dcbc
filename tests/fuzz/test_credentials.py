"""Addresses, passwords and Basic credentials of any kind, in this process: thousands in a second."""

import asyncio
import base64
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, reject
from hypothesis import strategies as st
from psycopg import Connection
from starlette.requests import Request

from beefirst.api.registrations import basic
from beefirst.errors import AddressRefusedError, PasswordRefusedError
from beefirst.laboratory.mailbox import Mailbox
from beefirst.mail.courier import SmtpCourier
from beefirst.mail.server import MailServer
from beefirst.passwords import BcryptPasswords
from beefirst.registration.credentials import check_password, normalise_address
from beefirst.settings import Settings
from tests.support.databases import migrated_database
from tests.support.fuzzing import Fuzzer
from tests.support.watched_service import HANGING_SECONDS, WatchedService

LETTERS = "aB1+-_.=?'%!"
STRANGE = "\u00df\u0131\u0130\u017f\u212a\u0663\u00ad\u200d\u3002\uff41\uff0e\u0308\u00fc\u4e2d\U0001d5ba"
"""What changes its length or its kind in another case or form, and dots that are none."""

labels = st.text(LETTERS + STRANGE, min_size=1, max_size=12)
domains = st.lists(labels, min_size=1, max_size=4).map(lambda some: ".".join([*some, "com"]))
atoms = st.lists(st.sampled_from(["a", "B1", "+x", "+Y", "+", "_", ".c"]), min_size=2, max_size=6).map("".join)
plain_domains = st.sampled_from(["example.com", "Mail.Example.ORG", "B\u00fccher.example.com"])
addresses = (
    st.builds("{}@{}".format, atoms, plain_domains)
    | st.builds("{}@{}".format, atoms, domains)
    | st.emails()
    | st.builds("{}@{}".format, st.text(LETTERS, min_size=1, max_size=70), domains)
    | st.builds("{}@{}".format, labels, domains | st.sampled_from(["[127.0.0.1]", "localhost", "xn--a.com", "a..b"]))
    | st.text(LETTERS + STRANGE + '@@@. \t\r\n\0"<>(),:;', max_size=40)
)
spellings = st.sampled_from([str, str.upper, str.lower, str.title, str.swapcase, "\u2003{}\n".format])

ADDRESS = re.compile(r"[!-~]+@[!-~]+")
INSERT = "INSERT INTO registrations (email, password_hash, verification_code) VALUES (%s, 'none', '0000')"


def spelling(text: str) -> str:
    """Return the spelling in which an address is stored; none where it is refused."""
    try:
        return normalise_address(text)
    except AddressRefusedError:
        return ""


def normalised(text: str) -> str:
    """Do as `spelling`; an example that is refused ends here."""
    return spelling(text) or reject()


@pytest.fixture(scope="module")
def table() -> Iterator[Connection[Any]]:
    with migrated_database() as database, database.connect() as connection:
        yield connection


def test_an_accepted_address_is_ascii_its_own_spelling_and_fits_the_table(table: Connection[Any], fuzz: Fuzzer) -> None:
    def has_one_spelling(text: str, spell: Any) -> None:
        stored = normalised(text)

        assert [spelling(stored), spelling(spell(stored))] == [stored, stored]
        assert ADDRESS.fullmatch(stored)
        assert len(stored) <= 254
        with table.transaction(force_rollback=True):
            table.execute(INSERT, (stored,))

    fuzz.run(has_one_spelling, addresses, spellings)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type"]
HEADERS += ["Content-Transfer-Encoding", "MIME-Version"]


def test_a_mail_goes_to_the_accepted_address_alone_and_has_no_header_but_its_own(
    runner: asyncio.Runner, fuzz: Fuzzer
) -> None:
    with Mailbox() as mailbox:
        settings = Settings(mail_url=mailbox.url, mail_from="noreply@example.com")
        courier = SmtpCourier(MailServer.of(settings), settings)

        def has_one_recipient(text: str) -> None:
            address, before = normalised(text), len(mailbox.messages)
            runner.run(courier.send_code(address, "1234"))
            taken = mailbox.wait_for_taken(address, seconds=HANGING_SECONDS)[-1]

            assert len(mailbox.messages) == before + 1
            assert list(taken.recipients) == [address]
            assert sorted(taken.message.keys()) == sorted(HEADERS)
            assert [some.addr_spec for some in taken.message["To"].addresses] == [address]

        fuzz.run(has_one_recipient, addresses)
        runner.run(courier.close(1))


wide = st.text("a\u00fc\u4e2d\U0001d5ba\u0308 :\n", min_size=1, max_size=80)
long = st.tuples(wide.map(lambda some: (40 * some).encode()), st.integers(68, 76))
edges = long.map(lambda some: some[0][: some[1]].decode(errors="ignore"))
passwords = st.text(max_size=80) | wide | edges | st.text("\0\ud800a", max_size=12)


def is_accepted(password: str) -> bool:
    try:
        return bool(check_password(password))
    except PasswordRefusedError:
        return False


def test_an_accepted_password_matches_its_own_hash_and_no_neighbours(runner: asyncio.Runner, fuzz: Fuzzer) -> None:
    hashing = BcryptPasswords(cost=4, threads=1)

    def matches_itself(password: str) -> None:
        assume(is_accepted(password))
        assert 8 <= len(password.encode()) <= 72
        hashed = runner.run(hashing.hash(password))

        assert runner.run(hashing.match(password, hashed))
        assert not runner.run(hashing.match(password[:-1], hashed))
        assert not runner.run(hashing.match(password[:-1] + chr(ord(password[-1]) ^ 1), hashed))

    fuzz.run(matches_itself, passwords)
    hashing.close()


FORMS = ("NFC", "NFD", "NFKC", "NFKD")
composed = st.text("\u00fc\u0065\u0301\ufb01\uac01\u212b\u1e9b\u0323a", min_size=8, max_size=24).filter(
    lambda text: len(text.encode()) <= 72
)


def test_an_account_is_activated_by_the_bytes_of_its_password_and_by_no_other_form_of_it(
    service: WatchedService, fuzz: Fuzzer
) -> None:
    def opens_with_the_same_bytes(password: str, form: Any) -> None:
        password = unicodedata.normalize(form, password)
        assume(is_accepted(password))
        email = f"{fuzz.seed}-{fuzz.examples}@example.com"
        assert service.testbed.register(email, password).status_code == 202
        code = service.testbed.mailbox.code_for(email, seconds=HANGING_SECONDS)
        others = {unicodedata.normalize(other, password) for other in FORMS} - {password}

        assert {service.testbed.activate(email, other, code).status_code for other in others} <= {401}
        assert service.testbed.activate(email, password, code).status_code == 200
        service.check(password)

    fuzz.run(opens_with_the_same_bytes, composed, st.sampled_from(FORMS))


def read_basic(header: bytes) -> tuple[str, str] | None:
    scope = {"type": "http", "headers": [(b"authorization", header)]}
    coroutine = basic(Request(scope))
    try:
        coroutine.send(None)
    except StopIteration as end:
        return (end.value.username, end.value.password) if end.value else None
    except ValueError as error:
        raise AssertionError(f"the service would answer 500: {error!r}") from None
    raise AssertionError("it waits for something")


schemes = st.sampled_from([b"Basic ", b"basic ", b"BASIC  ", b"Basic", b"Bearer ", b"", b"Basic\t"])
encoded = st.binary(max_size=60).map(base64.b64encode)
headers = st.tuples(schemes, encoded | st.binary(max_size=60), st.just(b"") | st.binary(max_size=3)).map(b"".join)


def test_any_authorization_is_read_as_credentials_in_utf8_or_as_none(fuzz: Fuzzer) -> None:
    def is_read(header: bytes) -> None:
        read = read_basic(header)

        if read:
            assert header[:6].lower() == b"basic "
            assert base64.b64decode(header[6:].strip()) == ":".join(read).encode()

    fuzz.run(is_read, headers)


def test_credentials_that_were_encoded_are_read_as_they_were(fuzz: Fuzzer) -> None:
    def come_back(user: str, password: str) -> None:
        assert read_basic(b"Basic " + base64.b64encode(f"{user}:{password}".encode())) == (user, password)

    text = st.text(st.characters(codec="utf-8"), max_size=60)
    fuzz.run(come_back, text.map(lambda some: some.replace(":", "")), text)
