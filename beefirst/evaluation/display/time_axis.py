"""A time axis on which long waits, during which nobody asked for anything, take little room."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

LONG_SHARE = 0.35
"""A wait is shortened where it is longer than this share of the time in which something happens."""

SHORT_SHARE = 0.07
"""What a wait that is shortened takes of the same."""

TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True)
class TimeAxis:
    """Places on the axis, in seconds of what is not shortened.

    Attributes:
        times: at which the axis bends, ascending.
        places: of these.
        waits: that are shortened: begin and end in time.
    """

    times: Sequence[float]
    places: Sequence[float]
    waits: Sequence[tuple[float, float]]

    @classmethod
    def of(cls, spans: Iterable[tuple[float, float]]) -> "TimeAxis":
        """Return the axis on which these spans have their full length."""
        busy = _joined(sorted(spans))
        total = sum(end - begin for begin, end in busy) or 1.0
        waits = [(one[1], other[0]) for one, other in pairwise(busy) if other[0] - one[1] > LONG_SHARE * total]
        times, places = [busy[0][0]], [0.0]
        for begin, end in waits:
            places += [places[-1] + begin - times[-1], places[-1] + begin - times[-1] + SHORT_SHARE * total]
            times += [begin, end]
        return cls([*times, busy[-1][1]], [*places, places[-1] + busy[-1][1] - times[-1]], waits)

    @property
    def length(self) -> float:
        """How long the axis is."""
        return self.places[-1] or 1.0

    def place(self, time: float) -> float:
        """Return where a time is."""
        if time > self.times[-1]:
            return self.places[-1] + time - self.times[-1]
        return float(np.interp(time, self.times, self.places))

    def ticks(self, most: int = 9) -> list[tuple[float, str]]:
        """Return places with what to write there: the seconds since the first moment."""
        step = next((tick for tick in TICKS if self.length / tick <= most), TICKS[-1])
        zero, last = self.times[0], self.times[-1]
        marks = [zero + number * step for number in range(int((last - zero) / step) + 1)] if last - zero < 5000 else []
        shown = [time for time in marks if not any(begin < time < end for begin, end in self.waits)]
        return [(self.place(time), f"{time - zero:g}") for time in shown]


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    joined = [spans[0]]
    for begin, end in spans[1:]:
        if begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined
