"""The fold under each piece of evidence: what it was judged on, and the source of the experiment as it ran."""

from html import escape
from typing import Any

import pandas as pd

from beefirst.evaluation.display.tables import Shown, table
from beefirst.evaluation.evidence import Trace
from beefirst.evaluation.observations import from_data

FIRST_ROWS = 5
"""How many rows of each table are shown; the record holds all."""

LONGEST = 300
"""Characters of a value that are shown."""


def how_this_was_done(key: str, trace: Trace) -> Shown:
    """Return a fold that the reader opens.

    Args:
        key: the check that the evidence is for.
        trace: how the evidence came about.
    """
    observed = _observed(trace.data) if trace.data is not None else "<p>It stopped before it had observed anything.</p>"
    source = escape(trace.method.source()).replace("$", "<span>$</span>")
    html = (
        '<details style="font-size:13px;margin:0 0 12px 0"><summary style="cursor:pointer">'
        f"How this was done: {escape(key)}</summary><p><strong>What {escape(key)} was judged on</strong></p>{observed}"
        f"<p><strong>The experiment, as it ran</strong>, from {escape(trace.method.file)}</p>"
        f'<pre style="white-space:pre-wrap;font-size:12px">{source}</pre></details>'
    )
    return Shown(html, f"{key} was shown by {trace.method.name}")


def _observed(data: dict[str, Any]) -> str:
    values = from_data(data)
    frames = {name: value for name, value in values.items() if isinstance(value, pd.DataFrame)}
    single = [(name, _brief(value)) for name, value in values.items() if name not in frames]
    shown = table(pd.DataFrame(single, columns=["observed", "value"]))._repr_html_() if single else ""
    return shown + "".join(_first_rows(name, frame) for name, frame in frames.items())


def _first_rows(name: str, frame: pd.DataFrame) -> str:
    count = f"{len(frame)} rows" if len(frame) <= FIRST_ROWS else f"the first {FIRST_ROWS} of {len(frame)} rows"
    return f"<p>{escape(name)}, {count}:</p>{table(frame.head(FIRST_ROWS))._repr_html_()}"


def _brief(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
