"""The experiments of notebook 06, on the service and on one that does something else than promised."""

import re
from collections.abc import Iterator
from itertools import chain

import pandas as pd
import pytest

from beefirst.evaluation.experiments.registration import endings, steps
from beefirst.evaluation.experiments.registration.endings import WatchedAddress
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.testbed import Testbed
from tests.support.evidence import fails, judge_anew

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
    evidence = [
        steps.registration_is_answered(sound),
        steps.code_comes_by_mail(sound),
        steps.answer_waits_for_no_mail(sound),
        steps.claim_is_dormant(sound, 10),
        steps.wrong_code_is_refused(sound),
        steps.right_code_activates(sound),
        steps.every_refusal_costs_the_same(sound),
    ]

    assert [step.holds for step in evidence] == [True] * 7, [step.summary for step in evidence]
    assert all(evidence[place].picture is not None for place in (0, 1, 4, 5))


def test_each_step_that_is_not_as_promised_is_a_failure(odd: Testbed) -> None:
    odd.ttl_seconds = 3599

    fails(steps.registration_is_answered(odd), "expires_in_seconds, 3600, 3599")
    fails(steps.code_comes_by_mail(odd), "kind of text, multipart/alternative, text/plain")
    fails(steps.claim_is_dormant(odd, 11), "CLAIMED, bcrypt, cost 10, not activated")
    fails(steps.right_code_activates(odd), "state after it, CLAIMED, ACTIVE")


def test_no_code_is_recorded(sound: Testbed) -> None:
    evidence = steps.code_comes_by_mail(sound)

    assert evidence.trace
    assert "Your code is 9999." in repr(evidence.picture)
    assert sound.stored_code("ada@example.com") not in re.findall(r"\d{4}", str(evidence.trace.data))


UNEVEN = {
    "headers": [
        ("beefirst/api/observer.py", 'headers["Cache-Control"] = "no-store"', "pass"),
        ("beefirst/api/registrations.py", ', charset="UTF-8"\'}', "'}"),
    ],
    "bcrypt": [("beefirst/api/main.py", "BcryptPasswords(settings.bcrypt_cost", "BcryptPasswords(10")],
    "mail": [
        (
            "beefirst/api/registrations.py",
            "after_the_answer.add_task(_post, services.outbox, lambda: services.registration.deliver(registered))",
            "await services.registration.deliver(registered)",
        )
    ],
    "work": [
        (
            "beefirst/passwords.py",
            "against = password_hash.encode() if password_hash else self._dummy",
            "if not password_hash:\n            return False\n        against = password_hash.encode()",
        )
    ],
}


@pytest.fixture(scope="module")
def uneven() -> Iterator[Testbed]:
    """A service whose headers, cost, mail and hash work are not as promised."""
    with ProjectCopy() as copy:
        for path, old, new in chain(*UNEVEN.values()):
            copy.replace(path, old, new)
        with Testbed(code=copy.code, ttl_seconds=3600, bcrypt_cost=11) as testbed:
            yield testbed


def test_headers_that_are_missing_are_a_failure(uneven: Testbed) -> None:
    fails(steps.registration_is_answered(uneven), "cache-control, none, no-store")
    refused = steps.wrong_code_is_refused(uneven)
    fails(
        refused, "cache-control, none, no-store", 'www-authenticate, Basic realm="beefirst", Basic realm="beefirst", '
    )
    fails(steps.claim_is_dormant(uneven, 11), "CLAIMED, bcrypt, cost 10, not activated")
    fails(steps.right_code_activates(uneven), "cache-control, none, no-store")


def test_an_answer_that_waits_for_the_mail_is_a_failure(uneven: Testbed) -> None:
    fails(steps.answer_waits_for_no_mail(uneven, 1), "WAITS FOR THE MAIL, comes first")


def test_an_address_that_costs_less_is_a_failure(uneven: Testbed) -> None:
    fails(steps.every_refusal_costs_the_same(uneven), "an unknown address, 4, 0.")


def test_a_wrong_code_that_activates_is_a_failure() -> None:
    with ProjectCopy() as copy:
        judging = "SET state         = CASE WHEN verification_code = %(code)s::bpchar  THEN 'ACTIVE'"
        copy.replace("beefirst/database/statements.py", judging, judging.replace(" = %(code)s::bpchar", " <> ''"))
        with Testbed(code=copy.code) as testbed:
            testbed.claim("ada@example.com")
            testbed.execute(
                "ALTER TABLE registrations DROP CONSTRAINT registrations_active_has_time; "
                "ALTER TABLE registrations DROP CONSTRAINT registrations_active_has_hash"
            )

            fails(steps.wrong_code_is_refused(testbed), "status, 200, 401", "state after it, ACTIVE, CLAIMED")


def test_the_path_of_an_address_is_watched_to_its_end() -> None:
    with Testbed(ttl_seconds=5, sweep_interval_seconds=0.1) as testbed:
        address = WatchedAddress(testbed, BOB)

        ends = [
            endings.unproven_claim_expires(address),
            endings.guessed_claim_is_locked(address),
            endings.address_is_free_again(address),
        ]

    assert [end.holds for end in ends] == [True] * 3, [end.summary for end in ends]


def test_a_claim_that_does_not_end_is_a_failure(odd: Testbed) -> None:
    odd.ttl_seconds, odd.max_attempts = 0, 2

    fails(endings.unproven_claim_expires(WatchedAddress(odd, BOB), 0.5), "CLAIMED")
    fails(endings.unproven_claim_expires(WatchedAddress(odd, "no address"), 0.5), "none, 0, none")
    fails(endings.guessed_claim_is_locked(WatchedAddress(odd, "carol@example.com")), "state, CLAIMED, LOCKED")


def test_a_path_that_is_not_the_promised_one_is_a_failure(sound: Testbed) -> None:
    fails(endings.address_is_free_again(WatchedAddress(sound, BOB)), "CLAIMED → ACTIVE")


def test_what_was_not_observed_holds_no_step(sound: Testbed) -> None:
    timed, costs = steps.every_refusal_costs_the_same, steps.every_refusal_costs_the_same(sound, 1)
    none = pd.DataFrame(columns=["activating", "status", "seconds"])

    assert costs.holds
    fails(judge_anew(timed, costs, rounds=2))
    fails(judge_anew(timed, costs, rounds=0, attempts=none))
    early = pd.DataFrame(
        [(0.0, "CLAIMED", 0, "bcrypt, cost 10"), (1.9, "EXPIRED", 0, "none")],
        columns=["second", "state", "attempts", "password hash"],
    )
    judge = vars(endings.unproven_claim_expires)["judge"]
    assert judge(early, 1).holds
    fails(judge(early, 2), "EXPIRED 1.9 s after the claim")
    fails(judge(early[1:], 1))
