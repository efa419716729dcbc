"""Histories for tests: written by hand, carried out by the model, and explained by trying every order."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from beefirst.laboratory.history.calls import Call, CodeMail, History, Kind, Row
from beefirst.laboratory.history.judgement import Judgement, judge_history
from beefirst.laboratory.history.model import OVERDUE, Model, Rules
from beefirst.registration.states import Outcome

ADA, CODE, WRONG = "ada@example.com", "code 1", "code 9"
TTL, MAX_ATTEMPTS = 60, 3
RULES = Rules(TTL, MAX_ATTEMPTS)

Interval = tuple[float, float]


def register(client: str, when: Interval, status: int | None = 202, password: str = "") -> Call:
    """A client's call; its password is a name of its own."""
    return Call(client, 0, "register", ADA, password or client, *when, status)


def activate(client: str, when: Interval, status: int | None = 200, code: str = CODE, password: str = "") -> Call:
    return Call(client, 0, "activate", ADA, password or client, *when, status, code)


def mail(at: float, code: str = CODE) -> CodeMail:
    return CodeMail(ADA, code, at)


def row(state: str, at: float = 50, attempts: int = 0, has_hash: bool | None = None, code: str = CODE) -> Row:
    return Row(
        ADA, at, at + 0.1, state, attempts, state in ("CLAIMED", "ACTIVE") if has_hash is None else has_hash, code
    )


def history(*told: Call | CodeMail | Row, **more: Any) -> History:
    return History(
        TTL,
        MAX_ATTEMPTS,
        [it for it in told if isinstance(it, Call)],
        [it for it in told if isinstance(it, CodeMail)],
        [it for it in told if isinstance(it, Row)],
        **more,
    )


def judge(*told: Call | CodeMail | Row, **more: Any) -> Judgement:
    """Return what a history shows, once it has been in a file."""
    return judge_history(History.from_data(json.loads(json.dumps(history(*told, **more).to_data()))))


MOMENTS = st.floats(0.01, 30, allow_nan=False)
WIDTHS = st.floats(0, 20, allow_nan=False)


@st.composite
def carried_out(draw: st.DrawFn, most_calls: int, timed: bool = True) -> History:
    """Histories that the model has carried out, one call at a time, while the calls themselves overlap.

    Args:
        draw: by hypothesis.
        most_calls: at most so many.
        timed: whether claims and cool-downs may run out meanwhile.
    """
    rules = RULES if timed else replace(RULES, ttl_seconds=1e6)
    model, now, told = Model(), 0.0, list[Call | CodeMail]()
    for _ in range(draw(st.integers(1, most_calls))):
        now += draw(MOMENTS) if timed else 1
        (model,) = model.settled(rules, (now, now))
        when = now - draw(WIDTHS), now + draw(WIDTHS)
        kind, password, happens = draw(st.sampled_from(["register", "activate", "activate"])), draw(PASSWORDS), True
        answered = draw(st.sampled_from([True, True, True, False]))
        happens = answered or draw(st.booleans())
        model, call, mailed = _carry_out(model, rules, (kind, password, draw(st.booleans())), now, when, happens)
        told += [call if answered else replace(call, status=draw(st.sampled_from([None, 503])))]
        told += [CodeMail(ADA, model.code, now + draw(WIDTHS))] * mailed
    (model,) = model.settled(rules, (now + 1, now + 1))
    state = "CLAIMED" if model.state == OVERDUE and draw(st.booleans()) else model.sweep().state
    last = Row(ADA, now + 1, now + 1, state, model.attempts, state in ("CLAIMED", "ACTIVE"), model.code)
    return replace(history(*told, last if state != "none" else replace(last, code="")), ttl_seconds=rules.ttl_seconds)


PASSWORDS = st.sampled_from(["ada", "bob"])


def _carry_out(
    model: Model, rules: Rules, asked: tuple[Kind, str, bool], now: float, when: Interval, happens: bool
) -> tuple[Model, Call, bool]:
    """Return what becomes of the model, the call that did it, and whether a code is mailed."""
    kind, password, right = asked
    if kind == "register":
        after = model.register(password, f"code {now}", (now, now)) if happens else model
        return after, register(password, when), after is not model
    code = model.code if right and model.code else WRONG
    outcome, after = model.activate(password, code, rules, (now, now))
    status = 200 if outcome is Outcome.ACTIVATED else 401
    return after if happens else model, activate(password, when, status, code), False


def explainable(told: History) -> bool:
    """Tell by trying every order whether one explains an untimed history of few calls."""
    events = [*told.calls, *told.rows]

    def go(left: frozenset[int], model: Model, mails: frozenset[int]) -> bool:
        needed = [number for number in left if not (isinstance(it := events[number], Call) and it.is_unknown)]
        if not needed and not mails:
            return True
        latest = min((events[number].end for number in needed), default=float("inf"))
        return any(
            go(left - {number}, after, rest)
            for number in left
            if events[number].begin <= latest
            for after, rest in _after(told, events[number], model, mails)
        )

    return go(frozenset(range(len(events))), Model(), frozenset(range(len(told.code_mails))))


def _after(
    told: History, event: Call | Row, model: Model, mails: frozenset[int]
) -> Iterator[tuple[Model, frozenset[int]]]:
    if isinstance(event, Row):
        if (event.state, event.attempts, event.code) == (model.state, model.attempts, model.code):
            yield model, mails
    elif event.kind == "activate":
        outcome, after = model.activate(event.password, event.code, RULES, (0, 0))
        if event.is_unknown or (event.status == 200) == (outcome is Outcome.ACTIVATED):
            yield after, mails
    elif not model.is_free:
        yield model, mails
    else:
        for number in mails:
            if told.code_mails[number].at >= event.begin:
                yield model.register(event.password, told.code_mails[number].code, (0, 0)), mails - {number}
        if event.is_unknown:
            yield model.register(event.password, "", (0, 0)), mails


def with_another_answer(told: History, number: int) -> History:
    """Return a history in which one call was answered otherwise, or, where it cannot be, the row is another."""
    calls: Sequence[Call] = told.calls
    if number < len(calls) and calls[number].kind == "activate" and calls[number].status in (200, 401):
        other = replace(calls[number], status=601 - (calls[number].status or 0))
        return replace(told, calls=[*calls[:number], other, *calls[number + 1 :]])
    last = told.rows[-1]
    state = "ACTIVE" if last.state != "ACTIVE" else "LOCKED"
    return replace(told, rows=[replace(last, state=state)])
