"""Which experiments a notebook shows for each of its checks, by its own cells."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from beefirst.machine.folders import NOTEBOOKS


def experiments_shown(notebook: str, folder: Path = NOTEBOOKS) -> dict[str, list[str]]:
    """Return for each check the experiments that it rests on: module and name with a colon between, in their order.

    Args:
        notebook: its name without the suffix; one that was not shipped shows nothing.
        folder: of the notebooks.
    """
    path = folder / f"{notebook}.ipynb"
    if not path.is_file():
        return {}
    shown: dict[str, list[str]] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            for key, experiment in _shown_in(ast.parse("".join(cell["source"]))):
                shown.setdefault(key, []).append(experiment)
    return shown


def _shown_in(cell: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(cell):
        match node:
            case ast.Call(func=ast.Attribute(attr="show"), args=[ast.Constant(value=str(key)), ast.Call(func=asked)]):
                yield key, _name(asked)
            case ast.Call(func=ast.Attribute(attr="show_together"), args=[ast.Dict(keys=keys, values=values)]):
                for place, value in zip(keys, values, strict=True):
                    if isinstance(place, ast.Constant) and isinstance(value, ast.Call):
                        yield str(place.value), _name(value.func)


def _name(asked: ast.expr) -> str:
    return (
        f"{asked.value.id}:{asked.attr}"
        if isinstance(asked, ast.Attribute) and isinstance(asked.value, ast.Name)
        else ""
    )
