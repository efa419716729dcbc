"""A verdict must be able to fail."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from beefirst.errors import ProcessError
from beefirst.evaluation.display.tables import BLUE, GREEN, RED, TINTS, banner, caption, mark, table
from beefirst.evaluation.evidence import Evidence, not_shown_here
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.records import NOT_FINISHED, load_record
from beefirst.evaluation.verdict import Verdict, VerdictError, begin
from beefirst.laboratory import running_service
from beefirst.machine.ports import free_port
from tests.conftest import SECRET
from tests.support.kernels import Kernel, running_kernel

PROMISED = {"A.1": "The first holds", "A.2": "The second holds"}


@pytest.fixture(autouse=True)
def records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a reader's records, empty."""
    monkeypatch.setenv("BEEFIRST_DATA", str(tmp_path))
    return tmp_path / "verdicts"


def last_verdict(records: Path) -> str:
    record = load_record("sample", records)
    assert record
    return record.verdict


def test_a_verdict_passes_when_every_promised_check_held(records: Path) -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.show("A.1", Evidence(True, "seen"))
    verdict.show("A.2", Evidence(True, "seen"))

    verdict.conclude()

    assert last_verdict(records) == "PASS"


def test_a_failed_check_fails_the_verdict_and_is_named(records: Path) -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.show("A.1", Evidence(True, "seen"))
    verdict.show("A.2", Evidence(False, "not seen"))

    with pytest.raises(VerdictError, match=r"1 of 2 checks failed or were not made: A\.2"):
        verdict.conclude()

    assert last_verdict(records) == "FAIL"


def test_a_check_that_was_never_made_fails_the_verdict() -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.show("A.1", Evidence(True, "seen"))

    with pytest.raises(VerdictError, match=r"A\.2"):
        verdict.conclude()


def test_a_check_that_failed_once_stays_failed() -> None:
    verdict = Verdict("sample", {"A.1": "It holds"})
    verdict.show("A.1", Evidence(False, "not seen"))
    verdict.show("A.1", Evidence(True, "seen"))

    with pytest.raises(VerdictError):
        verdict.conclude()


def test_a_check_that_cannot_be_made_here_is_counted_in_the_verdict(records: Path) -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.show("A.1", Evidence(True, "seen"))
    verdict.show("A.2", not_shown_here("docker compose up"))

    verdict.conclude()

    assert last_verdict(records) == "PASS, 1 not shown here"


def test_a_verdict_that_holds_in_part_has_another_colour_than_a_whole_one() -> None:
    assert TINTS[GREEN] in mark("PASS")
    assert TINTS[BLUE] in mark("PASS, 1 not shown here")
    assert TINTS[BLUE] in banner("PASS, 1 not shown here", "2 of 3 checks were made, and all of them held.")


def test_a_verdict_of_which_nothing_was_seen_fails() -> None:
    verdict = Verdict("sample", {"A.1": "It holds"})
    verdict.show("A.1", not_shown_here("docker compose up"))

    with pytest.raises(VerdictError):
        verdict.conclude()


def test_a_check_that_was_not_promised_is_refused() -> None:
    with pytest.raises(KeyError):
        Verdict("sample", PROMISED).show("A.3", Evidence(True, "seen"))


