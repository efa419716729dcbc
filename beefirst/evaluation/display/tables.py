"""One look for every table and plot: inline styles, which survive in untrusted notebooks, on GitHub and in print."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

# Okabe and Ito's palette: told apart by colour-blind readers and, by lightness, in print.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#00785A", "#B34700", "#6B7280"
PHASE_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#6B7280")

NOT_RUN_YET = "not run"

WORDS = {
    "PASS": GREEN,
    "yes": GREEN,
    "as specified": GREEN,
    "refused": GREEN,
    "unchanged": GREEN,
    "FAIL": RED,
    "NOT MADE": RED,
    "DIFFERS": RED,
    "CHANGED": RED,
    "TAKEN": RED,
    "NOT SHOWN HERE": GREY,
    "NOT FINISHED": RED,
    NOT_RUN_YET: GREY,
}
"""Words that are also set in colour; the word alone carries the meaning."""

IN_PART = re.compile(r"PASS, \d+ not shown here")
"""The verdict that all that was made has held, and that there is more: told apart from a whole PASS at a glance."""

TINTS = {GREEN: "0,158,115", RED: "213,94,0", GREY: "128,128,128", BLUE: "0,114,178"}
"""What stands behind a word that is set in colour: the word itself has the colour of the text around it, which can be
read on light ground and on dark, whatever scheme the reader has chosen."""

PLAIN_COLUMNS = ("expected", "wanted", "specified")
"""What should be is not marked; what was seen is."""

REACHED = re.compile(r"https?://(127\.0\.0\.1|localhost)[:/]\S*")
"""An address that a reader's browser reaches: that of a service in another container leads nowhere."""

CELL = "padding:5px 14px 5px 8px;vertical-align:top;border-bottom:1px solid rgba(128,128,128,.3);"

SHORT = 26
"""Characters of a cell that is kept on one line."""

LEAST_WIDTH = "8em"
"""Of a cell that is broken into lines: a few words."""

LONGEST_NAME = 38
"""Characters of one word, such as a constraint's name, that is kept whole."""


class Shown:
    """HTML for a notebook's output, with a plain text for readers that show no HTML."""

    def __init__(self, html: str, text: str) -> None:
        self._html, self.finding = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self.finding


