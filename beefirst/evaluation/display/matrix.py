"""Which check says what of which copy: a matrix that fills up cell by cell."""

from collections.abc import Mapping, Sequence
from html import escape

from IPython.display import display

from beefirst.evaluation.display.tables import CELL, GREEN, GREY, RED, Shown

COLOURS = {"PASS": GREEN, "FAIL": RED}
WAITING, NOT_ASKED = "…", "-"


class LiveMatrix:
    """A matrix in a notebook's output that is written anew whenever a cell of it comes in.

    Args:
        rows: what stands before each row, by its key.
        columns: what stands above each column, in their order.
        asked: for each column the keys of the rows in which something will come.
    """

    def __init__(self, rows: Mapping[str, str], columns: Sequence[str], asked: Sequence[Sequence[str]]) -> None:
        self._rows, self._columns = rows, columns
        self._cells = [{key: WAITING if key in keys else NOT_ASKED for key in rows} for keys in asked]
        self._claimed: dict[int, str] = {}
        self._handle = display(self.shown(), display_id=True)

    def fill(self, column: int, found: Mapping[str, str], claimed: str = "") -> None:
        """Write what came in for a column.

        Args:
            column: its place.
            found: a word for each key.
            claimed: the key of the row that the column is about, which is framed.
        """
        self._cells[column] |= {key: word for key, word in found.items() if key in self._rows}
        self._claimed[column] = claimed
        if self._handle:
            self._handle.update(self.shown())

    def shown(self) -> Shown:
        """Return the matrix as it is by now."""
        head = "".join(
            f'<th style="{CELL}text-align:left;font-weight:600">{escape(name)}</th>' for name in self._columns
        )
        body = "".join(map(self._row, self._rows))
        html = (
            '<div style="overflow-x:auto"><table style="border-collapse:collapse;font-size:13px;line-height:1.4">'
            f'<thead><tr><th style="{CELL}"></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )
        lines = [f"{name}: {', '.join(cells[key] for cells in self._cells)}" for key, name in self._rows.items()]
        return Shown(html, "\n".join(lines))

    def _row(self, key: str) -> str:
        cells = "".join(self._cell(key, column) for column in range(len(self._columns)))
        return f'<tr><td style="{CELL}text-align:left">{escape(self._rows[key])}</td>{cells}</tr>'

    def _cell(self, key: str, column: int) -> str:
        word = self._cells[column][key]
        frame = "outline:2px solid currentColor;outline-offset:-3px;" if self._claimed.get(column) == key else ""
        weight = "600" if word in COLOURS else "400"
        colour = COLOURS.get(word, GREY)
        return f'<td style="{CELL}text-align:left;{frame}color:{colour};font-weight:{weight}">{escape(word)}</td>'
