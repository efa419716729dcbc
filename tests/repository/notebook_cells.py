"""What holds of the notebooks' cells. Each rule takes the root of a checkout, and returns a line for what breaks it."""

import ast
import json
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.repository import sources

MOST_LINES = 12

JUDGING = {
    ast.Compare: "a comparison",
    ast.BinOp: "arithmetic",
    ast.AugAssign: "arithmetic",
    ast.BoolOp: "and / or",
    ast.Not: "not",
    ast.Assert: "an assert",
    ast.If: "an if",
    ast.IfExp: "an if",
    ast.Match: "a match",
    ast.For: "a loop",
    ast.While: "a loop",
    ast.comprehension: "a loop",
    ast.Try: "a try",
    ast.FunctionDef: "a function",
    ast.Lambda: "a function",
    ast.ClassDef: "a class",
}
"""What a cell does not hold: it asks, and experiments judge."""


def judging_cells(root: Path) -> list[str]:
    """Return what judges, computes or decides in a cell."""
    return [
        f"{path.stem}, cell {number}, line {getattr(node, 'lineno', '?')}: {JUDGING[type(node)]}"
        for path in _notebooks(root)
        for number, source in _code_cells(path)
        for node in ast.walk(ast.parse(source))
        if type(node) in JUDGING
    ]


def long_cells(root: Path) -> list[str]:
    """Return the code cells that have more lines than a reader takes in at a glance."""
    return [
        f"{path.stem}, cell {number}: {source.count(chr(10)) + 1} lines, and {MOST_LINES} at most"
        for path in _notebooks(root)
        for number, source in _code_cells(path)
        if source.count("\n") >= MOST_LINES
    ]


def cells_without_words_between(root: Path) -> list[str]:
    """Return the code cells that directly follow another."""
    return [
        f"{path.stem}, cell {number}: no words before it"
        for path in _notebooks(root)
        for number, pair in enumerate(pairwise(cell["cell_type"] for cell in _cells(path)), 1)
        if pair == ("code", "code")
    ]


def misplaced_checks(root: Path, promised: Mapping[str, Collection[str]]) -> list[str]:
    """Return the promises that their own notebook does not show, and those that another does.

    Args:
        root: of the checkout.
        promised: the ids that each notebook promises.
    """
    shown = {path.stem: _shown_in(path) for path in _notebooks(root)}
    return [
        *(
            f"{name} promises {key} and does not show it"
            for name, keys in promised.items()
            for key in keys
            if key not in shown.get(name, ())
        ),
        *(
            f"{name} shows {key}, which it does not promise"
            for name, keys in shown.items()
            for key in sorted(keys)
            if key not in promised.get(name, ())
        ),
    ]


def _shown_in(path: Path) -> set[str]:
    """Return the id in each `verdict.show("AC1.1", …)`, and each of `verdict.show_together({"AC5.2": …})`."""
    return {
        key.value
        for _, source in _code_cells(path)
        for call in _calls(source, "show", "show_together")
        for argument in call.args[:1]
        for key in (argument.keys if isinstance(argument, ast.Dict) else [argument])
        if isinstance(key, ast.Constant)
    }


def idle_experiments(root: Path, tests: str) -> list[str]:
    """Return the experiments that no notebook calls, and those that no test calls.

    Args:
        root: of the checkout.
        tests: the folder of their tests.
    """
    asked = {name for path in _notebooks(root) for _, source in _code_cells(path) for name in _names_in(source)}
    tested = {name for path in sources.python_files(root, tests) for name in _names_in(path.read_text())}
    found = sorted(_experiments(root))
    return [
        *(f"no notebook calls {name}" for name in found if name not in asked),
        *(f"no test in {tests} calls {name}" for name in found if name not in tested),
    ]


def _experiments(root: Path) -> Iterator[str]:
    """Yield `module.function` for each public function that is decorated as an experiment."""
    for path in sources.python_files(root, "beefirst/evaluation/experiments"):
        for name, function in sources.functions(sources.parse(path)):
            decorators = {getattr(getattr(it, "func", it), "id", "") for it in function.decorator_list}
            if "experiment" in decorators and not name.startswith("_"):
                yield f"{path.stem}.{name}"


def _names_in(source: str) -> set[str]:
    """Return what a piece of code names of a module: `module.name`, however it was imported."""
    tree = ast.parse(source)
    used = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return used | {".".join(name.split(".")[-2:]) for name in sources.imported(tree)}


def _calls(source: str, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
            yield node


def _notebooks(root: Path) -> list[Path]:
    return sorted((root / "notebooks").glob("*.ipynb"))


def _cells(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text())["cells"])


def _code_cells(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each code cell with its place among all cells, counted from 0."""
    for number, cell in enumerate(_cells(path)):
        if cell["cell_type"] == "code":
            yield number, "".join(cell["source"])
