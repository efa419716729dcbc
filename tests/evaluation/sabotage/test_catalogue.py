"""The catalogue: each defect is possible, small, and is to be caught by something that there is."""

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from beefirst.evaluation.sabotage.catalogue import AREAS, Defect, read_catalogue
from beefirst.evaluation.sabotage.matrix import load_matrix
from beefirst.machine.folders import CHECKOUT

CATALOGUE = read_catalogue()

POSSIBLE = {
    "name": "a code lives 90 seconds",
    "area": "settings",
    "breaks": "AC5.3",
    "reason": "90",
    "file": "beefirst/settings.py",
    "old": "60",
    "new": "90",
}


def test_there_are_at_least_sixty_defects_and_some_in_every_area() -> None:
    areas = Counter(defect.area for defect in CATALOGUE)

    assert len(CATALOGUE) >= 60
    assert set(areas) == {Path(name).stem for name in AREAS}
    assert min(areas.values()) >= 5


@pytest.mark.parametrize("defect", CATALOGUE, ids=lambda defect: defect.name)
def test_a_defect_changes_what_is_there_exactly_once(defect: Defect) -> None:
    if defect.file:
        assert (CHECKOUT / defect.file).read_text(encoding="utf-8").count(defect.old) == 1
        assert defect.old != defect.new
        assert defect.diff.startswith(f"--- {defect.file}")
    else:
        assert defect.diff == defect.sql.strip()


@pytest.mark.parametrize("defect", CATALOGUE, ids=lambda defect: defect.name)
def test_what_is_to_catch_it_is_there(defect: Defect) -> None:
    place, _, test = defect.caught_by.partition("::")
    if defect.is_caught_by_a_test:
        tests = {node.name for node in ast.walk(ast.parse((CHECKOUT / place).read_text())) if hasattr(node, "name")}
        assert test in tests
    else:
        assert (CHECKOUT / "notebooks" / f"{place}.ipynb").is_file()


def test_no_two_defects_change_the_same_in_the_same_way() -> None:
    changes = Counter((defect.file, defect.old, defect.new, defect.sql) for defect in CATALOGUE)

    assert changes.most_common(1)[0][1] == 1


def test_what_claims_the_promise_catches_it_unless_the_catalogue_says_otherwise() -> None:
    test = "tests/rules/test_credentials.py::test_a_code_is_four_digits_with_its_leading_zeros"
    by_test = Defect(**POSSIBLE | {"breaks": test})

    assert Defect(**POSSIBLE).caught_by == "05_configuration"
    assert by_test.caught_by == test
    assert Defect(**POSSIBLE | {"caught_by": test}).caught_by == test


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"breaks": "AC9.9"}, "no notebook makes no check AC9.9"),
    ({"caught_by": "02_migrations"}, "02_migrations makes no check AC5.3"),
    ({"old": ""}, "either a file is changed, or by sql"),
    ({"sql": "SELECT 1"}, "either a file is changed, or by sql"),
    ({"file": "", "old": "", "new": "", "sql": "SELECT 1"}, "either a file is changed, or by sql"),
    ({"new": "a\n" * 6}, "more than 5 lines"),
    ({"brakes": "AC5.3"}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("change", "said"), IMPOSSIBLE)
def test_a_defect_that_is_not_possible_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Defect(**POSSIBLE | change)


def test_two_defects_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in AREAS:
        (tmp_path / name).write_text("defect = []\n")
    entry = "\n".join(f"{key} = '{value}'" for key, value in POSSIBLE.items() if key != "area")
    (tmp_path / "settings.toml").write_text(f"[[defect]]\n{entry}\n" * 2)

    with pytest.raises(ValueError, match="More than one defect is called 'a code lives 90 seconds'"):
        read_catalogue(tmp_path)


def test_the_matrix_that_is_shown_names_every_defect_and_each_was_caught() -> None:
    matrix = load_matrix()

    assert [outcome.defect for outcome in matrix.outcomes] == [defect.name for defect in CATALOGUE]
    assert [outcome.defect for outcome in matrix.outcomes if not outcome.is_caught] == []
    assert matrix.holds
