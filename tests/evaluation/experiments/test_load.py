"""The experiments of notebook 09, on the service, on one that stands no load, and on measurements of a busy machine."""

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.load import overload, pace, replicas, throughput
from beefirst.evaluation.experiments.load.overload import Overload
from beefirst.evaluation.experiments.load.throughput import Climb
from beefirst.evaluation.procedure import Crash
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.laboratory.testbed import Testbed
from tests.support.evidence import fails, judge_anew, judged

CHANGES = (
    ("beefirst/passwords.py", "EVEN_SECONDS = 0.025", "EVEN_SECONDS = 1.5"),
    ("beefirst/passwords.py", "MAX_WAIT_SECONDS = 2.0", "MAX_WAIT_SECONDS = 200.0"),
    ("beefirst/api/health.py", "    return Live()", "    await __import__('asyncio').sleep(1.2)\n    return Live()"),
)
"""Answers that come late, nobody turned away, and health that tells its state when nobody waits for it any more."""

CORES, HASHES = 2, 0.06


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    """The service, two replicas of it."""
    with Testbed(2, mail_url="console:") as testbed:
        yield testbed


@pytest.fixture(scope="module")
def run(testbed: Testbed) -> Climb:
    """What it does from few connections to many."""
    return throughput.climb(testbed, 1)


@pytest.fixture(scope="module")
def beyond(testbed: Testbed, run: Climb) -> Overload:
    """What it does where more come than it can serve."""
    return overload.overload(testbed, run, 3, 2)


@pytest.fixture(scope="module")
def weak() -> Iterator[Testbed]:
    """A service that has every change of CHANGES."""
    with ProjectCopy() as copy:
        for change in CHANGES:
            copy.replace(*change)
        with Testbed(1, mail_url="console:", code=copy.code) as testbed:
            yield testbed


def holds_or_too_busy(evidence: Evidence) -> bool:
    """Tell whether evidence holds; on a busy machine it may say that it cannot tell."""
    if evidence.result == "NOT SHOWN HERE":
        assert "this machine is too busy to tell" in evidence.summary
        return True
    return evidence.holds


def test_the_service_stands_what_is_beyond_its_capacity(run: Climb, beyond: Overload) -> None:
    for evidence in (
        throughput.nearly_as_fast_as_bcrypt(run),
        throughput.little_is_added_to_the_hash(run),
        overload.what_is_beyond_is_shed(beyond),
        overload.health_is_answered_meanwhile(beyond),
    ):
        assert holds_or_too_busy(evidence), evidence.summary
        assert evidence.picture is not None


def test_a_service_that_stands_no_load_is_noticed(weak: Testbed) -> None:
    run = throughput.climb(weak, 1)
    beyond = overload.overload(weak, run, 2, 2)

    late = throughput.little_is_added_to_the_hash(run)
    fails(late)
    assert re.search(r"p50 \d{4,} ms", late.summary), late.summary
    fails(overload.what_is_beyond_is_shed(beyond), "others told to come again, no, yes")
    fails(overload.health_is_answered_meanwhile(beyond), "/health/live, p99 within 1 s, no, yes")


def test_a_service_that_hardly_hashes_is_noticed() -> None:
    with ProjectCopy() as copy:
        copy.replace("beefirst/api/main.py", "BcryptPasswords(settings.bcrypt_cost", "BcryptPasswords(4")
        with Testbed(1, mail_url="console:", code=copy.code) as quick:
            run = throughput.climb(quick, 1)

    fails(throughput.nearly_as_fast_as_bcrypt(run), " of bcrypt alone, which makes ")


def test_replicas_keep_what_they_acknowledge(testbed: Testbed) -> None:
    assert holds_or_too_busy(sound := replicas.more_replicas_lose_nothing(testbed, 1)), sound.summary

    with Testbed(1, mail_url="console:") as apart, ScratchDatabase() as other, start_api(other.url) as stranger:
        apart.apis.append(stranger)
        fails(replicas.more_replicas_lose_nothing(apart, 1), "acknowledged through 2, and kept, ")


