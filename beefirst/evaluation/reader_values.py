"""The values that a reader may change in a notebook, and how far."""

from types import SimpleNamespace

from beefirst.errors import ConfigurationError

LIMITS = {
    "ttl_seconds": (5, 3600, "a claim must outlive the cells that use it"),
    "max_attempts": (2, 4, "the service takes 1 to 10, but from 5 on an address allows 100 guesses a day"),
    "bcrypt_cost": (10, 13, "the service takes 10 to 16, and each step up doubles the time of every cell"),
    "replicas": (2, 16, "each is a process"),
    "registrations": (2, 500, "all of them are sent at once"),
    "guesses": (10, 500, "all of them are sent at once"),
    "rounds": (10, 300, "each takes half a second, and fewer would see no difference"),
    "fine_rounds": (20, 1000, "each takes an eighth of a second, and fewer would see no difference"),
    "turns": (2, 20, "each takes ten seconds, and one alone does not tell how busy the machine is"),
    "times_capacity": (2, 10, "once is no more than can be served, and what sends more would need the cores itself"),
    "load_seconds": (2, 60, "each second more sends more, and in less the longest wait is not reached"),
    "starts": (2, 50, "each takes about a second"),
}
"""For each value the least, the most, and why."""


HASHES_PER_SECOND = 5
"""What any machine manages at the lowest cost."""


def choose(**values: int) -> SimpleNamespace:
    """Return the values that a notebook works with, once each is seen to be possible.

    Args:
        values: whole numbers, by the names of LIMITS.

    Raises:
        ConfigurationError: a value is none of these, or is not possible here; the message names the limits and why.
    """
    for name, value in values.items():
        if name not in LIMITS:
            raise ConfigurationError(f"{name} is no value of these notebooks; there are {', '.join(LIMITS)}.")
        least, most, why = LIMITS[name]
        if type(value) is not int or not least <= value <= most:
            raise ConfigurationError(f"{name} must be a whole number from {least} to {most}, but is {value!r}: {why}.")
    most = HASHES_PER_SECOND * values.get("ttl_seconds", 3600)
    if values.get("registrations", 0) > most:
        raise ConfigurationError(
            f"registrations must be at most {HASHES_PER_SECOND} times ttl_seconds, which is {most}, but is "
            f"{values['registrations']}: all are hashed in one claim's life."
        )
    return SimpleNamespace(**values)
