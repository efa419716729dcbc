"""The test of differences: how often it errs, and whether it sees what it says it would."""

import numpy as np
import pandas as pd
import pytest

from beefirst.laboratory.difference_test import compare_classes, count_planted

CLASSES = ["a", "b", "c", "d", "e", "f", "g"]
SAMPLES, FEW = 60, 400
"""How many samples are drawn, and how many permutations each is compared with: few, for there are many samples."""


def busy_times(generator: np.random.Generator, rounds: int = 40) -> pd.DataFrame:
    """Return times as on a busy machine: rounds that are slower than others, and sometimes an answer that is late."""
    drift = generator.lognormal(-3, 0.4, (rounds, 1))
    noise = generator.lognormal(-6, 1, (rounds, len(CLASSES)))
    late = generator.exponential(0.05, noise.shape) * (generator.random(noise.shape) < 0.05)
    return pd.DataFrame(drift + noise + late, columns=CLASSES)


@pytest.fixture
def samples() -> list[pd.DataFrame]:
    generator = np.random.default_rng(11)
    return [busy_times(generator) for _ in range(SAMPLES)]


def test_where_nothing_differs_it_sees_nothing_and_its_p_is_spread_evenly(samples: list[pd.DataFrame]) -> None:
    compared = [compare_classes(sample, FEW) for sample in samples]

    assert not any(it.is_seen for it in compared)
    assert max(it.largest_t for it in compared) < 4.5
    assert 0.3 < np.mean([it.p for it in compared]) < 0.7
    assert 0 < sum(it.p <= 0.2 for it in compared) < 0.4 * SAMPLES


def test_of_a_hundred_samples_eighty_show_the_difference_that_it_says_they_would(samples: list[pd.DataFrame]) -> None:
    stated = float(np.mean([compare_classes(sample, 0).smallest_seen for sample in samples]))

    shares = [count_planted(sample, stated) / len(CLASSES) for sample in samples]
    assert np.mean(shares) > 0.7
    assert np.mean([count_planted(sample, stated / 4) / len(CLASSES) for sample in samples]) < 0.2


def test_a_difference_is_seen_by_both_tests_and_named_by_its_pair() -> None:
    times = busy_times(np.random.default_rng(3)).assign(c=lambda it: it["c"] + 0.02)

    difference = compare_classes(times)

    assert difference.is_seen
    assert "c" in {difference.pairs["one"][0], difference.pairs["other"][0]}
    assert abs(difference.pairs["difference"][0]) > 0.005


def test_p_is_the_share_of_orders_within_the_rounds_that_differ_as_much() -> None:
    times = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.5, 2.6, 3.7]})

    assert compare_classes(times, 4_000).p == pytest.approx(2 / 2**3, abs=0.03)


@pytest.mark.parametrize("times", [pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1], "b": [2]})])
def test_too_little_is_no_comparison(times: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="two classes"):
        compare_classes(times)


def test_what_is_missing_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="two classes"):
        compare_classes(pd.DataFrame({"a": [1, 2, 3], "b": [1, None, 3]}))
