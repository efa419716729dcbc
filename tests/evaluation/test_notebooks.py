"""What holds of every notebook, and that a notebook which does not hold fails."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from beefirst.evaluation.evidence import not_shown_here
from beefirst.evaluation.notebook_list import list_notebooks
from beefirst.evaluation.procedure import experiment
from beefirst.evaluation.promises import CHECKS
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import server_url
from beefirst.machine.folders import CHECKOUT, NOTEBOOKS
from tests.support.sample_notebooks import all_in_one, begin, write_notebook

SHIPPED = sorted(NOTEBOOKS.glob("*.ipynb"))
EXPERIMENT = experiment(not_shown_here)(dict).__code__
"""The code of whatever `experiment` decorates."""

JUDGEMENTS = (ast.Compare, ast.BinOp, ast.BoolOp, ast.IfExp, ast.If, ast.Assert, ast.comprehension)


def run_nbmake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the notebooks of a folder as those that are shipped are run."""
    without = [word for name in ("cacheprovider", "schemathesis", "hypothesispytest") for word in ("-p", f"no:{name}")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *without, "-c", "pyproject.toml", *words, "--nbmake", str(folder)],
        cwd=CHECKOUT,
        env=clean_environment() | {"DATABASE_URL": server_url()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


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

    assert re.match(r"# [^\n?]+\?[^\n]*\n", opening)
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

    first, *_, last = (cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert f'verdict = begin("{path.stem}")' in "".join(first).splitlines()
    assert "".join(last).endswith("verdict.conclude()")
    assert notebook["cells"][-1]["source"] == last
    assert "execution" not in notebook["metadata"]
    assert [cell for cell in notebook["cells"] if cell["metadata"].get("tags")] == []


def code(path: Path) -> ast.Module:
    sources = ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]
    return ast.parse("\n".join(sources))


def checks(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield the id of each check that a notebook shows, and what it is judged on."""
    call: Any
    for call in ast.walk(tree):
        function = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
        if function == "verdict.show":
            yield ast.literal_eval(call.args[0]), call.args[1]
        if function == "verdict.show_together":
            together = call.args[0]
            yield from zip(map(ast.literal_eval, together.keys), together.values, strict=True)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_notebook_shows_the_checks_that_it_promises_and_no_others(path: Path) -> None:
    assert {key for key, _ in checks(code(path))} == set(CHECKS[path.stem])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_notebook_leaves_every_judgement_to_experiments(path: Path) -> None:
    tree, names = code(path), dict[str, Any]()
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec("\n".join(imports), names)

    judged_on = [ast.unparse(evidence.func) for _, evidence in checks(tree) if isinstance(evidence, ast.Call)]
    assert [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, JUDGEMENTS)] == []
    assert len(judged_on) == len(list(checks(tree)))
    assert [source for source in judged_on if eval(source, names).__code__ is not EXPERIMENT] == []


def test_the_first_notebook_lists_them_all_with_question_and_criterion() -> None:
    listed = list_notebooks()

    assert listed["notebook"].tolist() == [path.name for path in SHIPPED]
    assert listed["question"].str.contains("?", regex=False).all()
    assert (listed["criterion"] != "").all()
    assert (listed["takes"] != "").all()


BROKEN = {
    "an error": ("1 / 0", "ZeroDivisionError"),
    "an assertion": ("assert 1 == 2", "AssertionError"),
    "a failed check": (all_in_one(holds=False), "failed or were not made: A.1"),
    "a check that was not made": (f"{begin()}\nverdict.conclude()", "1 of 1 checks failed or were not made: A.1"),
    "a missing module": ("import nothing_of_this_name", "ModuleNotFoundError"),
}


APART = 'import os\nassert "beefirst-pytest-" in os.environ["BEEFIRST_DATA"]'
"""Holds where the folder of records is not the reader's."""


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run of every broken notebook and two good ones, on a worker of pytest-xdist."""
    folder = tmp_path_factory.mktemp("mixed")
    for name, (source, _) in BROKEN.items():
        write_notebook(folder, source, name=name)
    write_notebook(folder, APART, name="good")
    write_notebook(folder, all_in_one(), name="better")
    return run_nbmake(folder, "-n", "1")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_notebook_is_reported_with_its_error(mixed_run: subprocess.CompletedProcess[str], name: str) -> None:
    _, _, report = mixed_run.stdout.partition(f"{name}.ipynb _")

    assert BROKEN[name][1] in report.partition(".ipynb _")[0]


def test_broken_notebooks_fail_the_run_and_good_ones_pass(mixed_run: subprocess.CompletedProcess[str]) -> None:
    assert mixed_run.returncode == 1
    assert f"{len(BROKEN)} failed, 2 passed" in mixed_run.stdout


def test_a_folder_without_notebooks_fails_the_run(tmp_path: Path) -> None:
    assert run_nbmake(tmp_path).returncode != 0
