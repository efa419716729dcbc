"""The experiments of notebook 06, on the service and on one that does something else than promised."""

from collections.abc import Iterator

import pytest

from beefirst.evaluation.experiments import registration
from beefirst.evaluation.experiments.registration import WatchedAddress
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.testbed import Testbed
from tests.support.evidence import fails

BOB = "bob@example.com"

NEVER_ACTIVE = """
    CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW.state = ''ACTIVE'' THEN NEW.state := OLD.state; END IF; RETURN NEW; END';
    CREATE TRIGGER stay BEFORE UPDATE ON registrations FOR EACH ROW EXECUTE FUNCTION stay();
"""


@pytest.fixture(scope="module")
def sound() -> Iterator[Testbed]:
    """The service, with a claim of Ada's."""
    with Testbed(ttl_seconds=3600) as testbed:
        yield testbed


@pytest.fixture(scope="module")
def odd() -> Iterator[Testbed]:
    """A service that mails HTML beside the text, takes any code, and never gets to ACTIVE."""
    with ProjectCopy() as copy:
        text = "message.set_content(text)"
        copy.replace("beefirst/mail/courier.py", text, f'{text}; message.add_alternative(text, subtype="html")')
        copy.add(NEVER_ACTIVE)
        with Testbed(code=copy.code, ttl_seconds=3600, sweep_interval_seconds=3600, max_attempts=4) as testbed:
            yield testbed


def test_each_step_to_an_account_is_seen(sound: Testbed) -> None:
    steps = [
        registration.registration_is_answered(sound),
        registration.code_comes_by_mail(sound),
        registration.claim_is_dormant(sound, 10),
        registration.wrong_code_is_refused(sound),
        registration.right_code_activates(sound),
    ]

    assert [step.holds for step in steps] == [True] * 5, [step.summary for step in steps]
    assert all(steps[place].picture is not None for place in (0, 1, 3, 4))


def test_each_step_that_is_not_as_promised_is_a_failure(odd: Testbed) -> None:
    odd.ttl_seconds = 3599

    fails(registration.registration_is_answered(odd), "expires_in_seconds, 3600, 3599")
    fails(registration.code_comes_by_mail(odd), "kind of text, multipart/alternative, text/plain")
    fails(registration.claim_is_dormant(odd, 11), "CLAIMED, bcrypt, cost 10, not activated")
    fails(registration.right_code_activates(odd), "state after it, CLAIMED, ACTIVE")


def test_a_wrong_code_that_activates_is_a_failure() -> None:
    with ProjectCopy() as copy:
        judging = "SET state         = CASE WHEN verification_code = %(code)s::bpchar          THEN 'ACTIVE'"
        copy.replace("beefirst/database/statements.py", judging, judging.replace(" = %(code)s::bpchar", " <> ''"))
        with Testbed(code=copy.code) as testbed:
            testbed.claim("ada@example.com")
            testbed.execute(
                "ALTER TABLE registrations DROP CONSTRAINT registrations_active_has_time; "
                "ALTER TABLE registrations DROP CONSTRAINT registrations_active_has_hash"
            )

            fails(registration.wrong_code_is_refused(testbed), "status, 200, 401", "state after it, ACTIVE, CLAIMED")


def test_the_path_of_an_address_is_watched_to_its_end() -> None:
    with Testbed(ttl_seconds=2, sweep_interval_seconds=0.1) as testbed:
        address = WatchedAddress(testbed, BOB)

        ends = [
            registration.unproven_claim_expires(address),
            registration.guessed_claim_is_locked(address),
            registration.address_is_free_again(address),
        ]

    assert [end.holds for end in ends] == [True] * 3, [end.summary for end in ends]


def test_a_claim_that_does_not_end_is_a_failure(odd: Testbed) -> None:
    odd.ttl_seconds, odd.max_attempts = 0, 2

    fails(registration.unproven_claim_expires(WatchedAddress(odd, BOB), 0.5), "CLAIMED")
    fails(registration.unproven_claim_expires(WatchedAddress(odd, "no address"), 0.5), "none, 0, none")
    fails(registration.guessed_claim_is_locked(WatchedAddress(odd, "carol@example.com")), "state, CLAIMED, LOCKED")


def test_a_path_that_is_not_the_promised_one_is_a_failure(sound: Testbed) -> None:
    fails(registration.address_is_free_again(WatchedAddress(sound, BOB)), "CLAIMED → ACTIVE")
