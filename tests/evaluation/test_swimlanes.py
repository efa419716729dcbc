"""The picture of a history: what it says, and that it has room for what it shows."""

import pytest

from beefirst.evaluation.display.swimlanes import MOST_CALLS, swimlanes
from beefirst.evaluation.display.time_axis import TimeAxis
from beefirst.laboratory.history.calls import Call, ClockStep, CodeMail, Fault, Row
from beefirst.laboratory.history.judgement import judge_history
from tests.support.histories import activate, history, mail, register, row

Told = Call | CodeMail | Row

WIDEST = 1000
"""Pixels that a notebook has room for."""

CLAIM = (register("ada", (0, 0.1)), mail(0.3))
MANY = [register(f"client {number}", (0.01 * number, 5 + number % 7)) for number in range(MOST_CALLS)]
FAULT = Fault("the database is killed", 1, 3)


@pytest.mark.parametrize(
    ("told", "finding"),
    [
        ([*CLAIM, activate("ada", (1, 2)), row("ACTIVE")], "One order explains every answer of these 2 calls"),
        ([*CLAIM, activate("ada", (1, 2), None), row("ACTIVE")], "One order explains every answer of these 2 calls"),
        ([*CLAIM, activate("ada", (1, 2)), row("EXPIRED", 70)], "Not explained: ada@example.com: an acknowledged"),
        ([*CLAIM, row("ACTIVE")], "Not explained: ada@example.com: the row is ACTIVE, and no call explains that"),
        ([*CLAIM, row("EXPIRED", 70, has_hash=True)], "Not explained: An ended row of ada@example.com keeps a hash"),
        ([*MANY, mail(6)], f"One order explains every answer of these {MOST_CALLS} calls"),
    ],
)
def test_a_picture_says_what_was_found_and_is_no_wider_than_there_is_room(told: list[Told], finding: str) -> None:
    it = history(*told, faults=[FAULT], clock_steps=[ClockStep("ada@example.com", 1, 4, 4.1)])

    chart = swimlanes(it, judge_history(it))

    png, shown = chart._repr_png_()
    assert repr(chart).startswith(finding)
    assert shown["width"] <= WIDEST
    assert int.from_bytes(png[16:20], "big") <= 2 * WIDEST


def test_long_waits_take_little_room_and_places_keep_their_order() -> None:
    axis = TimeAxis.of([(0, 1), (0.5, 2), (100, 101)])

    assert axis.waits == [(2, 100)]
    assert axis.length < 4
    places = [axis.place(time) for time in (0, 1, 2, 50, 100, 101, 102)]
    assert places == sorted(places)
    assert places[2] == 2
    assert places[5] - places[4] == pytest.approx(1)
    assert [text for _, text in axis.ticks()][-1] == "101"
