"""A notebook cut down to the cells that some of its checks need, so that a defect takes seconds and not a minute."""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

AFTER = {
    "REG.2": ["REG.1"],
    "REG.3": ["REG.1"],
    "REG.4": ["REG.1"],
    "REG.7": ["REG.6"],
}
"""The checks that a check needs for what they do: what it needs for the names that they define is found by itself."""

FROM_THE_COPY = """
from beefirst.machine.folders import CHECKOUT
if str(CHECKOUT) != {folder!r}:
    raise RuntimeError(f"it runs the code of {{CHECKOUT}} and not of the copy")
"""
"""The first cell of a slice: a verdict on other code than the copy's would be none."""


@dataclass(frozen=True)
class Cell:
    """A code cell, and what connects it with others.

    Attributes:
        node: the cell.
        makes: the ids of the checks that it makes.
        defines: the names that it binds.
        uses: the names that it takes from cells before it.
    """

    node: NotebookNode
    makes: frozenset[str]
    defines: frozenset[str]
    uses: frozenset[str]


def read_cells(notebook: NotebookNode) -> list[Cell]:
    """Return the code cells of a notebook with what they make, define and use."""
    return [_read_cell(cell) for cell in notebook.cells if cell.cell_type == "code" and cell.source]


def _read_cell(node: NotebookNode) -> Cell:
    tree, defines, uses = ast.parse(node.source), set[str](), set[str]()
    for statement in tree.body:
        names = [part for part in ast.walk(statement) if isinstance(part, ast.Name)]
        imported = [part.asname or part.name for part in ast.walk(statement) if isinstance(part, ast.alias)]
        uses |= {name.id for name in names if isinstance(name.ctx, ast.Load)} - defines
        defines |= {*imported, *(name.id for name in names if isinstance(name.ctx, ast.Store))}
    return Cell(node, frozenset(_checks_made(tree)), frozenset(defines), frozenset(uses))


def _checks_made(tree: ast.Module) -> Iterator[str]:
    for call in ast.walk(tree):
        match call:
            case ast.Call(func=ast.Attribute(attr="show"), args=[ast.Constant(value=str(key)), *_]):
                yield key
            case ast.Call(func=ast.Attribute(attr="show_together"), args=[ast.Dict(keys=keys), *_]):
                yield from (str(key.value) for key in keys if isinstance(key, ast.Constant))


def slice_notebook(path: Path, checks: Collection[str], folder: Path) -> NotebookNode:
    """Return a notebook with only the cells that these checks need.

    Its verdict is not concluded: the record of the run tells what each check found.

    Args:
        path: of the whole notebook.
        checks: by id.
        folder: the copy whose code it must run.

    Raises:
        ValueError: no cell makes one of the checks.
    """
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    cells = read_cells(notebook)
    wanted = {*checks, *(before for check in checks for before in AFTER.get(check, ()))}
    if unknown := sorted(wanted - {check for cell in cells for check in cell.makes}):
        raise ValueError(f"No cell of {path.name} makes the check {unknown[0]}")
    needed = _with_definitions(cells, {place for place, cell in enumerate(cells) if cell.makes & wanted})
    begin = nbformat.v4.new_code_cell(FROM_THE_COPY.format(folder=str(folder.resolve())))
    notebook.cells = [begin, *(cell.node for place, cell in enumerate(cells) if place in needed)]
    return notebook


def _with_definitions(cells: list[Cell], places: set[int]) -> set[int]:
    """Return the places of cells, and of those that define what they use: the last before each that binds the name."""
    needed, left = set(places), list(places)
    while left:
        user = left.pop()
        for name in cells[user].uses:
            definer = max((place for place in range(user) if name in cells[place].defines), default=None)
            if definer is not None and definer not in needed:
                needed.add(definer)
                left.append(definer)
    return needed
