"""How an experiment was done: its own source, with what it uses of its module."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from beefirst.machine.folders import CHECKOUT

MOST_LINES = 200
"""What is longer is not read."""


@dataclass(frozen=True)
class Method:
    """What an experiment consists of.

    Attributes:
        observe: the function that observes.
        judge: what judges what was observed.
        measurements: what made the arguments of `observe`.
    """

    observe: Callable[..., object]
    judge: Callable[..., object]
    measurements: tuple[Callable[..., object], ...] = ()

    @property
    def name(self) -> str:
        """Its module and its name, with a colon between."""
        return f"{self.observe.__module__}:{self.observe.__name__}"

    @property
    def file(self) -> str:
        """Where its source lies, from the checkout on."""
        path = Path(inspect.getfile(self.observe))
        return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else path.name

    def source(self) -> str:
        """Return the source as it ran: what observes, what judges, and then what both use of their modules."""
        functions = (self.observe, self.judge, *self.measurements)
        parts = [part for module, names in _by_module(functions).items() for part in _reach(names, module)]
        lines = "\n\n\n".join(parts).splitlines()
        more = [f"# … and {len(lines) - MOST_LINES} more lines in {self.file}"] * (len(lines) > MOST_LINES)
        return "\n".join([*lines[:MOST_LINES], *more])


def _by_module(functions: Iterable[Callable[..., object]]) -> dict[str, list[str]]:
    modules: dict[str, list[str]] = {}
    for function in functions:
        modules.setdefault(function.__module__, []).append(function.__name__)
    return modules


def _reach(names: Iterable[str], module: str) -> list[str]:
    """Return the source of what a module defines by these names, and then of all of it that they need."""
    statements = _statements(module)
    found = dict.fromkeys(name for name in names if name in statements)
    for name in (waiting := list(found)):
        used = sorted(statements[name][1] & statements.keys() - found.keys(), key=list(statements).index)
        waiting += used
        found |= dict.fromkeys(used)
    return [statements[name][0] for name in found]


@cache
def _statements(module: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return each name that a module defines, with its source and the names that this uses."""
    try:
        text = inspect.getsource(sys.modules[module])
    except (OSError, TypeError):  # typed into a notebook
        return {}
    lines, statements = text.splitlines(), dict[str, tuple[str, frozenset[str]]]()
    for node in ast.parse(text).body:
        for name in _defined(node):
            first = min([node.lineno, *(it.lineno for it in getattr(node, "decorator_list", ()))])
            used = frozenset(it.id for it in ast.walk(node) if isinstance(it, ast.Name))
            statements[name] = "\n".join(lines[first - 1 : node.end_lineno]), used
    return statements


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
