"""What notebook 00 says of the others, and the pictures that need no service."""

from datetime import UTC, datetime

import pandas as pd
import pytest
from matplotlib.figure import Figure

from beefirst.evaluation.display import charts
from beefirst.evaluation.experiments.start_here import summarise
from beefirst.evaluation.records import Check, Record, Result


def record(verdict: str, *results: Result) -> Record:
    checks = [Check(key="A.1", requirement="It holds", result=result, evidence="seen") for result in results]
    return Record(
        notebook="sample", verdict=verdict, sentence="in words", finished_at=datetime.now(UTC), seconds=2, checks=checks
    )


def test_the_summary_counts_the_checks_that_cannot_be_shown() -> None:
    records = [record("PASS", "PASS"), record("PASS, 1 not shown here", "PASS", "NOT SHOWN HERE")]

    assert summarise(records) == "2 of 2 hold (1 of their checks cannot be shown here), in 4 s"


def test_the_summary_names_what_failed() -> None:
    assert summarise([record("PASS", "PASS"), record("FAIL", "FAIL")]) == "1 of 2 hold, in 4 s; sample: in words"


@pytest.mark.parametrize("guesses", [40, 260], ids=["fewer", "more"])
def test_the_picture_of_guesses_has_room_for_the_limit_and_for_what_was_seen(
    monkeypatch: pytest.MonkeyPatch, guesses: int
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(charts, "Chart", lambda figure, _: drawn.append(figure))

    charts.guesses_in_a_day(pd.DataFrame({"hours": [0, 1], "guesses": [4, guesses]}), limit=100)

    assert drawn[0].axes[0].get_ylim()[1] > max(guesses, 100)
