"""The picture of a registration's states."""

import pytest

from beefirst.evaluation.display.state_diagram import state_machine


@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ([], "Whatever is not proven can be claimed again"),
        (["CLAIMED"], "The path taken: CLAIMED"),
        (["CLAIMED", "CLAIMED", "ACTIVE"], "The path taken: CLAIMED → CLAIMED → ACTIVE"),
        (["ACTIVE", "CLAIMED"], "No rule allows ACTIVE → CLAIMED. The path taken: ACTIVE → CLAIMED"),
        (["CLAIMED", "none"], "No rule allows CLAIMED → none. The path taken: CLAIMED → none"),
    ],
)
def test_a_path_is_told_and_what_no_rule_allows_in_it(path: list[str], finding: str) -> None:
    assert state_machine(path).finding == finding
