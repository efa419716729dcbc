"""Each experiment of notebook 00 holds where all is up and well, and fails for one thing that is not."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pandas as pd
import pytest

from beefirst.evaluation.display.tables import Shown
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments import start_here
from beefirst.evaluation.notebook_list import FIRST, LiveTable, list_notebooks
from beefirst.evaluation.records import Record, load_record
from beefirst.evaluation.report.runner import Progress, run_notebook
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.running_service import OWN, UP, RunningService
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from tests.support.databases import SHIPPED
from tests.support.evidence import fails, judged
from tests.support.sample_notebooks import all_in_one, begin, write_notebook

NEWEST = SHIPPED[-1]
EDIT = f"UPDATE schema_migrations SET sha256 = repeat('0', 64) WHERE version = {NEWEST.version}"
FORGET = f"DELETE FROM schema_migrations WHERE version = {NEWEST.version}"
RUN_AHEAD = """
    INSERT INTO schema_migrations (version, name, sha256, milliseconds)
    VALUES (999, '999_from_the_future.sql', repeat('9', 64), 1)
"""
COUNT = f"""{begin(FIRST)}
from beefirst.evaluation.experiments import start_here
verdict.show("A.1", start_here.every_notebook_holds())
verdict.conclude()"""


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    """A service on a database of its own."""
    with ScratchDatabase() as database, start_api(database.url) as api:
        yield RunningService(api.url, api.url, database.url, OWN)


@contextmanager
def edited(service: RunningService, change: str) -> Iterator[None]:
    """Change the record of the migrations until the block ends."""
    with service.connect(read_only=False) as connection:
        connection.execute("CREATE TABLE kept AS TABLE schema_migrations")
        connection.execute(change.encode())
        yield
        connection.execute("DELETE FROM schema_migrations")
        connection.execute("INSERT INTO schema_migrations TABLE kept")
        connection.execute("DROP TABLE kept")


def test_an_api_that_is_ready_is_a_pass(service: RunningService) -> None:
    evidence = start_here.api_is_ready(service)

    assert (evidence.result, evidence.summary) == ("PASS", f"{service.api_url}/health says ready")
    assert list(evidence.rows["field"]) == ["status", "database", "migrations", "connection"]


def test_an_api_that_is_not_ready_is_a_fail_that_says_why(service: RunningService) -> None:
    with edited(service, FORGET):
        evidence = start_here.api_is_ready(service)

    assert evidence.result == "FAIL"
    assert f"migrations, {NEWEST.name} is not applied" in evidence.summary


def test_an_api_that_is_gone_is_a_fail_in_one_line(service: RunningService) -> None:
    gone = replace(service, api_url=f"http://127.0.0.1:{free_port()}")

    evidence = start_here.api_is_ready(gone)

    assert evidence.result == "FAIL"
    assert evidence.summary.endswith("ConnectError: [Errno 111] Connection refused")


def test_migrations_that_are_those_shipped_are_a_pass(service: RunningService) -> None:
    evidence = start_here.migrations_are_those_shipped(service)

    count = len(SHIPPED)
    assert (evidence.result, evidence.summary) == (
        "PASS",
        f"{count} of {count} migrations, with the same checksums; 0 others; newest: {NEWEST.name}",
    )
    assert list(evidence.rows["migration"]) == [migration.name for migration in SHIPPED]
    assert all(evidence.rows["applied at"])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (EDIT, f"000000000000, {NEWEST.sha256[:12]}"),
        (FORGET, f"{NEWEST.name}, , not applied, {NEWEST.sha256[:12]}"),
        (RUN_AHEAD, "999999999999, not shipped"),
    ],
    ids=["edited", "missing", "ahead"],
)
def test_migrations_that_are_not_those_shipped_are_a_fail_that_names_the_one(
    service: RunningService, change: str, line: str
) -> None:
    with edited(service, change):
        evidence = start_here.migrations_are_those_shipped(service)

    assert evidence.result == "FAIL"
    assert evidence.summary.startswith("not as promised (")
    assert evidence.summary.endswith(line)
    assert "; " not in evidence.summary.partition("): ")[2]


def test_a_database_that_is_gone_is_a_fail_in_one_line(service: RunningService) -> None:
    gone = replace(service, database_url=f"postgresql://beefirst:secret@127.0.0.1:{free_port()}/beefirst")

    evidence = start_here.migrations_are_those_shipped(gone)

    assert evidence.result == "FAIL"
    assert "does not answer (Connection refused): bring it up with" in evidence.summary
    assert "secret" not in evidence.summary


class Lab(BaseHTTPRequestHandler):
    """What JupyterLab answers to whoever asks whether it is there."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def jupyterlab(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where something answers as JupyterLab does, as the settings of this process name it."""
    with HTTPServer(("127.0.0.1", 0), Lab) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("API_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("NOTEBOOK_PORT", str(server.server_port))
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def test_a_jupyterlab_that_answers_is_a_pass(service: RunningService, jupyterlab: str) -> None:
    evidence = start_here.jupyterlab_answers(replace(service, way=UP))

    assert (evidence.result, evidence.summary) == ("PASS", f"address that answers: {jupyterlab}")


def test_a_jupyterlab_that_does_not_answer_is_a_fail(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("NOTEBOOK_PORT", str(free_port()))

    evidence = start_here.jupyterlab_answers(replace(service, way=UP))

    assert (evidence.result, evidence.summary) == ("FAIL", "address that answers: None")


def test_a_notebook_on_its_own_cannot_show_a_jupyterlab_and_says_what_does(service: RunningService) -> None:
    evidence = start_here.jupyterlab_answers(service)

    assert evidence.result == "NOT SHOWN HERE"
    assert evidence.summary == "run: docker compose up, or python -m beefirst up"


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a reader's records."""
    monkeypatch.setenv("BEEFIRST_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "verdicts"


def write_notebooks(folder: Path, **sources: str) -> Path:
    for name, source in {FIRST: COUNT, **sources}.items():
        write_notebook(folder, source, name=name, opening=f"# Is it {name}?")
    return folder


@pytest.mark.usefixtures("records")
def test_every_notebook_but_the_first_is_run_in_order_whatever_becomes_of_the_one_before(tmp_path: Path) -> None:
    folder = write_notebooks(
        tmp_path, **{"01_bad": all_in_one("01_bad", holds=False), "02_good": all_in_one("02_good")}
    )

    evidence = start_here.every_notebook_holds(folder)

    assert evidence.result == "FAIL"
    assert evidence.summary.startswith("1 of 2 hold, in ")
    assert evidence.summary.endswith(" s; 01_bad: 1 of 1 checks failed or were not made: A.1")
    assert list_notebooks(folder)["verdict"].tolist() == ["not run", "FAIL: A.1", "PASS"]


@pytest.mark.usefixtures("records")
def test_notebooks_that_all_hold_are_a_pass(tmp_path: Path) -> None:
    evidence = start_here.every_notebook_holds(write_notebooks(tmp_path, **{"01_good": all_in_one("01_good")}))

    assert evidence.result == "PASS"
    assert evidence.summary.startswith("1 of 1 hold, in ")


def test_no_notebooks_are_no_pass(tmp_path: Path) -> None:
    assert start_here.every_notebook_holds(write_notebooks(tmp_path)).result == "FAIL"


def test_where_the_others_have_run_their_records_are_counted_and_one_that_is_missing_is_named(
    tmp_path: Path, records: Path
) -> None:
    never = "raise SystemExit('this is not to be run')"
    folder = write_notebooks(tmp_path, **{"01_good": all_in_one("01_good"), "02_gone": never})
    run_notebook(folder / "01_good.ipynb")

    (check,) = run_notebook(folder / f"{FIRST}.ipynb", others=["01_good", "02_gone"]).record.checks

    assert check.result == "FAIL"
    assert check.evidence.startswith("1 of 2 hold, in ")
    assert check.evidence.endswith(" s; 02_gone: there is no record of its run")
    assert load_record("02_gone", records) is None


@pytest.mark.usefixtures("records")
def test_what_the_run_has_run_is_counted_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("01_good", "02_good", "03_elsewhere"):
        (tmp_path / name).mkdir()
        run_notebook(write_notebook(tmp_path / name, all_in_one(name), name=name))
    folder = write_notebooks(tmp_path, **{"01_good": "raise SystemExit('this is not to be run')"})

    run = run_notebook(folder / f"{FIRST}.ipynb", others=["01_good", "02_good", "03_elsewhere"])

    assert run.record.checks[0].evidence.startswith("3 of 3 hold, in ")


@pytest.mark.usefixtures("records")
def test_an_interrupt_ends_the_run_of_all_and_the_table_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_notebooks(tmp_path, **{"01_good": "1", "02_good": "2"})
    tables: list[Shown] = []
    monkeypatch.setattr(LiveTable, "_update", lambda live: tables.append(live._table()))

    def interrupt(_: Path, progress: Progress) -> Record:
        progress(0, 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(start_here, "run_notebook", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start_here.every_notebook_holds(folder)

    words = [line.split() for line in str(tables[-1]).splitlines()]
    assert [line[-1] for line in words[1:]] == ["notebook", "stopped", "reached"]
    assert "running: cell 1 of 1" in str(tables[0])


HELD = pd.DataFrame([("01_good", "PASS", "All held.", 1.0)], columns=["notebook", "verdict", "sentence", "seconds"])
ONE = pd.DataFrame([("01_good", "A.1", "PASS")], columns=["notebook", "check", "result"])


def judge(notebooks: pd.DataFrame = HELD, checks: pd.DataFrame = ONE, due: Sequence[str] = ("01_good",)) -> Evidence:
    return judged(start_here.every_notebook_holds, due=due, notebooks=notebooks, checks=checks)


def test_a_verdict_is_counted_again_and_its_word_is_not_believed() -> None:
    said = "it says PASS, and its checks say "

    assert judge().summary == "1 of 1 hold, in 1 s"
    fails(judge(checks=ONE.assign(result="FAIL")), f"0 of 1 hold, in 1 s; 01_good: {said}FAIL: 1 of 1 checks failed")
    fails(judge(checks=ONE.head(0)), f"{said}FAIL: 0 of 0 checks")
    two = pd.concat([ONE, pd.DataFrame([("01_good", "A.2", "NOT SHOWN HERE")], columns=ONE.columns)])
    fails(judge(checks=two), f"{said}PASS, 1 not shown here")
    assert judge(HELD.assign(verdict="PASS, 1 not shown here"), two).holds
    fails(judge(HELD.assign(verdict="NOT FINISHED", sentence="It was not reached.")), "01_good: It was not reached.")


def test_notebooks_that_were_due_and_checks_that_were_promised_are_missed() -> None:
    listed, check = HELD.assign(notebook="01_compose"), ONE.assign(notebook="01_compose", check="AC1.1")

    fails(judge(due=[]), "0 of 0 hold")
    fails(judge(due=["01_good", "02_gone"]), "1 of 2 hold", "02_gone: there is no record of its run")
    fails(judge(listed, check, ["01_compose"]), "6 of 7 checks failed or were not made: AC1.2, AC1.3")


def test_an_api_and_a_jupyterlab_are_judged_by_what_they_answered() -> None:
    fails(judged(start_here.api_is_ready, state={"status": "unavailable"}, address="here"), "says unavailable")
    fails(judged(start_here.jupyterlab_answers, way=UP, answered=None), "None")
