"""Whether some order of what happened to one address explains all that was answered and seen.

The search is Wing and Gong's (1993) with the memory of Lowe's (2017): what begins before anything that is left has
ended may come next, and no set of events that has led to one state of the model is tried twice. It never calls a
history impossible that is possible; where windows leave a moment open, it may pass what only exact times would refuse.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from beefirst.laboratory.history.calls import Call, ClockStep, Row
from beefirst.laboratory.history.model import DAY, OVERDUE, Model, Window
from beefirst.laboratory.history.problem import Event, Found, Placed, Problem
from beefirst.registration.states import Outcome

MOST_STATES = 20_000
"""So many states are tried: some seconds."""

NO_MATTER: Window = (inf, inf)

CLAIMED = "claimed"
"""The effect of a registration that found the address free."""

SEEN_AS = {OVERDUE: ("CLAIMED", "EXPIRED")}
"""What the table may say of a state; of any other, that state."""


@dataclass(frozen=True)
class _Node:
    """Where a search stands: the events that are placed, and the mails that are used, as bits."""

    placed: int = 0
    used: int = 0
    model: Model = Model()  # noqa: RUF009  # it is frozen


class _Search:
    def __init__(self, problem: Problem, most_states: int) -> None:
        self.rules, self.mails, self.free_mails = problem.rules, problem.mails, problem.free_mails
        self.events, self.most_states = problem.events, most_states
        self.is_free = [number in problem.free or _is_unknown(event) for number, event in enumerate(self.events)]
        self.begins = [event.begin for event in self.events]
        self.ends = [inf if free else event.end for free, event in zip(self.is_free, self.events, strict=True)]
        codes = {mail.code for mail in self.mails}
        self.codes = [
            event.code if isinstance(event, Call) and event.code in codes else "wrong" for event in self.events
        ]
        self.kinds = [
            (_name_of(event, code), free)
            for event, code, free in zip(self.events, self.codes, self.is_free, strict=True)
        ]
        self.by_end = sorted(range(len(self.events)), key=lambda number: (self.ends[number], number))
        self.needed = sum(1 << number for number, free in enumerate(self.is_free) if not free)
        self.needed_mails = sum(1 << number for number in range(len(self.mails)) if number not in self.free_mails)
        span = _span(self.events) + self.rules.uncertainty
        self.forgets, self.no_time_passes = span >= DAY, span < self.rules.ttl_seconds
        self.no_claim_ends = self.no_time_passes and not self.rules.mail_may_fail

    def run(self) -> Found:
        """Search depth-first, without recursion: an order may be longer than Python's stack."""
        start = _Node()
        if self._is_done(start):
            return Found("explained", (), 1)
        seen, path, stack = {start}, list[list[Placed]](), [self._next(start)]
        while stack:
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
                del path[-1:]
            elif step[0] not in seen:
                node, placed = step
                if self._is_done(node):
                    return Found("explained", _in_order([*path, placed]), len(seen))
                seen.add(node)
                if len(seen) > self.most_states:
                    return Found("undecided", (), len(seen))
                path.append(placed)
                stack.append(self._next(node))
        return Found("impossible", (), len(seen))

    def _is_done(self, node: _Node) -> bool:
        return node.placed & self.needed == self.needed and node.used & self.needed_mails == self.needed_mails

    def _next(self, node: _Node) -> Iterator[tuple[_Node, list[Placed]]]:
        """Yield what may come next, and the events that are placed then; first what changes nothing, as most do."""
        changing = list[tuple[_Node, list[Placed]]]()
        for number, at in self._candidates(node):
            for model, used, effect in self._after(number, node, at):
                if not effect and self.is_free[number]:
                    continue
                placed = Placed(number, _between(at), effect)
                step = self._with_idle(_Node(node.placed | 1 << number, used, self._forget(model)), placed)
                if step and effect:
                    changing.append(step)
                elif step:
                    yield step
        yield from changing

    def _candidates(self, node: _Node) -> Iterator[tuple[int, Window]]:
        """Yield what begins before anything that is left has ended, one of those that may change places."""
        left = [number for number in self.by_end if not node.placed >> number & 1]
        latest = self.ends[left[0]] if left else inf
        now = max((self.begins[number] for number in self.by_end if node.placed >> number & 1), default=-inf)
        tried = dict[object, float]()
        for number in left:
            if self.begins[number] > latest:
                continue
            begin, kind = (
                min(latest, max(now, self.begins[number])),
                self.kinds[number],
            )  # idle ones begin when they may
            if begin < tried.get(kind, inf):
                tried[kind] = begin
                yield number, (begin, min(latest, self.ends[number]))

    def _with_idle(self, node: _Node, placed: Placed) -> tuple[_Node, list[Placed]] | None:
        """Place all that has no effect any more, whenever it comes; None where one of those cannot be so."""
        if not self._has_idle(node.model):
            return node, [placed]
        idle = [number for number in self.by_end if not node.placed >> number & 1 and self._is_idle(number, node.model)]
        if not all(any(self._after(number, node, (self.begins[number], self.ends[number]))) for number in idle):
            return None
        bits = sum(1 << number for number in idle)
        later = [Placed(number, max(placed.at, self.begins[number])) for number in idle]
        return replace(node, placed=node.placed | bits), [placed, *later]

    def _has_idle(self, model: Model) -> bool:
        return model.state == "ACTIVE" or (self.no_claim_ends and model.state in ("CLAIMED", "LOCKED"))

    def _is_idle(self, number: int, model: Model) -> bool:
        """Tell whether an event that must have happened has no effect, now or later."""
        event = self.events[number]
        if self.is_free[number] or model.state == "ACTIVE":
            return not self.is_free[number]
        if not isinstance(event, Call):
            return False
        if model.state == "CLAIMED":
            return event.kind == "register" or event.password != model.password
        return model.cooling is not None

    def _forget(self, model: Model) -> Model:
        return model if self.forgets else replace(model, guessed=NO_MATTER)

    def _after(self, number: int, node: _Node, at: Window) -> Iterator[tuple[Model, int, str]]:
        """Yield what the model may become by an event, which mails are used then, and the event's effect."""
        event, free = self.events[number], self.is_free[number]
        if isinstance(event, ClockStep):
            yield node.model.let_pass(event.seconds), node.used, ""
            return
        if isinstance(event, Call) and event.kind == "register":
            yield from self._registered(event, node, at, may_lack_mail=free)
            return
        for settled in self._settled(node.model, at):
            if isinstance(event, Row):
                yield from ((seen, node.used, "") for seen in _seen(settled, event, at))
            else:
                window = self._remembered(at)
                outcome, model = settled.activate(event.password, self.codes[number], self.rules, window)
                if free or (event.status == 200) == (outcome is Outcome.ACTIVATED):
                    yield model, node.used, "" if model is settled else outcome.value

    def _registered(self, call: Call, node: _Node, at: Window, may_lack_mail: bool) -> Iterator[tuple[Model, int, str]]:
        """Yield what a registration may do: nothing; or claim, with one of the codes that came later, or with none."""
        yield from ((settled, node.used, "") for settled in self._settled(node.model, at) if not settled.is_free)
        codes = [
            (mail.code, 1 << number, inf if number in self.free_mails else mail.at)
            for number, mail in enumerate(self.mails)
        ]
        if may_lack_mail or self.rules.mail_may_fail or self.free_mails:
            codes.append(("", 0, inf))
        for code, bit, came in codes:
            window = at[0], min(at[1], came + self.rules.uncertainty)
            if not node.used & bit and window[0] <= window[1]:
                for settled in self._settled(node.model, window):
                    if settled.is_free:
                        claimed = settled.register(call.password, code, self._remembered(window))
                        yield claimed, node.used | bit, CLAIMED

    def _settled(self, model: Model, at: Window) -> Iterator[Model]:
        return model.settled(self.rules, self._remembered(at))

    def _remembered(self, at: Window) -> Window:
        """Return a moment; always the same where all that happened is too short for any time to run out."""
        return (0.0, 0.0) if self.no_time_passes else at


