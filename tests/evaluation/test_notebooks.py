"""What holds of every notebook, and that a notebook which does not hold fails."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

from beefirst.evaluation.experiments.start_here import notebooks
from beefirst.evaluation.promises import CHECKS
from beefirst.laboratory.environment import PART_OF_A_RUN, clean_environment
from beefirst.laboratory.scratch_database import server_url
from beefirst.machine.folders import CHECKOUT, NOTEBOOKS
from beefirst.machine.ports import free_port
from tests.conftest import SECRET

VERDICT = """
from beefirst.evaluation.verdict import Verdict
verdict = Verdict("sample", {"A.1": "It holds"})"""
SHIPPED = sorted(NOTEBOOKS.glob("*.ipynb"))
ABOUT_THE_SERVICE = [str(NOTEBOOKS / f"{name}.ipynb") for name in ("00_start_here", "01_compose")]


def run_pytest(*words: str, folder: Path = CHECKOUT, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env=clean_environment() | {"DATABASE_URL": server_url(), **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def write_notebook(folder: Path, *sources: str, name: str = "sample.ipynb", **metadata: Any) -> Path:
    cells = [nbformat.v4.new_code_cell(source, metadata=metadata) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / name)
    return folder / name


def cells(path: Path) -> list[Any]:
    return list(json.loads(path.read_text())["cells"])


def test_there_is_a_notebook_for_each_list_of_checks() -> None:
    assert [path.stem for path in SHIPPED] == sorted(CHECKS)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]

    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_notebook_opens_with_question_criterion_duration_and_neighbours(path: Path) -> None:
    opening = "".join(cells(path)[0]["source"])
    links = re.findall(r"\]\((\w+\.ipynb)\)", opening)

    assert re.match(r"# [^\n]+\?\n", opening)
    assert "**Criterion " in opening
    assert "**Takes** " in opening
    assert links
    assert all((NOTEBOOKS / link).exists() for link in links)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_notebook_puts_words_before_each_short_cell(path: Path) -> None:
    kinds = [cell["cell_type"] for cell in cells(path)]
    lengths = [len(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]

    assert ("code", "code") not in pairwise(kinds)
    assert max(lengths) <= 12


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_notebook_ends_in_its_verdict_and_hides_no_error(path: Path) -> None:
    notebook = json.loads(path.read_text())

    assert "".join(notebook["cells"][-1]["source"]).endswith("verdict.conclude()")
    assert f'begin("{path.stem}")' in path.read_text().replace('\\"', '"')
    assert "execution" not in notebook["metadata"]
    assert [cell for cell in notebook["cells"] if cell["metadata"].get("tags")] == []


def test_the_first_notebook_lists_them_all_with_question_and_criterion() -> None:
    listed = notebooks()

    assert listed["notebook"].tolist() == [path.name for path in SHIPPED]
    assert listed["question"].str.endswith("?").all()
    assert (listed["criterion"] != "").all()
    assert (listed["takes"] != "").all()


BROKEN = {
    "an error": ("1 / 0", "ZeroDivisionError"),
    "an assertion": ("assert 1 == 2", "AssertionError"),
    "a failed check": (
        f'{VERDICT}\nverdict.check("A.1", False, "not seen")\nverdict.conclude()',
        "failed or were not made: A.1",
    ),
    "a check that was not made": (f"{VERDICT}\nverdict.conclude()", "1 of 1 checks failed or were not made: A.1"),
    "a missing module": ("import nothing_of_this_name", "ModuleNotFoundError"),
}


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run of every broken notebook and two good ones, on two workers."""
    folder = tmp_path_factory.mktemp("mixed")
    for name, (source, _) in BROKEN.items():
        write_notebook(folder, source, name=f"{name}.ipynb")
    for name in ("good", "better"):
        write_notebook(folder, "1 + 1", name=f"{name}.ipynb")
    return run_pytest("-n", "2", "--nbmake", str(folder))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_notebook_is_reported_with_its_error(mixed_run: subprocess.CompletedProcess[str], name: str) -> None:
    _, _, report = mixed_run.stdout.partition(f"{name}.ipynb _")

    assert BROKEN[name][1] in report.partition(".ipynb _")[0]


def test_broken_notebooks_fail_the_run_and_good_ones_pass(mixed_run: subprocess.CompletedProcess[str]) -> None:
    assert mixed_run.returncode == 1
    assert f"{len(BROKEN)} failed, 2 passed" in mixed_run.stdout


def test_a_folder_without_notebooks_fails_the_run(tmp_path: Path) -> None:
    assert run_pytest("--nbmake", str(tmp_path)).returncode != 0


def test_an_api_that_is_named_and_does_not_answer_fails_with_one_sentence() -> None:
    address = f"http://127.0.0.1:{free_port()}"

    result = run_pytest("--nbmake", *ABOUT_THE_SERVICE, API_URL=address)

    assert "2 failed" in result.stdout
    assert result.stdout.count(f"The API at {address} is not ready: bring it up with `docker compose up`") >= 2
    assert "Traceback" not in result.stdout


def test_a_database_that_is_named_and_does_not_answer_fails_with_one_sentence() -> None:
    url = f"postgresql://beefirst:{SECRET}@127.0.0.1:{free_port()}/beefirst"

    result = run_pytest("--nbmake", *ABOUT_THE_SERVICE, DATABASE_URL=url)

    assert "2 failed" in result.stdout
    assert result.stdout.count("does not answer (Connection refused): bring it up with `docker compose up`") >= 2
    assert "Traceback" not in result.stdout
    assert SECRET not in result.stdout


def test_a_notebook_needs_no_database_to_be_named() -> None:
    """Run as a reader does who opens it in a JupyterLab of their own: no plugin, no DATABASE_URL."""
    start_here = str(NOTEBOOKS / "00_start_here.ipynb")

    result = run_pytest(
        "-p", "no:beefirst.evaluation.pytest_plugin", start_here, DATABASE_URL="", **{PART_OF_A_RUN: "1"}
    )

    assert result.returncode == 0, result.stdout
