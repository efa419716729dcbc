"""Can a stranger tell addresses apart, by what an answer says or by when it comes?"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import pandas as pd

from beefirst.evaluation.display.distributions import answer_times
from beefirst.evaluation.evidence import Evidence, compare, not_shown_here
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.laboratory.address_kinds import KINDS, probe
from beefirst.laboratory.difference_test import LARGEST_T, Difference, compare_classes, count_planted
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.testbed import Testbed

STATUS = {"register": 202, "activate": 401}

SLOW_SECONDS = 0.005
SLOW_FUNCTION = """
    CREATE OR REPLACE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END'
"""
SLOW_TRIGGER = (
    "CREATE OR REPLACE TRIGGER slow AFTER UPDATE OR INSERT ON registrations FOR EACH ROW EXECUTE FUNCTION be_slow()"
)
"""A database that takes its time for a change, as one that waits for its disk, so that a leak is as large as that."""

COST, CHEAP = "BcryptPasswords(settings.bcrypt_cost", "BcryptPasswords(4"
"""A hash at cost 10 takes longer than all else, and never the same time on a busy machine: it would hide the rest."""

COARSE_SHARE = 0.5
"""Of the median answer: less than the hash work, so that whoever leaves that out is seen."""

COARSE_SECONDS = 0.025
"""Beside the hash: what could not even see this tells nothing."""

AGAIN = 2
"""Where times differ, so many times as many answers are looked at anew, and these decide."""

MORE_SAMPLES = "pytest tests/api/test_answer_times.py"


@measurement
def ask(testbed: Testbed, rounds: int) -> pd.DataFrame:
    """Ask for an address of each kind in turns; what comes back is as for `look_twice`."""
    return look_twice(lambda rounds: probe(testbed, rounds), rounds)


@measurement
def ask_with_cheap_hashes(rounds: int, *changes: tuple[str, str, str]) -> pd.DataFrame:
    """Do so of two replicas of a copy of the service whose hashes are cheap, on a database that takes its time.

    Args:
        rounds: how often each kind.
        changes: what else of the copy is another: a file, a piece of it, and what stands there instead.
    """
    with ExitStack() as parts:
        copy = parts.enter_context(ProjectCopy())
        for change in (("beefirst/api/main.py", COST, CHEAP), *changes):
            copy.replace(*change)
        testbed = parts.enter_context(Testbed(2, code=copy.code))

        def sample(rounds: int) -> pd.DataFrame:
            slow_down(testbed, 0)  # while the addresses are made
            return probe(testbed, rounds, lanes=5, prepared=lambda: slow_down(testbed))

        return look_twice(sample, rounds)


def look_twice(sample: Callable[[int], pd.DataFrame], rounds: int) -> pd.DataFrame:
    """Take a sample, and where its times differ another that is AGAIN times as large.

    Args:
        sample: takes one, of so many rounds, as `probe` returns it.
        rounds: of the first.

    Returns:
        The columns of `probe` and `look`, the number of the sample.
    """
    first = sample(rounds).assign(look=1)
    if not any(it.is_seen for it in _compare(first).values()):
        return first
    return pd.concat([first, sample(AGAIN * rounds).assign(look=2)], ignore_index=True)


def _compare(times: pd.DataFrame) -> dict[str, Difference]:
    return {request: compare_classes(_by_kind(times, request)) for request in KINDS}


def _rounds_of(rounds: int, look: int) -> int:
    return rounds if look == 1 else AGAIN * rounds


def slow_down(testbed: Testbed, seconds: float = SLOW_SECONDS) -> None:
    """Let the database take so many seconds longer for each change of a registration."""
    testbed.execute(SLOW_FUNCTION.format(seconds=seconds))
    testbed.execute(SLOW_TRIGGER)


def _judge_answers(answers: pd.DataFrame, rounds: int) -> Evidence:
    rows = []
    for request, kinds in KINDS.items():
        asked = answers[answers["request"] == request]
        for kind in kinds:
            own = asked[asked["kind"] == kind]
            rows.append((request, kind, int(own["answers"].sum()), _differences(own, asked), _usual(request)))
    asked_of_each = sum(_rounds_of(rounds, look) for look in answers["look"].unique())
    words = (
        f"{len(rows)} kinds of request, {asked_of_each} of each: one answer for all to register, and one for all to "
        "activate"
    )
    evidence = compare(words, rows, ["request", "address", "answers", "seen", "expected"])
    return replace(evidence, holds=evidence.holds and {row[2] for row in rows} == {asked_of_each})


def _usual(request: str) -> str:
    return f"{STATUS[request]}, like all others"


def _differences(own: pd.DataFrame, asked: pd.DataFrame) -> str:
    if own.empty:
        return "not asked"
    statuses = ", ".join(sorted({str(status) for status in own["status"]}))
    different = [name for name in ("status", "head", "body") if asked[name].nunique() != 1]
    return f"{statuses}, differs in {' and '.join(different)}" if different else f"{statuses}, like all others"


@experiment(_judge_answers, ask)
def answers_are_alike(asked: pd.DataFrame, rounds: int) -> Observed:
    """Compare status, head and body of every answer, but for the date and the id that is another in each.

    Args:
        asked: as `ask` returns it.
        rounds: how often each kind was asked.
    """
    columns = ["look", "request", "kind", "status", "head", "body"]
    return {"answers": asked.groupby(columns, sort=False).size().reset_index(name="answers"), "rounds": rounds}


NO_LEAK, LEAK = "no leak", "a leak"
COLUMNS = [
    *("request", "answers of each kind", "largest |t|, limit 4.5", "between", "p", "seen in 80 of 100 samples"),
    *("so there is", "expected"),
]


def _judge_times(times: pd.DataFrame, rounds: int, must_see_seconds: float) -> Evidence:
    look = int(times["look"].max())
    first, times = times[times["look"] == 1], times[times["look"] == look]
    suspected, compared = _compare(first), _compare(times)
    leaks = {request for request, it in compared.items() if it.is_seen and suspected[request].is_seen}
    planted = [count_planted(_by_kind(times, request), it.smallest_seen) for request, it in compared.items()]
    rows = [
        (
            request,
            it.samples,
            round(it.largest_t, 2),
            f"{it.pairs['one'][0]}, {it.pairs['other'][0]}",
            round(it.p, 5),
            f"{it.smallest_seen * 1000:.1f} ms; planted here in each kind: seen in {found} of {len(KINDS[request])}",
            LEAK if request in leaks else NO_LEAK,
            NO_LEAK,
        )
        for (request, it), found in zip(compared.items(), planted, strict=True)
    ]
    complete = {it.samples for it in compared.values()} == {_rounds_of(rounds, look)}
    summary = _say(compared, leaks)
    if look > 1:
        worst = max(it.largest_t for it in suspected.values())
        summary += f" (of {AGAIN} times as many, looked at because the first {rounds} of each had |t| = {worst:.1f})"
    coarse = any(it.smallest_seen > _must_see(suspected[request], must_see_seconds) for request, it in compared.items())
    if not leaks and (coarse or any(it.is_seen for it in compared.values())):
        return not_shown_here(MORE_SAMPLES, f"this machine is too busy to tell: {summary}")
    picture = answer_times(times, compared)
    return Evidence(complete and not leaks, summary, pd.DataFrame(rows, columns=COLUMNS), picture)


def _must_see(suspected: Difference, must_see_seconds: float) -> float:
    """Return the largest difference that may go unseen: where one was suspected, that one may not."""
    if not suspected.is_seen:
        return must_see_seconds
    medians = suspected.centred.median()
    one, other = (float(medians[suspected.pairs[side][0]]) for side in ("one", "other"))
    return min(must_see_seconds, abs(one - other))


def _by_kind(times: pd.DataFrame, request: str) -> pd.DataFrame:
    own = times[times["request"] == request]
    return own.pivot(index="round", columns="kind", values="seconds")[[*KINDS[request]]]


def _say(compared: dict[str, Difference], leaks: set[str]) -> str:
    worst = max((it for request, it in compared.items() if not leaks or request in leaks), key=lambda it: it.largest_t)
    coarsest = max(it.smallest_seen for it in compared.values())
    one, other = worst.pairs["one"][0], worst.pairs["other"][0]
    if leaks:
        milliseconds = abs(worst.pairs["difference"][0]) * 1000
        return f"A LEAK: {one} and {other} differ by {milliseconds:.1f} ms, |t| = {worst.largest_t:.1f}"
    return (
        f"largest |t| = {worst.largest_t:.1f} of {LARGEST_T}, p = {worst.p:.2f}; "
        f"a difference of {coarsest * 1000:.1f} ms would have been seen in 80 of 100 such samples"
    )


@experiment(_judge_times, ask)
def times_are_alike(asked: pd.DataFrame, rounds: int) -> Observed:
    """Compare the times of the answers, kind with kind.

    Welch's t of every pair of kinds and a permutation test of the largest of them must both speak for a leak, and both
    again, of the same request, in a second sample: see `look_twice`. The permutation test errs once in 2,000
    comparisons, of which a sample makes two: by chance alone both samples err in one of two million runs. What a
    neighbour does to the machine for a while is no chance, and may be seen once; a leak is there in every sample. Where
    the second is too coarse to see what the first has shown, nobody can tell.

    Args:
        asked: as `ask` returns it.
        rounds: how often each kind was asked.
    """
    return _observed(asked, rounds, COARSE_SHARE * float(asked["seconds"].median()))


@experiment(_judge_times, ask_with_cheap_hashes)
def times_beside_the_hash_are_alike(asked: pd.DataFrame, rounds: int) -> Observed:
    """Do so with what `ask_with_cheap_hashes` returns: a real hash hides what is smaller than its own noise."""
    return _observed(asked, rounds, COARSE_SECONDS)


def _observed(asked: pd.DataFrame, rounds: int, must_see_seconds: float) -> Observed:
    times = asked[["look", "request", "kind", "round", "seconds"]]
    return {"times": times, "rounds": rounds, "must_see_seconds": must_see_seconds}
