"""What a history shows: whether all of it can be explained, and if not, the least that cannot, in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from beefirst.laboratory.history.calls import ANSWERS, Call, History, Row
from beefirst.laboratory.history.conflict import Conflict, least_conflict
from beefirst.laboratory.history.linearizability import MOST_STATES, search
from beefirst.laboratory.history.model import Rules
from beefirst.laboratory.history.problem import Event, Placed, Problem, Result

LIVING, ENDED = ("CLAIMED", "ACTIVE"), ("EXPIRED", "LOCKED")


@dataclass(frozen=True)
class Finding:
    """What was found of one address.

    Attributes:
        address: normalised.
        result: explained, impossible or undecided.
        sentence: what cannot be, or that all can.
        events: of the address, to which the numbers of `order` and `conflict` belong.
        order: in which the events took effect, where there is one.
        conflict: the numbers of the events that cannot be explained together; no fewer of them are impossible.
        states: how many were tried.
    """

    address: str
    result: Result
    sentence: str
    events: Sequence[Event]
    order: Sequence[Placed] = ()
    conflict: Sequence[int] = ()
    states: int = 0


@dataclass(frozen=True)
class Judgement:
    """What a history shows.

    Attributes:
        findings: one for each address.
        lost: addresses at which an activation was acknowledged, and whose final row is not ACTIVE.
        invented: addresses whose row is ACTIVE without a call that can have made it so.
        hashes_kept: addresses of which an ended row has had a hash.
        hashes_missing: addresses of which a row that is CLAIMED or ACTIVE has had none.
        calls: how many were judged.
        unanswered: how many of them may have been carried out or not.
    """

    findings: Sequence[Finding]
    lost: Sequence[str] = ()
    invented: Sequence[str] = ()
    hashes_kept: Sequence[str] = ()
    hashes_missing: Sequence[str] = ()
    calls: int = 0
    unanswered: int = 0
    answers_unknown: Sequence[str] = field(default=())

    @property
    def result(self) -> Result:
        """Of the whole history: impossible if that of one address is, else undecided if that of one is."""
        results = [finding.result for finding in self.findings]
        hashes = self.hashes_kept or self.hashes_missing
        if self.lost or self.invented or hashes or self.answers_unknown or not results or "impossible" in results:
            return "impossible"
        return "undecided" if "undecided" in results else "explained"

    @property
    def holds(self) -> bool:
        """Whether everything is explained; what is undecided does not hold."""
        return self.result == "explained"

    @property
    def sentence(self) -> str:
        """What was found, in a sentence or two."""
        told = [finding.sentence for finding in self.findings if finding.result != "explained"]
        told += [f"An ended row of {address} keeps a hash." for address in self.hashes_kept]
        told += [f"A row of {address} that has not ended is without its hash." for address in self.hashes_missing]
        found = {finding.address for finding in self.findings if finding.result == "impossible"}
        told += [f"{it}: an acknowledged activation is lost." for it in self.lost if it not in found]
        told += [f"{it}: the row is ACTIVE, and no call explains that." for it in self.invented if it not in found]
        told += self.answers_unknown
        if not self.findings:
            return "Nothing was recorded."
        return " ".join(dict.fromkeys(told)) or (
            f"One order explains all answers of {self.calls} calls, {self.unanswered} of them without an answer, "
            f"and the final rows of {len(self.findings)} address{'es' if len(self.findings) > 1 else ''}."
        )


def judge_history(history: History, most_states: int = MOST_STATES) -> Judgement:
    """Return what a history shows, address by address.

    Args:
        history: what was recorded.
        most_states: after so many states of one address its search gives up, undecided.
    """
    rules = Rules(history.ttl_seconds, history.max_attempts, history.mail_may_fail, history.uncertainty)
    addresses = history.addresses
    kept = [row.address for row in history.rows if row.state in ENDED and row.has_hash]
    missing = [row.address for row in history.rows if row.state in LIVING and not row.has_hash]
    return Judgement(
        [_judge_address(history, address, rules, most_states) for address in addresses],
        [address for address in addresses if _is_lost(history, address)],
        [address for address in addresses if _is_invented(history, address)],
        list(dict.fromkeys(kept)),
        list(dict.fromkeys(missing)),
        len(history.calls),
        sum(call.is_unknown for call in history.calls),
        [_unheard_of(call) for call in history.calls if not _is_heard_of(call)],
    )


def _judge_address(history: History, address: str, rules: Rules, most_states: int) -> Finding:
    calls = [call for call in history.calls if call.is_answered or call.is_unknown]
    told: list[Event] = [*calls, *history.clock_steps, *history.rows]
    events = sorted((event for event in told if event.address == address), key=lambda event: event.begin)
    problem = Problem(rules, events, [mail for mail in history.code_mails if mail.address == address])
    found = search(problem, most_states)
    if found.result == "explained":
        return Finding(address, found.result, f"{address}: explained.", events, found.order, (), found.states)
    if found.result == "undecided":
        sentence = f"{address}: undecided after {found.states} states; its history is too long for the search."
        return Finding(address, found.result, sentence, events, (), (), found.states)
    conflict = least_conflict(problem)
    sentence = " ".join(dict.fromkeys([f"{address}: {conflict.sentence}", *_concluded(history, address, conflict)]))
    return Finding(address, found.result, sentence, events, (), conflict.events, found.states)


def _concluded(history: History, address: str, conflict: Conflict) -> list[str]:
    """Return what matters most of an address that cannot be explained, where the least conflict does not say so."""
    lost = ["An acknowledged activation is lost."] * _is_lost(history, address)
    invented = ["The row is ACTIVE, and no call explains that."] * _is_invented(history, address)
    return [it for it in (*lost, *invented) if it.rstrip(".").lower() not in conflict.sentence.lower()]


def _is_lost(history: History, address: str) -> bool:
    row = history.final_row(address)
    return row is not None and row.state != "ACTIVE" and any(_is_acknowledged(call, row) for call in history.calls)


def _is_acknowledged(call: Call, row: Row) -> bool:
    return call.address == row.address and call.kind == "activate" and call.status == 200 and call.end <= row.begin


def _is_invented(history: History, address: str) -> bool:
    """Tell whether a row is ACTIVE that no activation has made so, answered with 200 or not at all."""
    seen = [row for row in history.rows if row.address == address and row.state == "ACTIVE"]
    makers = [
        call
        for call in history.calls
        if call.address == address and call.kind == "activate" and (call.status == 200 or call.is_unknown)
    ]
    return any(all(call.begin > row.end for call in makers) for row in seen)


def _is_heard_of(call: Call) -> bool:
    return call.is_answered or call.is_unknown or 400 <= (call.status or 0) < 500


def _unheard_of(call: Call) -> str:
    known = " or ".join(map(str, sorted(ANSWERS[call.kind])))
    return f"{call.client} was answered {call.status} to {call.kind}, which is never answered but {known}."