def test_the_reader_sees_every_check_before_the_failure(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.show("A.1", Evidence(False, "not seen"))

    with pytest.raises(VerdictError):
        verdict.conclude()

    shown = capsys.readouterr().out
    assert all(word in shown for word in ("A.1", "A.2", "The second holds", "FAIL", "NOT MADE"))


@pytest.mark.parametrize(
    ("text", "leads"),
    [
        ("http://127.0.0.1:8000/docs", True),
        ("http://localhost:8888/lab", True),
        ("http://api:8000", False),
        ("http", False),
    ],
)
def test_an_address_is_a_link_where_the_readers_browser_reaches_it(text: str, leads: bool) -> None:
    html = table(pd.DataFrame([(text,)], columns=["where"]))._repr_html_()

    assert (f'<a href="{text}"' in html) == leads


def test_a_table_shows_what_it_is_given_as_text_and_marks_the_words_that_matter() -> None:
    html = table(pd.DataFrame([("<b>bold</b>", "FAIL")], columns=["what", "result"]))._repr_html_()

    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert f">{mark('FAIL')}</td>" in html
    assert TINTS[RED] in mark("FAIL")
    assert "<style" not in html


def test_a_verdict_keeps_every_check_with_its_evidence_for_later(records: Path) -> None:
    verdict = Verdict("sample", {"A.1": "It holds"})
    verdict.show("A.1", Evidence(True, "seen"))
    verdict.conclude()

    saved = json.loads((records / "sample.json").read_text())

    assert saved["checks"][0] | {"milliseconds": 0} == {
        "key": "A.1",
        "requirement": "It holds",
        "result": "PASS",
        "evidence": "seen",
        "milliseconds": 0,
        "judgements": [],
    }


def test_a_notebook_that_was_never_run_has_no_verdict(records: Path) -> None:
    assert load_record("sample", records) is None


def test_a_verdict_that_cannot_be_read_counts_as_none(records: Path) -> None:
    records.mkdir()
    (records / "sample.json").write_text('{"verdict": "PASS"}')

    assert load_record("sample", records) is None


def test_a_notebook_that_stops_half_way_has_no_verdict_of_an_earlier_run(records: Path) -> None:
    finished = Verdict("sample", {"A.1": "It holds"})
    finished.show("A.1", Evidence(True, "seen"))
    finished.conclude()

    Verdict("sample", PROMISED).show("A.1", Evidence(True, "seen"))

    assert last_verdict(records) == NOT_FINISHED


def test_a_notebook_that_stops_before_its_first_check_has_no_verdict_of_an_earlier_run_either(records: Path) -> None:
    finished = Verdict("sample", {"A.1": "It holds"})
    finished.show("A.1", Evidence(True, "seen"))
    finished.conclude()

    Verdict("sample", PROMISED)

    assert last_verdict(records) == NOT_FINISHED


class Picture:
    """What is shown in the place of rows."""

    finding = "the doors are shut"

    def __repr__(self) -> str:
        return f"a picture: {self.finding}"


def rows(*names: str) -> pd.DataFrame:
    return pd.DataFrame([(name, "shut") for name in names], columns=["door", "seen"])


def shown(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Return what was displayed, word by word in each line."""
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_check_is_shown_with_its_caption_above_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    Verdict("sample", PROMISED).show("A.1", Evidence(True, "2 doors are shut", rows("front", "back")))

    assert shown(capsys) == [
        ["PASS", "A.1:", "2", "doors", "are", "shut"],
        ["door", "seen"],
        ["front", "shut"],
        ["back", "shut"],
    ]


def test_a_check_that_fails_says_so_in_its_caption(capsys: pytest.CaptureFixture[str]) -> None:
    Verdict("sample", PROMISED).show("A.1", Evidence(False, "not seen"))

    assert capsys.readouterr().out == "FAIL A.1: not seen\n"


def test_a_check_that_cannot_be_made_here_is_shown_with_the_command_that_shows_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Verdict("sample", PROMISED).show("A.1", not_shown_here("docker compose up"))

    assert capsys.readouterr().out == "NOT SHOWN HERE A.1: run: docker compose up\n"


def test_a_picture_is_shown_in_the_place_of_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    Verdict("sample", PROMISED).show("A.1", Evidence(True, "seen", rows("front"), Picture()))

    assert capsys.readouterr().out == "PASS A.1: seen\na picture: the doors are shut\n"


def test_checks_shown_together_have_a_caption_each_and_one_table(
    records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.show_together({"A.1": Evidence(True, "one", rows("front")), "A.2": Evidence(False, "two", rows("back"))})

    assert shown(capsys) == [
        ["PASS", "A.1:", "one"],
        ["FAIL", "A.2:", "not", "as", "promised", "(two):", "back,", "shut"],
        ["door", "seen"],
        ["front", "shut"],
        ["back", "shut"],
    ]
    with pytest.raises(VerdictError, match=r"made: A\.2$"):
        verdict.conclude()
    assert last_verdict(records) == "FAIL"


def test_checks_shown_together_keep_their_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    together = {"A.1": Evidence(True, "one", rows("front"), Picture()), "A.2": Evidence(True, "two", rows("back"))}

    Verdict("sample", PROMISED).show_together(together)

    assert shown(capsys)[2:] == [["a", "picture:", "the", "doors", "are", "shut"], ["door", "seen"], ["back", "shut"]]


def test_a_check_without_rows_is_its_caption_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Verdict("sample", PROMISED).show_together({"A.1": Evidence(True, "one"), "A.2": Evidence(True, "two")})

    assert capsys.readouterr().out == "PASS A.1: one\nPASS A.2: two\n"


def test_a_caption_shows_its_sentence_as_text_and_its_word_in_colour() -> None:
    html = caption("A.1", "FAIL", "<b>$1</b>")._repr_html_()

    assert "&lt;b&gt;<span>$</span>1&lt;/b&gt;" in html
    assert f"{mark('FAIL')} <strong>A.1</strong>" in html


def test_a_notebook_does_not_begin_while_the_api_that_is_named_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("API_URL", address)
    monkeypatch.setattr(running_service, "PATIENCE_SECONDS", 0)

    with pytest.raises(ProcessError, match=f"The API at {address} is not ready: bring it up with `docker compose up`"):
        begin("03_schema")


def test_every_acceptance_criterion_is_promised_by_a_notebook() -> None:
    promised = {key.partition(".")[0] for checks in CHECKS.values() for key in checks}

    assert {"AC1", "AC2", "AC3", "AC4", "AC5"} <= promised


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    data = tmp_path_factory.mktemp("data")
    with running_kernel(BEEFIRST_DATA=str(data)) as kernel:
        kernel.run("from beefirst.evaluation.evidence import Evidence")
        kernel.run("from beefirst.evaluation.verdict import Verdict, begin")
        kernel.run("import os; from beefirst.laboratory import running_service; running_service.PATIENCE_SECONDS = 0")
        yield kernel


def results(kernel: Kernel) -> Any:
    return kernel.run("", "[(check.result, check.evidence) for check in verdict._checks()]")


def test_a_cell_that_is_run_anew_takes_back_what_it_said_before(kernel: Kernel) -> None:
    kernel.run("verdict = Verdict('sample', {'A.1': 'It holds', 'A.2': 'It holds'})")
    kernel.run(
        "verdict.show('A.1', Evidence(False, 'seen at 1')); verdict.show('A.2', Evidence(True, 'seen'))", cell="first"
    )
    kernel.run("verdict.show('A.1', Evidence(True, 'seen at 2'))", cell="first")

    assert results(kernel) == [["PASS", "seen at 2"], ["NOT MADE", "the cell that makes it did not run to its end"]]


def test_a_cell_that_is_run_anew_takes_nothing_back_of_what_another_said(kernel: Kernel) -> None:
    kernel.run("verdict = Verdict('sample', {'A.1': 'It holds'})")
    kernel.run("verdict.show('A.1', Evidence(False, 'not seen'))", cell="first")
    kernel.run("verdict.show('A.1', Evidence(True, 'seen at 1'))", cell="second")
    kernel.run("verdict.show('A.1', Evidence(True, 'seen at 2'))", cell="second")

    assert results(kernel) == [["FAIL", "not seen; seen at 2"]]


def test_a_check_that_one_run_of_a_cell_makes_twice_holds_only_if_it_held_both_times(kernel: Kernel) -> None:
    kernel.run("verdict = Verdict('sample', {'A.1': 'It holds'})")
    kernel.run(
        "verdict.show('A.1', Evidence(False, 'not seen')); verdict.show('A.1', Evidence(True, 'seen'))", cell="first"
    )

    assert results(kernel) == [["FAIL", "not seen; seen"]]


def test_checks_of_cells_that_nobody_names_are_joined(kernel: Kernel) -> None:
    kernel.run("verdict = Verdict('sample', {'A.1': 'It holds'})")
    kernel.run("verdict.show('A.1', Evidence(False, 'not seen'))")
    kernel.run("verdict.show('A.1', Evidence(True, 'seen'))")

    assert results(kernel) == [["FAIL", "not seen; seen"]]


def test_a_cell_that_the_reader_stops_says_so_in_one_sentence(kernel: Kernel) -> None:
    kernel.run("verdict = begin('03_schema')")
    request = kernel.be_busy()

    kernel.manager.interrupt_kernel()

    assert kernel.reply(request)["traceback"] == ["Stopped. Run this cell again, or go on with another."]


def first_cell(kernel: Kernel, name: str, url: str) -> list[str]:
    """Return the error that a reader sees of a notebook's first cell where a service is named."""
    kernel.run(f"os.environ[{name!r}] = {url!r}")
    reply = kernel.reply(kernel.send("begin('03_schema')"))
    kernel.run(f"del os.environ[{name!r}]")
    return list(reply["traceback"])


def test_an_api_that_is_named_and_does_not_answer_is_one_sentence_to_the_reader(kernel: Kernel) -> None:
    address = f"http://127.0.0.1:{free_port()}"

    (sentence,) = first_cell(kernel, "API_URL", address)

    assert sentence.startswith(f"ProcessError: The API at {address} is not ready: bring it up with `docker compose up`")
    assert "\n" not in sentence


def test_a_database_that_is_named_and_does_not_answer_is_one_sentence_without_its_password(kernel: Kernel) -> None:
    url = f"postgresql://beefirst:{SECRET}@127.0.0.1:{free_port()}/beefirst"

    (sentence,) = first_cell(kernel, "DATABASE_URL", url)

    assert sentence.startswith("DatabaseUnavailableError: The database ")
    assert "does not answer (Connection refused): bring it up with `docker compose up`" in sentence
    assert SECRET not in sentence
    assert "\n" not in sentence


def test_a_notebook_needs_no_database_to_be_named(kernel: Kernel) -> None:
    """As for a reader who opens it in a JupyterLab of their own."""
    kernel.run("service = begin('03_schema') and running_service.find_service()")

    assert kernel.run("", "[service.way, service.get('/health')['status']]") == ["this notebook", "ready"]
