"""The experiments of notebook 11: defects that are caught, defects that survive, and what is said of each."""

import json
import re
from pathlib import Path

import pytest

from beefirst.errors import ConfigurationError
from beefirst.evaluation.experiments.sabotage import own, picked, whole_run
from beefirst.evaluation.sabotage.catalogue import Defect, read_catalogue
from beefirst.evaluation.sabotage.matrix import make_matrix, save_matrix
from beefirst.evaluation.sabotage.outcomes import Control, Outcome, Result
from tests.support.evidence import fails

CAUGHT, WITH_A_TEST = "the database's container may write to its root", "a 401 does not say how to come in"
HARMLESS = Defect(
    name="nothing is wrong",
    area="compose",
    breaks="AC1.1",
    reason="port",
    file="docker-compose.yml",
    old="# What every service gives up:",
    new="# All that every service gives up:",
)


def tried(result: Result, evidence: str, failures: dict[str, str] | None = None) -> picked.Tried:
    """Return what became of one defect, as it might be."""
    (defect,) = picked.pick(CAUGHT)
    values = {"defect": CAUGHT, "area": "compose", "promise": "AC1.6", "caught_by": "01_compose", "seconds": 1.0}
    outcome = Outcome.model_validate(values | {"result": result, "evidence": evidence})
    control = Control(caught_by="01_compose", checks=1, asked=["AC1.6"], failures=failures or {}, seconds=1)
    return picked.Tried([defect], [outcome], [control])


def test_a_defect_is_caught_beside_an_unharmed_copy_and_one_that_changes_nothing_survives() -> None:
    (defect,) = picked.pick(CAUGHT)

    found = picked.try_picked([defect, HARMLESS])

    fails(picked.picked_are_caught(found), "1 of 2 defects caught", "nothing is wrong, AC1.1, PASS", "SURVIVED, CAUGHT")
    assert picked.picked_are_caught(picked.Tried([defect], found.outcomes[:1], found.controls)).holds
    assert picked.unharmed_copy_passes(found).summary == (
        "2 checks of 1 notebooks say nothing against an unharmed copy"
    )
    assert [it.checks for it in found.outcomes] == [
        {"AC1.6": "FAIL", "AC1.1": "PASS"},
        {"AC1.1": "PASS", "AC1.6": "PASS"},
    ]


@pytest.mark.parametrize(
    ("result", "evidence", "seen"),
    [
        ("CAUGHT", "not as promised: db: a writable root", "CAUGHT"),
        ("CAUGHT", "not as promised: something else", "WRONG REASON"),
        ("CAUGHT", "the experiment itself stopped: db: a writable root", "WRONG REASON"),
        ("NEIGHBOUR", "db: a writable root", "NEIGHBOUR"),
    ],
)
def test_a_catch_must_be_seen_in_the_checks_own_words(result: Result, evidence: str, seen: str) -> None:
    judged = picked.picked_are_caught(tried(result, evidence))

    assert [*judged.rows["seen"]] == [seen]
    assert judged.holds == (seen == "CAUGHT")


def test_a_check_that_fails_anyhow_is_no_catch() -> None:
    fails(picked.unharmed_copy_passes(tried("CAUGHT", "", {"AC1.6": "it is red"})), "AC1.6: it is red, nothing")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "Pick at least one defect"),
        (("the databases container may write",), f"what comes close: .*{CAUGHT}"),
        ((WITH_A_TEST,), "It takes a test to notice"),
    ],
)
def test_what_cannot_be_picked_is_answered_with_one_line(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        picked.pick(*names)

    assert "\n" not in str(caught.value)


def test_the_reader_sees_every_defect_that_can_be_picked_and_each_as_a_diff() -> None:
    listed, shown = repr(picked.defects_to_pick()), picked.show_changes(picked.pick(CAUGHT))

    assert all((defect.name in listed) is not defect.is_caught_by_a_test for defect in read_catalogue())
    assert "\n+    read_only: false" in repr(shown)
    assert "+    read_only: false</span>" in shown._repr_html_()


def test_a_readers_own_defect_is_caught_or_has_survived() -> None:
    caught = own.try_own("docker-compose.yml", "read_only: true", "read_only: false", ["01_compose"])
    harmless = own.try_own("docker-compose.yml", "# What every service", "# All that every service", ["01_compose"])

    evidence = own.own_defect_is_caught(caught)
    assert evidence.holds
    assert "AC1.6: " in evidence.rows["what they say"].iloc[0]
    fails(own.own_defect_is_caught(harmless), "01_compose noticed nothing, SURVIVED, CAUGHT")


def test_a_change_that_cannot_be_made_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigurationError, match="exactly once"):
        own.show_own_change("docker-compose.yml", "no such text", "")


