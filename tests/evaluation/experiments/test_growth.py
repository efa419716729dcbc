"""The experiment on tables that grow, on the tables of the service and on some that lack an index."""

import pytest

from beefirst.evaluation.experiments.load.growth import table_growth
from beefirst.laboratory.project_copy import ProjectCopy
from tests.support.evidence import fails

FEW, MANY = 0, 60_000

LACKING = {
    "activate": "ALTER TABLE registrations DROP CONSTRAINT registrations_email_key; "
    "CREATE UNIQUE INDEX ON registrations (email, id); CREATE UNIQUE INDEX ON registrations (md5(email))",
    "sweep": "DROP INDEX registrations_claimed_since",
}
"""What takes from a step the index by which it finds its rows."""


def test_a_table_may_grow() -> None:
    evidence = table_growth((FEW, MANY), turns=5)

    assert evidence.holds, evidence.summary
    assert evidence.picture is not None
    assert "register" in evidence.picture.finding


@pytest.mark.parametrize("step", ["sweep"])
def test_an_index_that_is_missing_is_noticed(step: str) -> None:
    with ProjectCopy() as copy:
        copy.add(LACKING[step])

        evidence = table_growth((FEW, MANY), copy.migrations, turns=5)

    fails(evidence, f"{step}: tables that are read as a whole, registrations, none", f"{step}: pages at {MANY:,} rows")
