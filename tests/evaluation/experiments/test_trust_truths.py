"""The experiments of notebook 07, on the service and on one that breaks every one of its guarantees."""

from collections.abc import Callable, Iterator
from functools import cache

import pandas as pd
import pytest

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.trust_truths import changes, claims, guesses, kills, proofs, races, raw_sql
from beefirst.evaluation.observations import from_data
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.laboratory.testbed import Testbed
from tests.support.evidence import fails, judge_anew

TRUTHS_OF_THE_SCHEMA = (1, 6, 8, 9, 10, 11)

UNGUARDED = """
    ALTER TABLE registrations
        DROP CONSTRAINT registrations_email_is_ascii,
        DROP CONSTRAINT registrations_email_is_trimmed,
        DROP CONSTRAINT registrations_email_is_lower_case,
        DROP CONSTRAINT registrations_attempts_are_counted,
        DROP CONSTRAINT registrations_ended_has_no_hash,
        DROP CONSTRAINT registrations_active_has_time,
        DROP CONSTRAINT registrations_email_key;
    CREATE UNIQUE INDEX another_name ON registrations (email);
    DROP TRIGGER registrations_guard_change ON registrations;
    DROP TRIGGER registrations_guard_claim ON registrations;
"""

ALWAYS_FREE = """
    CREATE OR REPLACE FUNCTION can_be_claimed(address TEXT, held_state TEXT, held_since TIMESTAMPTZ, ttl INTERVAL)
    RETURNS BOOLEAN LANGUAGE sql AS 'SELECT TRUE';
"""

NEVER_FREE_AGAIN = """
    CREATE OR REPLACE FUNCTION can_be_claimed(address TEXT, held_state TEXT, held_since TIMESTAMPTZ, ttl INTERVAL)
    RETURNS BOOLEAN LANGUAGE sql AS 'SELECT held_state IS NULL';
"""

FREE_TOO_SOON = """
    CREATE OR REPLACE FUNCTION can_be_claimed(address TEXT, held_state TEXT, held_since TIMESTAMPTZ, ttl INTERVAL)
    RETURNS BOOLEAN LANGUAGE sql AS
    'SELECT held_state IS NULL OR held_since <= clock_timestamp() - ttl / 2';
"""

UNCOUNTED = """
    CREATE OR REPLACE FUNCTION count_wrong_guess(address TEXT, max_attempts INT, ttl INTERVAL)
    RETURNS VOID LANGUAGE sql AS '';
"""

BORN_HALF_ACTIVE = """
    CREATE FUNCTION half() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.activated_at := now(); RETURN NEW; END';
    CREATE TRIGGER half BEFORE INSERT ON registrations FOR EACH ROW EXECUTE FUNCTION half();
"""


@pytest.fixture(scope="module")
def sound() -> Iterator[Testbed]:
    """The service, as two replicas."""
    with Testbed(2) as testbed:
        yield testbed


@pytest.fixture(scope="module")
def evidence_of() -> Iterator[Callable[..., Evidence]]:
    """What each experiment shows on the service, made once."""
    with Testbed(2) as testbed:
        yield cache(lambda experiment, *few: experiment(testbed, *few))


@pytest.fixture(scope="module")
def careless() -> Iterator[Testbed]:
    """A service that heeds no password, logs the codes, takes settings for others, and has an unguarded table."""
    with ProjectCopy() as copy:
        copy.replace("beefirst/registration/rules.py", "if not matches:", "if not claim:")
        copy.replace("beefirst/api/registrations.py", 'log.info("claimed"', 'log.info(f"claimed {registered.code}"')
        copy.add(UNGUARDED + ALWAYS_FREE + UNCOUNTED)
        with Testbed(2, code=copy.code, ttl_seconds=3600, max_attempts=10) as testbed:
            testbed.ttl_seconds, testbed.max_attempts = 60, 3
            yield testbed


def test_an_address_that_many_register_at_once_has_one_claim(sound: Testbed, careless: Testbed) -> None:
    assert claims.unique_claim(sound, 8).holds
    fails(claims.unique_claim(careless, 8), "codes mailed, 8, 1")


def test_a_code_is_found_where_it_leaks(sound: Testbed, careless: Testbed) -> None:
    assert proofs.code_only_by_mail(sound).holds
    fails(proofs.code_only_by_mail(careless), "the log, yes, no")


def test_a_claim_is_proven_in_time_only(sound: Testbed, careless: Testbed) -> None:
    assert claims.time_bound(sound).holds
    fails(claims.time_bound(careless), "60 s, ACTIVE, 200, 401")


