"""Observations come back from a file as they were, but for what a file knows no type for."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from beefirst.evaluation.observations import from_data, to_data


def through_a_file(**observed: Any) -> dict[str, Any]:
    return from_data(json.loads(json.dumps(to_data(observed))))


def test_a_table_comes_back_with_its_numbers_texts_and_gaps() -> None:
    frame = pd.DataFrame({"n": [1, 2], "seconds": [0.1, 0.25], "name": ["a", "b"], "none": [None, "x"]})

    assert_frame_equal(through_a_file(frame=frame)["frame"], frame, check_dtype=False)
    assert through_a_file(frame=frame)["frame"]["n"].sum() == 3


def test_a_table_without_rows_keeps_its_columns() -> None:
    assert list(through_a_file(frame=pd.DataFrame(columns=["a", "b"]))["frame"].columns) == ["a", "b"]


def test_what_is_missing_is_none_whatever_it_was() -> None:
    frame = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "t": [pd.NaT, pd.NaT], "f": [float("nan"), 1.0]})

    assert to_data({"frame": frame})["frame"]["rows"] == [[1, None, None], [None, None, 1.0]]


def test_whole_numbers_stay_whole_where_one_is_missing() -> None:
    frame = pd.DataFrame({"length": pd.array([255, None], dtype="Int64")})

    assert [str(value) for value in through_a_file(frame=frame)["frame"]["length"]] == ["255", "None"]


def test_times_and_ids_become_text_and_tuples_lists() -> None:
    moment, number = datetime(2026, 1, 2, tzinfo=UTC), UUID(int=4)

    assert through_a_file(it={"when": moment, "ids": (number,)})["it"] == {
        "when": "2026-01-02 00:00:00+00:00",
        "ids": ["00000000-0000-0000-0000-000000000004"],
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"1234", "it is of the type bytes"),
        ({"in": {1, 2}}, "it.in is of the type set"),
        ({1: "a"}, "it has the key 1, which is no text"),
        (float("inf"), "it is inf, which no file holds"),
    ],
)
def test_what_no_file_holds_is_refused_by_name(value: object, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        to_data({"it": value})
