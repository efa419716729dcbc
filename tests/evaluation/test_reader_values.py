"""Values that a reader may change in a notebook."""

import pytest

from beefirst.errors import ConfigurationError
from beefirst.evaluation.reader_values import LIMITS, choose
from beefirst.settings import Settings


def test_possible_values_are_given_back_by_name() -> None:
    values = choose(replicas=3, starts=5)

    assert (values.replicas, values.starts) == (3, 5)


@pytest.mark.parametrize("value", [0, 4, 3601, -1, "60", "many", None, 60.0, True])
def test_an_impossible_value_is_answered_with_one_sentence(value: object) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        choose(ttl_seconds=value)  # type: ignore[arg-type]

    assert str(refusal.value).startswith(f"ttl_seconds must be a whole number from 5 to 3600, but is {value!r}: ")


def test_a_name_that_is_no_value_is_answered_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match="replica is no value of these notebooks; there are ttl_seconds, "):
        choose(replica=2)


@pytest.mark.parametrize("name", sorted(LIMITS.keys() & Settings.model_fields.keys()))
def test_whatever_is_possible_here_is_possible_for_the_service(name: str) -> None:
    least, most, _ = LIMITS[name]

    assert [getattr(Settings.load(**{name: value}), name) for value in (least, most)] == [least, most]


def test_more_registrations_than_can_be_hashed_in_one_claims_life_are_answered_with_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="at most 5 times ttl_seconds, which is 25, but is 500: "):
        choose(registrations=500, ttl_seconds=5)