def table(frame: pd.DataFrame) -> Shown:
    """Return `frame` as a table that marks the words of WORDS.

    Args:
        frame: one row a line; its index is not shown. An address on this machine becomes a link, and so does the name
            of a notebook.
    """
    names, numeric = [str(name) for name in frame.columns], [is_numeric_dtype(kind) for kind in frame.dtypes]
    head = "".join(map(_head, names, numeric))
    rows = "".join("<tr>" + "".join(map(_cell, row, names, numeric)) + "</tr>" for row in frame.itertuples(index=False))
    html = (
        '<table style="border-collapse:collapse;font-size:13px;line-height:1.45;margin:4px 0 8px 0">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
    return Shown(html, frame.to_string(index=False))


def fields(values: Mapping[str, object], name: str = "field") -> pd.DataFrame:
    """Return named values as a table with two columns: the first is called `name`, the second value."""
    return pd.DataFrame(
        [(key, "NULL" if value is None else str(value)) for key, value in values.items()], columns=[name, "value"]
    )


def _head(name: str, numeric: bool) -> str:
    return f'<th style="{CELL}text-align:{_side(numeric)};font-weight:600">{escape(name)}</th>'


def _cell(value: Any, column: str, numeric: bool) -> str:
    text = _text(value)
    # On its own in a span, a dollar sign is no delimiter of mathematics to JupyterLab.
    shown = escape(text).replace("\n", "<br>").replace("$", "<span>$</span>")
    if REACHED.fullmatch(text):
        shown = f'<a href="{shown}" target="_blank">{shown}</a>'
    if text.endswith(".ipynb"):
        shown = f'<a href="{shown}">{shown.removesuffix(".ipynb")}</a>'
    if (colour := _colour(text)) and column not in PLAIN_COLUMNS:
        shown = _mark(shown, colour)
    return f'<td style="{_style(text, numeric)}">{shown}</td>'


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None or value is pd.NA or value != value else str(value)


def _style(text: str, numeric: bool) -> str:
    """Return how a cell looks: numbers right, what is short on one line, what is long between words if it can be."""
    longest = max(map(len, text.split()), default=0)
    whole = len(text) <= SHORT or (len(text) <= LONGEST_NAME and " " not in text)
    broken = "anywhere" if longest > LONGEST_NAME else "break-word"
    wrapping = "white-space:nowrap;" if whole else f"overflow-wrap:{broken};min-width:{LEAST_WIDTH};"
    return f"{CELL}text-align:{_side(numeric)};{wrapping}"


def _side(numeric: bool) -> str:
    return "right" if numeric else "left"


def _colour(text: str) -> str | None:
    if IN_PART.fullmatch(text):
        return BLUE
    return WORDS.get(text.partition(": ")[0])


SHOWN_HEADERS = ("content-type", "cache-control", "www-authenticate", "retry-after")


def answer(recorded: Mapping[str, Any]) -> Shown:
    """Return an answer of the API as it came: status, the headers that matter, and the body.

    Args:
        recorded: as `laboratory.recording.record_answer` returns it.
    """
    head = f"HTTP {recorded['status']} {recorded['reason']}"
    headers = [f"{name}: {recorded['headers'][name]}" for name in SHOWN_HEADERS if name in recorded["headers"]]
    return _framed([head, *headers, "", recorded["body"]], GREEN if recorded["status"] < 300 else RED)


def mail(recorded: Mapping[str, Any]) -> Shown:
    """Return a mail as it arrived: its headers and its text.

    Args:
        recorded: as `laboratory.recording.record_mail` returns it.
    """
    headers = [f"{name}: {value}" for name, value in recorded["headers"].items()]
    return _framed([*headers, "", recorded["text"].strip()], GREY)


def terminal(lines: Sequence[str]) -> Shown:
    """Return commands, each on a line of its own, ready to be copied."""
    return _framed(lines, BLUE)


def _framed(lines: Sequence[str], colour: str) -> Shown:
    text = "\n".join(lines)
    shown = escape(text).replace("$", "<span>$</span>")
    style = f"border-left:6px solid {colour};padding:6px 14px;margin:4px 0 10px 0;white-space:pre-wrap;font-size:13px"
    return Shown(f'<pre style="{style}">{shown}</pre>', text)


def mark(word: str) -> str:
    """Return the HTML of a word or two of WORDS, set in their colour; of a verdict that is none of them, as a FAIL."""
    return _mark(escape(word), _colour(word) or RED)


def _mark(shown: str, colour: str) -> str:
    tint = TINTS[colour]
    style = f"background:rgba({tint},.22);border-left:3px solid rgb({tint});padding:0 6px;font-weight:600"
    return f'<span style="{style}">{shown}</span>'


def banner(word: str, sentence: str) -> str:
    """Return the HTML of a verdict: the word set in its colour, the sentence beside it."""
    tint = TINTS[_colour(word) or RED]
    style = f"border-left:6px solid rgb({tint});padding:8px 14px;margin:4px 0 10px 0;font-size:15px"
    return f'<div style="{style}">{mark(word)} &nbsp;{escape(sentence)}</div>'


def caption(key: str, word: str, sentence: str) -> Shown:
    """Return the line above an output that says which check it is for, how that came out, and what was seen."""
    shown = escape(sentence).replace("$", "<span>$</span>")
    html = f'<div style="font-size:13px;margin:2px 0">{mark(word)} <strong>{escape(key)}</strong> &nbsp;{shown}</div>'
    return Shown(html, f"{word} {key}: {sentence}")
