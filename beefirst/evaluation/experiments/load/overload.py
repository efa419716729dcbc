"""More registrations than can be served: what becomes of each, and what a probe of the health is answered meanwhile."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from beefirst.evaluation.display.latencies import probe_times
from beefirst.evaluation.display.shedding import accepted_and_shed
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.load import pace
from beefirst.evaluation.experiments.load.throughput import Climb
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.laboratory import raw_http
from beefirst.laboratory.cores_left import cores_left
from beefirst.laboratory.open_load import send_openly
from beefirst.laboratory.paced_load import registrations, send_paced, sending_paced
from beefirst.laboratory.testbed import Testbed

BEFORE, BEYOND, AFTER = "before", "beyond", "after"

LIGHT_SECONDS, LIGHT_INTERVAL = 1.0, 0.1
"""Before and after there is one registration at a time."""

PATHS = ("/health/live", "/health/ready")
PROBE_INTERVAL = 0.02

LONGEST_WAIT = 2
"""What would wait longer for its hash is shed, says the README: in seconds."""


@dataclass(frozen=True)
class Overload:
    """What became of registrations and probes before more came than can be served, meanwhile, and after.

    Attributes:
        answers: to registrations: phase, second, seconds, status, retry_after; in seconds since the load began.
        probes: of the health: phase, path, second, seconds, status.
        capacity: registrations a second that can be served.
        times: as many came.
        lasted: for so many seconds.
        shares: of the cores, what others left meanwhile; where that cannot be told, shortly before.
    """

    answers: pd.DataFrame
    probes: pd.DataFrame
    capacity: float
    times: int
    lasted: int
    shares: list[float]


@measurement
def overload(testbed: Testbed, run: Climb, times: int, seconds: int) -> Overload:
    """Send registrations that wait for no answer, several times as many as can be served, to one replica.

    Args:
        testbed: whose first replica is asked.
        run: tells how many can be served.
        times: as many are sent.
        seconds: for so long.
    """
    url, capacity = testbed.apis[0].url, run.capacity
    with sending_paced(url, PROBE_INTERVAL, _probes()) as probed:
        before = send_paced(url, LIGHT_SECONDS, LIGHT_INTERVAL, registrations())
        shares = list[float]()
        with cores_left([testbed.apis[0].pid], shares):
            load = send_openly(url, times * capacity, seconds)
        after = send_paced(url, LIGHT_SECONDS, LIGHT_INTERVAL, registrations())
    began, ended = min(it.began for it in load.answers), min(it.began for it in after)
    phases = {BEFORE: before, BEYOND: load.answers, AFTER: after}
    answers = [(phase, *_told(it, began), _retry_after(it)) for phase, each in phases.items() for it in each]
    probes = [
        (BEFORE if it.began < began else BEYOND if it.began < ended else AFTER, path, *_told(it, began))
        for path, it in zip(itertools.cycle(PATHS), probed, strict=False)
    ]
    return Overload(
        pd.DataFrame(answers, columns=["phase", "second", "seconds", "status", "retry_after"]),
        pd.DataFrame(probes, columns=["phase", "path", "second", "seconds", "status"]),
        capacity,
        times,
        seconds,
        shares or run.shares,
    )


def _probes() -> Iterator[bytes]:
    return itertools.cycle([raw_http.request("GET", path) for path in PATHS])


def _told(answer: raw_http.Answer, began: float) -> tuple[float, float, int]:
    return round(answer.began - began, 4), round(answer.seconds, 5), answer.status


def _retry_after(answer: raw_http.Answer) -> int:
    return raw_http.number_in(answer.head, b"retry-after")


SERVED_SHARE = 0.5
"""Of the capacity, while the load itself and whoever else needs the same cores."""

AT_ONCE_SHARE = 0.2
"""Of the median time of who is served: who is refused knows at once."""

WAIT_FACTOR = 2
"""A wait is foretold by what hashes took of late; on a busy machine the next ones take longer."""

BACK_FACTOR = 4
"""Afterwards all is as before, as far as that can be told of few answers."""


def _judge_shedding(answers: pd.DataFrame, capacity: float, times: int, lasted: int, shares: list[float]) -> Evidence:
    beyond = answers[answers["phase"] == BEYOND]
    served, shed = beyond[beyond["status"] == 202], beyond[beyond["status"] == 503]
    took = float((served["second"] + served["seconds"]).max()) if len(served) else lasted
    rate, wait, refusal = len(served) / took, float(served["seconds"].median()), float(shed["seconds"].median())
    usual, then = (float(answers[answers["phase"] == phase]["seconds"].median()) for phase in (BEFORE, AFTER))
    sound = [
        ("answers other than 202 and 503", len(beyond) - len(served) - len(shed), 0),
        ("some were served, and others told to come again", _word(len(served) > 0 < len(shed)), "yes"),
        ("of those refused, without Retry-After", int((shed["retry_after"] < 1).sum()), 0),
        ("before and after, answers other than 202", _strange(answers), 0),
    ]
    soon = [
        (
            f"served a second, {rate:.1f} of {capacity:.1f}: half at least",
            _word(rate >= SERVED_SHARE * capacity),
            "yes",
        ),
        (f"refused at once, in {_ms(refusal)}", _word(refusal <= AT_ONCE_SHARE * wait), "yes"),
        (f"served within {LONGEST_WAIT} s and a hash: {wait:.2f} s", _word(_is_in_time(wait, usual)), "yes"),
        (f"{_ms(usual)} before, {_ms(then)} after: as before", _word(then <= BACK_FACTOR * usual), "yes"),
    ]
    summary = (
        f"{times} times the capacity for {lasted} s: {len(served)} served, {rate / capacity:.0%} of the capacity, in "
        f"{wait:.2f} s; {len(shed)} told to come again, in {_ms(refusal)}; {_ms(usual)} before, {_ms(then)} after"
    )
    picture = accepted_and_shed(answers, capacity, times, lasted, LONGEST_WAIT)
    evidence = replace(compare(summary, [*sound, *soon]), picture=picture)
    return pace.or_too_busy(evidence, shares, is_plain=not compare("", sound).holds)


def _strange(answers: pd.DataFrame) -> int:
    return int((answers[answers["phase"] != BEYOND]["status"] != 202).sum())


def _is_in_time(wait: float, usual: float) -> bool:
    return wait <= WAIT_FACTOR * (LONGEST_WAIT + usual)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms" if seconds >= 0.1 else "no time"


def _word(holds: bool) -> str:
    return "yes" if holds else "no"


@experiment(_judge_shedding, overload)
def what_is_beyond_is_shed(run: Overload) -> Observed:
    """Ask what became of each registration: whether it was served, or refused at once with the time to come again.

    Args:
        run: as measured.
    """
    return {name: value for name, value in vars(run).items() if name != "probes"}


PROBE_SECONDS = 1
"""After so long Kubernetes gives a probe up, where nothing else is set; others wait longer."""


PLAIN_SECONDS = PROBE_SECONDS / 2
"""Where every second probe waits so long, it is not the machine: others who need its cores make a few late, not all."""


def _judge_health(probes: pd.DataFrame, shares: list[float]) -> Evidence:
    rows, said, is_plain = list[tuple[object, ...]](), list[str](), False
    for path in PATHS:
        own = probes[probes["path"] == path]
        p99 = {phase: float(own[own["phase"] == phase]["seconds"].quantile(0.99)) for phase in (BEFORE, BEYOND)}
        rows += [
            (f"{path}, answers other than 200", int((own["status"] != 200).sum()), 0),
            (f"{path}, p99 within {PROBE_SECONDS} s", _word(p99[BEYOND] <= PROBE_SECONDS), "yes"),
        ]
        beyond = own[own["phase"] == BEYOND]["seconds"]
        is_plain |= bool((own["status"] != 200).any() or not beyond.median() <= PLAIN_SECONDS)
        said.append(f"{path} {_ms(p99[BEYOND])} of {len(beyond)}, {_ms(p99[BEFORE])} before")
    evidence = compare(f"p99 beyond the capacity: {'; '.join(said)}", rows)
    evidence = replace(evidence, picture=probe_times(probes, BEFORE, BEYOND, PROBE_SECONDS))
    return pace.or_too_busy(evidence, shares, is_plain=is_plain)


@experiment(_judge_health, overload)
def health_is_answered_meanwhile(run: Overload) -> Observed:
    """Ask how soon a probe was answered, before and while more came than could be served.

    Args:
        run: as measured.
    """
    return {"probes": run.probes, "shares": run.shares}