def last_run(
    folder: Path, *left_out: str, result: Result = "CAUGHT", fingerprint: str = "", controlled: bool = True
) -> Path:
    """Return the file of a whole run in which one defect, CAUGHT, may have come out otherwise than all others."""
    outcomes = [
        Outcome(
            defect=defect.name,
            fingerprint=fingerprint if fingerprint and defect.name == CAUGHT else defect.fingerprint,
            area=defect.area,
            promise=defect.breaks,
            caught_by=defect.caught_by,
            result=result if defect.name == CAUGHT else "CAUGHT",
            evidence="seen",
            seconds=1,
        )
        for defect in read_catalogue()
        if defect.name not in left_out
    ]
    controls = [
        Control(caught_by=it.caught_by.partition("::")[0], checks=1, asked=[it.asked], failures={}, seconds=1)
        for it in outcomes
        if controlled or it.asked != "AC1.6"
    ]
    save_matrix(make_matrix(outcomes, controls, 60), folder / "matrix.json")
    return folder / "matrix.json"


def test_the_last_run_is_shown_with_its_date_and_commit(tmp_path: Path) -> None:
    path = last_run(tmp_path)
    matrix = json.loads(path.read_text())

    evidence = whole_run.whole_catalogue_was_caught(path)

    count = len(read_catalogue())
    assert evidence.holds
    assert evidence.summary.startswith(f"{count} of {count} defects caught, on {matrix['finished_at'][:10]} at ")
    assert matrix["commit"] in evidence.summary
    assert evidence.summary.endswith("; no file has changed since")


def test_it_is_said_how_many_files_have_changed_since_the_last_run(tmp_path: Path) -> None:
    path = last_run(tmp_path)
    matrix = json.loads(path.read_text())
    [changed, gone, *_] = [*matrix["code"]]
    matrix["code"] |= {changed: "another", "beefirst/gone.py": matrix["code"].pop(gone)}
    path.write_text(json.dumps(matrix))

    evidence = whole_run.whole_catalogue_was_caught(path)

    assert evidence.holds
    assert re.search(r"; 3 of \d{3} files have changed since$", evidence.summary)


def test_a_last_run_with_a_survivor_or_of_another_catalogue_does_not_hold(tmp_path: Path) -> None:
    judge = whole_run.whole_catalogue_was_caught

    fails(judge(last_run(tmp_path, result="SURVIVED")), "SURVIVED, CAUGHT")
    fails(judge(last_run(tmp_path, CAUGHT)), f"{CAUGHT}, , is in the catalogue alone, NOT TRIED")
    fails(judge(last_run(tmp_path, fingerprint="another")), f"{CAUGHT}, AC1.6, seen, CHANGED SINCE")
    fails(judge(last_run(tmp_path, controlled=False)), f"{CAUGHT}, AC1.6, seen, NO CONTROL")


def test_a_defect_is_told_from_another_of_its_name() -> None:
    other = HARMLESS.model_copy(update={"reason": "something else"})

    assert HARMLESS.fingerprint == HARMLESS.model_copy().fingerprint
    assert HARMLESS.fingerprint != other.fingerprint