def _is_unknown(event: Event) -> bool:
    return isinstance(event, Call) and event.is_unknown


def _name_of(event: Event, code: str) -> tuple[object, ...]:
    """Return what two events have in common that may change places."""
    if isinstance(event, Call):
        return event.kind, event.password, code if event.kind == "activate" else "", event.status
    return (id(event),)


def _seen(settled: Model, row: Row, at: Window) -> Iterator[Model]:
    """Yield the model once that row was seen, if it may be: a row that has ended may be deleted after a day."""
    may_be_deleted = settled.state in (OVERDUE, "EXPIRED", "LOCKED") and at[1] - settled.claimed[0] >= DAY
    if row.state == "none":
        if settled.state == "none" or may_be_deleted:
            yield settled
        return
    is_seen = row.state in SEEN_AS.get(settled.state, (settled.state,)) and row.attempts == settled.attempts
    if is_seen and (not row.code or not settled.code or row.code == settled.code):
        yield settled.sweep() if row.state == "EXPIRED" else settled


def _in_order(path: Sequence[Sequence[Placed]]) -> list[Placed]:
    """Return all that was placed, what has no effect between the others: sorting keeps the order of equal times."""
    placed = [place for step in path for place in step]
    return sorted(placed, key=lambda place: place.at)


def _between(at: Window) -> float:
    return at[0] if at[1] == inf else (at[0] + at[1]) / 2


def _span(events: Sequence[Event]) -> float:
    """Return how long all of it took on the database's clock, in seconds."""
    if not events:
        return 0
    stepped = sum(event.seconds for event in events if isinstance(event, ClockStep))
    return max(event.end for event in events) - min(event.begin for event in events) + stepped


def search(problem: Problem, most_states: int = MOST_STATES) -> Found:
    """Return whether some order explains what happened, and if so one.

    Args:
        problem: what happened to one address. Calls that were refused for what they asked (a status of 422, 429 …)
            changed nothing, and have no place in it.
        most_states: after so many the search gives up, undecided.
    """
    return _Search(problem, most_states).run()
