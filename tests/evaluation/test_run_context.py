"""What a run of notebooks tells the kernels, and nobody else."""

import json
from pathlib import Path

import pytest

from beefirst.evaluation.report.runner import run_notebook
from beefirst.evaluation.run_context import RunContext, kernel_arguments
from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import CHECKOUT
from tests.support.sample_notebooks import all_in_one, write_notebook

TELL = """
import json, os, subprocess, sys
from beefirst.evaluation.run_context import RunContext
said = "[str(it.records_folder), str(it.own_folder), it.others_run, it.seconds_from_command]"
it = RunContext.current()
"""
ITSELF = f"{TELL}print(json.dumps(eval(said)))"
ITS_CHILD = f"""{TELL}
source = "import json; from beefirst.evaluation.run_context import RunContext; it = RunContext.current(); "
print(subprocess.run([sys.executable, "-c", f"{{source}}print(json.dumps({{said}}))"], stdout=-1, text=True).stdout)"""
ENVIRONMENT = "print(json.dumps(dict(os.environ)))"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a reader's data."""
    monkeypatch.setenv("BEEFIRST_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_who_is_told_nothing_keeps_the_records_of_a_reader(data: Path) -> None:
    context = RunContext.current()

    assert context.records_folder == context.own_folder == data / "verdicts"
    assert context.others_run == []
    assert context.seconds_from_command == 0


def test_a_record_of_ones_own_lies_with_the_others_unless_it_is_told_apart(data: Path) -> None:
    assert RunContext(records="/records").own_folder == Path("/records")
    assert RunContext(records="/records", own_record="/own").own_folder == Path("/own")
    assert RunContext(own_record="/own").records_folder == data / "verdicts"


def test_folders_are_told_in_full_as_the_kernel_works_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    told = kernel_arguments(Path("records"), Path("own"))

    assert told[:2] == [f"--RunContext.records={tmp_path}/records", f"--RunContext.own_record={tmp_path}/own"]


def test_a_kernel_is_told_and_the_processes_that_it_starts_are_not(data: Path, tmp_path: Path) -> None:
    records = tmp_path / "records of a report"
    environment = clean_environment() | {"BEEFIRST_DATA": str(data), "PYTHONPATH": str(CHECKOUT)}
    path = write_notebook(tmp_path, ITSELF, ITS_CHILD, ENVIRONMENT, all_in_one())

    run = run_notebook(path, environment, records=records, others=["01_good", "02_bad"], seconds_from_command=12.3)

    itself, its_child, inherited = (json.loads(cell.outputs[0].text) for cell in run.executed.cells[:3])
    assert itself[0] == str(records)
    assert itself[1] not in (str(records), str(data / "verdicts"))
    assert itself[2:] == [["01_good", "02_bad"], 12.3]
    assert its_child == [str(data / "verdicts"), str(data / "verdicts"), [], 0]
    assert not [name for name, value in inherited.items() if str(records) in value or itself[1] in value]
    assert [path.name for path in records.iterdir()] == ["sample.json"]
    assert not (data / "verdicts").exists()
