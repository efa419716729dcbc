"""Watching one registration change, in real time."""

import time

import pandas as pd

from beefirst.laboratory.testbed import Testbed

PATIENCE_SECONDS = 30


def follow(testbed: Testbed, email: str, until: str) -> pd.DataFrame:
    """Return what a registration looked like at each of its changes, up to a state, or for PATIENCE_SECONDS.

    Args:
        testbed: where the registration is.
        email: normalised.
        until: the state that ends the watch.

    Returns:
        The columns second (since the watch began), state, attempts, password hash.
    """
    began = time.monotonic()
    rows: list[tuple[object, ...]] = []
    while time.monotonic() - began < PATIENCE_SECONDS:
        row = testbed.rows(email)[["state", "attempts", "password hash"]].iloc[0]
        if not rows or tuple(row) != rows[-1][1:]:
            rows.append((round(time.monotonic() - began, 1), *row))
        if row["state"] == until:
            break
        time.sleep(0.05)
    return pd.DataFrame(rows, columns=["second", "state", "attempts", "password hash"])
