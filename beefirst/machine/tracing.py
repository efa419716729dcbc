"""What a request spends its time on, as the spans of a trace: nothing is noted, or costs anything, while nobody asks.

Rooms that know neither HTTP nor OpenTelemetry note their spans here. A span has names and numbers alone: never an
address, a password, a hash or a code.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Protocol

NO_ATTRIBUTES: Mapping[str, str] = {}


class Tracer(Protocol):
    """Notes the spans of one request after another."""

    def span(self, name: str, attributes: Mapping[str, str], is_call: bool) -> AbstractContextManager[object]:
        """Note the block; spans that are noted within it are its children."""

    def note(self, name: str, began: float, ended: float) -> None:
        """Note what is over; both are times of `time.perf_counter`."""


tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
"""Of the request that is being served, also while its mail is in flight; None where nobody asks for its trace."""

_NOTHING: AbstractContextManager[object] = nullcontext()


def span(
    name: str, attributes: Mapping[str, str] = NO_ATTRIBUTES, *, is_call: bool = False
) -> AbstractContextManager[object]:
    """Return a block that is noted as a span of the request that is being served, if anybody asks for its trace.

    Args:
        name: one of few, whoever the request is from.
        attributes: as OpenTelemetry's semantic conventions name them.
        is_call: another program does the work.
    """
    asked = tracer.get()
    return asked.span(name, attributes, is_call) if asked else _NOTHING
