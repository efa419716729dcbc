"""Small notebooks, good and bad on purpose, for the tests of what runs notebooks."""

from pathlib import Path
from typing import Any

import nbformat

VERDICT = """
from beefirst.evaluation.evidence import Evidence, not_shown_here
from beefirst.evaluation.verdict import Verdict
verdict = Verdict("{name}", {checks})"""


def begin(name: str = "sample", *keys: str) -> str:
    """Return the source of a cell that begins a notebook which promises checks; A.1 where none is named."""
    return VERDICT.format(name=name, checks={key: f"{key} holds" for key in keys or ("A.1",)})


def all_in_one(name: str = "sample", *, holds: bool = True) -> str:
    """Return the source of a cell that begins a notebook, makes its only check, and comes to its verdict."""
    return f'{begin(name)}\nverdict.show("A.1", Evidence({holds}, "seen"))\nverdict.conclude()'


def write_notebook(folder: Path, *sources: str, name: str = "sample", opening: str = "") -> Path:
    """Write a notebook and return where it lies.

    Args:
        folder: there already.
        sources: of its code cells.
        name: without the suffix.
        opening: the text of a cell before all others.
    """
    cells: list[Any] = [nbformat.v4.new_markdown_cell(opening)] if opening else []
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    path = folder / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path
