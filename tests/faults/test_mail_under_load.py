"""Mail servers that refuse, or are slow, while many register at once: each claim has its one mail, or is free again."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from beefirst.laboratory import raw_http
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from beefirst.mail.connections import LINE_SECONDS
from tests.conftest import SECRET
from tests.support.http_client import register
from tests.support.mail_servers import WatchedMailbox, refusing, stalling

AT_ONCE = 20
ADDRESSES = [f"person{number}@example.com" for number in range(AT_ONCE)]
HANGING_SECONDS = 120

SLOW_SECONDS = LINE_SECONDS / 2
"""A mail takes so long, one after the other: more than all of a crowd's have. A server that takes longer stalls."""


@contextmanager
def crowded(database: ScratchDatabase, mailbox: WatchedMailbox, **settings: object) -> Iterator[ApiProcess]:
    """Start an API, let everybody of ADDRESSES register at once, and see that nobody waits for the mail."""
    settings = {"MAIL_URL": mailbox.url, "TTL_SECONDS": 600, "CLIENT_LIMIT": "off"} | settings
    with mailbox, start_api(database.url, **settings) as api:
        answers = raw_http.send_at_once(api.url, [raw_http.registering(email, SECRET) for email in ADDRESSES])
        assert {answer.status for answer in answers} == {202}
        yield api


def mails(mailbox: WatchedMailbox) -> Counter[str]:
    """Return how many mails came to each address."""
    return Counter(address for taken in mailbox.taken for address in taken.recipients)


def claimed(database: ScratchDatabase) -> set[str]:
    with database.connect() as connection:
        rows = connection.execute("SELECT email FROM registrations WHERE state = 'CLAIMED'").fetchall()
    return {email for (email,) in rows}


def wait_until_settled(database: ScratchDatabase, mailbox: WatchedMailbox) -> None:
    """Return when no claim is without its mail any more."""
    wait_until(lambda: claimed(database) == set(mails(mailbox)), HANGING_SECONDS)


def test_mails_that_a_busy_server_puts_off_come_later_and_once(database: ScratchDatabase) -> None:
    mailbox = refusing("451 4.3.2 too busy, come later", times=2 * AT_ONCE)
    with crowded(database, mailbox):
        wait_until(lambda: len(mails(mailbox)) == AT_ONCE, HANGING_SECONDS)

        assert claimed(database) == set(ADDRESSES)

    assert mails(mailbox) == dict.fromkeys(ADDRESSES, 1)
    assert len(mailbox.offered) == 3 * AT_ONCE


def test_claims_whose_mail_is_refused_for_good_are_free_at_once_and_the_others_keep_theirs(
    database: ScratchDatabase,
) -> None:
    mailbox = refusing("554 5.7.1 too much of this", times=AT_ONCE // 2)
    with crowded(database, mailbox) as api:
        wait_until_settled(database, mailbox)
        refused = sorted(set(ADDRESSES) - claimed(database))
        for email in refused:
            register(api, email)
        wait_until(lambda: len(mails(mailbox)) == AT_ONCE, HANGING_SECONDS)

        assert claimed(database) == set(ADDRESSES)

    assert len(refused) == AT_ONCE // 2
    assert mails(mailbox) == dict.fromkeys(ADDRESSES, 1)


def test_what_a_slow_server_has_not_taken_in_time_is_given_up_and_its_claim_is_free(database: ScratchDatabase) -> None:
    mailbox = stalling(seconds=SLOW_SECONDS)
    with crowded(database, mailbox, MAIL_CONNECTIONS=1) as api:
        wait_until_settled(database, mailbox)
        left = sorted(set(ADDRESSES) - claimed(database))
        mailbox.go_on()  # from now on it is as quick as any
        for email in left:
            register(api, email)
        wait_until(lambda: len(mails(mailbox)) == AT_ONCE, HANGING_SECONDS)
        log = api.log()

        assert claimed(database) == set(ADDRESSES)

    assert 0 < len(left) < AT_ONCE
    assert mails(mailbox) == dict.fromkeys(ADDRESSES, 1)
    assert log.count("was not delivered") == len(left)
