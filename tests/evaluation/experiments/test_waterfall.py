"""The experiment of notebook 09 on traces, on the service and on one whose spans say something else."""

from typing import Any

import pandas as pd
import pytest

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.load.waterfall import one_registration_traced
from beefirst.laboratory.project_copy import ProjectCopy
from tests.support.evidence import fails, judge_anew

HASH, QUEUE, MAIL = "bcrypt hash", "bcrypt queue", "mail"

LEAKY = [
    (
        "beefirst/database/registrations.py",
        "with _call(statement):\n            return await self.run(fetch)",
        "with span(SPANS[statement][0], {name: str(value) for name, value in values.items()}, is_call=True):\n"
        "            return await self.run(fetch)",
    ),
]


@pytest.fixture(scope="module")
def seen() -> Evidence:
    return one_registration_traced()


def test_a_registration_and_an_activation_are_drawn_as_waterfalls(seen: Evidence) -> None:
    assert seen.holds, seen.summary
    assert list(seen.rows["span"]) == [
        *("POST /v1/register", QUEUE, HASH, "even out", "CLAIM_ADDRESS", MAIL),
        *("POST /v1/activate", "FIND_CLAIM", QUEUE, HASH, "even out", "JUDGE_CODE"),
    ]
    assert list(seen.rows["depth"]) == [0, 1, 1, 1, 2, 1, 0, 1, 1, 1, 1, 2]
    assert "the hash" in repr(seen.picture)


def test_values_of_statements_in_spans_are_found() -> None:
    with ProjectCopy() as copy:
        for place, before, after in LEAKY:
            copy.replace(place, before, after)
        evidence = one_registration_traced(1, code=copy.code)

    fails(evidence, "addresses in what spans say", "hashes in bytes", "codes in what spans say")


def test_a_service_that_makes_no_traces_is_a_failure() -> None:
    fails(one_registration_traced(1, otel_sdk_disabled="true"), "POST /v1/register: 0 traces of 1 requests")


def altered(evidence: Evidence, change: Any) -> Evidence:
    assert evidence.trace
    assert evidence.trace.data
    recorded = evidence.trace.data["spans"]
    return judge_anew(
        one_registration_traced, evidence, spans=change(pd.DataFrame(recorded["rows"], columns=recorded["columns"]))
    )


def without(name: str) -> Any:
    return lambda spans: spans[spans["span"] != name]


def longer(name: str, seconds: float) -> Any:
    return lambda spans: spans.assign(end=spans["end"] + (spans["span"] == name) * seconds)


def later(name: str, seconds: float) -> Any:
    return lambda spans: longer(name, seconds)(spans.assign(begin=spans["begin"] + (spans["span"] == name) * seconds))


def own_trace(name: str) -> Any:
    return lambda spans: spans.assign(trace=spans["trace"].where(spans["span"] != name, spans["id"]))


@pytest.mark.parametrize(
    ("change", "said"),
    {
        "no queue": (without(QUEUE), "POST /v1/register has the spans POST /v1/register, bcrypt hash"),
        "no request": (without("POST /v1/activate"), "a trace without one beginning is nothing that was asked for"),
        "mail by itself": (own_trace(MAIL), "a trace without one beginning"),
        "hash over the end": (longer(HASH, 60), "bcrypt hash is not within POST /v1/register"),
        "hash before the beginning": (later(HASH, -0.5), "has the spans"),
        "statement elsewhere": (longer("JUDGE_CODE", 60), "JUDGE_CODE is not within even out"),
        "mail before the answer": (later(MAIL, -0.01), "mail is not within POST /v1/register"),
        "most of it unexplained": (longer("POST /v1/activate", 6000), "100% in no span"),
        "nothing": (lambda spans: spans[:0], "POST /v1/register: 0 traces of 3 requests"),
    }.values(),
)
def test_spans_that_are_not_as_promised_are_a_failure(seen: Evidence, change: Any, said: str) -> None:
    fails(altered(seen, change), said)


def test_a_hash_that_is_not_the_longest_is_a_failure(seen: Evidence) -> None:
    def swap(spans: pd.DataFrame) -> pd.DataFrame:
        return spans.replace({"span": {HASH: "even out", "even out": HASH}})

    assert not altered(seen, swap).holds


def test_another_status_is_a_failure(seen: Evidence) -> None:
    fails(judge_anew(one_registration_traced, seen, statuses=[202, 401] * 3), "statuses 202, 401")
