"""Clients of all replicas who race for addresses, and one order that explains what they were answered: truth 10."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from beefirst.errors import MailError
from beefirst.evaluation.display.swimlanes import swimlanes
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.held_row import held_row
from beefirst.laboratory.history.calls import History
from beefirst.laboratory.history.clients import RecordingClient
from beefirst.laboratory.history.database_clock import DatabaseClock
from beefirst.laboratory.history.judgement import judge_history
from beefirst.laboratory.history.recorder import Recorder
from beefirst.laboratory.testbed import Testbed, wrong

CLIENTS = 6
OWNED, GUESSED, LATE = "owned@example.net", "guessed@example.net", "late@example.net"
CALLS = {OWNED: 2 * CLIENTS, GUESSED: CLIENTS + 3, LATE: 4}
"""How many calls each race consists of."""

ENDS = {OWNED: "ACTIVE", GUESSED: "LOCKED", LATE: "ACTIVE"}
"""How each ends where the service does what it is there for: one that refused everybody would contradict nobody."""


def _judge_one_order(history: Mapping[str, Any], met: Mapping[str, int]) -> Evidence:
    told = History.from_data(history)
    judged = judge_history(told)
    results = {finding.address: finding.result for finding in judged.findings}
    owners = sum(call.address == OWNED and call.status == 200 for call in told.calls)
    ends = {address: row.state if (row := told.final_row(address)) else "not seen" for address in CALLS}
    rows = [
        *((f"the answers at {address}", results.get(address), "explained") for address in CALLS),
        *((f"calls at {it}", sum(call.address == it for call in told.calls), CALLS[it]) for it in CALLS),
        *((f"the final row of {address}", ends[address], ENDS[address]) for address in CALLS),
        (f"activations of {OWNED}", owners, 1),
        ("acknowledged activations that are lost", len(judged.lost), 0),
        ("activations that nobody made", len(judged.invented), 0),
        ("hashes on ended rows", len(judged.hashes_kept), 0),
    ]
    evidence = compare(judged.sentence, rows)
    raced = met.keys() >= {*CALLS} and min(met.values()) > 1 and len({call.replica for call in told.calls}) > 1
    picture = swimlanes(told, judged) if told.calls else None
    return replace(evidence, holds=evidence.holds and judged.holds and raced, picture=picture)


@experiment(_judge_one_order)
def one_order(testbed: Testbed) -> Observed:
    """Truth 10: let clients of all replicas meet at one row, three times over, and write down what each is answered.

    At the first address all register, then activate at once. At the second all guess wrong at once, and then the right
    code and a registration come too late. At the third a claim runs out while its owner activates it and somebody else
    claims the address. What meets is held up by a lock on the row until all are there.
    """
    with testbed.database.connect() as connection, ThreadPoolExecutor(CLIENTS) as threads:
        clock = DatabaseClock.measure(connection)
        recorder = Recorder(clock, testbed.ttl_seconds, testbed.max_attempts)
        clients = [recorder.client(f"client {n + 1}", [it.url for it in testbed.apis]) for n in range(CLIENTS)]
        race = _Race(testbed, recorder, clients, threads)
        met = {OWNED: _own(race), GUESSED: _guess(race), LATE: _come_late(race)}
        recorder.collect_mail(testbed.mailbox)
        recorder.read_rows(connection)
    return {"history": recorder.history().to_data(), "met": met}


@dataclass(frozen=True)
class _Race:
    """Who races, where, and who writes it down."""

    testbed: Testbed
    recorder: Recorder
    clients: Sequence[RecordingClient]
    threads: ThreadPoolExecutor

    def replica(self, number: int) -> int:
        return number % len(self.testbed.apis)

    def start(self, ask: Callable[[RecordingClient, int], object]) -> list[Future[object]]:
        """Let every client ask, at the replicas in turns."""
        return [self.threads.submit(ask, client, self.replica(n)) for n, client in enumerate(self.clients)]

    def meet(self, email: str, ask: Callable[[RecordingClient, int], object], waiting: int) -> int:
        """Let every client ask at once; return how many of them met at the row, of so many that must."""
        with held_row(self.testbed.database, email) as row:
            asked = self.start(ask)
            met = row.wait_for(waiting)
        for it in asked:
            it.result()
        return met

    def code(self, email: str, count: int = 1) -> str:
        """Return the code that was mailed; none is a code that is wrong."""
        with suppress(MailError):
            self.testbed.mailbox.code_for(email, count)
        return self.recorder.collect_mail(self.testbed.mailbox).get(email, "0000")


def _own(race: _Race) -> int:
    passwords = dict(zip(race.clients, ["the first horse", "the second horse"] * CLIENTS, strict=False))
    met = race.meet(OWNED, lambda client, replica: client.register(OWNED, passwords[client], replica), CLIENTS)
    code = race.code(OWNED)
    proving = race.meet(
        OWNED, lambda client, replica: client.activate(OWNED, passwords[client], code, replica), CLIENTS // 2
    )
    return min(met, proving)


def _guess(race: _Race) -> int:
    first, password = race.clients[0], "a guessed horse"
    first.register(GUESSED, password)
    code = race.code(GUESSED)
    met = race.meet(GUESSED, lambda client, replica: client.activate(GUESSED, password, wrong(code), replica), CLIENTS)
    first.activate(GUESSED, password, code, race.replica(1))
    first.register(GUESSED, password)
    return met


def _come_late(race: _Race) -> int:
    first, second, old, new = *race.clients[:2], "the old horse", "the new horse"
    first.register(LATE, old)
    code = race.code(LATE)
    seconds = race.testbed.ttl_seconds
    with race.recorder.clock_step(LATE, seconds), held_row(race.testbed.database, LATE) as row:
        let_pass(row.connection, seconds, LATE)
        claiming = race.threads.submit(second.register, LATE, new, race.replica(1))
        row.wait_for(1)
        proving = race.threads.submit(first.activate, LATE, old, code, race.replica(0))
        met = row.wait_for(2)
    claiming.result(), proving.result()
    second.activate(LATE, new, race.code(LATE, 2), race.replica(0))
    return met
