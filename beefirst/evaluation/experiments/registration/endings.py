"""How a claim ends that is not proven, and that its address is free again then."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import pandas as pd

from beefirst.evaluation.display.state_diagram import state_machine
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.testbed import PASSWORD, Testbed
from beefirst.machine.waiting import wait_for

PATIENCE_SECONDS = 30

PATH = ["CLAIMED", "EXPIRED", "CLAIMED", "LOCKED", "CLAIMED", "ACTIVE"]
"""The whole of it: not proven, guessed at, and proven at last."""

LOOKED_AT = ["state", "attempts", "password hash", "claimed at", "activated at"]


@dataclass
class WatchedAddress:
    """An address, and what has been seen of it.

    Attributes:
        testbed: where it is registered.
        email: normalised.
        sightings: its row without secrets, whenever it was another than at the look before.
    """

    testbed: Testbed
    email: str
    sightings: list[tuple[object, ...]] = field(default_factory=list)

    def look(self) -> pd.Series:
        """Return its row without secrets, and remember it."""
        row = self.testbed.row(self.email)
        if not self.sightings or self.sightings[-1] != tuple(row[LOOKED_AT]):
            self.sightings.append(tuple(row[LOOKED_AT]))
        return row

    def seen(self) -> pd.DataFrame:
        """Return every look."""
        return pd.DataFrame(self.sightings, columns=LOOKED_AT)


def _judge_expiry(changes: pd.DataFrame, ttl_seconds: float) -> Evidence:
    first, end = changes.iloc[0], changes.iloc[-1]
    summary = f"{end['state']} {end['second']:.1f} s after the claim; hash: {end['password hash']}"
    claimed = first["state"] == "CLAIMED" and str(first["password hash"]).startswith("bcrypt")
    ended = (end["state"], end["password hash"]) == ("EXPIRED", "none")
    return Evidence(bool(claimed and ended and end["second"] >= ttl_seconds), summary, changes.round({"second": 1}))


@experiment(_judge_expiry)
def unproven_claim_expires(address: WatchedAddress, patience_seconds: float = PATIENCE_SECONDS) -> Observed:
    """Claim an address and watch it in real time; nobody activates, and the sweeper ends the claim.

    Args:
        address: free to be claimed.
        patience_seconds: how long past the claim's life to watch.
    """
    began, changes = time.monotonic(), list[tuple[object, ...]]()
    address.testbed.register(address.email)

    def has_expired() -> bool:
        row = address.look()[["state", "attempts", "password hash"]]
        if not changes or changes[-1][1:] != tuple(row):
            changes.append((time.monotonic() - began, *row))
        return bool(row["state"] == "EXPIRED")

    wait_for(has_expired, address.testbed.ttl_seconds + patience_seconds, 0.05)
    frame = pd.DataFrame(changes, columns=["second", "state", "attempts", "password hash"])
    return {"changes": frame, "ttl_seconds": address.testbed.ttl_seconds}


def _judge_lock(answers: Sequence[int], claims: pd.DataFrame, max_attempts: int) -> Evidence:
    row = claims.iloc[0]
    rows = [
        ("wrong codes", str(len(answers)), str(max_attempts)),
        ("answers", ", ".join(sorted({str(status) for status in answers})), "401"),
        ("attempts that were counted", str(row["attempts"]), str(max_attempts)),
        ("state", row["state"], "LOCKED"),
        ("password hash", row["password hash"], "none"),
    ]
    return compare(f"{row['attempts']} attempts, then {row['state']}; hash: {row['password hash']}", rows)


@experiment(_judge_lock)
def guessed_claim_is_locked(address: WatchedAddress) -> Observed:
    """Claim the address, and enter as many wrong codes as the claim allows, with the right password."""
    testbed = address.testbed
    code = testbed.claim(address.email)
    address.look()
    answers = testbed.lock(address.email, PASSWORD, code)
    address.look()
    return {"answers": answers, "claims": testbed.rows(address.email), "max_attempts": testbed.max_attempts}


def _judge_path(sightings: pd.DataFrame, status: int) -> Evidence:
    states = [str(state) for state, _ in groupby(sightings["state"])]
    way = " → ".join(states)
    words = way if status == 200 else f"{way}, and the activation is answered with {status}"
    return Evidence(states == PATH and status == 200, words, picture=state_machine(states))


@experiment(_judge_path)
def address_is_free_again(address: WatchedAddress) -> Observed:
    """Claim the address anew once it has cooled down, activate it, and look at the whole path that it took."""
    testbed, password = address.testbed, "another horse"
    code = testbed.claim_when_free(address.email, password)
    address.look()
    status = testbed.activate(address.email, password, code).status_code
    address.look()
    return {"sightings": address.seen(), "status": status}
