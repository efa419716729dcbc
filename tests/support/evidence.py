"""Assertions on what an experiment showed."""

from beefirst.evaluation.evidence import Evidence


def fails(evidence: Evidence, *words: str) -> None:
    """Assert that evidence is a FAIL for a reason that fits, and not for a crash."""
    assert not evidence.holds
    assert "the experiment itself stopped" not in evidence.summary
    for word in words:
        assert word in evidence.summary
