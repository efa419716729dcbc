"""Progress of long work, in one line that is written anew."""

from html import escape

from IPython.display import HTML, display


class Progress:
    """One line in a notebook's output that is written anew as work goes on."""

    def __init__(self, total: int, what: str) -> None:
        self._total, self._what = total, what
        self._handle = display(HTML(""), display_id=True)

    def show(self, done: int) -> None:
        """Say how much is done; what remains in the end is a plain line."""
        if done == self._total and self._handle:
            self._handle.update(HTML(f"{done} {escape(self._what)}s measured."))
            return
        bar = "█" * round(20 * done / self._total)
        if self._handle:
            self._handle.update(HTML(f"<code>{bar:░<20}</code> {escape(self._what)} {done} of {self._total}"))
