"""The checkout is tidy, and each rule of that can be broken."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from beefirst.evaluation.promises import CHECKS
from beefirst.machine.folders import CHECKOUT
from tests.repository import notebook_cells, tidiness

MODULE_LINES, FUNCTION_LINES = 250, 30
TEST_MODULE_LINES, TEST_FUNCTION_LINES = 500, 40

LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS = {"beefirst/jupyter/server.py:_traits": "JupyterLab's configuration: a setting a line, and why"}
LONG_TEST_MODULES: dict[str, str] = {}
LONG_TEST_FUNCTIONS: dict[str, str] = {}

ENTRIES = {
    "beefirst.__main__": "python -m beefirst",
    "beefirst.evaluation.pytest_plugin": "pytest, by pyproject.toml",
}
DATA = {
    "page_config.json": "JupyterLab, by the name",
    "default_setting_overrides.json": "JupyterLab, by the name",
    "grafana_dashboard.json": "Grafana, into which an operator imports it",
}

BANNED = {
    "seat": "it meant three things: the deployment, where JupyterLab runs, a copy of the project",
    "stage": "a testbed",
    "play": "the values that a reader may change are values",
    "looks": "say what it looks at, or how it is displayed",
    "facts": "say what of",
}

Rule = Callable[[Path], list[str]]
EXPERIMENT_TESTS = "tests/evaluation/experiments"

RULES: dict[str, Rule] = {
    "module size": partial(tidiness.long_modules, folder="beefirst", limit=MODULE_LINES, exceptions=LONG_MODULES),
    "function length": partial(
        tidiness.long_functions, folder="beefirst", limit=FUNCTION_LINES, exceptions=LONG_FUNCTIONS
    ),
    "test module size": partial(
        tidiness.long_modules, folder="tests", limit=TEST_MODULE_LINES, exceptions=LONG_TEST_MODULES
    ),
    "test function length": partial(
        tidiness.long_functions, folder="tests", limit=TEST_FUNCTION_LINES, exceptions=LONG_TEST_FUNCTIONS
    ),
    "dead modules": partial(tidiness.unused_modules, entries=ENTRIES),
    "dead pictures": tidiness.unused_pictures,
    "dead data files": partial(tidiness.unused_data_files, loaded_by_others=DATA),
    "names": partial(tidiness.banned_names, banned=BANNED),
    "cells judge nothing": notebook_cells.judging_cells,
    "cells are short": notebook_cells.long_cells,
    "words between cells": notebook_cells.cells_without_words_between,
    "promises": partial(notebook_cells.misplaced_checks, promised=CHECKS),
    "experiments": partial(notebook_cells.idle_experiments, tests=EXPERIMENT_TESTS),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_checkout_keeps_the_rule(rule: str) -> None:
    broken = RULES[rule](CHECKOUT)

    assert not broken, "\n".join(broken)


def notebook(*cells: str) -> str:
    """Return a notebook; a cell that begins with `#` is prose."""
    return json.dumps(
        {"cells": [{"cell_type": "markdown" if cell.startswith("# ") else "code", "source": cell} for cell in cells]}
    )


SAMPLE = {
    "README.md": "![The start](notebooks/pictures/start.png)",
    "beefirst/__init__.py": "",
    "beefirst/__main__.py": "from beefirst import page",
    "beefirst/page.py": "def make():\n    '''Make it.'''\n    return 'page.html'\n",
    "beefirst/page.html": "<p>",
    "beefirst/evaluation/experiments/loads.py": "@experiment(judge)\ndef holds():\n    return 1\n",
    "tests/evaluation/experiments/test_loads.py": (
        "from beefirst.evaluation.experiments import loads\nfrom tests.support import clients\nloads.holds()"
    ),
    "tests/support/clients.py": "",
    "notebooks/01_loads.ipynb": notebook(
        "# Does it hold?",
        'from beefirst.evaluation.experiments import loads\nverdict.show("L.1", loads.holds())',
        "# And these:",
        'verdict.show_together({"L.2": 1, "L.3": choose(replicas=-8)})',
    ),
    "notebooks/pictures/start.png": "",
}
"""A small checkout that keeps every rule."""

SAMPLE_RULES: dict[str, Rule] = {
    "module size": partial(tidiness.long_modules, folder="beefirst", limit=3, exceptions={}),
    "function length": partial(tidiness.long_functions, folder="beefirst", limit=2, exceptions={}),
    "dead modules": partial(tidiness.unused_modules, entries={"beefirst.__main__": "python -m beefirst"}),
    "dead pictures": tidiness.unused_pictures,
    "dead data files": partial(tidiness.unused_data_files, loaded_by_others={}),
    "names": partial(tidiness.banned_names, banned={"seat": "a place"}),
    "cells judge nothing": notebook_cells.judging_cells,
    "cells are short": notebook_cells.long_cells,
    "words between cells": notebook_cells.cells_without_words_between,
    "promises": partial(notebook_cells.misplaced_checks, promised={"01_loads": ["L.1", "L.2", "L.3"]}),
    "experiments": partial(notebook_cells.idle_experiments, tests=EXPERIMENT_TESTS),
}

NOTEBOOK, PAGE = "notebooks/01_loads.ipynb", "beefirst/page.py"
ASKS = SAMPLE[NOTEBOOK]

BROKEN: dict[str, list[tuple[str, str, str]]] = {
    # rule: a file, what stands there instead, what the rule says
    "module size": [(PAGE, "1\n2\n3\n4\n", "beefirst/page.py has 4 lines, and 3 at most")],
    "function length": [
        (PAGE, "def make():\n    1\n    2\n    3\n", "beefirst/page.py:make has 3 lines, and 2 at most"),
        (
            PAGE,
            "class A:\n  async def make(self):\n    '''It.'''\n    1\n    2\n    3\n",
            "beefirst/page.py:A.make has 3",
        ),
        (PAGE, "def make():\n  def inner():\n    1\n  return (\n    1)\n", "beefirst/page.py:make has 4 lines"),
    ],
    "dead modules": [
        ("beefirst/old.py", "from beefirst import old", "nothing imports beefirst.old"),
        ("tests/support/old.py", "", "nothing imports tests.support.old"),
        ("beefirst/page.py", "import beefirst.__main__", "beefirst.__main__ is imported, and no entry"),
        (NOTEBOOK, notebook("# None"), "nothing imports beefirst.evaluation.experiments.loads"),
    ],
    "dead pictures": [("notebooks/pictures/old.png", "", "nothing shows notebooks/pictures/old.png")],
    "dead data files": [
        (PAGE, "'''Shows page.html.'''", "nothing loads beefirst/page.html"),
        ("beefirst/old/style.css", "", "nothing loads beefirst/old/style.css"),
    ],
    "names": [
        (PAGE, "def run(seat): ...", "beefirst/page.py says seat: a place"),
        (PAGE, "class SeatSettings: ...", "beefirst/page.py says SeatSettings: a place"),
        (PAGE, "my_seat = 1", "beefirst/page.py says my_seat: a place"),
        (PAGE, "self.seat = 1", "beefirst/page.py says seat: a place"),
        (PAGE, "import os as seat", "beefirst/page.py says seat: a place"),
        ("tests/seat.py", "", "tests/seat.py says seat: a place"),
    ],
    "cells judge nothing": [
        (NOTEBOOK, notebook("# What is it?\n", code), f"01_loads, cell 1, line 1: {judged}")
        for code, judged in {
            "1 < 2": "a comparison",
            "1 + 2": "arithmetic",
            "n += 1": "arithmetic",
            "a and b": "and / or",
            "assert holds": "an assert",
            "if holds: pass": "an if",
            "1 if holds else 2": "an if",
            "for n in rows: pass": "a loop",
            "while holds: pass": "a loop",
            "lambda: 1": "a function",
            "def judge(): pass": "a function",
        }.items()
    ]
    + [
        (NOTEBOOK, notebook("not holds"), "01_loads, cell 0, line ?: not"),
        (NOTEBOOK, notebook("[n for n in rows]"), "01_loads, cell 0, line ?: a loop"),
        (NOTEBOOK, notebook("print(f'{n * 2}')"), "01_loads, cell 0, line 1: arithmetic"),
    ],
    "cells are short": [(NOTEBOOK, notebook("1\n" * 12 + "2"), "01_loads, cell 0: 13 lines, and 12 at most")],
    "words between cells": [(NOTEBOOK, notebook("# Why?", "1", "2"), "01_loads, cell 2: no words before it")],
    "promises": [
        (NOTEBOOK, ASKS.replace("L.1", "L.2"), "01_loads promises L.1 and does not show it"),
        (NOTEBOOK, ASKS.replace("L.3", "L.4"), "01_loads shows L.4, which it does not promise"),
        ("notebooks/02_new.ipynb", ASKS, "02_new shows L.1, which it does not promise"),
        (NOTEBOOK, ASKS.replace("verdict.show(", "print("), "01_loads promises L.1 and does not show it"),
    ],
    "experiments": [
        (NOTEBOOK, notebook("loads.other()"), "no notebook calls loads.holds"),
        (f"{EXPERIMENT_TESTS}/test_loads.py", "", f"no test in {EXPERIMENT_TESTS} calls loads.holds"),
        (
            "beefirst/evaluation/experiments/more.py",
            "@experiment(judge)\ndef holds(): ...",
            "no notebook calls more.holds",
        ),
    ],
}


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("rule", SAMPLE_RULES)
def test_a_tidy_sample_keeps_the_rule(rule: str, tmp_path: Path) -> None:
    assert SAMPLE_RULES[rule](write_tree(tmp_path, SAMPLE)) == []


@pytest.mark.parametrize(
    ("rule", "file", "text", "said"), [(rule, *case) for rule, cases in BROKEN.items() for case in cases]
)
def test_the_rule_notices_what_breaks_it(rule: str, file: str, text: str, said: str, tmp_path: Path) -> None:
    broken = SAMPLE_RULES[rule](write_tree(tmp_path, SAMPLE | {file: text}))

    assert any(line.startswith(said) for line in broken), broken


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_seen_to_be_broken(rule: str) -> None:
    assert BROKEN[rule.removeprefix("test ")]


def test_an_exception_that_is_needed_no_more_is_noticed(tmp_path: Path) -> None:
    root = write_tree(tmp_path, SAMPLE)
    rules = (partial(tidiness.long_modules, limit=3), partial(tidiness.long_functions, limit=2))

    said = [rule(root, "beefirst", exceptions={PAGE: "long"}) for rule in rules]

    assert said == [[f"{PAGE} is no exception any more"]] * 2


def test_an_exception_may_be_long(tmp_path: Path) -> None:
    root = write_tree(tmp_path, SAMPLE)

    assert (
        tidiness.long_modules(root, "beefirst", 2, {PAGE: "long", "beefirst/evaluation/experiments/loads.py": ""}) == []
    )


def test_a_file_that_is_loaded_by_its_name_may_be_named_nowhere(tmp_path: Path) -> None:
    root = write_tree(tmp_path, SAMPLE | {"beefirst/style.css": ""})

    assert tidiness.unused_data_files(root, {"style.css": "a browser"}) == []
    assert tidiness.unused_data_files(root, {"style.css": "a browser", "old.css": "none"}) == ["there is no old.css"]