def test_code_and_password_count_together_only(sound: Testbed, careless: Testbed) -> None:
    assert proofs.together(sound).holds
    fails(proofs.together(careless), "right code, wrong password, 200")


def test_a_claim_made_in_advance_gives_nothing(sound: Testbed, careless: Testbed) -> None:
    assert proofs.dormant_password(sound).holds
    fails(proofs.dormant_password(careless), "the victim enters the code that came, 200, ACTIVE")


def test_no_hash_is_kept_of_what_has_ended() -> None:
    with ProjectCopy() as copy:
        copy.add("ALTER TABLE registrations DROP CONSTRAINT registrations_ended_has_no_hash")
        copy.replace("beefirst/api/main.py", "BcryptPasswords(settings.bcrypt_cost", "BcryptPasswords(10")

        assert proofs.nothing_kept().holds
        kept = proofs.nothing_kept(code=copy.code)
        fails(kept, "a hash on a LOCKED row, by raw SQL, TAKEN, refused")
        fails(kept, "bcrypt, cost 10; bcrypt, cost 10, bcrypt, cost 11; bcrypt, cost 11")


def test_a_claim_frees_its_address_by_itself() -> None:
    with ProjectCopy() as copy:
        copy.add(NEVER_FREE_AGAIN)

        assert claims.free_by_itself().holds
        fails(claims.free_by_itself(1, 3, code=copy.code), "claimed by the second person, CLAIMED, 1")

    with ProjectCopy() as copy:
        copy.add(FREE_TOO_SOON)
        fails(claims.free_by_itself(6, code=copy.code), "claimed by the second person, CLAIMED, 2")


def test_as_many_guesses_are_judged_as_a_claim_allows(sound: Testbed, careless: Testbed) -> None:
    assert guesses.guesses_at_once(sound, 12).holds
    fails(guesses.guesses_at_once(careless, 12), "guesses that were judged, 10, 3")


def test_the_guesses_of_a_day_are_few(sound: Testbed, careless: Testbed) -> None:
    assert guesses.guesses_in_a_day(sound, hours=3).holds
    fails(guesses.guesses_in_a_day(careless, limit=9), "9 guesses in 24 hours", "0, yes, 3, claimed, 0")


def test_an_address_has_one_spelling(sound: Testbed, careless: Testbed) -> None:
    assert claims.one_spelling(sound).holds
    fails(claims.one_spelling(careless), "'Upper@example.com' by raw SQL, TAKEN, refused")


def test_a_kill_leaves_no_half_state() -> None:
    with ProjectCopy() as copy:
        copy.add(BORN_HALF_ACTIVE)

        assert kills.killed_between_steps([2]).holds
        broken = kills.killed_between_steps([2], code=copy.code)
        fails(broken)
        assert (broken.rows["in a half state"] > 0).all()


def test_replicas_behave_as_one(sound: Testbed) -> None:
    assert changes.replicas_as_one(sound).holds

    with Testbed() as apart, ScratchDatabase() as other, start_api(other.url, MAIL_URL=apart.mailbox.url) as stranger:
        apart.apis.append(stranger)
        fails(changes.replicas_as_one(apart), "claimed at the first, activated at the second, 401, CLAIMED")


def test_the_answers_of_a_race_have_an_order(sound: Testbed, careless: Testbed) -> None:
    assert races.one_order(sound).holds
    fails(races.one_order(careless), "guesses were judged at one claim")


def test_a_race_that_was_not_all_written_down_does_not_hold(evidence_of: Callable[..., Evidence]) -> None:
    evidence = evidence_of(races.one_order)
    assert evidence.trace
    assert evidence.trace.data
    history, met = evidence.trace.data["history"], evidence.trace.data["met"]

    assert evidence.holds, evidence.summary
    fails(judge_anew(races.one_order, evidence, history={**history, "rows": history["rows"][:-1]}), "not seen")
    fails(judge_anew(races.one_order, evidence, history={**history, "calls": history["calls"][:-1]}))
    fails(judge_anew(races.one_order, evidence, history={**history, "code_mails": []}))
    fails(judge_anew(races.one_order, evidence, met={**met, races.LATE: 0}))
    refused = [{**call, "status": 503} for call in history["calls"]]
    nothing = {**history, "calls": refused, "rows": [{**row, "state": "none"} for row in history["rows"]]}
    fails(judge_anew(races.one_order, evidence, history=nothing), f"activations of {races.OWNED}, 0, 1", "none, ACTIVE")
    fails(judge_anew(races.one_order, evidence, history={**history, "calls": []}), "no call explains that")


def test_a_replay_changes_nothing(sound: Testbed, careless: Testbed) -> None:
    assert changes.replays(sound).holds
    fails(changes.replays(careless), "CHANGED")


def test_what_belonged_to_an_earlier_claim_is_worthless(sound: Testbed, careless: Testbed) -> None:
    assert changes.fresh_start(sound).holds
    fails(changes.fresh_start(careless), "200")


def test_the_schema_refuses_by_the_constraint_for_it(sound: Testbed, careless: Testbed) -> None:
    for testbed, holds in ((sound, True), (careless, False)):
        attacks = raw_sql.attack(testbed)
        assert {truth: raw_sql.refused(attacks, truth).holds for truth in TRUTHS_OF_THE_SCHEMA} == dict.fromkeys(
            TRUTHS_OF_THE_SCHEMA, holds
        )
    fails(raw_sql.refused(attacks, 1), "a second row for an address", "another_name, registrations_email_key")
    fails(raw_sql.refused(attacks, 11), "ACTIVE back to CLAIMED, TAKEN, nobody")


def test_a_testbed_that_was_closed_is_the_reason_in_one_sentence() -> None:
    with Testbed() as testbed:
        pass

    judged = [proofs.together(testbed), claims.unique_claim(testbed, 2), changes.fresh_start(testbed)]

    assert [evidence.holds for evidence in judged] == [False] * 3
    assert {evidence.summary for evidence in judged} == {
        "This testbed is closed: run the cell that set it up again, and go on from there."
    }


def without_the_last(evidence: Evidence, name: str) -> pd.DataFrame:
    assert evidence.trace
    assert evidence.trace.data
    frame: pd.DataFrame = from_data(evidence.trace.data)[name]
    return frame[:-1]


@pytest.mark.parametrize(
    ("experiment", "name", "few"),
    [
        (claims.unique_claim, "answers", [8]),
        (claims.unique_claim, "mails", [8]),
        (claims.time_bound, "claims", []),
        (claims.one_spelling, "tried", []),
        (guesses.guesses_at_once, "answers", [12]),
        (proofs.together, "attempts", []),
        (proofs.dormant_password, "steps", []),
        (changes.replays, "replayed", []),
        (changes.fresh_start, "claims", []),
    ],
)
def test_what_was_not_all_observed_does_not_hold(
    evidence_of: Callable[..., Evidence], experiment: Callable[..., Evidence], name: str, few: list[int]
) -> None:
    evidence = evidence_of(experiment, *few)

    assert evidence.holds, evidence.summary
    fails(judge_anew(experiment, evidence, **{name: without_the_last(evidence, name)}))


@pytest.mark.parametrize("altered", [{"rounds": [2, 2]}, {"rounds": []}, {"kills": 0}, {"anew": 0}, {"left": 0}])
def test_a_kill_that_was_not_looked_after_does_not_hold(altered: dict[str, object]) -> None:
    left = pd.DataFrame({"replica": [0, 0], "email": ["0-1@example.com", "0-2@example.com"]})
    observed: dict[str, object] = {
        "kills": pd.DataFrame(
            [(0, 2, 0, 2.5, 0)], columns=["replica", "killed after", "half states", "seconds", "still claimed"]
        ),
        "left": left,
        "anew": left.assign(**{"what came": kills.CODE_CAME}),
        "rounds": [2],
    }
    empty = {name: observed[name][:0] if value == 0 else value for name, value in altered.items()}  # type: ignore[index]
    judge = vars(kills.killed_between_steps)["judge"]

    assert judge(**observed).holds
    assert not judge(**{**observed, **empty}).holds


def test_a_day_that_ends_early_and_a_hash_that_never_was_show_nothing() -> None:
    day, kept = vars(guesses.guesses_in_a_day)["judge"], vars(proofs.nothing_kept)["judge"]
    rounds = pd.DataFrame([(0.0, "yes", 3, "refused", 60.0)], columns=guesses.ROUNDS)
    hashes = pd.DataFrame({"password hash": ["bcrypt, cost 11"] * 2})
    ended = pd.DataFrame([("EXPIRED", 1, 0), ("LOCKED", 1, 0)], columns=["state", "rows", "hashes"])
    tried = pd.DataFrame({"attempt": [*proofs.RESURRECTIONS], "result": "refused"})

    assert day(rounds, 100, 1).holds
    fails(day(rounds, 100, 24))
    assert kept(hashes, ended, tried, 11).holds
    fails(kept(hashes[:0], ended, tried, 11))
    fails(kept(hashes, ended[:1], tried, 11), "LOCKED rows, and hashes on them, none, 1 and 0")
    fails(kept(hashes, ended, tried[:1], 11), "not tried")
