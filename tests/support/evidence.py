"""Assertions on what an experiment showed."""

from collections.abc import Callable
from typing import Any

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.observations import from_data, to_data
from beefirst.evaluation.procedure import judge_data


def fails(evidence: Evidence, *words: str) -> None:
    """Assert that evidence is a FAIL for a reason that fits, and not for a crash."""
    assert not evidence.holds
    assert "the experiment itself stopped" not in evidence.summary
    for word in words:
        assert word in evidence.summary


def judged(experiment: Callable[..., Evidence], **observed: Any) -> Evidence:
    """Return what the judge of an experiment makes of these observations, which nobody made."""
    return judge_data(vars(experiment)["judge"], to_data(observed), vars(experiment)["method"])


def judge_anew(experiment: Callable[..., Evidence], evidence: Evidence, **altered: object) -> Evidence:
    """Return what the judge of an experiment makes of what was observed, but for what is altered of it."""
    assert evidence.trace
    assert evidence.trace.data
    data = to_data({**from_data(evidence.trace.data), **altered})
    return judge_data(vars(experiment)["judge"], data, evidence.trace.method)
