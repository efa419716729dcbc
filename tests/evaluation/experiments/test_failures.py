"""The experiments of notebook 10, on the service and on one that does not stand it when a part dies."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.failures import database, failover, service, under_fire
from beefirst.evaluation.experiments.failures.stand import Stand
from beefirst.evaluation.experiments.failures.under_fire import OUTSIDE
from beefirst.evaluation.procedure import Crash
from beefirst.laboratory import load
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.history.calls import Call, CodeMail, Fault, History, Row
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.laboratory.testbed import Testbed
from tests.support.evidence import fails, judged

ANSWERED_503 = "    DatabaseUnavailableError: _answer_unavailable,\n"
ALL_TIME = "await cursor.execute(statement, self._limits | values)"
HOSTS_TIME = 'statement.replace("clock_timestamp()", f"to_timestamp({datetime.now().timestamp()})")'
TIME_LIMIT = "statement_timeout=STATEMENT_TIMEOUT,\n"


@pytest.fixture(scope="module")
def sound() -> Iterator[Stand]:
    """The service on a server of its own."""
    with Stand() as stand:
        yield stand


@pytest.fixture(scope="module")
def brittle() -> Iterator[ProjectCopy]:
    """A service that takes a lost database for an error of its own, lends dead connections, and tries no mail twice."""
    with ProjectCopy() as copy:
        copy.replace("beefirst/api/errors.py", ANSWERED_503, "")
        copy.replace("beefirst/database/pool.py", "        check=_check,\n", "")
        copy.replace("beefirst/mail/courier.py", "PAUSES = (0.5, 1.0, 2.0, 4.0, 6.0)", "PAUSES = ()")
        yield copy


@pytest.fixture(scope="module")
def broken(brittle: ProjectCopy) -> Iterator[Stand]:
    """The brittle service on a server of its own."""
    with Stand(code=brittle.code) as stand:
        yield stand


def holds(evidence: Evidence) -> bool:
    """Tell whether evidence holds; where something is missing for it, the test is skipped with that reason."""
    if evidence.result == "NOT SHOWN HERE":
        pytest.skip(evidence.summary)
    assert evidence.holds, evidence.summary
    return True


@pytest.mark.parametrize("experiment", [database.killed, database.silent, database.crowded_out])
def test_a_database_that_dies_hangs_or_is_crowded_costs_nothing_that_was_acknowledged(
    experiment: Any, sound: Stand, broken: Stand
) -> None:
    assert holds(experiment(sound))
    fails(experiment(broken), "calls amid it were answered 503, no, yes", "answers that are none of those documented")


def test_what_is_acknowledged_before_it_is_written_is_seen_to_be_lost() -> None:
    with ProjectCopy() as copy:
        copy.replace("beefirst/database/pool.py", TIME_LIMIT, f'{TIME_LIMIT}            synchronous_commit="off",\n')
        with Stand(code=copy.code) as stand:
            lost = database.killed(stand)

    fails(lost, "activations acknowledged, and lost", "addresses whose answers and rows no order explains")
    assert lost.picture is not None


def test_sessions_that_are_ended_cost_nothing_that_was_acknowledged(brittle: ProjectCopy) -> None:
    with Testbed(2) as sound:
        assert holds(database.sessions_ended(sound))
    with Testbed(2, code=brittle.code) as broken:
        fails(database.sessions_ended(broken), "answers that are none of those documented")


def test_a_full_disk_costs_nothing_that_was_acknowledged(brittle: ProjectCopy) -> None:
    assert holds(database.disk_full())
    fails(database.disk_full(code=brittle.code), "answers that are none of those documented")


def test_codes_come_late_where_the_mail_server_was_away(brittle: ProjectCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    with Testbed(2) as sound:
        assert holds(service.mail_server_away(sound))

    monkeypatch.setattr(load, "MAIL_SECONDS", 5)  # for codes that never come
    with Testbed(2, code=brittle.code) as broken:
        fails(service.mail_server_away(broken), "of these, claims whose code came later, ")


def test_a_replica_that_is_killed_takes_nothing_along(monkeypatch: pytest.MonkeyPatch) -> None:
    with Testbed(2) as sound:
        assert holds(service.replica_killed(sound))

    monkeypatch.setattr(under_fire, "RECOVERY_SECONDS", 5)  # for accounts that are never made
    with Testbed() as apart, ScratchDatabase() as other, start_api(other.url, MAIL_URL=apart.mailbox.url) as stranger:
        apart.apis.append(stranger)
        fails(service.replica_killed(apart), "addresses whose answers and rows no order explains")


def test_wrong_clocks_of_hosts_change_nothing() -> None:
    assert holds(service.clock_wrong())

    with ProjectCopy() as copy:
        told = ALL_TIME.replace("statement", HOSTS_TIME)
        copy.replace("beefirst/database/registrations.py", ALL_TIME, told)
        fails(service.clock_wrong(code=copy.code), "addresses whose answers and rows no order explains")


def test_a_standby_that_takes_over_has_all_and_is_found_in_time() -> None:
    sound = failover.fail_over()
    assert holds(failover.nothing_lost(sound))
    back = failover.first_answers(History.from_data(sound["history"]))
    assert len(back) == 2  # within 5 seconds on a quiet machine, which the notebook judges

    with ProjectCopy() as copy:
        copy.replace("beefirst/database/pool.py", TIME_LIMIT, f'{TIME_LIMIT}            synchronous_commit="off",\n')
        broken = failover.fail_over(code=copy.code)
    fails(failover.nothing_lost(broken), "activations acknowledged, and lost")


def test_a_failover_that_crashed_fails_both_checks() -> None:
    crash: Any = Crash("it crashed")

    assert failover.nothing_lost(crash).summary == "it crashed"
    assert failover.back_in_time(crash).summary == "it crashed"


@pytest.mark.parametrize(
    "experiment",
    [database.killed, database.disk_full, service.clock_wrong, failover.nothing_lost, failover.back_in_time],
)
def test_what_cannot_be_shown_here_says_why_and_what_shows_it(experiment: Any) -> None:
    evidence = judged(experiment, missing="there is no PostgreSQL here")

    assert evidence.result == "NOT SHOWN HERE"
    assert evidence.summary == f"there is no PostgreSQL here; run: {OUTSIDE}"


def test_a_stand_without_an_embedded_postgresql_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beefirst.embedded_postgres.programs.PACKAGE", "no_package_of_this_name")

    with Stand() as stand:
        assert "which carries PostgreSQL, is missing" in stand.running().to_string()
        shown = [database.killed(stand), database.silent(stand), database.crowded_out(stand), database.disk_full()]

    assert {evidence.result for evidence in shown} == {"NOT SHOWN HERE"}


def call(address: str, begin: float, status: int | None, code: str = "", seconds: float = 0.1) -> Call:
    return Call(
        "ada", 0, "activate" if code else "register", address, "password 1", begin, begin + seconds, status, code
    )


@cache
def told() -> History:
    """Two accounts before and after a fault that ends at 5, a claim that is locked, and one call that is refused."""
    calls = [
        *(call("before@x.org", 1, 202), call("before@x.org", 2, 200, "code 1")),
        *(call("locked@x.org", 1, 202), *(call("locked@x.org", 2 + guess / 5, 401, "code 9") for guess in range(3))),
        call("amid@x.org", 4, 503),
        *(call("after@x.org", 6, 202), call("after@x.org", 7, 200, "code 3")),
    ]
    mails = [("before@x.org", "code 1", 1.1), ("locked@x.org", "code 2", 1.1), ("after@x.org", "code 3", 6.1)]
    rows = [
        Row("before@x.org", 9, 9.1, "ACTIVE", 0, True, "code 1"),
        Row("locked@x.org", 9, 9.1, "LOCKED", 3, False, "code 2"),
        Row("amid@x.org", 9, 9.1),
        Row("after@x.org", 9, 9.1, "ACTIVE", 0, True, "code 3"),
    ]
    return History(600, 3, calls, [CodeMail(*mail) for mail in mails], rows, faults=[Fault("PostgreSQL killed", 3, 5)])


def with_call(index: int, **changed: Any) -> dict[str, Any]:
    calls = [*told().calls]
    calls[index] = replace(calls[index], **changed)
    return {"calls": calls}


def with_row(index: int, **changed: Any) -> dict[str, Any]:
    rows = [*told().rows]
    rows[index] = replace(rows[index], **changed)
    return {"rows": rows}


BROKEN = {
    "calls amid it were answered 503, no, yes": {"faults": [Fault("PostgreSQL killed", 4.5, 5)]},
    "answers that are none of those documented, 1, 0": with_call(6, status=500),
    "calls that were not answered, 1, 0": with_call(6, status=None),
    "answers after more than 20 s, 1, 0": with_call(6, end=25.0),
    "activations acknowledged, and lost, 1, 0": with_row(0, state="EXPIRED", has_hash=False),
    "accounts ACTIVE that nobody activated, 1, 0": with_row(2, state="ACTIVE", has_hash=True),
    "ended registrations that keep a hash, 1, 0": with_row(1, has_hash=True),
    "other registrations that lost theirs, 1, 0": with_row(0, has_hash=False),
    "addresses whose answers and rows no order explains, 1, 0": with_row(1, attempts=1),
    "then an account is registered and activated, no, yes": {"faults": [Fault("PostgreSQL killed", 3, 6.5)]},
    "activations were acknowledged before, no, yes": {"faults": [Fault("PostgreSQL killed", 1.5, 5)]},
    "the final row of every address was seen, no, yes": {"rows": told().rows[1:]},
    "some registrations ended, no, yes": {
        name: [it for it in getattr(told(), name) if it.address != "locked@x.org"]
        for name in ("calls", "rows", "code_mails")
    },
}


def test_a_history_without_a_fault_in_it_holds() -> None:
    assert judged(database.silent, history=told().to_data()).holds


@pytest.mark.parametrize("said", BROKEN)
def test_a_history_that_is_broken_does_not_hold(said: str) -> None:
    fails(judged(database.silent, history=replace(told(), **BROKEN[said]).to_data()), said)


def test_only_the_replica_that_was_killed_may_leave_calls_without_an_answer() -> None:
    cut_off = replace(told(), **with_call(6, status=None)).to_data()

    assert judged(service.replica_killed, history=cut_off, killed=0).holds
    fails(judged(service.replica_killed, history=cut_off, killed=1), "calls that were not answered, 1, 0")


def test_clocks_that_are_right_and_too_few_sessions_show_nothing() -> None:
    history = told().to_data()

    assert judged(service.clock_wrong, history=history, wrong_by=[3600.2, -3599.0], too_old=[401, 401]).holds
    fails(judged(service.clock_wrong, history=history, wrong_by=[0.2, -3599.0], too_old=[401, 401]), "an hour fast")
    fails(judged(service.clock_wrong, history=history, wrong_by=[3600, -3600], too_old=[401, 200]), "200, 401")
    assert judged(database.sessions_ended, history=history, ended_sessions=[6, 0, 6]).holds
    fails(
        judged(database.sessions_ended, history=history, ended_sessions=[6, 0]),
        "sessions ended, 12 at least, until a call was answered 503, no",
    )


def test_a_service_that_is_back_too_late_or_by_half_does_not_hold() -> None:
    half = replace(told(), faults=[Fault("The primary dead", 3, 7.05)])
    late = replace(told(), calls=[replace(it, begin=it.begin + 9, end=it.end + 9) for it in told().calls])

    assert judged(failover.back_in_time, history=told().to_data()).holds
    fails(judged(failover.back_in_time, history=half.to_data()), "never a registration and an activation after 0.0 s")
    fails(
        judged(failover.back_in_time, history=late.to_data()), "a registration after 5.1 s", "an activation after 6.1 s"
    )
