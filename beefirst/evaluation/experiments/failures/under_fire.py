"""How a part dies under load, and what is asked of what is left: nothing acknowledged lost, nothing invented."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeAlias

from beefirst.evaluation.display.swimlanes import swimlanes
from beefirst.evaluation.evidence import Evidence, compare, not_shown_here
from beefirst.evaluation.procedure import Observed
from beefirst.laboratory.history.calls import Call, Fault, History
from beefirst.laboratory.history.judgement import ENDED, Judgement, judge_history
from beefirst.laboratory.load import Load, made_accounts
from beefirst.laboratory.testbed import Testbed
from beefirst.machine.waiting import wait_for

DOCUMENTED = {"register": (202, 503), "activate": (200, 401, 503)}
"""What each call may be answered while something dies."""

ANSWER_LIMIT_SECONDS = 20
"""An answer that takes longer hangs: a password waits for 2 seconds or so, and a step of the database takes 7."""

FELT_SECONDS = 30
"""A fault that nobody feels within this time shows nothing."""

FELT_BY = 3
"""So many calls fail before a fault ends."""

RECOVERY_SECONDS = 60
"""For hanging: how long to wait for accounts before a fault, and for a new one after it is over."""

WARM_UP = 4
"""Accounts that are made before something dies."""

OUTSIDE = "pip install -r requirements.txt && pytest --nbmake notebooks/10_failures.ipynb"
"""What shows the checks for which a container has not the programs or the rights."""

UNAVAILABLE = "calls amid it were answered 503"

Felt: TypeAlias = Callable[[Load, float], object]
Rows: TypeAlias = list[tuple[object, ...]]


def failing(load: Load, since: float) -> bool:
    """Tell whether some calls that ended at a second or later could not be served."""
    return load.count(500, 503, None, since=since) >= FELT_BY


def under_fire(
    testbed: Testbed,
    name: str,
    felt: Felt,
    fault: AbstractContextManager[object] | None = None,
    *,
    mail_may_fail: bool = False,
    **beside: Any,
) -> Observed:
    """Let a part of a service that is under load fail, and come back; return the history of every call, and the
    second by which the fault was felt.

    Args:
        testbed: of the service.
        name: of the fault.
        felt: is asked, with the load and the second at which the fault began, until it was felt.
        fault: begins and ends with its block.
        mail_may_fail: see `History`.
        beside: what else was observed.
    """
    with Load(testbed, mail_may_fail=mail_may_fail) as load:
        wait_for(lambda: load.made() >= WARM_UP, RECOVERY_SECONDS)
        with load.fault(name), fault or nullcontext():
            began = load.second
            wait_for(lambda: felt(load, began), FELT_SECONDS)
            felt_at = load.second
        ended = load.second
        wait_for(lambda: load.made(since=ended), RECOVERY_SECONDS)
    return {"history": load.history().to_data(), "felt_at": felt_at, **beside}


def judge_fire(
    seen: Observed,
    felt_as: str,
    is_felt: Callable[[History], bool],
    more: Callable[[History], Rows] | None = None,
    *,
    drawn: bool = False,
) -> Evidence:
    """Return the evidence of what `under_fire` returned; NOT SHOWN HERE where something was missing.

    Args:
        seen: by `under_fire`, or what was missing.
        felt_as: what shows that the fault was felt.
        is_felt: whether it was.
        more: further rows for `compare`.
        drawn: show the calls as a picture in the place of the rows.
    """
    if "missing" in seen:
        return not_shown_here(OUTSIDE, seen["missing"])
    history = History.from_data(seen["history"])
    fault, judgement = fault_of(history), judge_history(history)
    rows = [
        ("activations were acknowledged before", _word(_acknowledged_before(history, fault)), "yes"),
        (felt_as, _word(is_felt(history)), "yes"),
        ("the final row of every address was seen", _word(all(map(history.final_row, history.addresses))), "yes"),
        ("some registrations ended", _word(any(row.state in ENDED for row in history.rows)), "yes"),
        *_answers(history.calls, seen.get("killed")),
        *_explained(judgement),
        ("then an account is registered and activated", _word(bool(made_accounts(history.calls, fault.end))), "yes"),
        *(more(history) if more else ()),
    ]
    seconds, refused = fault.end - fault.begin, sum(call.status == 503 for call in history.calls)
    summary = f"{fault.name} for {seconds:.1f} s: {len(history.calls)} calls, {refused} of them answered 503"
    evidence = compare(summary, rows)
    return replace(evidence, picture=swimlanes(history, judgement)) if drawn else evidence


def fault_of(history: History) -> Fault:
    """Return what was done to the service; nothing, before all calls, where nothing is told of it."""
    return next(iter(history.faults), Fault("nothing", 0.0, 0.0))


def amid(history: History, *statuses: int | None) -> int:
    """Return how many of the calls that were under way while the fault lasted have one of these statuses."""
    fault = fault_of(history)
    return sum(
        call.status in statuses and call.begin <= fault.end and fault.begin <= call.end for call in history.calls
    )


def is_unavailable(history: History) -> bool:
    """Tell whether a fault was felt as UNAVAILABLE says."""
    return amid(history, 503) > 0


def _acknowledged_before(history: History, fault: Fault) -> bool:
    return any(call.status == 200 and call.end <= fault.begin for call in history.calls)


def _word(holds: bool) -> str:
    return "yes" if holds else "no"


def _answers(calls: Sequence[Call], killed: int | None) -> Rows:
    unanswered = [call for call in calls if call.status is None and call.replica != killed]
    foreign = [call for call in calls if call.status is not None and call.status not in DOCUMENTED[call.kind]]
    slow = [call for call in calls if call.end - call.begin > ANSWER_LIMIT_SECONDS]
    return [
        ("answers that are none of those documented", len(foreign), 0),
        ("calls that were not answered", len(unanswered), 0),
        (f"answers after more than {ANSWER_LIMIT_SECONDS} s", len(slow), 0),
    ]


def _explained(judgement: Judgement) -> Rows:
    unexplained = [finding for finding in judgement.findings if finding.result != "explained"]
    return [
        ("activations acknowledged, and lost", len(judgement.lost), 0),
        ("accounts ACTIVE that nobody activated", len(judgement.invented), 0),
        ("ended registrations that keep a hash", len(judgement.hashes_kept), 0),
        ("other registrations that lost theirs", len(judgement.hashes_missing), 0),
        ("addresses whose answers and rows no order explains", len(unexplained), 0),
    ]
