"""What the plots leave room for."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from beefirst.evaluation.display import charts


@pytest.mark.parametrize("guesses", [40, 260], ids=["fewer", "more"])
def test_the_picture_of_guesses_has_room_for_the_limit_and_for_what_was_seen(
    monkeypatch: pytest.MonkeyPatch, guesses: int
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(charts, "Chart", lambda figure, _: drawn.append(figure))

    charts.guesses_in_a_day(pd.DataFrame({"hours": [0, 1], "guesses": [4, guesses]}), limit=100)

    assert drawn[0].axes[0].get_ylim()[1] > max(guesses, 100)
