"""Whether some of many classes of measurements differ: Welch's t for every pair, and a permutation test of the largest.

The measurements come in rounds, in each of which every class is measured once, in random order. So whatever a busy
machine does to a round is done to all classes alike, and within a round any order was as likely as any other: this, and
no assumption on how times are spread, is what the permutation test rests on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.float64]

LARGEST_T = 4.5
"""As in the test vector leakage assessment of ISO/IEC 17825: beyond it a difference is taken for a leak. Of two classes
of 40 that do not differ it is passed once in 43,000 (two-sided, 78 degrees of freedom)."""

POWER_T = 0.84
"""What is to be added so that 80 of 100 samples show a difference: the 80 % quantile of the normal distribution."""

LARGEST_P = 0.0005
"""How often the largest of all t may be as large by chance, for a difference to be one."""

PERMUTATIONS = 20_000
"""Ten of them are to be beyond LARGEST_P, or it could not be told."""

KEPT_SHARE = 0.8
"""What is slower than this share of all measurements counts as just as slow: on a busy machine the slowest tell most
of the machine. The classes are not looked at for it, and so the permutation test stays exact."""

BATCH = 200_000
"""How many measurements are permuted at once, in multiples of a sample."""


@dataclass(frozen=True)
class Difference:
    """What became of a comparison.

    Attributes:
        samples: how many of each class.
        pairs: one line a pair of classes: one, other, difference (seconds), t; the largest |t| first.
        p: how often the largest |t| of a permutation was as large; the number of pairs is accounted for thereby.
        smallest_seen: the smallest difference between two classes that 80 of 100 such samples show, in seconds.
        centred: the measurements without what a round has in common: a line a round, a column a class.
    """

    samples: int
    pairs: pd.DataFrame
    p: float
    smallest_seen: float
    centred: pd.DataFrame

    @property
    def largest_t(self) -> float:
        """The largest |t| of all pairs."""
        return float(abs(self.pairs["t"].iloc[0]))

    @property
    def is_seen(self) -> bool:
        """Whether some classes differ: both tests must say so."""
        return self.largest_t >= LARGEST_T and self.p <= LARGEST_P


def compare_classes(times: pd.DataFrame, permutations: int = PERMUTATIONS, seed: int = 0) -> Difference:
    """Compare every class of measurements with every other.

    Args:
        times: seconds: a line a round, a column a class; two rounds at least, and nothing missing.
        permutations: how many.
        seed: of the generator that permutes.

    Raises:
        ValueError: there is too little to compare, or something is missing.
    """
    measured = times.to_numpy(dtype=float)
    if min(measured.shape) < 2 or np.isnan(measured).any():
        raise ValueError("two classes with a measurement in each of two rounds at least are needed")
    centred = measured - np.median(measured, axis=1, keepdims=True)
    clipped = np.minimum(centred, np.quantile(centred, KEPT_SHARE))
    differences, ts = _welch(clipped[np.newaxis])
    return Difference(
        samples=len(measured),
        pairs=_pairs(list(times.columns), differences[0], ts[0]),
        p=_chance_of(float(np.abs(ts).max()), clipped, permutations, seed),
        smallest_seen=_smallest_seen(clipped),
        centred=pd.DataFrame(centred, columns=times.columns),
    )


def count_planted(times: pd.DataFrame, seconds: float) -> int:
    """Return for how many classes a difference that is planted in them, one after the other, would have been seen.

    Args:
        times: as for `compare_classes`.
        seconds: how much is added to each measurement of the class.
    """
    planted = [times.assign(**{name: times[name] + seconds}) for name in times.columns]
    return sum(compare_classes(one, permutations=0).largest_t >= LARGEST_T for one in planted)


def _welch(samples: Times) -> tuple[Times, Times]:
    """Return difference and t of every pair of classes, for samples of the shape (…, rounds, classes)."""
    one, other = np.triu_indices(samples.shape[-1], 1)
    means, errors = samples.mean(axis=-2), samples.var(axis=-2, ddof=1) / samples.shape[-2]
    differences = means[..., one] - means[..., other]
    scale = np.sqrt(errors[..., one] + errors[..., other])
    return differences, differences / np.maximum(scale, np.finfo(float).tiny)


def _pairs(names: Sequence[str], differences: Times, ts: Times) -> pd.DataFrame:
    one, other = np.triu_indices(len(names), 1)
    columns = {"one": np.array(names)[one], "other": np.array(names)[other], "difference": differences, "t": ts}
    frame = pd.DataFrame(columns)
    return frame.sort_values("t", key=abs, ascending=False, ignore_index=True)


def _chance_of(largest: float, sample: Times, permutations: int, seed: int) -> float:
    """Return the p of the largest |t|: the share of permutations, the measured order among them, that reach it."""
    generator, reached, left = np.random.default_rng(seed), 1, permutations
    while left:
        count = min(left, max(1, BATCH // sample.size))
        permuted = generator.permuted(np.broadcast_to(sample, (count, *sample.shape)), axis=-1)
        reached += int((np.abs(_welch(permuted)[1]).max(axis=-1) >= largest).sum())
        left -= count
    return reached / (permutations + 1)


def _smallest_seen(sample: Times) -> float:
    """Return the difference of which 80 of 100 samples show LARGEST_T; what is clipped of a class shows none of it."""
    spread = np.sqrt(sample.var(axis=0, ddof=1).mean())
    return float((LARGEST_T + POWER_T) * spread * np.sqrt(2 / len(sample)) / KEPT_SHARE)
