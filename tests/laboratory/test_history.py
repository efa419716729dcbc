"""What a history shows: of what cannot be, that it cannot, and why; of what can be, an order that explains it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beefirst.laboratory.history.calls import Call, ClockStep, CodeMail, History, Row
from beefirst.laboratory.history.judgement import judge_history
from tests.support.histories import (
    ADA,
    WRONG,
    activate,
    carried_out,
    explainable,
    history,
    judge,
    mail,
    register,
    row,
    with_another_answer,
)

Told = Call | CodeMail | Row

CLAIM = (register("ada", (0, 0.1)), mail(0.3))
BOBS = (register("bob", (0, 0.2)), mail(0.3, "code 2"))
WRONG_GUESSES = [activate("ada", (second, second + 0.5), 401, WRONG) for second in (1, 2, 3)]

ALL_RIGHT: dict[str, list[Told]] = {
    "an activation": [*CLAIM, activate("ada", (1, 2)), row("ACTIVE")],
    "an activation without an answer that happened": [*CLAIM, activate("ada", (1, 2), None), row("ACTIVE")],
    "an activation without an answer that did not": [*CLAIM, activate("ada", (1, 2), None), row("CLAIMED")],
    "one that happened after its client gave up": [
        *CLAIM,
        activate("ada", (1, 2), 503),
        row("CLAIMED", 3),
        row("ACTIVE", 4),
    ],
    "a registration without an answer that happened": [
        register("ada", (0, 0.1), None),
        mail(0.3),
        activate("ada", (1, 2)),
        row("ACTIVE"),
    ],
    "one without an answer and without a mail that held the address": [
        register("ada", (0, 0.1), 503),
        register("bob", (1, 2)),
        row("CLAIMED", code="code 2"),
    ],
    "two at once": [*CLAIM, register("bob", (0, 0.2)), activate("bob", (1, 2), 401), activate("ada", (1, 2))],
    "as many guesses as there may be": [*CLAIM, *WRONG_GUESSES, row("LOCKED", attempts=3)],
    "a claim that ran out": [*CLAIM, activate("ada", (70, 71), 401), row("EXPIRED", 72)],
    "a claim that ran out and was not swept": [*CLAIM, activate("ada", (70, 71), 401), row("CLAIMED", 72)],
    "a claim of somebody else's after that": [
        *CLAIM,
        register("bob", (61, 62)),
        mail(62, "code 2"),
        activate("bob", (63, 64), code="code 2"),
        row("ACTIVE", 65, code="code 2"),
    ],
    "a cool-down": [*CLAIM, *WRONG_GUESSES, register("bob", (4, 5)), row("LOCKED", 6, attempts=3)],
    "what was refused for its form": [*CLAIM, activate("ada", (1, 2), 422), activate("ada", (3, 4)), row("ACTIVE")],
}


@pytest.mark.parametrize("name", ALL_RIGHT)
def test_what_can_be_is_explained_by_an_order(name: str) -> None:
    judged = judge(*ALL_RIGHT[name])

    assert judged.holds, judged.sentence
    assert "One order explains all answers" in judged.sentence


CANNOT_BE: dict[str, tuple[list[Told], str, list[int]]] = {
    # what happened, the sentence, which events contradict one another
    "a lost activation": (
        [*CLAIM, activate("ada", (1, 2)), row("EXPIRED", 70)],
        "an acknowledged activation is lost: the answer 200 of ada, and the row is EXPIRED",
        [1, 2],
    ),
    "two owners": (
        [*CLAIM, *BOBS, activate("ada", (1, 2)), activate("bob", (1, 2), code="code 2"), row("ACTIVE")],
        "these two 200 (of ada and of bob) cannot both be: an address has one owner",
        [2, 3],
    ),
    "a fourth guess that was right": (
        [*CLAIM, *WRONG_GUESSES, activate("ada", (4, 5)), row("ACTIVE", attempts=3)],
        "more than 3 guesses were judged at one claim: the answer 200 of ada is one too many",
        [0, 1, 2, 3, 4],
    ),
    "a fourth guess that was counted": (
        [*CLAIM, *WRONG_GUESSES, activate("ada", (1, 5), 401, WRONG), row("LOCKED", attempts=4)],
        "more than 3 guesses were judged at one claim: the row counts 4",
        [5],
    ),
    "an attempt that was not counted": (
        [*CLAIM, *WRONG_GUESSES[:2], row("CLAIMED", attempts=1)],
        "no order of the calls leads to a row that is CLAIMED with 1 attempts",
        [0, 1, 2, 3],
    ),
    "an activation after the claim ran out": (
        [*CLAIM, activate("ada", (70, 71)), row("ACTIVE", 72)],
        "the answer 200 of ada came after the 60 s for which a claim may be proven",
        [0, 1],
    ),
    "a row that nobody made": ([*CLAIM, row("ACTIVE")], "the row is ACTIVE, and no call explains that", [1]),
    "a right code that was refused": (
        [*CLAIM, activate("ada", (1, 2), 401)],
        "the answer 401 of ada refused the right code and password of a claim in time",
        [1],
    ),
    "a code that nobody asked for": ([mail(1)], "a code was mailed, and no registration explains it", []),
    "a claim that was made though the address was taken": (
        [*CLAIM, register("bob", (1, 2)), mail(3, "code 2")],
        "codes of two claims were mailed where only one can have been made",
        [],
    ),
}


@pytest.mark.parametrize("name", CANNOT_BE)
def test_what_cannot_be_is_named_in_a_sentence_with_the_least_of_it(name: str) -> None:
    told, sentence, conflict = CANNOT_BE[name]

    judged = judge(*told)

    assert not judged.holds
    assert sentence in judged.sentence
    assert [*judged.findings[0].conflict] == conflict


def test_activations_that_were_lost_and_invented_and_hashes_that_were_kept_are_counted() -> None:
    lost = judge(*CLAIM, activate("ada", (1, 2)), row("EXPIRED", 70))
    invented = judge(*CLAIM, row("ACTIVE"))
    kept = judge(*CLAIM, row("EXPIRED", 70, has_hash=True))
    missing = judge(*CLAIM, activate("ada", (1, 2)), row("ACTIVE", has_hash=False))
    sound = judge(*CLAIM, activate("ada", (1, 2)), row("ACTIVE"))

    assert (lost.lost, invented.invented, kept.hashes_kept) == ([ADA], [ADA], [ADA])
    assert "An acknowledged activation is lost." in judge(*CLAIM, activate("ada", (1, 2)), row("EXPIRED")).sentence
    assert kept.sentence == f"An ended row of {ADA} keeps a hash."
    assert not kept.holds
    assert missing.sentence == f"A row of {ADA} that has not ended is without its hash."
    assert (missing.hashes_missing, sound.hashes_missing, missing.holds) == ([ADA], [], False)
    assert (sound.lost, sound.invented, sound.hashes_kept) == ([], [], [])


def test_an_answer_that_is_never_given_is_no_answer_that_is_explained() -> None:
    judged = judge(register("ada", (0, 1), 200))

    assert not judged.holds
    assert "ada was answered 200 to register, which is never answered but 202" in judged.sentence


def test_nothing_recorded_does_not_hold() -> None:
    assert not judge().holds


def test_a_history_that_is_too_long_is_undecided_and_does_not_hold() -> None:
    calls = [activate(f"client {number}", (0, 40), None, WRONG, f"{number % 4}") for number in range(12)]
    told = history(*CLAIM, *calls, row("CLAIMED", 41, attempts=5))

    judged = judge_history(told, most_states=1)

    assert judged.result == "undecided"
    assert not judged.holds
    assert "undecided after 2 states" in judged.sentence


def test_a_claim_whose_mail_may_fail_may_end_at_once_and_else_may_not() -> None:
    told = [register("ada", (0, 0.1)), row("EXPIRED", 1, code="code 7")]

    assert judge(*told, mail_may_fail=True).holds
    assert not judge(*told).holds


def test_a_claim_whose_mail_came_does_not_end_before_its_time_wherever_mail_may_fail() -> None:
    ended = row("EXPIRED", 1, code="code 1")

    assert not judge(*CLAIM, ended, mail_may_fail=True).holds
    assert not judge(*CLAIM, activate("ada", (1, 2), 401), ended, mail_may_fail=True).holds


def test_time_that_is_let_pass_ends_a_claim_and_a_cool_down() -> None:
    step = ClockStep(ADA, 60, 4, 4.1)
    claimed_anew = [register("bob", (5, 6)), mail(7, "code 2"), row("CLAIMED", 8, code="code 2")]

    assert judge(*CLAIM, *WRONG_GUESSES, *claimed_anew, clock_steps=[step]).holds
    assert not judge(*CLAIM, *WRONG_GUESSES, *claimed_anew).holds


def test_two_hundred_calls_at_once_are_explained_or_not_within_the_bound() -> None:
    calls = [register(f"client {number}", (0, 5 + number % 7), password=f"{number % 2}") for number in range(100)]
    calls += [activate(f"client {number}", (1, 9 + number % 5), 401, WRONG, "0") for number in range(100)]

    assert judge(*calls, mail(6), row("LOCKED", 20, attempts=3)).holds
    assert "the row counts 4" in judge(*calls, mail(6), row("LOCKED", 20, attempts=4)).sentence


def test_the_uncertainty_of_the_clock_widens_what_may_be_in_time() -> None:
    told = [*CLAIM, activate("ada", (60.3, 60.4)), row("ACTIVE", 61)]

    assert not judge(*told).holds
    assert judge(*told, uncertainty=0.5).holds


SEARCHES = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@SEARCHES
@given(carried_out(10))
def test_whatever_the_model_has_carried_out_is_explained(told: History) -> None:
    judged = judge_history(told)

    assert judged.findings[0].result == "explained", judged.sentence


@SEARCHES
@given(carried_out(6, timed=False), st.integers(0, 6))
def test_a_search_finds_what_trying_every_order_finds(told: History, number: int) -> None:
    for it in (told, with_another_answer(told, number)):
        assert (judge_history(it).findings[0].result == "explained") == explainable(it)


def test_of_altered_histories_most_are_impossible() -> None:
    told = history(*CLAIM, *WRONG_GUESSES[:1], activate("ada", (4, 5)), row("ACTIVE", attempts=1))

    altered = [with_another_answer(told, number) for number in range(4)]

    assert judge_history(told).holds
    assert not any(judge_history(it).holds for it in altered)