def measured(
    service: float, turns: int = 2, status: int = 202, beside: float = 0.028, slower: float = 1
) -> pd.DataFrame:
    """Return a climb that nobody made: bcrypt alone, and 8 connections at so many times the hashes a second of that.

    After the last turn, bcrypt alone takes so many times as long as before it.
    """
    rows = list[tuple[object, ...]]()
    for turn in range(turns + 1):
        hashes = HASHES * (slower if turn == turns else 1)
        rows += [(turn, pace.ALONE, place // CORES * hashes, hashes, 202) for place in range(40)]
        if turn < turns:
            rows += [(turn, CORES, place, HASHES + beside, 202) for place in range(20)]
            rows += [(turn, 8, place // CORES * HASHES / service, HASHES, status) for place in range(40)]
    return pd.DataFrame(rows, columns=pace.COLUMNS)


QUIET, BUSY = [0.99, 0.97, 0.99], [0.6, 0.4, 0.9]


def test_what_comes_a_second_is_counted_from_group_to_group() -> None:
    done = measured(0.9)

    rates = pace.medians(pace.rates_beside_alone(done, CORES)).set_index("connections")

    assert rates["alone"].tolist() == pytest.approx([CORES / HASHES] * 2)
    assert rates.loc[8, "ratio"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("done", "shares", "result", "said"),
    [
        (measured(0.95), QUIET, "PASS", "31.7 registrations a second with 8 connections: 0.95 of bcrypt alone"),
        (measured(0.95), BUSY, "PASS", "0.95 of"),
        (measured(0.7), QUIET, "FAIL", "0.70 of"),
        (measured(0.7), BUSY, "NOT SHOWN HERE", "too busy to tell, others left 60% of its cores: "),
        (measured(0.7, slower=1.5), QUIET, "NOT SHOWN HERE", "too busy to tell, bcrypt alone made 22 to 33 hashes a s"),
        (measured(0.7, slower=1.1), QUIET, "FAIL", " of bcrypt alone"),
        (measured(0.2, slower=1.5), QUIET, "FAIL", " of bcrypt alone"),
        (measured(0.2), BUSY, "FAIL", "0.20 of"),
        (measured(9), BUSY, "FAIL", "9.00 of"),
        (measured(2), QUIET, "FAIL", "2.00 of"),
        (measured(0.95, status=500), BUSY, "FAIL", "answers other than 202: 80"),
    ],
)
def test_the_ratio_to_bcrypt_is_judged_unless_others_need_the_cores(
    done: pd.DataFrame, shares: list[float], result: str, said: str
) -> None:
    evidence = judged(throughput.nearly_as_fast_as_bcrypt, done=done, shares=shares, cores=CORES)

    assert evidence.result == result, evidence.summary
    assert said in evidence.summary


@pytest.mark.parametrize(
    ("beside", "shares", "result"),
    [
        (0.028, QUIET, "PASS"),
        (0.1, QUIET, "FAIL"),
        (0.1, BUSY, "NOT SHOWN HERE"),
        (0.3, BUSY, "FAIL"),
    ],
)
def test_what_is_beside_the_hash_is_judged_unless_others_need_the_cores(
    beside: float, shares: list[float], result: str
) -> None:
    done = measured(0.95, beside=beside)

    evidence = judged(throughput.little_is_added_to_the_hash, done=done, shares=shares, cores=CORES)

    assert evidence.result == result, evidence.summary
    assert f"p50 {beside * 1000:.0f} ms" in evidence.summary


def test_answers_that_are_none_of_those_due_fail_however_busy_the_machine(beyond: Overload) -> None:
    answers, busy = beyond.answers, {"shares": BUSY}
    shed = overload.what_is_beyond_is_shed(beyond)
    at_once = answers.assign(retry_after=0)
    broken = answers.assign(status=answers["status"].replace(202, 500))

    fails(judge_anew(overload.what_is_beyond_is_shed, shed, answers=at_once, **busy), "refused, without Retry-After")
    fails(judge_anew(overload.what_is_beyond_is_shed, shed, answers=broken, **busy), "answers other than 202 and 503")


def test_who_is_served_late_or_refused_late_fails_on_a_quiet_machine(beyond: Overload) -> None:
    answers = beyond.answers.assign(seconds=3.0, retry_after=1)
    shed = overload.what_is_beyond_is_shed(beyond)

    late = {"answers": answers, "shares": QUIET}
    fails(judge_anew(overload.what_is_beyond_is_shed, shed, **late), "refused at once, in 3000 ms, no, yes")
    late["shares"] = BUSY
    assert judge_anew(overload.what_is_beyond_is_shed, shed, **late).result == "NOT SHOWN HERE"


def test_a_probe_that_is_shed_fails(beyond: Overload) -> None:
    health = overload.health_is_answered_meanwhile(beyond)

    shed = {"probes": beyond.probes.assign(status=503), "shares": BUSY}
    refused = judge_anew(overload.health_is_answered_meanwhile, health, **shed)

    fails(refused, "/health/live, answers other than 200", "/health/ready, answers other than 200")


@pytest.mark.parametrize(
    ("late", "shares", "result"),
    [(0.1, QUIET, "FAIL"), (0.1, BUSY, "NOT SHOWN HERE"), (0.6, BUSY, "FAIL"), (0, QUIET, "PASS")],
)
def test_probes_that_are_late_fail_unless_others_need_the_cores_and_few_are(
    beyond: Overload, late: float, shares: list[float], result: str
) -> None:
    health, each = overload.health_is_answered_meanwhile(beyond), beyond.probes.groupby(["phase", "path"])
    is_late = each.cumcount() < late * each["status"].transform("size")

    probes = beyond.probes.assign(seconds=is_late.map({True: 1.2, False: 0.01}))
    anew = judge_anew(overload.health_is_answered_meanwhile, health, probes=probes, shares=shares)

    assert anew.result == result, anew.summary


@pytest.mark.parametrize(
    "experiment",
    [
        throughput.nearly_as_fast_as_bcrypt,
        throughput.little_is_added_to_the_hash,
        overload.what_is_beyond_is_shed,
        overload.health_is_answered_meanwhile,
    ],
)
def test_a_measurement_that_crashed_fails_what_rests_on_it(experiment: Any) -> None:
    assert experiment(Crash("it crashed")).summary == "it crashed"


@pytest.mark.parametrize(
    ("most", "numbers"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])]
)
def test_replicas_are_doubled_up_to_all_of_them(most: int, numbers: list[int]) -> None:
    assert replicas.numbers_up_to(most) == numbers
