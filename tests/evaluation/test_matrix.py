"""A matrix fills up cell by cell."""

from beefirst.evaluation.display.matrix import LiveMatrix


def test_a_matrix_shows_what_is_awaited_what_was_not_asked_and_what_came() -> None:
    matrix = LiveMatrix({"A.1": "A.1 It <holds>", "A.2": "A.2"}, ["unharmed", "broken"], [["A.1", "A.2"], ["A.1"]])
    assert repr(matrix.shown()) == "A.1 It <holds>: …, …\nA.2: …, -"

    matrix.fill(0, {"A.1": "PASS", "A.2": "PASS"})
    matrix.fill(1, {"A.1": "FAIL", "B.1": "FAIL"}, "A.1")

    assert repr(matrix.shown()) == "A.1 It <holds>: PASS, FAIL\nA.2: PASS, -"
    assert "A.1 It &lt;holds&gt;" in matrix.shown()._repr_html_()
    assert matrix.shown()._repr_html_().count("outline:") == 1
