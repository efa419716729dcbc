"""Changes of files as diffs, and what notebooks come to say of them."""

from collections.abc import Sequence
from html import escape
from typing import Protocol

import pandas as pd
from IPython.display import display

from beefirst.evaluation.display.tables import GREEN, RED, Shown, table

SIDES = {"+": GREEN, "-": RED}


def diffs(changes: Sequence[tuple[str, str]]) -> Shown:
    """Return changes one below the other.

    Args:
        changes: what each is called, and the change as a unified diff, or as SQL.
    """
    html = "".join(
        f'<div style="font-size:13px;margin:8px 0 0 0"><strong>{escape(name)}</strong></div>'
        f'<pre style="margin:2px 0 8px 0;padding:4px 12px;border-left:3px solid rgba(128,128,128,.4);'
        f'font-size:12px;white-space:pre-wrap">{_lines(change)}</pre>'
        for name, change in changes
    )
    return Shown(html, "\n\n".join(f"{name}\n{change}" for name, change in changes))


def _lines(change: str) -> str:
    return "\n".join(_line(line) for line in change.splitlines())


def _line(line: str) -> str:
    shown = escape(line).replace("$", "<span>$</span>")
    colour = SIDES.get(line[:1])
    return f'<span style="color:{colour}">{shown}</span>' if colour and line[:3] not in ("+++", "---") else shown


class Found(Protocol):
    """What one notebook says; `sabotage.own_defect.Finding` is one."""

    @property
    def notebook(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def seconds(self) -> float: ...


class LiveFindings:
    """What notebooks say of a copy, one line each, written anew as they come.

    Args:
        notebooks: that are asked; unknown beforehand where empty.
    """

    def __init__(self, notebooks: Sequence[str]) -> None:
        self._rows = dict.fromkeys(notebooks, ("…", ""))
        self._handle = display(self._shown(), display_id=True)

    def show(self, found: Found) -> None:
        """Write what a notebook says."""
        self._rows[found.notebook] = (found.verdict, f"{found.seconds:.1f}")
        if self._handle:
            self._handle.update(self._shown())

    def _shown(self) -> Shown:
        rows = [(name, *said) for name, said in self._rows.items()]
        return table(pd.DataFrame(rows, columns=["notebook", "verdict on the copy", "seconds"]))
