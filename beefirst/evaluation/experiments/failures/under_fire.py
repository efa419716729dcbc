"""How a part dies under load, and what is asked of what is left: nothing acknowledged lost, nothing invented."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare, not_shown_here
from beefirst.evaluation.procedure import Observed
from beefirst.laboratory.catalog import query
from beefirst.laboratory.load import ACTIVATE, CUT_OFF, GUESS, REGISTER, Load
from beefirst.laboratory.testbed import Testbed
from beefirst.machine.waiting import wait_for

DOCUMENTED = {REGISTER: (202, 503), ACTIVATE: (200, 401, 503), GUESS: (401, 503)}
"""What each call may be answered while something dies."""

ANSWER_LIMIT_SECONDS = 30
"""An answer that takes longer hangs: passwords wait for 12 seconds at most, and a step of the database takes 7."""

FELT_SECONDS = 30
"""A fault that nobody feels within this time shows nothing."""

RECOVERY_SECONDS = 60
"""For hanging: how long to wait for a new account after a fault is over."""

WARM_UP = 4
"""Accounts that are made before something dies."""

OUTSIDE = "pip install -r requirements.txt && pytest --nbmake notebooks/10_failures.ipynb"
"""What shows the checks for which a container has not the programs or the rights."""

ROWS = "SELECT email, state, password_hash IS NOT NULL AS hashed FROM registrations WHERE email LIKE %(prefix)s"

Felt: TypeAlias = Callable[[Load, float], object]
Rows: TypeAlias = list[tuple[object, ...]]


def answered(*statuses: int, count: int = 3) -> Felt:
    """Return what tells whether so many calls have been answered with one of these statuses since a second."""
    return lambda load, since: sum(load.count(call, *statuses, since=since) for call in DOCUMENTED) >= count


def under_fire(
    testbed: Testbed, felt: Felt, fault: AbstractContextManager[object] | None = None, **beside: Any
) -> Observed:
    """Let a part of a service that is under load fail, and come back; return every call, and what the table holds.

    Args:
        testbed: of the service.
        felt: is asked, with the load and the second at which the fault began, until it was felt.
        fault: begins and ends with its block.
        beside: what else was observed.
    """
    with Load(testbed) as load:
        wait_for(lambda: load.made() >= WARM_UP, FELT_SECONDS)
        began = load.second
        with fault or nullcontext():
            wait_for(lambda: felt(load, began), FELT_SECONDS)
            last = load.second
        ended = load.second
        wait_for(lambda: load.made(since=ended), RECOVERY_SECONDS)
    with testbed.database.connect() as connection:
        rows = query(connection, ROWS, prefix=f"{load.prefix}%")
    return {"calls": load.calls(), "rows": rows, "began": began, "last": last, "ended": ended, **beside}


def judge_fire(
    what: str, felt_as: str, is_felt: Callable[[], bool], seen: Observed, more: Callable[[], Rows] = list
) -> Evidence:
    """Return the evidence of what `under_fire` returned; NOT SHOWN HERE where something was missing.

    Args:
        what: has failed, for the summary.
        felt_as: what shows that it was felt.
        is_felt: whether it was.
        seen: by `under_fire`, or what was missing.
        more: further rows for `compare`.
    """
    if "missing" in seen:
        return not_shown_here(OUTSIDE, seen["missing"])
    calls, back = seen["calls"], back_after(seen["calls"], seen["ended"])
    rows = [
        (felt_as, _word(is_felt()), "yes"),
        *_answers(calls, seen.get("killed", -1)),
        *_lost(calls, seen["rows"]),
        ("afterwards an account is registered and activated", _word(back), "yes"),
        *more(),
    ]
    accounts = int(((calls["call"] == ACTIVATE) & (calls["status"] == 200)).sum())
    refused = int((calls["status"] == 503).sum())
    return compare(f"{what} amid {len(calls)} calls: {refused} answered 503, none of {accounts} accounts lost", rows)


def _word(holds: bool) -> str:
    return "yes" if holds else "no"


def _answers(calls: pd.DataFrame, killed: int) -> Rows:
    cut_off = calls["status"] == CUT_OFF
    known = [status in DOCUMENTED[call] for call, status in zip(calls["call"], calls["status"], strict=True)]
    return [
        ("answers that are none of those documented", int((~pd.Series(known, dtype=bool) & ~cut_off).sum()), 0),
        ("calls that were not answered", int((cut_off & (calls["replica"] != killed)).sum()), 0),
        (f"answers after more than {ANSWER_LIMIT_SECONDS} s", int((calls["seconds"] > ANSWER_LIMIT_SECONDS).sum()), 0),
    ]


def _lost(calls: pd.DataFrame, rows: pd.DataFrame) -> Rows:
    active = set(rows["email"][rows["state"] == "ACTIVE"])
    ended = rows[rows["state"].isin(["EXPIRED", "LOCKED"])]
    tried = calls[calls["call"] == ACTIVATE]
    acknowledged = set(tried["email"][tried["status"] == 200])
    return [
        ("activations were acknowledged", _word(bool(acknowledged)), "yes"),
        ("activations acknowledged, and lost", len(acknowledged - active), 0),
        ("accounts ACTIVE that nobody activated", len(active - set(tried["email"])), 0),
        ("right codes refused at the first answer", _refused_at_first(tried), 0),
        ("registrations that nobody made", len(set(rows["email"]) - set(calls["email"])), 0),
        ("ended registrations that keep a hash", int(ended["hashed"].sum()), 0),
    ]


def _refused_at_first(tried: pd.DataFrame) -> int:
    first = tried.groupby("email", sort=False)["status"].first()
    return int((first == 401).sum())


def back_after(calls: pd.DataFrame, ended: float) -> bool:
    """Tell whether some account was both registered and activated after a second."""
    later = calls[calls["began"] >= ended]
    registered = set(later["email"][(later["call"] == REGISTER) & (later["status"] == 202)])
    return bool(registered & set(later["email"][(later["call"] == ACTIVATE) & (later["status"] == 200)]))


def amid(observed: Observed, *statuses: int) -> int:
    """Return how many of the calls that began while a fault lasted were answered with one of these statuses."""
    calls = observed["calls"]
    during = calls[calls["began"].between(observed["began"], observed["ended"])]
    return int(during["status"].isin(statuses).sum())
