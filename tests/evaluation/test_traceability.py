"""Every check goes back to a sentence, and to places that are there."""

import pytest

from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.traceability import origins
from beefirst.machine.folders import CHECKOUT

PROMISED = [key for checks in CHECKS.values() for key in checks]


def test_every_check_has_an_origin_and_no_other_has() -> None:
    assert sorted(origins()) == sorted(PROMISED)


@pytest.mark.parametrize("key", PROMISED)
def test_what_enforces_a_check_is_there_by_that_name(key: str) -> None:
    assert origins()[key].enforced_by
    for file, name in origins()[key].enforced_by:
        assert name in (CHECKOUT / file).read_text(encoding="utf-8"), (file, name)
